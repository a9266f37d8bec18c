"""The rows of an input: what they are, and which reader knows its format."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from attrs import frozen

from rerank_jobs.errors import JobError

FORMATS = ("jsonl", "parquet", "csv", "trec")
_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".csv": "csv",
    ".run": "trec",
    ".trec": "trec",
}
_MOST_EXACT = 2**53  # whole numbers that a float can hold
Skip = Callable[[int], bool]


@frozen
class Row:
    """One query with its documents.

    Attributes:
        number: Its position in the input, from 0; what a job that is resumed knows it by.
        id: The one it was given, text or number, else its position and a hash of its content.
        query: What is looked for.
        documents: What is ranked.
        document_ids: Their names, where the input has some.
        fault: Why this is no row that can be ranked; `None` where it is one.
    """

    number: int
    id: str | int
    query: Any = None
    documents: Sequence[Any] = ()
    document_ids: Sequence[str] | None = None
    fault: str | None = None


@frozen
class Source:
    """Where rows come from.

    Attributes:
        path: The file of rows; for a TREC run, the run.
        format: One of `FORMATS`.
        corpus: For a TREC run: the documents, as JSON Lines with `_id`, `title`, `text`.
        topics: For a TREC run: the queries, as JSON Lines with `_id`, `text`, or as `id<TAB>text`.
    """

    path: Path
    format: str
    corpus: Path | None = None
    topics: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Every file that the rows are made of."""
        return [path for path in (self.path, self.corpus, self.topics) if path is not None]

    def read(self, skip: Skip = lambda _: False) -> Iterator[Row]:
        """The rows in order, one at a time.

        Args:
            skip: Whether the row at this position is not wanted; then it is not even decoded.

        Raises:
            JobError: The file is not of its format.
        """
        from rerank_jobs._readers import READERS  # noqa: PLC0415 - it needs the records here

        try:
            yield from READERS[self.format](self, skip)
        except (UnicodeDecodeError, csv.Error) as error:
            raise JobError(
                f"{self.path.name}: UTF-8 text of its format is needed: {error}"
            ) from None


def find_source(
    path: Path, form: str | None = None, corpus: Path | None = None, topics: Path | None = None
) -> Source:
    """The source in a file, by its name unless told otherwise.

    Raises:
        JobError: Nothing can be read there, or the format is not clear.
    """
    found = form or _SUFFIXES.get(path.suffix.lower())
    if found not in FORMATS:
        raise JobError(f"{path.name}: its name does not tell the format; name one of {FORMATS}")
    if found == "trec" and (corpus is None or topics is None):
        raise JobError("a TREC run names documents only: give its corpus and its topics as well")
    if found != "trec" and (corpus is not None or topics is not None):
        raise JobError("corpus and topics belong to a TREC run")
    source = Source(path, found, corpus, topics)
    for part in source.paths:
        if not part.exists():
            raise JobError(f"{part}: there is no such file")
        if part.is_dir():
            raise JobError(f"{part}: a folder, not a file")
        if not part.is_file():  # a pipe, which `<(zcat rows.jsonl.gz)` is as well
            raise JobError(f"{part}: no file that can be read twice: write the rows to one first")
    return source


def make_row(
    number: int, given: Any, document_ids: Sequence[str] | None = None, content: bytes | None = None
) -> Row:
    """A row from a decoded one: an object with `query`, `documents` and, best, an `id`."""
    if not isinstance(given, dict):
        return faulty(number, content or given, f"a row is an object, not {type(given).__name__}")
    documents, fault = given.get("documents"), None
    name = given["id"] if _is_name(given.get("id")) else _name_of(number, content or given)
    if not isinstance(given.get("query"), str):
        fault = "the row has no query that is text"
    elif not isinstance(documents, list):
        fault = "the row has no list of documents"
    if fault:
        return Row(number, name, fault=fault)
    if document_ids is None:
        document_ids = _ids_of(documents or [])
    return Row(number, name, given["query"], documents or [], document_ids)


def faulty(number: int, content: Any, fault: str) -> Row:
    """What stands where a row should, and cannot be read."""
    return Row(number, _name_of(number, content), fault=fault)


def _name_of(number: int, content: Any) -> str:
    if not isinstance(content, bytes):  # a CSV's cells that have no column are under `None`
        content = orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS)
    return f"{number}-{hashlib.blake2b(content, digest_size=6).hexdigest()}"


def _is_name(value: Any) -> bool:
    if isinstance(value, float):  # a larger one is not the number that stood there
        return abs(value) < _MOST_EXACT
    return isinstance(value, (str, int)) and not isinstance(value, bool) and value != ""


def _ids_of(documents: Sequence[Any]) -> list[str] | None:
    """The documents' own `id`s, where every one has it."""
    ids = [document.get("id") if isinstance(document, dict) else None for document in documents]
    wanted = [str(one) for one in ids if isinstance(one, (str, int))]
    return wanted if len(wanted) == len(ids) else None
