"""`rerank job run` and `rerank job status`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import orjson

from rerank_jobs._engine import Engine
from rerank_jobs._job import Job
from rerank_jobs._output import SUFFIXES
from rerank_jobs._progress import describe, describe_cost, show_progress
from rerank_jobs._report import Estimate, JobReport
from rerank_jobs._rows import FORMATS
from rerank_jobs._state import Folder
from rerank_jobs.errors import JobError

# The exit code for each way to end; 3 and 4 are those of `rerank` itself.
_EXITS = {"done": 0, "failed": 1, "aborted": 4, "paused": 5, "capped": 5, "interrupted": 130}
_FILE = click.Path(dir_okay=False, path_type=Path)
_MORE = click.FloatRange(min=0, min_open=True)
_COUNT = click.IntRange(min=1)


def _read_params(_: click.Context, __: click.Parameter, pairs: Iterable[str]) -> dict[str, Any]:
    params = {}
    for name, equals, value in (pair.partition("=") for pair in pairs):
        if not equals or not name.isidentifier() or name in {"api_key", "http_client"}:
            raise click.BadParameter(f"write NAME=VALUE, never a key: {name!r}")
        try:
            params[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            params[name] = value
    return params


@click.group()
def job() -> None:
    """Rank the rows of a file, however many, and go on where it stopped.

    Exit codes: 0 done, 1 done but for failed rows, 2 usage, 3 configuration, 4 stopped by what
    would fail for every row, 5 paused by a spent quota or a cap, 130 interrupted.
    """


@job.command()
@click.argument("rows", metavar="INPUT", type=_FILE)
@click.option("--model", required=True, metavar="PROVIDER/MODEL", help="For example local/bm25.")
@click.option(
    "--output", required=True, type=_FILE, help=f"Its name ends in one of {' '.join(SUFFIXES)}."
)
@click.option("--format", type=click.Choice(FORMATS), help="The input's, if its name does not say.")
@click.option("--corpus", type=_FILE, help="Documents of a TREC run: JSON Lines or id<TAB>text.")
@click.option("--topics", type=_FILE, help="Queries of a TREC run: JSON Lines or id<TAB>text.")
@click.option("--top-n", type=_COUNT, help="The most results a row; all by default.")
@click.option("--rank-fields", metavar="A,B", help="The fields that count; all by default.")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_read_params,
    help="A parameter of each call; JSON if it can be read as JSON, else text. May be repeated.",
)
@click.option("--api-base", metavar="URL", help="The base URL, if not the default.")
@click.option("--timeout", type=_MORE, help="Seconds for each step of an attempt; 60 by default.")
@click.option("--max-retries", type=click.IntRange(min=0), help="Further attempts; 2 by default.")
@click.option(
    "--concurrency", type=_COUNT, default=16, show_default=True, help="Most rows at once."
)
@click.option("--requests-per-minute", type=_MORE, help="The most requests, with retries.")
@click.option("--tokens-per-minute", type=_MORE, help="The most tokens, partly estimated.")
@click.option("--max-requests", type=_COUNT, help="A cap on requests, over all runs of the job.")
@click.option("--max-tokens", type=_COUNT, help="A cap on tokens, over all runs of the job.")
@click.option("--max-usd", type=_MORE, help="A cap on cost, over all runs; needs a known price.")
@click.option("--cache", type=_FILE, help="A file that keeps scores, shared between jobs.")
@click.option("--retry-failed", is_flag=True, help="Rank the rows in failed.jsonl again.")
@click.option("--in-order", is_flag=True, help="Put a .jsonl output into the input's order.")
@click.option("--dry-run", is_flag=True, help="Estimate requests, tokens, cost; send nothing.")
@click.pass_context
def run(ctx: click.Context, /, rows: Path, *, dry_run: bool, **given: Any) -> None:
    """Rank the rows of INPUT; to resume, run the same command again.

    A row of JSON Lines or Parquet has id, query and documents; a CSV has id, query and document,
    or documents as a JSON list; a TREC run needs --corpus and --topics. Keys come from the
    environment. Ctrl-C finishes the rows under way; a second Ctrl-C stops at once.
    """
    if given["rank_fields"] is not None:
        given["rank_fields"] = [name.strip() for name in given["rank_fields"].split(",")]
    names = ("api_base", "timeout", "max_retries")
    options = {name: given.pop(name) for name in names}
    options = {name: value for name, value in options.items() if value is not None}
    made = Job(input=rows, options=options, **given)
    if dry_run:
        click.echo(_describe_estimate(made.estimate()))
        return
    try:
        with show_progress() as watch:
            report = asyncio.run(_run(made, watch))
    except OSError as error:
        click.echo(f"error: {error}; what was ranked is saved: the same command goes on", err=True)
        ctx.exit(_EXITS["aborted"])
    click.echo(_describe_end(report, made.output), err=True)
    ctx.exit(_EXITS[report.state])


async def _run(made: Job, watch: Callable[[JobReport], None]) -> JobReport:
    with _signals() as attach:
        return await made.arun(watch, attach)


@contextmanager
def _signals() -> Iterator[Callable[[Engine], None]]:
    """The first signal lets what is under way finish, the second one does not."""
    loop, engines = asyncio.get_running_loop(), list[Engine]()
    seen = 0

    def stop(*_: object) -> None:
        nonlocal seen
        seen += 1
        if not engines:
            raise KeyboardInterrupt
        engine = engines[0]
        if seen == 1:
            click.echo("finishing what is under way; once more to stop at once", err=True)
            loop.call_soon_threadsafe(engine.stop, "interrupted", "interrupted")
        else:
            loop.call_soon_threadsafe(engine.cancel)

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield engines.append
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@job.command()
@click.argument("output", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(output: Path, *, as_json: bool) -> None:
    """Say how far the job of OUTPUT is.

    Numbers are those of the last second in which it ran.
    """
    folder = Folder(output)
    found = folder.read()
    if found is None:
        raise JobError(f"{output}: no job has this output")
    progress = {name: found["progress"][name] for name in found["progress"] if name != "carried"}
    if progress["state"] == "running" and not folder.is_running():
        progress["state"] = "killed"
    if as_json:
        click.echo(orjson.dumps({**progress, "at": found["at"]}))
        return
    pending = progress["rows"] - progress["ranked"] - progress["failed"]
    lines = {
        "state": f"{progress['state']}, {found['at']}",
        "reason": progress["reason"],
        "model": found["fingerprint"]["model"],
        "rows": f"{progress['rows']:,}: {progress['ranked']:,} ranked,"
        f" {progress['failed']:,} failed, {pending:,} pending",
        "failed rows": folder.failed if progress["failed"] else "",
        "spent": f"{progress['requests']:,} requests, {progress['tokens']:,} tokens,"
        f" {describe_cost(progress['usd'], progress['unknown_costs'])}",
    }
    _show(lines)


def _show(lines: Mapping[str, Any]) -> None:
    for name, value in lines.items():
        if value != "":
            click.echo(f"{name}: {value}")


def _describe_estimate(estimate: Estimate) -> str:
    usd = "unknown, no price is listed" if estimate.usd is None else f"${estimate.usd:,.4f}"
    minutes = f", {estimate.minutes:,.1f} minutes at the limits" if estimate.minutes else ""
    return (
        f"{estimate.rows:,} rows ({estimate.faults:,} of them unusable),"
        f" {estimate.pairs:,} documents, about {estimate.requests:,} requests and"
        f" {estimate.tokens:,} tokens{minutes}; cost: {usd}"
    )


def _describe_end(report: JobReport, output: Path) -> str:
    said = f"{report.state}: {describe(report)}"
    if report.reason:
        said += f"; {report.reason}"
    if report.failed:
        said += f"; see {Folder(output).failed}, and --retry-failed"
    if report.pending:
        said += "; the same command goes on"
    return said
