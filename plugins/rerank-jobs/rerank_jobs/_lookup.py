"""Texts in a file by their id: found where they stand, so that only places are kept."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from rerank_jobs.errors import JobError

_TEXTS = {"title", "text", "query"}


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Tell of a temporary file of SQLite's that finds no room as of any other file.

    Raises:
        OSError: It finds none.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OSError(errno.ENOSPC, f"no room for SQLite's temporary file ({error})") from error


class Lookup:
    """The texts of a corpus or of topics.

    Args:
        path: JSON Lines with `_id` (or `id`, `doc_id`, `query_id`), `text` and maybe `title`; or,
            with another name than `.jsonl`, lines of `id<TAB>text`.

    Raises:
        JobError: A line has no id, or an id stands twice.
        OSError: There is no room for the places.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_json = path.suffix.lower() in {".jsonl", ".ndjson"}
        self._file = path.open("rb")
        self._places = sqlite3.connect("")  # a temporary file of SQLite's own
        try:
            with full_disk_told():
                self._read()
        except (JobError, OSError):
            self.close()
            raise

    def find(self, name: str) -> str | None:
        """The text, its title on a line before it; `None` where there is none."""
        found = self._places.execute("SELECT at FROM places WHERE id = ?", (name,)).fetchone()
        if found is None:
            return None
        self._file.seek(found[0])
        return self._split(0, self._file.readline())[1]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._places.close()

    def _read(self) -> None:
        self._places.execute("CREATE TABLE places (id TEXT PRIMARY KEY, at INTEGER) WITHOUT ROWID")
        at = 0
        for number, line in enumerate(self._file, 1):
            if line.strip():
                self._keep(self._split(number, line)[0], at, number)
            at += len(line)

    def _keep(self, name: str, at: int, number: int) -> None:
        try:
            self._places.execute("INSERT INTO places VALUES (?, ?)", (name, at))
        except sqlite3.IntegrityError:
            raise JobError(f"{self._path.name}:{number}: the id {name!r} stands twice") from None

    def _split(self, number: int, line: bytes) -> tuple[str, str]:
        try:
            return self._split_json(line) if self._is_json else _split_tab(line)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise JobError(f"{self._path.name}:{number}: no id with a text: {error}") from None

    def _split_json(self, line: bytes) -> tuple[str, str]:
        given: dict[str, Any] = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
        names = [given[key] for key in ("_id", "id", "doc_id", "query_id") if key in given]
        texts = [given[key] for key in ("title", "text", "query") if given.get(key)]
        is_named = bool(names) and isinstance(names[0], (str, int))
        is_text = _TEXTS & given.keys() and all(isinstance(text, str) for text in texts)
        if not is_named or not is_text:  # another name of the text would make every one blank
            raise ValueError("an _id and a text are needed")
        return str(names[0]), "\n".join(texts)


def _split_tab(line: bytes) -> tuple[str, str]:
    name, tab, text = line.decode("utf-8-sig").rstrip("\r\n").partition("\t")
    if not tab:
        raise ValueError("a line is an id, a tab and a text")
    return name, text
