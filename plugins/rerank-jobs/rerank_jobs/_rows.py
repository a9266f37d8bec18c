"""The rows of an input: what they are, and which reader knows its format."""

from __future__ import annotations

import csv
import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
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


@frozen
class Content:
    """What an input holds.

    Attributes:
        rows: Their number.
        pairs: Documents over all rows.
        requests: Requests for them, where each takes so many documents at most.
        chars: Characters of each query with each of its documents: what a model reads.
        faults: Rows that cannot be ranked.
        documents_have_ids: Whether all names, of rows and documents, are what a TREC run can have.
        hash: Of the bytes of all files.
        seen: Sizes, times of change and inodes, by which a file is known not to have changed.
    """

    rows: int
    pairs: int
    requests: int
    chars: int
    faults: int
    documents_have_ids: bool
    hash: str
    seen: Sequence[Sequence[int]]


def find_source(
    path: Path, form: str | None = None, corpus: Path | None = None, topics: Path | None = None
) -> Source:
    """The source in a file, by its name unless told otherwise.

    Raises:
        JobError: Nothing can be read there, or the format is not clear.
    """
    found = form or _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise JobError(f"{path.name}: its name does not tell the format; name one of {FORMATS}")
    if found == "trec" and (corpus is None or topics is None):
        raise JobError("a TREC run names documents only: give its corpus and its topics as well")
    if found != "trec" and (corpus is not None or topics is not None):
        raise JobError("corpus and topics belong to a TREC run")
    source = Source(path, found, corpus, topics)
    for part in source.paths:
        if not part.is_file():
            raise JobError(f"{part}: there is no such file")
    return source


def look_at(source: Source) -> list[list[int]]:
    """Size, time of change and inode of each file: whole folders may have one time."""
    stats = [path.stat() for path in source.paths]
    return [[stat.st_size, stat.st_mtime_ns, stat.st_ino] for stat in stats]


def scan(source: Source, most: int | None = None) -> Content:
    """Read all of it once, in bounded memory: no id may stand twice.

    Args:
        source: What to read.
        most: The most documents in one request, where there is a bound.

    Raises:
        JobError: An id stands twice, or the file is not of its format.
    """
    seen = look_at(source)
    rows = pairs = requests = chars = faults = 0
    named = True
    # A temporary file of SQLite's own, gone with the connection: any number of ids.
    with closing(sqlite3.connect("")) as ids:
        ids.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
        for row in source.read():
            try:
                ids.execute("INSERT INTO ids VALUES (?)", (str(row.id),))
            except sqlite3.IntegrityError:
                raise JobError(
                    f"{source.path.name}: the id {row.id!r} stands twice, the second time in row"
                    f" {row.number + 1:,}; give each row its own, and in a TREC run or CSV keep"
                    " the lines of one query together"
                ) from None
            rows += 1
            faults += row.fault is not None
            pairs += len(row.documents)
            requests += -(-len(row.documents) // (most or len(row.documents) or 1))
            chars += count_chars(row.query, row.documents)
            named = named and (row.fault is not None or _suits_a_run(row))
    return Content(rows, pairs, requests, chars, faults, named, hash_of(source), seen)


def _suits_a_run(row: Row) -> bool:
    """Whether a line of a TREC run, which spaces divide, can name the row and its documents."""
    ids = row.document_ids
    return ids is not None and all(len(str(name).split()) == 1 for name in (row.id, *ids))


def hash_of(source: Source) -> str:
    """A hash of the bytes of all files, each apart."""
    hashes = []
    for path in source.paths:
        with path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "blake2b").hexdigest()[:32])
    return " ".join(hashes)


def count_chars(query: Any, documents: Sequence[Any]) -> int:
    """The characters that a model reads: of the query with each document."""
    asked = len(query) if isinstance(query, str) else 0
    return sum(map(_chars_of, documents)) + asked * len(documents)


def _chars_of(document: Any) -> int:
    if isinstance(document, str):
        return len(document)
    try:
        return len(orjson.dumps(document, default=str))
    except TypeError:  # nested deeper than it could be sent
        return 0


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
