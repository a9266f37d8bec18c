"""The documents in a file: JSON Lines, a JSON array, CSV, Parquet, or text."""

from __future__ import annotations

import csv
import io
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO

import click

from rerank_core.errors import ConfigurationError, ResponseParseError
from rerank_core.wire import decode_json

FORMATS = ("auto", "text", "jsonl", "json", "csv", "tsv", "parquet")
_NAMED = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
_PARQUET_BEGINS = b"PAR1"
_WAY_OUT = "correct it, or take every line as it stands with --input text"
_ONE_OBJECT = f"it is one JSON object, not a list of documents: {_WAY_OUT}"
# An array or an object, broken or in another language's quotes: it is not meant as text.
_JSON_BEGINS = re.compile(r"""\s*(?:\[\s*)?\{\s*["']|\s*\[\s*["']""")
_MAX_FIELD = 2**31 - 1  # the largest that every platform's reader takes; the usual one is 131,072


class Readable(click.File):
    """A file, or standard input where there is one."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Open it."""
        if value == "-" and sys.stdin is None:
            self.fail("standard input is closed", param, ctx)
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            query = str(ctx.params.get("query", ""))
            if not query or not Path(query).is_file():
                raise
            advice = f"QUERY comes first, then FILE, and {query!r} is a file"
            raise click.BadParameter(f"{error.message.rstrip('.')}. {advice}", ctx, param) from None


def read_documents(file: BinaryIO, form: str) -> list[Any]:
    """The documents of a file.

    Args:
        file: UTF-8, or Parquet.
        form: One of `FORMATS`; with `auto` the name says it, else what stands in the file.

    Raises:
        click.BadParameter: It is not UTF-8, or something in it is no document: to rank JSON as if
            it were text would be another ranking than the one that was meant.
        ConfigurationError: It is Parquet, and pyarrow is not installed.
    """
    content = file.read()
    if form == "auto":
        form = _NAMED.get(Path(str(getattr(file, "name", ""))).suffix.lower(), form)
    if form == "parquet" or (form == "auto" and content.startswith(_PARQUET_BEGINS)):
        return _read_parquet(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(
            f"not UTF-8 (byte {error.start}): save it as UTF-8 text, JSON Lines or CSV"
        ) from None
    if form in {"csv", "tsv"}:
        return _read_table(text, "\t" if form == "tsv" else _delimiter_of(text))
    if form in {"auto", "json"} and isinstance(value := decode_or(text), list):
        return _check_items(value)
    if form == "json" and isinstance(value, dict):
        raise _refusal(_ONE_OBJECT)
    return _read_lines(text, form)


def _check_items(items: list[Any]) -> list[Any]:
    for at, item in enumerate(items):
        if not isinstance(item, (str, dict)):
            raise _refusal(f"item {at} of its array is neither a string nor an object: {_WAY_OUT}")
    return items


def _read_parquet(content: bytes) -> list[Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - likewise
    except ImportError:
        message = "Parquet needs an extra: pip install 'rerank-core[parquet]'"
        raise ConfigurationError(message) from None
    try:
        rows: list[Any] = parquet.read_table(io.BytesIO(content)).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise _refusal(f"not Parquet that can be read ({error})") from None
    return rows


def _delimiter_of(text: str) -> str:
    """What parts the columns: where commas are decimal, spreadsheets write semicolons."""
    header = text.split("\n", 1)[0]
    return max(",;\t", key=header.count)


def _read_table(text: str, delimiter: str) -> list[Any]:
    """The rows as mappings by the names in the first one; what is empty is left out."""
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    documents = []
    try:
        header = next((row for row in reader if row), [])
        if len({*header}) < len(header) or (header and not all(map(str.strip, header))):
            advice = "give each column a name of its own, in the first line"
            raise _refusal(f"two columns have one name, or one has none: {advice}")
        for row in filter(None, reader):
            if len(row) > len(header):
                fault = f"line {reader.line_num} has {len(row)} columns, and the first line names"
                raise _refusal(f"{fault} {len(header)}: {_WAY_OUT}")
            documents.append({k: v for k, v in zip(header, row, strict=False) if v})
    except csv.Error as error:
        raise _refusal(f"line {reader.line_num} is not CSV ({error}): {_WAY_OUT}") from None
    return documents


def _read_lines(text: str, form: str) -> list[Any]:
    # Not str.splitlines: a JSON string may hold U+2028 and the like as they are.
    lines = {at: line.rstrip("\r") for at, line in enumerate(text.split("\n"), 1) if line.strip()}
    if form == "text":
        return [*lines.values()]
    decoded = {at: decode_or(line) for at, line in lines.items()}
    plain = [at for at, value in decoded.items() if not isinstance(value, (str, dict))]
    if not plain:
        return [*decoded.values()]
    fault = f"line {plain[0]} {_fault(lines[plain[0]])}"
    if isinstance(decode_or(text), dict):
        raise _refusal(_ONE_OBJECT)
    if form != "auto" or _JSON_BEGINS.match(text) or _looks_like_json_lines([*decoded.values()]):
        raise _refusal(f"{fault}: {_WAY_OUT}")
    if len(plain) < len(lines):
        click.echo(f"warning: {fault}; all is text", err=True)
    return [*lines.values()]


def _looks_like_json_lines(values: list[Any]) -> bool:
    """An object is meant as one; a line in quotes may be text, unless it is the first."""
    return isinstance(values[0], str) or any(isinstance(value, dict) for value in values)


def _fault(line: str) -> str:
    """Why a line is no document."""
    try:
        decode_json(line.encode())
    except ResponseParseError as error:
        cause: Any = error.__cause__
        return f"is not JSON ({cause.msg}, column {cause.colno})"
    return "is JSON, but neither a string nor an object"


def _refusal(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="FILE")


def decode_or(text: str, default: Any = None) -> Any:
    """The JSON value that the text is, else `default`."""
    try:
        return decode_json(text.encode())
    except ResponseParseError:
        return default
