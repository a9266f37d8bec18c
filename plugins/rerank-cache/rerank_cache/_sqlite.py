"""Scores in a file of SQLite, for any number of threads and processes of one machine."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from rerank_core import ConfigurationError

_COLUMNS = (
    "key BLOB PRIMARY KEY, value BLOB NOT NULL, written INTEGER NOT NULL, used INTEGER NOT NULL"
)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS scores (
  {_COLUMNS}
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON scores (used);
"""
_MOST_KEYS = 500  # in one statement
_HOUR = 3600
_ROOM = 0.1  # of the rows that make room at once
_CHECK_BYTES = 4
_MOST_BYTES_OF_A_PAGE = 2**16  # SQLite's bound
_LOOKS = 64  # every so many writes the size is looked at
_BUSY_SECONDS = 30
# A message of SQLite's that quotes what is damaged may be no text.
_FAILURES = (sqlite3.DatabaseError, UnicodeDecodeError, OSError)
_Outcome = TypeVar("_Outcome")


class SQLiteStore:
    """Keeps hashes and scores, no text, in one file that only its owner may read.

    Not for network file systems. A damaged cache is moved aside with a warning, and the store
    starts empty: nothing but money is lost. Any other file is refused, and stays as it is.

    Args:
        path: The file; it is made where there is none.
        max_rows: The most values; those unused for longest make room.
        max_age: Seconds after which a value is forgotten; `None` for never. Set it where the model
            behind a name or a base URL may change.
        now: What time it is, in seconds since 1970.

    Raises:
        ConfigurationError: The file is there, and is no cache.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_rows: int = 2_000_000,
        max_age: float | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._max_rows, self._max_age, self._now = Path(path), max_rows, max_age, now
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: list[tuple[int, sqlite3.Connection]] = []  # with the process of each
        self._writes = 0
        self._make_file()  # now: a path that cannot be used is told of at once
        self._refuse_others()
        self._run(lambda _: None)

    def get(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The values that are there, and young enough."""
        return self._run(lambda connection: self._get(connection, keys)) or {}

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values in one transaction."""
        if values:
            self._run(lambda connection: self._put(connection, values))

    def delete(self, prefix: bytes = b"") -> int:
        """Forget every key that begins so, and say how many there were."""

        def drop(connection: sqlite3.Connection) -> int:
            with _writing(connection):
                ended = prefix + b"\xff" * 32
                done = connection.execute(
                    "DELETE FROM scores WHERE key >= ? AND key <= ?", (prefix, ended)
                )
                return done.rowcount

        return self._run(drop) or 0

    def close(self) -> None:
        """Close the connections of all threads; a later call opens a new one."""
        self._local = threading.local()
        with self._lock:
            ended, self._open = self._open, []
        for process, connection in ended:
            if process == os.getpid():  # one of before a fork is the parent's
                connection.close()

    def __del__(self) -> None:
        """Close what nobody closed."""
        if hasattr(self, "_open"):  # one that was never made whole has none
            self.close()

    def _get(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        now = int(self._now())
        ages = (0, sys.maxsize) if self._max_age is None else (now - self._max_age, now)
        found, stale = {}, []
        for at in range(0, len(keys), _MOST_KEYS):
            some = keys[at : at + _MOST_KEYS]
            marks = ",".join("?" * len(some))
            known = f"written BETWEEN ? AND ? AND key IN ({marks})"
            query = f"SELECT key, value, used < ? FROM scores WHERE {known}"  # noqa: S608 - marks alone
            for key, value, is_stale in connection.execute(query, (now - _HOUR, *ages, *some)):
                if not _is_whole(key, value):
                    continue
                found[key] = value[:-_CHECK_BYTES]
                if is_stale:  # not each time, or reading would be writing
                    stale.append((now, key))
        if stale:
            with _writing(connection):
                connection.executemany("UPDATE scores SET used = ? WHERE key = ?", stale)
        return found

    def _put(self, connection: sqlite3.Connection, values: Mapping[bytes, bytes]) -> None:
        with _writing(connection):
            now = int(self._now())  # not before: others may have written while this one waited
            rows = [(key, value + _check_of(key, value), now, now) for key, value in values.items()]
            connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)", rows)
            self._writes += 1
            if self._writes % _LOOKS == 1 or self._max_rows < len(rows) * _LOOKS:
                self._make_room(connection, now)

    def _make_room(self, connection: sqlite3.Connection, now: int) -> None:
        if self._max_age is not None:
            ages = (now - self._max_age, now)  # later: by a clock that was put right since
            connection.execute("DELETE FROM scores WHERE written NOT BETWEEN ? AND ?", ages)
        (count,) = connection.execute("SELECT COUNT(*) FROM scores").fetchone()
        if count > self._max_rows:
            excess = count - self._max_rows + int(self._max_rows * _ROOM)
            connection.execute(
                "DELETE FROM scores WHERE key IN (SELECT key FROM scores ORDER BY used LIMIT ?)",
                (excess,),
            )

    def _run(self, work: Callable[[sqlite3.Connection], _Outcome]) -> _Outcome | None:
        """Do it; what a damaged file or a full disk makes of it is a warning and no value."""
        try:
            return work(self._connection())
        except _FAILURES as error:
            if not _is_damage(error):
                warnings.warn(f"{self._path}: not cached: {error}", RuntimeWarning, stacklevel=4)
                return None
            self._move_aside(error)
        try:
            return work(self._connection())
        except _FAILURES as error:
            warnings.warn(f"{self._path}: not cached: {error}", RuntimeWarning, stacklevel=4)
            return None

    def _connection(self) -> sqlite3.Connection:
        """This thread's own, made in this process: none may cross a fork."""
        kept: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if kept is not None and self._local.pid == os.getpid():
            return kept
        self._make_file()
        connection = sqlite3.connect(
            self._path,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # used by one, closed by whoever closes the store
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA mmap_size=0")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        self._local.connection, self._local.pid = connection, os.getpid()
        with self._lock:
            self._open.append((os.getpid(), connection))
        return connection

    def _make_file(self) -> None:
        """For its owner alone."""
        if not self._path.exists():
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))

    def _refuse_others(self) -> None:
        """A path may be a mistake: what lies there is then neither written to nor moved."""
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as connection:
                names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            is_cache = not names or "scores" in names  # none: another process is just making it
        except _FAILURES as error:
            # Not looked into by ourselves before: closing a file of SQLite's drops all its locks.
            is_cache = not _is_damage(error) or self._has_schema()
        if not is_cache:
            message = f"{self._path} is no cache of scores: name another file, or move it away"
            raise ConfigurationError(message)

    def _has_schema(self) -> bool:
        """Whether a damaged file was a cache: the words of its schema stand in the first page."""
        with self._path.open("rb") as file:
            return _COLUMNS.encode() in file.read(_MOST_BYTES_OF_A_PAGE)

    def _move_aside(self, error: Exception) -> None:
        self.close()
        with self._lock:
            aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
            for suffix in ("", "-wal", "-shm"):
                with suppress(OSError):
                    Path(f"{self._path}{suffix}").rename(f"{aside}{suffix}")
        message = f"{self._path} is damaged ({error}); it was moved to {aside.name}: starting anew"
        warnings.warn(message, RuntimeWarning, stacklevel=5)


def _check_of(key: bytes, value: bytes) -> bytes:
    """Tells a damaged value, or one under another's key: SQLite itself does not look."""
    return zlib.crc32(key + value).to_bytes(_CHECK_BYTES)


def _is_whole(key: bytes, kept: object) -> bool:
    # Damage may also make a text, a number or nothing of what was bytes.
    return isinstance(kept, bytes) and kept[-_CHECK_BYTES:] == _check_of(key, kept[:-_CHECK_BYTES])


def _is_damage(error: Exception) -> bool:
    damage = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, UnicodeDecodeError) or code in damage


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that has its lock from the start: with a plain BEGIN, others would fail."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
