"""Rows of a data set's file: JSON Lines, Parquet, or text between tabs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rerank_core import ConfigurationError, ResponseParseError
from rerank_core.wire import decode_json
from rerank_eval._data import DataError, refuse
from rerank_eval._trec import read_lines

Row = dict[str, Any]


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Every row, with its line or its position from 1.

    Raises:
        DataError: A line is no JSON object, or the file is no Parquet.
        ConfigurationError: It is Parquet, and the extra is not installed.
    """
    if path.suffix == ".parquet":
        yield from enumerate(_read_parquet(path), 1)
        return
    for number, line in read_lines(path):
        try:
            row = decode_json(line.encode())
        except ResponseParseError as error:
            raise refuse(path, number, f"not JSON ({error.__cause__})") from error
        if not isinstance(row, dict):
            raise refuse(path, number, 'a line is a JSON object, such as {"_id": ..., ...}')
        yield number, row


def _read_parquet(path: Path) -> list[Row]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - likewise
    except ImportError as error:
        message = f"{path}: Parquet needs an extra: pip install 'rerank-eval[parquet]'"
        raise ConfigurationError(message) from error
    try:
        return list(parquet.read_table(path).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise refuse(path, None, f"not Parquet ({error})") from error


def read_text(row: Row, name: str, *, where: tuple[Path, int]) -> str:
    """A text of a row; an id may be a whole number.

    Raises:
        DataError: It is missing, or something else.
    """
    value = row.get(name)
    if type(value) is int and name.endswith("id"):
        return str(value)
    if not isinstance(value, str):
        raise refuse(*where, f"{name!r} must be a text, not {type(value).__name__}")
    return value


def find_files(folder: Path, name: str, split: str) -> list[Path]:
    """The files of one part of a data set, such as the corpus; none where there are none.

    `corpus.jsonl` and the like come first, then a folder with the split's file in it, as BEIR has
    for judgements and the Hub's data sets have for everything.
    """
    for suffix in (".jsonl", ".parquet", ".tsv", ".trec", ".txt"):
        if (path := folder / f"{name}{suffix}").is_file():
            return [path]
        if (path := folder / name / f"{split}{suffix}").is_file():
            return [path]
    for pattern in (f"{split}-*.parquet", f"{split}-*.jsonl", "*.parquet", "*.jsonl"):
        if found := sorted((folder / name).glob(pattern)):
            return found
    return []


def need_files(folder: Path, name: str, split: str) -> list[Path]:
    """As `find_files`, where the part must be there.

    Raises:
        DataError: It is not.
    """
    if found := find_files(folder, name, split):
        return found
    raise DataError(
        f"{folder}: no {name}: looked for {name}.jsonl, .parquet, .tsv, .trec, .txt, and for"
        f" {name}/{split}.* in it"
    )
