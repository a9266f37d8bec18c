"""The commands: `rank`, `providers` and `doctor`.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import inspect
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rerank_core._client import rerank
from rerank_core._facts import Provider
from rerank_core._models import RerankResponse
from rerank_core._plugins import InstalledProvider, list_providers
from rerank_core._reranker import Reranker
from rerank_core._version import __version__
from rerank_core.errors import ConfigurationError, PluginError, RerankError, ResponseParseError
from rerank_core.wire import decode_json, encode_json, render_document

_CONFIGURATION, _FAILED, _INTERRUPTED = 3, 4, 130
_EXIT_CODES = (
    "Exit codes: 0 done; 2 usage; 3 configuration: model, key, parameter or plugin;"
    " 4 the provider failed; 130 interrupted."
)
# What --param may not set: it has an option of its own, or, as a key, would show in `ps`.
_RESERVED = {*inspect.signature(Reranker).parameters, *inspect.signature(rerank).parameters}
_RESERVED -= {"max_chunks_per_doc", "max_tokens_per_doc", "extra"}
_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_Documents = list[str | Mapping[str, Any]]


class _Commands(click.Group):
    """Ends with an exit code and a line on standard error where something fails."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RerankError as error:
            for text in (str(error), *getattr(error, "__notes__", ())):
                _say(f"error: {text}")
            ours = isinstance(error, (ConfigurationError, PluginError))
            ctx.exit(_CONFIGURATION if ours else _FAILED)
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)


@click.group(
    cls=_Commands,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Order documents by relevance to a query.

    API keys come from the environment; `rerank doctor` says which variables are looked at.
    """


def _read_param(_: click.Context, __: click.Parameter, pairs: Iterable[str]) -> dict[str, Any]:
    params = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            message = f"write name=value, not {name!r}"
            raise click.BadParameter(message)
        if name in _RESERVED:
            message = f"{name!r} is for parameters that only the provider knows; see --help"
            raise click.BadParameter(message)
        try:
            params[name] = decode_json(value.encode())
        except ResponseParseError:
            params[name] = value
    return params


def _read_names(_: click.Context, __: click.Parameter, names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",")]


_seconds = click.FloatRange(min=0, min_open=True)


@cli.command(epilog=_EXIT_CODES)
@click.option("--model", required=True, metavar="PROVIDER/MODEL", help="For example local/bm25.")
@click.option("--top-n", type=click.IntRange(min=1), help="The most results; all by default.")
@click.option(
    "--rank-fields",
    metavar="A,B",
    callback=_read_names,
    help="The fields of objects that count, in order; all by default.",
)
@click.option("--api-base", metavar="URL", help="The base URL, where it is not the usual one.")
@click.option("--timeout", type=_seconds, help="Seconds for each attempt; 60 by default.")
@click.option("--max-retries", type=click.IntRange(min=0), help="Further attempts; 2 by default.")
@click.option("--deadline", type=_seconds, help="Seconds for everything; no bound by default.")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_read_param,
    help="A parameter that only this provider knows, max_tokens_per_doc or max_chunks_per_doc;"
    " the value is JSON where it reads as JSON, else text. May be repeated. Never a key.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on a terminal, too.")
@click.argument("query")
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
def rank(
    query: str, file: BinaryIO, params: Mapping[str, Any], *, as_json: bool, **options: Any
) -> None:
    """Rank the documents of a file, or of standard input (-).

    FILE is UTF-8. Where every line is a JSON string or object, each is one document (JSON Lines);
    else every line as it stands is one document. Blank lines are skipped, and the index of a
    result is the position among the documents, from 0.

    Prints a table on a terminal; elsewhere JSON Lines with index, relevance_score and document.
    """
    given = {name: value for name, value in options.items() if value is not None}
    documents = _read_documents(file)
    model = given.pop("model")
    response = rerank(model, query, documents, return_documents=False, **given, **params)
    for warning in response.warnings:
        _say(f"warning: {warning}")
    if as_json or not _is_terminal():
        for result in response.results:
            row = {"index": result.index, "relevance_score": result.relevance_score}
            click.echo(encode_json({**row, "document": documents[result.index]}))
    else:
        Console(highlight=False).print(_ranking_table(response, documents, given))


def _read_documents(file: BinaryIO) -> _Documents:
    try:
        content = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"it is not UTF-8 (byte {error.start})"
        raise click.BadParameter(message, param_hint="FILE") from None
    # Not str.splitlines: a JSON string may hold U+2028 and the like as they are.
    lines = [line.removesuffix("\r") for line in content.split("\n")]
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    decoded = [_decode_document(line) for _, line in numbered]
    plain = [number for (number, _), value in zip(numbered, decoded, strict=True) if value is None]
    if not plain:
        return [value for value in decoded if value is not None]
    if len(plain) < len(decoded) or isinstance(_decode(content), (list, dict)):
        where = f"line {plain[0]} is no JSON string or object"
        _say(f"warning: {where}, so every line is taken as text, JSON or not")
    return [line for _, line in numbered]


def _decode(text: str) -> Any:
    try:
        return decode_json(text.encode())
    except ResponseParseError:
        return None


def _decode_document(line: str) -> str | dict[str, Any] | None:
    value = _decode(line)
    return value if isinstance(value, (str, dict)) else None


def _ranking_table(
    response: RerankResponse, documents: _Documents, given: Mapping[str, Any]
) -> Table:
    table = _open_table()
    for name in ("rank", "score", "index"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("text", no_wrap=True, overflow="ellipsis")
    for place, result in enumerate(response.results, 1):
        score = "-" if result.relevance_score is None else f"{result.relevance_score:#.4g}"
        text = render_document(documents[result.index], given.get("rank_fields"))
        table.add_row(str(place), score, str(result.index), Text(_printable(text)))
    return table


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on a terminal, too.")
def providers(*, as_json: bool) -> None:
    """List the providers that are installed, and whether their keys are found.

    Names variables and never shows their values. A broken plugin is listed with its error.
    """
    rows = [_to_row(provider) for provider in list_providers()]
    if as_json or not _is_terminal():
        for row in rows:
            click.echo(encode_json(row))
        return
    table = _open_table()
    for name in ("name", "distribution", "key", "models"):
        table.add_column(name, overflow="fold")
    for row in rows:
        source = " ".join(filter(None, (row["distribution"], row["version"])))
        key = " ".join(filter(None, (" or ".join(row["key_variables"]), row["key"])))
        models = f"broken: {row['error']}" if row["error"] else ", ".join(row["models"])
        cells = (row["name"], source, key, models)
        table.add_row(*(Text(_printable(cell or "-")) for cell in cells))
    Console(highlight=False).print(table)


def _to_row(provider: InstalledProvider) -> dict[str, Any]:
    source, facts = provider.source, provider.facts
    key, variables = _find_key(facts) if facts else (None, ())
    return {
        "name": provider.name,
        "distribution": source.distribution,
        "version": source.version,
        "models": facts.models if facts else (),
        "key": key,
        "key_variables": variables,
        "error": provider.error,
    }


def _find_key(facts: Provider) -> tuple[str, tuple[str, ...]]:
    """Whether there is a key in the environment, and the names of the variables looked at."""
    found = [name for name in facts.api_key_env if os.environ.get(name)]
    if found:
        return "found", (found[0],)
    if facts.api_key_required:
        return "missing", facts.api_key_env
    if facts.api_key_env:
        return "optional", facts.api_key_env
    return ("its own sign-in" if callable(facts.auth) else "not needed"), ()


@cli.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Say what is installed, what is broken and why, and which variables are set.

    Never shows the value of a variable. Exits with 3 where something is broken.
    """
    python = f"Python {platform.python_version()}, {platform.system()}"
    _show(f"rerank-core {__version__}, {python}", *_read_extras("rerank-core"))
    faults = 0
    for provider in list_providers():
        row, facts = _to_row(provider), provider.facts
        source = " ".join(filter(None, (row["distribution"], row["version"])))
        if facts is None:
            faults += 1
            _show(provider.name, f"broken: {provider.error}")
            continue
        options = [name for variables in facts.options.values() for name in variables]
        variables = _read_variables(*facts.api_key_env, *facts.base_url_env, *options)
        _show(
            f"{provider.name}: {source}",
            f"key: {row['key']}",
            *variables,
            *_read_extras(row["distribution"]),
        )
    network = _read_variables(*_NETWORK)
    certificates = os.environ.get("SSL_CERT_FILE")
    if certificates and not Path(certificates).is_file():
        faults += 1
        network.append("broken: SSL_CERT_FILE names no file, so no connection can be made")
    _show("network", *network)
    click.echo(f"{faults} broken, see above." if faults else "Nothing is broken.")
    ctx.exit(_CONFIGURATION if faults else 0)


def _read_variables(*names: str) -> list[str]:
    # Proxies are taken from the lower-case names as well.
    environment = {*os.environ, *(name.upper() for name in os.environ)}
    return [f"{name}: {'set' if name in environment else 'not set'}" for name in names]


def _read_extras(distribution: str | None) -> Iterator[str]:
    """What each extra of a distribution brings, installed or not."""
    for line in metadata.requires(distribution) or () if distribution else ():
        if extra := re.search(r"extra == ['\"]([^'\"]+)", line):
            name = re.match(r"[\w.-]+", line)[0]
            try:
                found = metadata.version(name)
            except metadata.PackageNotFoundError:
                found = "not installed"
            yield f"extra {extra[1]}: {name} {found}"


def _show(title: str, *lines: str) -> None:
    click.echo("\n".join((_printable(title), *(f"  {_printable(line)}" for line in lines), "")))


def _open_table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _say(text: str) -> None:
    click.echo(_printable(text), err=True)


def _printable(text: str) -> str:
    """The text in one line, without what could steer a terminal: a service may have written it."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
