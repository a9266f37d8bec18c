"""The documents in a file: JSON Lines, or text."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import click

from rerank_core.errors import ResponseParseError
from rerank_core.wire import decode_json

FORMATS = ("auto", "jsonl", "text")
_SUFFIXES = (".jsonl", ".ndjson")
_WAY_OUT = "correct it, or take every line as it stands with --format text"


class Readable(click.File):
    """A file, or standard input where there is one."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Open it."""
        if value == "-" and sys.stdin is None:
            self.fail("standard input is closed", param, ctx)
        return super().convert(value, param, ctx)


def read_documents(file: BinaryIO, form: str) -> list[Any]:
    """The documents, one in each line that is not blank.

    Args:
        file: UTF-8.
        form: One of `FORMATS`.

    Raises:
        click.BadParameter: It is not UTF-8, or a line of JSON Lines is no document: to rank JSON
            as if it were text would be another ranking than the one that was meant.
    """
    try:
        content = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(f"not UTF-8 (byte {error.start})") from None
    # Not str.splitlines: a JSON string may hold U+2028 and the like as they are.
    lines = {
        at: line.rstrip("\r") for at, line in enumerate(content.split("\n"), 1) if line.strip()
    }
    if form == "text":
        return [*lines.values()]
    decoded = {at: decode_or(line) for at, line in lines.items()}
    plain = [at for at, value in decoded.items() if not isinstance(value, (str, dict))]
    if not plain:
        return [*decoded.values()]
    fault = f"line {plain[0]} {_fault(lines[plain[0]])}"
    named = str(getattr(file, "name", "")).endswith(_SUFFIXES)
    if form == "jsonl" or named or _looks_like_json_lines([*decoded.values()]):
        raise _refusal(f"{fault}: {_WAY_OUT}")
    if isinstance(decode_or(content), (list, dict)):
        raise _refusal(f"it is one JSON value, not one document in each line: {_WAY_OUT}")
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
