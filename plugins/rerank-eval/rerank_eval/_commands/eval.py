"""`rerank eval`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from rerank_eval._ask import open_questions
from rerank_eval._commands.options import DATA, PATH, POSITIVE, data_options, read_data
from rerank_eval._data import Collection
from rerank_eval._entrants import (
    CEILING,
    FIRST_STAGE,
    Entrant,
    parse_cascade,
    parse_fused,
    to_entrants,
)
from rerank_eval._estimate import estimate
from rerank_eval._evaluate import MEASURES
from rerank_eval._evaluate import evaluate as evaluate_models
from rerank_eval._gates import check_gate_names
from rerank_eval._measures import parse_measure
from rerank_eval._rankings import make_rows
from rerank_eval._responses import Responses
from rerank_eval._terminal import make_console, show_progress, show_report, show_table
from rerank_eval._trec import write_qrels, write_run

_REFUSED, _FAILED = 1, 4
_LONGEST_NAME, _SHORT_NAME = 200, 40  # bytes, characters; file systems take 255 bytes


@click.command("eval", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("data", type=DATA)
@click.argument("models", nargs=-1, metavar="MODEL...")
@click.option(
    "--measure",
    "measures",
    multiple=True,
    default=MEASURES,
    show_default=True,
    metavar="NAME",
    help="A measure, such as nDCG@10. May be repeated; only the first is tested.",
)
@data_options
@click.option(
    "--baseline",
    metavar="ROW",
    help="Test all others against this row only, such as 'first stage'; every pair by default.",
)
@click.option(
    "--cascade",
    "cascades",
    multiple=True,
    metavar="FIRST,THEN,DEPTH",
    help="Add a row: a cheap model, then another over its best DEPTH. May be repeated.",
)
@click.option(
    "--fuse",
    multiple=True,
    metavar="METHOD=ROW,ROW",
    help="Add a row that fuses other rows, without further calls. METHOD is rrf, weighted (as in"
    " weighted=0.3*first-stage,0.7*MODEL) or tuned. May be repeated.",
)
@click.option(
    "--repeat", type=POSITIVE, default=1, help="Ask each query so many times, and show the spread."
)
@click.option(
    "--concurrency",
    type=POSITIVE,
    default=1,
    help="The most calls at once. Above 1, latencies are those of a busy client.",
)
@click.option("--seed", type=int, default=0, help="For permutations and bootstrap; 0 by default.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    help="The significance level for adjusted p-values; 0.05 by default.",
)
@click.option(
    "--output",
    type=PATH,
    metavar="DIR",
    help="Keep the responses in this folder, and write report.html, .md, .json, .csv, .tex there."
    " Responses that are in its responses.jsonl are not asked for again.",
)
@click.option("--trec", is_flag=True, help="Write TREC runs and qrels to DIR, too.")
@click.option("--retry-failed", is_flag=True, help="Repeat the calls that failed before.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent and cost; send nothing.")
@click.option(
    "--fail-under",
    multiple=True,
    metavar="MEASURE=VALUE",
    help="Exit with 1 if a model's mean is lower. May be repeated.",
)
@click.option(
    "--no-worse-than",
    metavar="ROW|report.json",
    help="Exit with 1 if a model may be worse than this row, or than itself in a kept report.",
)
@click.option(
    "--margin",
    type=click.FloatRange(min=0),
    default=0.0,
    help="How much it may lose; 0 by default.",
)
@click.pass_context
def evaluate(  # noqa: PLR0913 - each is one of the user's decisions
    ctx: click.Context,
    /,
    data: Path,
    models: tuple[str, ...],
    *,
    measures: tuple[str, ...],
    cascades: tuple[str, ...],
    fuse: tuple[str, ...],
    output: Path | None,
    trec: bool,
    dry_run: bool,
    retry_failed: bool,
    repeat: int,
    fail_under: tuple[str, ...],
    no_worse_than: str | None,
    margin: float,
    baseline: str | None,
    concurrency: int,
    seed: int,
    alpha: float,
    **where: Any,
) -> None:
    """Compare rerankers on judged queries: quality, latency and cost.

    DATA is a folder with corpus, queries and qrels (BEIR's layout, MTEB's with top_ranked, TREC's
    with --run), or a JSON Lines file whose lines have "query", "documents" and "relevance", or
    "query", "positive" and "negative". Where it has no candidates, BM25 over the corpus finds them.

    MODEL is provider/model, with params as in 'local/bm25?k1=1.2&b=0.5'. The first stage and the
    ceiling, the best order that the candidates allow, are rows of their own.

    Exit codes beside those of `rerank`: 1 a gate refused a model, 4 a call failed.
    """
    if trec and output is None:
        raise click.UsageError("--trec needs --output DIR")
    collection = read_data(data, **where)
    entrants = [*to_entrants(models), *map(parse_cascade, cascades)]
    baseline = FIRST_STAGE if baseline == "first-stage" else baseline
    no_worse_than = FIRST_STAGE if no_worse_than == "first-stage" else no_worse_than
    fused = [parse_fused(each) for each in fuse]
    check_gate_names(
        [parse_measure(name).name for name in measures],
        [FIRST_STAGE, *(each.label for each in entrants), *(each.label for each in fused), CEILING],
        fail_under=fail_under,
        no_worse_than=no_worse_than,
    )
    kept = output / "responses.jsonl" if output else None
    if dry_run:
        _show_estimate(collection, entrants, kept, repeat, retry_failed=retry_failed)
        return
    with show_progress() as progress:
        report = evaluate_models(
            collection,
            entrants,
            measures=measures,
            baseline=baseline,
            fuse=fused,
            repeat=repeat,
            concurrency=concurrency,
            alpha=alpha,
            seed=seed,
            responses=kept,
            retry_failed=retry_failed,
            progress=progress,
        )
    report = report.check(fail_under=fail_under, no_worse_than=no_worse_than, margin=margin)
    show_report(report.content)
    if output:
        paths = report.save(output)
        if trec:
            paths += _write_trec(collection, entrants, output)
        click.echo(f"written: {', '.join(map(str, paths))}", err=True)
    if not report.passed:
        ctx.exit(_REFUSED)
    if report.failed:
        ctx.exit(_FAILED)


def _show_estimate(
    collection: Collection,
    entrants: list[Entrant],
    kept: Path | None,
    repeat: int,
    *,
    retry_failed: bool,
) -> None:
    path = kept if kept and kept.exists() else None
    responses = Responses.open(path, collection)
    questions = open_questions(
        collection, entrants, responses, repeats=repeat, retry_failed=retry_failed
    )
    rows = [
        [
            each.label,
            str(each.queries),
            "none" if each.requests is None else str(each.requests),
            f"{each.tokens:,}",
            "unknown" if each.usd is None else f"{each.usd:.4g}",
        ]
        for each in estimate(questions)
    ]
    header = ["", "calls", "requests", "tokens, about", "US dollars, about"]
    show_table(make_console(), header, rows)
    click.echo("nothing was sent; tokens are counted as characters / 4, dollars by list prices")


def _write_trec(collection: Collection, entrants: list[Entrant], output: Path) -> list[Path]:
    """A run for each row, and the judgements, in files that trec_eval reads."""
    responses = Responses.open(output / "responses.jsonl", collection)
    measure = parse_measure("nDCG@10")
    rows = make_rows(collection, entrants, [], responses, repeats=1, measure=measure)
    paths = [output / "qrels.trec"]
    write_qrels(paths[0], {topic.query_id: topic.grades for topic in collection.topics})
    for row in rows:
        if row.label == CEILING:
            continue
        orders = {
            topic.query_id: rankings[0].ids
            for topic, rankings in zip(collection.topics, row.rankings, strict=True)
            if rankings[0] is not None
        }
        paths.append(output / f"{_name_file(row.label, paths)}.run")
        write_run(paths[-1], orders, row.label)
    return paths


def _name_file(label: str, others: list[Path]) -> str:
    """A name that every file system takes, and that no other row has."""
    name = "".join(char if char.isalnum() or char in "-._" else "-" for char in label)
    if len(name.encode()) > _LONGEST_NAME or name.lower() in {
        other.stem.lower() for other in others
    }:
        name = f"{name[:_SHORT_NAME]}-{hashlib.blake2b(label.encode(), digest_size=8).hexdigest()}"
    return name
