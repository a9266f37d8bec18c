"""Files that are only appended to: a row is there whole, or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from rerank_jobs.errors import JobError

_SYNC_SECONDS = 1.0


class Journal:
    """JSON Lines that are appended to, each line by one unbuffered write.

    Opening it cuts off an unfinished last line, which a full disk or a power cut may leave.

    Args:
        path: The file; it need not exist.

    Raises:
        JobError: A line in the middle of it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        whole = sum(length for _, length in _read_lines(path)) if path.exists() else 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        os.ftruncate(self._file, whole)
        os.lseek(self._file, whole, os.SEEK_SET)
        self._size, self._unsynced, self._synced_at = whole, 0, time.monotonic()

    def append(self, line: Mapping[str, Any]) -> None:
        """Write a line; it survives this process, and after a second the machine.

        Raises:
            OSError: The disk is full, or worse; then nothing of the line is left.
        """
        content = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        left = memoryview(content)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(content)
        self._unsynced += 1
        if time.monotonic() - self._synced_at >= _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Have the disk keep what was written."""
        if self._unsynced:
            os.fsync(self._file)
            self._unsynced = 0
        self._synced_at = time.monotonic()

    def close(self) -> None:
        """Sync, and close."""
        self.sync()
        os.close(self._file)


def read_journal(path: Path, rows: int) -> Iterator[dict[str, Any]]:
    """The lines of a journal of so many rows, decoded; none where there is no file.

    Raises:
        JobError: A line in the middle of it cannot be read, or is of no row.
    """
    for number, (line, _) in enumerate(_read_lines(path) if path.exists() else (), 1):
        if line.get("row") not in range(rows) or not isinstance(line.get("usage"), dict):
            raise JobError(
                f"{path.name}:{number}: no line of this job: something else wrote there; move the"
                " file away, or correct that line"
            )
        yield line


def _read_lines(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Each line and its length in bytes; what cannot be read is left out at the end alone."""
    torn = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if torn:
                raise JobError(
                    f"{path.name}:{torn}: unreadable, with more behind it: something else wrote"
                    " there; move the file away, or correct that line"
                )
            try:
                decoded = orjson.loads(line) if line.endswith(b"\n") else None
            except orjson.JSONDecodeError:
                decoded = None
            if isinstance(decoded, dict):
                yield decoded, len(line)
            else:
                torn = number


def replace_file(path: Path, content: bytes) -> None:
    """Write a whole file in the stead of an earlier one: there is always one or the other."""
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


class Marks:
    """Which rows are meant, one bit for each position."""

    def __init__(self, size: int) -> None:
        self._bits = bytearray(size // 8 + 1)
        self.count = 0

    def add(self, number: int) -> bool:
        """Mark a row; whether it was not marked before."""
        if number in self:
            return False
        self._bits[number >> 3] |= 1 << (number & 7)
        self.count += 1
        return True

    def discard(self, number: int) -> None:
        """Take a mark away."""
        if number in self:
            self._bits[number >> 3] ^= 1 << (number & 7)
            self.count -= 1

    def __contains__(self, number: int) -> bool:
        return bool(self._bits[number >> 3] >> (number & 7) & 1)
