"""The commands: results go to standard output, everything else to standard error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, BinaryIO

import click

from rerank_core._cli import results
from rerank_core._cli.documents import FORMATS, Readable, decode_or, read_documents
from rerank_core._cli.group import CONFIGURATION, Commands
from rerank_core._cli.installed import describe, examine, show_providers
from rerank_core._cli.progress import is_terminal, printable, show_progress
from rerank_core._client.functions import rerank
from rerank_core._client.reranker import Reranker
from rerank_core._resolve.discovery import find_plugin, list_providers
from rerank_core._resolve.target import split_model
from rerank_core._version import __version__

# What --param may not set: it has an option of its own or, as a key, would show in `ps`.
_RESERVED = {"", *signature(Reranker).parameters, *signature(rerank).parameters}
_RESERVED -= {"max_chunks_per_doc", "max_tokens_per_doc", "extra"}
_OPTIONS = ("model", "top_n", "rank_fields", "api_base", "timeout", "max_retries", "deadline")
_SECONDS = click.FloatRange(min=0, min_open=True)
_SAMPLE = Path(__file__).with_name("_sample") / "acoustic-fatigue.jsonl"
_SAMPLE_QUERY = "what data is there on the fatigue of structures under acoustic loading"


@click.group(
    cls=Commands,
    subcommand_metavar="COMMAND ...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Order documents by relevance to a query. First try: rerank demo

    Keys come from the environment. Exit codes: 0 done, 2 wrong usage or a file that cannot
    be read or written, 3 configuration or plugin, 4 provider failed, 130 interrupted.
    """  # noqa: D415 - the command is to be copied


def _read_params(_: click.Context, __: click.Parameter, pairs: Iterable[str]) -> dict[str, Any]:
    params = {}
    for name, equals, value in (pair.partition("=") for pair in pairs):
        if name in _OPTIONS:
            option = f"--{name.replace('_', '-')}"
            raise click.BadParameter(f"{name} has an option of its own: write {option}")
        if not equals or name in _RESERVED:
            message = f"write NAME=VALUE, a name only the provider knows: {name!r}"
            hint = "; keys come from the environment, see rerank doctor" if "key" in name else ""
            raise click.BadParameter(message + hint)
        params[name] = decode_or(value, value) if value else value
    return params


def _choose_format(chosen: str | None, *, as_json: bool) -> str:
    if as_json and chosen not in {None, "jsonl"}:
        message = f"--json is short for --format jsonl: leave it out beside --format {chosen}"
        raise click.UsageError(message)
    return chosen or ("table" if is_terminal() and not as_json else "jsonl")


def _with_format(command: Any) -> Any:
    kinds = click.Choice(results.FORMATS)
    form = click.option(
        "--format", "form", type=kinds, metavar="FORM", help="table, jsonl, csv or json."
    )
    return form(
        click.option("--json", "as_json", is_flag=True, help="Short for --format jsonl.")(command)
    )


@cli.command()
@click.option("--model", metavar="PROVIDER/MODEL", help="For example local/bm25.")
@click.option("--top-n", type=click.IntRange(min=1), metavar="N", help="At most N results.")
@click.option("--rank-fields", metavar="A,B", help="The fields that count; all by default.")
@click.option("--api-base", metavar="URL", help="The base URL, if not the default.")
@click.option("--timeout", type=_SECONDS, metavar="SECONDS", help="For each step; 60 by default.")
@click.option("--max-retries", type=click.IntRange(min=0), metavar="N", help="2 by default.")
@click.option("--deadline", type=_SECONDS, metavar="SECONDS", help="For all; none by default.")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_read_params,
    help="A parameter of this provider. Repeatable.",
)
@click.option(
    "--input",
    "kind",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    metavar="KIND",
    help=f"{', '.join(FORMATS[1:-1])}, {FORMATS[-1]}.",
)
@_with_format
@click.argument("query")
@click.argument("file", type=Readable("rb"), metavar="FILE|-")
def rank(
    file: BinaryIO,
    params: Mapping[str, Any],
    *,
    model: str | None,
    kind: str,
    form: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Rank the documents of a file, or of standard input (-).

    FILE is read by its name (.csv, .tsv, .json, .jsonl, .parquet), else as JSON or
    as text with one document per line. Prints a table on a terminal, elsewhere JSON
    Lines with index (from 0), relevance_score and document.
    """
    form = _choose_format(form, as_json=as_json)
    if model is None:
        message = "write --model PROVIDER/MODEL, for example --model local/bm25"
        raise click.UsageError(f"{message}; rerank providers lists what is installed")
    if options["rank_fields"] is not None:
        options["rank_fields"] = [name.strip() for name in options["rank_fields"].split(",")]
    provider, name = split_model(model, None)
    facts = find_plugin(provider).resolve_provider(name, {})
    if shown := [name for name in params if name in facts.secret_options]:
        hint = f"{shown[0]} is secret: set {' or '.join(facts.secret_options[shown[0]])} instead"
        raise click.BadParameter(hint, param_hint="--param")
    documents = read_documents(file, kind)
    given = {name: value for name, value in options.items() if value is not None}
    with show_progress(facts) as progress:
        given |= {"model": model, **progress, **params}
        response = rerank(documents=documents, return_documents=False, **given)
    for warning in response.warnings:
        click.echo(printable(f"warning: {warning}"), err=True)
    fields = options["rank_fields"]
    results.show_results(response, documents, form, rank_fields=fields, terminal=is_terminal())


@cli.command()
@click.option(
    "--model", default="local/bm25", metavar="PROVIDER/MODEL", help="local/bm25 by default."
)
@_with_format
@click.pass_context
def demo(ctx: click.Context, model: str, form: str | None, *, as_json: bool) -> None:
    """Rank twenty sample abstracts: a first look.

    Without --model it needs rerank-local, but no key and no network.
    """
    command = (f"rerank rank --model {model} --top-n 5", f'"{_SAMPLE_QUERY}"', str(_SAMPLE))
    click.echo(" \\\n  ".join(command), err=True)
    with _SAMPLE.open("rb") as file:
        asked: dict[str, Any] = {"model": model, "top_n": 5, "query": _SAMPLE_QUERY, "file": file}
        ctx.invoke(rank, **asked, params={}, form=form, as_json=as_json)
    click.echo(f'your file: rerank rank --model {model} "your query" documents.csv', err=True)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on a terminal, too.")
def providers(*, as_json: bool) -> None:
    """List what is installed, and whether keys are found.

    Names variables and never shows their values. A broken plugin is listed with its
    error. The aliases of a provider, its other names, are beside it.
    """
    rows = describe(list_providers())
    if is_terminal() and not as_json:
        show_providers(rows)
        return
    for row in rows:
        results.show_json(row, terminal=is_terminal())


@cli.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Say what is broken, how to fix it, and what is set.

    Never shows the value of a variable. Exits with 3 if something is broken.
    """
    ctx.exit(CONFIGURATION if examine(list_providers()) else 0)
