"""A ranking as a table, JSON Lines, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rerank_core._cli.progress import printable
from rerank_core.records import RerankResponse
from rerank_core.records.plain import to_plain
from rerank_core.wire import encode_json, render_document

FORMATS = ("table", "jsonl", "csv", "json")
_MIN_COLUMNS = 28  # narrower, a score and an index would be cut; a terminal wraps lines itself


def show_results(
    response: RerankResponse,
    documents: Sequence[Any],
    form: str,
    *,
    rank_fields: Sequence[str] | None = None,
    terminal: bool,
) -> None:
    """Print a ranking.

    Args:
        response: The ranking, without documents.
        documents: All of them, as they were read.
        form: One of `FORMATS`.
        rank_fields: The fields that a table shows; all by default.
        terminal: Whether somebody reads it as it is written: then nothing of it steers.
    """
    if form == "table":
        _show_table(response, documents, rank_fields)
        return
    rows = [
        {
            "index": result.index,
            "relevance_score": result.relevance_score,
            "document": to_plain(documents[result.index]),
        }
        for result in response.results
    ]
    if form == "csv":
        _show_csv(rows, terminal=terminal)
    elif form == "json":
        show_json({**response.to_dict(), "results": rows}, terminal=terminal)
    else:
        for row in rows:
            show_json(row, terminal=terminal)


def show_json(value: Any, *, terminal: bool) -> None:
    """Print a value in one line; on a terminal with escapes for what could steer it."""
    text = encode_json(value).decode()
    click.echo("".join(map(_escape, text)) if terminal else text)


def _escape(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) == "Zs":
        return char
    return json.dumps(char)[1:-1]


def _show_table(
    response: RerankResponse, documents: Sequence[Any], rank_fields: Sequence[str] | None
) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    for name in ("rank", "score", "index"):
        table.add_column(name, no_wrap=True)
    table.add_column("text", ratio=1)  # wrapping, as rich has it: the first to give way
    for place, result in enumerate(response.results, 1):
        score: Any = result.relevance_score
        shown = "-" if score is None else f"{score:#.4g}"
        text = printable(render_document(to_plain(documents[result.index]), rank_fields))
        cell = Text(text, no_wrap=True, overflow="ellipsis")
        table.add_row(str(place), shown, str(result.index), cell)
    console = Console()
    console.width = max(console.width, _MIN_COLUMNS)
    console.print(table)


def _show_csv(rows: list[dict[str, Any]], *, terminal: bool) -> None:
    own = ("index", "relevance_score")
    # A document's own columns; one that is named as ours is told apart.
    fields = [
        {f"document.{name}" if name in own else name: value for name, value in named.items()}
        for named in map(_fields_of, rows)
    ]
    names = {name: None for named in fields for name in named}
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(_cells((*own, *names), terminal=terminal))
    for row, named in zip(rows, fields, strict=True):
        values = (*(row[name] for name in own), *map(named.get, names))
        writer.writerow(_cells(values, terminal=terminal))
    click.echo(written.getvalue(), nl=False)


def _fields_of(row: dict[str, Any]) -> dict[str, Any]:
    document = row["document"]
    return document if isinstance(document, dict) else {"text": document}


def _cells(values: Sequence[Any], *, terminal: bool) -> Iterator[str]:
    for value in values:
        text = value if isinstance(value, str) else "" if value is None else encode_json(value)
        shown = text if isinstance(text, str) else text.decode()
        yield printable(shown) if terminal else shown
