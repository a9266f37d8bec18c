"""What an input holds: counted once, before anything is sent."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import orjson
from attrs import frozen

from rerank_jobs._lookup import full_disk_told
from rerank_jobs._rows import Row, Source
from rerank_jobs.errors import JobError

_DOCUMENTS_A_SEARCH = 100  # what those who bill by search put into one


@frozen
class Content:
    """What an input holds.

    Attributes:
        rows: Their number.
        pairs: Documents over all rows.
        requests: Requests for them, where each takes so many documents at most.
        searches: Search units, as services that bill them count a query with its documents.
        chars: Characters of each query with each of its documents: what a model reads.
        faults: Rows that cannot be ranked.
        documents_have_ids: Whether all names, of rows and documents, are what a TREC run can have.
        hash: Of the bytes of all files.
        seen: Sizes, times of change and inodes, by which a file is known not to have changed.
    """

    rows: int
    pairs: int
    requests: int
    searches: int
    chars: int
    faults: int
    documents_have_ids: bool
    hash: str
    seen: Sequence[Sequence[int]]


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
        OSError: There is no room for the ids.
    """
    seen = look_at(source)
    rows = pairs = requests = searches = chars = faults = 0
    named = True
    # A temporary file of SQLite's own, gone with the connection: any number of ids.
    with full_disk_told(), closing(sqlite3.connect("")) as ids:
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
            parts = -(-len(row.documents) // (most or len(row.documents) or 1))
            requests += parts
            searches += max(parts, -(-len(row.documents) // _DOCUMENTS_A_SEARCH))
            chars += count_chars(row.query, row.documents)
            named = named and (row.fault is not None or _suits_a_run(row))
    content = hash_of(source)
    return Content(rows, pairs, requests, searches, chars, faults, named, content, seen)


def _suits_a_run(row: Row) -> bool:
    """Whether a line of a TREC run, which spaces divide, can name the row and its documents."""
    ids = row.document_ids
    if ids is None or len({*ids}) < len(ids):
        return False
    return all(len(str(name).split()) == 1 for name in (row.id, *ids))


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
