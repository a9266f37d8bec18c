"""JSON Lines, CSV, Parquet and TREC runs, read row by row."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from types import NoneType
from typing import Any

import orjson

from rerank_jobs._lookup import Lookup
from rerank_jobs._rows import Row, Skip, Source, faulty, make_row
from rerank_jobs.errors import JobError

_MOST_CSV = 2**27  # characters of one field: the standard library's own bound is 131,072
_BATCH = 64  # rows of a Parquet row group that are held at once
_RUN_FIELDS = 6
_COLUMNS = ("id", "query", "documents", "document", "document_id")  # of a CSV
_TOO_MANY_CELLS = "more cells than the first line has columns: put quotes around text with commas"


def read_jsonl(source: Source, skip: Skip) -> Iterator[Row]:
    """One object a line; blank lines are skipped."""
    number = 0
    with source.path.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            if not skip(number):
                yield _decode_line(number, line.removeprefix(b"\xef\xbb\xbf"))
            number += 1


def _decode_line(number: int, line: bytes) -> Row:
    try:
        given = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return faulty(number, line, f"not JSON: {error}")
    return make_row(number, given, None, line)


def read_csv(source: Source, skip: Skip) -> Iterator[Row]:
    """Either a column `documents` with a JSON list, or one `document` a line.

    Lines with a `document` make one row as long as they have the same `id` and `query`; a column
    `document_id` names them.
    """
    csv.field_size_limit(_MOST_CSV)
    with source.path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file, strict=True)  # else an open quote swallows what follows
        columns = Counter(lines.fieldnames or ())
        twice = any(columns[name] > 1 for name in _COLUMNS)
        if twice or "query" not in columns or not columns.keys() & {"documents", "document"}:
            raise JobError(
                f"{source.path.name}: the first line must name the columns, among them query,"
                " and documents (a JSON list) or document (one a line), each once"
            )
        if "documents" in columns:
            for number, line in enumerate(lines):
                if not skip(number):
                    yield _of_json_cell(number, line)
            return
        groups = groupby(lines, key=lambda line: (line.get("id"), line["query"]))
        for number, (_, group) in enumerate(groups):
            if not skip(number):
                yield _of_lines(number, list(group))


def _of_json_cell(number: int, line: dict[str, Any]) -> Row:
    try:
        documents = orjson.loads(line["documents"] or "null")
    except orjson.JSONDecodeError as error:
        return _useless(number, line, f"documents: not JSON: {error}")
    if None in line:
        return _useless(number, line, _TOO_MANY_CELLS)
    # Named by its cells: what is nested too deeply could not be written as JSON again.
    return make_row(number, {**line, "documents": documents}, None, orjson.dumps(line))


def _of_lines(number: int, lines: Sequence[dict[str, Any]]) -> Row:
    ids = [line["document_id"] for line in lines] if "document_id" in lines[0] else None
    documents = [line["document"] for line in lines]
    if any(None in line for line in lines):
        return _useless(number, lines[0], _TOO_MANY_CELLS)
    return make_row(number, {**lines[0], "documents": documents}, ids)


def _useless(number: int, line: dict[str, Any], fault: str) -> Row:
    return Row(number, make_row(number, line).id, fault=fault)


def read_parquet(source: Source, skip: Skip) -> Iterator[Row]:
    """By row group, some rows at a time: columns `id`, `query`, `documents`."""
    try:
        from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise JobError("Parquet needs an extra: pip install 'rerank-jobs[parquet]'") from None
    try:
        file = parquet.ParquetFile(source.path)
    except ArrowInvalid as error:
        raise JobError(f"{source.path.name}: not Parquet: {error}") from None
    wanted = [name for name in ("id", "query", "documents") if name in file.schema_arrow.names]
    if not {"query", "documents"} <= {*wanted}:
        raise JobError(f"{source.path.name}: columns query and documents are needed")
    number = 0
    with file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=wanted):
            for at in range(batch.num_rows):
                if not skip(number):
                    (given,) = batch.slice(at, 1).to_pylist()
                    if not isinstance(name := given.get("id"), (str, int, float, NoneType)):
                        # A decimal, a date, or text that its writer did not call text.
                        name = name.decode(errors="replace") if isinstance(name, bytes) else name
                        given["id"] = str(name)
                    yield make_row(number, given)
                number += 1


def read_trec(source: Source, skip: Skip) -> Iterator[Row]:
    """A run, `query Q0 document rank score tag` a line, in the order in which it stands."""
    if source.corpus is None or source.topics is None:
        raise JobError("a TREC run needs its corpus and its topics")
    with (
        closing(Lookup(source.topics)) as topics,
        closing(Lookup(source.corpus)) as corpus,
        source.path.open(encoding="utf-8-sig") as file,
    ):
        fields = (_split(source, at, line) for at, line in enumerate(file, 1) if line.strip())
        for number, (name, group) in enumerate(groupby(fields, key=lambda each: each[0])):
            ids = [each[2] for each in group]
            if not skip(number):
                yield _of_run(number, name, ids, topics, corpus)


def _split(source: Source, at: int, line: str) -> list[str]:
    fields = line.split()
    if len(fields) != _RUN_FIELDS:
        raise JobError(
            f"{source.path.name}:{at}: a line of a run has six fields without spaces in them,"
            f" this one has {len(fields)}"
        )
    return fields


def _of_run(number: int, name: str, ids: list[str], topics: Lookup, corpus: Lookup) -> Row:
    query, documents = topics.find(name), [corpus.find(each) for each in ids]
    if query is None:
        return Row(number, name, fault=f"the topics have no {name!r}")
    missing = [one for one, text in zip(ids, documents, strict=True) if text is None]
    if missing:
        return Row(number, name, fault=f"the corpus has no {missing[0]!r}")
    return Row(number, name, query, documents, ids)


READERS: dict[str, Callable[[Source, Skip], Iterator[Row]]] = {
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
    "trec": read_trec,
}
