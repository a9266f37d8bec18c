"""The commands: results go to standard output, everything else to standard error."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rerank_core._cli.documents import FORMATS, Readable, decode_or, read_documents
from rerank_core._cli.progress import checked_output, escaped, is_terminal, printable, show_progress
from rerank_core._client.functions import rerank
from rerank_core._client.reranker import Reranker
from rerank_core._resolve.discovery import InstalledProvider, find_plugin, list_providers
from rerank_core._resolve.target import split_model
from rerank_core._version import __version__
from rerank_core.errors import ConfigurationError, PluginError, RerankError
from rerank_core.facts import Provider
from rerank_core.wire import encode_json, render_document

_CONFIGURATION, _FAILED, _INTERRUPTED = 3, 4, 130
# What --param may not set: it has an option of its own or, as a key, would show in `ps`.
_RESERVED = {"", *signature(Reranker).parameters, *signature(rerank).parameters}
_RESERVED -= {"max_chunks_per_doc", "max_tokens_per_doc", "extra"}
_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_SECONDS = click.FloatRange(min=0, min_open=True)
_MIN_COLUMNS = 28  # narrower, a score and an index would be cut; a terminal wraps lines itself


class _Commands(click.Group):
    """Ends with an exit code and a line on standard error where something fails."""

    def main(self, *args: Any, **named: Any) -> Any:
        """Run a command where there is something to write to."""
        with checked_output():
            return super().main(*args, **named)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RerankError as error:
            for text in (str(error), *getattr(error, "__notes__", ())):
                click.echo(printable(f"error: {text}"), err=True)
            ours = isinstance(error, (ConfigurationError, PluginError))
            ctx.exit(_CONFIGURATION if ours else _FAILED)
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Order documents by relevance to a query.

    API keys come from the environment; `rerank doctor` says which variables are looked at.

    Exit codes: 0 done, 2 usage, or what cannot be read or written, 3 configuration or plugin,
    4 provider failed, 130 interrupted.
    """


def _read_params(_: click.Context, __: click.Parameter, pairs: Iterable[str]) -> dict[str, Any]:
    params = {}
    for name, equals, value in (pair.partition("=") for pair in pairs):
        if not equals or name in _RESERVED:
            raise click.BadParameter(f"write NAME=VALUE, a name only the provider knows: {name!r}")
        params[name] = decode_or(value, value) if value else value
    return params


@cli.command()
@click.option("--model", required=True, metavar="PROVIDER/MODEL", help="For example local/bm25.")
@click.option("--top-n", type=click.IntRange(min=1), help="The most results; all by default.")
@click.option("--rank-fields", metavar="A,B", help="The fields that count; all by default.")
@click.option("--api-base", metavar="URL", help="The base URL, where it is not the usual one.")
@click.option(
    "--timeout", type=_SECONDS, help="Seconds for each step of an attempt; 60 by default."
)
@click.option("--max-retries", type=click.IntRange(min=0), help="Further attempts; 2 by default.")
@click.option("--deadline", type=_SECONDS, help="Seconds for everything; no bound by default.")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_read_params,
    help="A parameter that only this provider knows, max_tokens_per_doc or max_chunks_per_doc."
    " The value is JSON where it reads as JSON, else text. May be repeated. Never a key.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="How FILE has its documents: jsonl, a JSON string or object in each line; text, each line"
    " as it stands; auto, as its name and its lines look.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on a terminal, too.")
@click.argument("query")
@click.argument("file", type=Readable("rb"), metavar="FILE|-")
def rank(
    file: BinaryIO, params: Mapping[str, Any], *, form: str, as_json: bool, **options: Any
) -> None:
    """Rank the documents of a file, or of standard input (-).

    FILE is UTF-8, with one document in each line: JSON Lines where its name ends in .jsonl or
    .ndjson, its first line is a JSON string or object, or any line is an object; then all must be.
    Else it is text. Blank lines are skipped, and the index of a result is the position among the
    documents, from 0.

    Prints a table on a terminal; elsewhere JSON Lines with index, relevance_score and document.
    """
    if options["rank_fields"] is not None:
        options["rank_fields"] = [name.strip() for name in options["rank_fields"].split(",")]
    provider, model = split_model(options["model"], None)
    facts = find_plugin(provider).resolve_provider(model, {})
    if shown := [name for name in params if name in facts.secret_options]:
        hint = f"{shown[0]} is secret: set {' or '.join(facts.secret_options[shown[0]])} instead"
        raise click.BadParameter(hint, param_hint="--param")
    documents = read_documents(file, form)
    given = {name: value for name, value in options.items() if value is not None}
    with show_progress(facts) as progress:
        given |= {**progress, **params}
        response = rerank(documents=documents, return_documents=False, **given)
    for warning in response.warnings:
        click.echo(printable(f"warning: {warning}"), err=True)
    if as_json or not is_terminal():
        for result in response.results:
            row = {"index": result.index, "relevance_score": result.relevance_score}
            line = encode_json({**row, "document": documents[result.index]}).decode()
            click.echo(escaped(line) if is_terminal() else line)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    for name in ("rank", "score", "index"):
        table.add_column(name, no_wrap=True)
    table.add_column("text", ratio=1)  # wrapping, as rich has it: the first to give way
    for place, result in enumerate(response.results, 1):
        score = "-" if result.relevance_score is None else f"{result.relevance_score:#.4g}"
        text = printable(render_document(documents[result.index], options["rank_fields"]))
        cell = Text(text, no_wrap=True, overflow="ellipsis")
        table.add_row(str(place), score, str(result.index), cell)
    console = Console()
    console.width = max(console.width, _MIN_COLUMNS)
    console.print(table)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on a terminal, too.")
def providers(*, as_json: bool) -> None:
    """List the providers that are installed, and whether their keys are found.

    Names variables and never shows their values. A broken plugin is listed with its error.
    """
    listed = [_describe(provider) for provider in list_providers()]
    if as_json or not is_terminal():
        for row in listed:
            click.echo(encode_json(row))
        return
    table = Table("provider", "models", box=SIMPLE_HEAD, pad_edge=False, leading=1)
    for row in listed:
        source = f"{row['distribution'] or ''} {row['version'] or ''}"
        key = [f"key: {row['key']}", *row["key_variables"]] if row["key"] else []
        models = [f"broken: {row['error']}"] if row["error"] else row["models"]
        cells = ([row["name"], source, *key], models)
        table.add_row(*(Text("\n".join(map(printable, cell)), overflow="fold") for cell in cells))
    Console().print(table)


def _describe(provider: InstalledProvider) -> dict[str, Any]:
    key, variables = _find_key(provider.facts) if provider.facts else (None, ())
    return {
        "name": provider.name,
        "distribution": provider.source.distribution,
        "version": provider.source.version,
        "models": provider.facts.models if provider.facts else (),
        "key": key,
        "key_variables": variables,
        "error": provider.error,
    }


def _find_key(facts: Provider) -> tuple[str, tuple[str, ...]]:
    """Whether there is a key in the environment, and the variables that this is about."""
    if found := tuple(filter(os.environ.get, facts.api_key_env)):
        return "found", found[:1]
    if facts.api_key_env or facts.api_key_required:
        return ("missing" if facts.api_key_required else "optional"), facts.api_key_env
    return ("its own sign-in" if callable(facts.auth) else "not needed"), ()


@cli.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Say what is installed, what is broken and why, and which variables are set.

    Never shows the value of a variable. Exits with 3 where something is broken.
    """
    python = f"Python {platform.python_version()}, {platform.system()}"
    _show(f"rerank-core {__version__}, {python}", _read_extras("rerank-core"))
    faults = 0
    for provider in list_providers():
        lines = [f"broken: {provider.error}"] if provider.error else []
        if facts := provider.facts:
            options = (*facts.options.values(), *facts.secret_options.values())
            names = chain(facts.api_key_env, facts.base_url_env, *options, facts.watched_env)
            lines += [f"key: {_find_key(facts)[0]}", *_read_variables(names)]
        faults += not facts
        source = provider.source
        _show(f"{provider.name}: {source}", [*lines, *_read_extras(source.distribution)])
    lines = _read_variables(_NETWORK)
    if (file := os.environ.get("SSL_CERT_FILE")) and not Path(file).is_file():
        faults += 1
        lines.append("broken: SSL_CERT_FILE names no file, so that no connection can be made")
    _show("network", lines)
    click.echo(f"{faults} broken, see above" if faults else "nothing is broken")
    ctx.exit(_CONFIGURATION if faults else 0)


def _read_variables(names: Iterable[str]) -> list[str]:
    # Proxies are read from the lower-case names as well.
    found = {upper for name, value in os.environ.items() if value for upper in (name, name.upper())}
    return [f"{name}: {'set' if name in found else 'not set'}" for name in names]


def _read_extras(distribution: str | None) -> Iterator[str]:
    """What each extra of a distribution brings, and whether it is installed."""
    for requirement in (metadata.requires(distribution) or ()) if distribution else ():
        if found := re.match(r"([\w.-]+).*\bextra == ['\"]([^'\"]+)", requirement):
            versions = (dist.version for dist in metadata.distributions(name=found[1]))
            yield f"extra {found[2]}: {found[1]} {next(versions, 'not installed')}"


def _show(title: str, lines: Iterable[str]) -> None:
    for line in (title, *(f"  {printable(line)}" for line in lines), ""):
        click.echo(line)
