"""What a soak watches in its own process."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import anyio


def read_memory() -> int:
    """The size of this process in memory; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0


def count_files() -> int:
    """How many file descriptors are open; 0 where the system does not tell."""
    folder = Path("/dev/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


@contextlib.contextmanager
def counting_waits(note: Callable[[], object]) -> Iterator[None]:
    """Tell of each time that a driver sleeps before it sends again."""
    block, wait = time.sleep, anyio.sleep

    def sleep(seconds: float) -> None:
        note()
        block(seconds)

    async def asleep(seconds: float) -> None:
        note()
        await wait(seconds)

    with mock.patch("time.sleep", sleep), mock.patch("anyio.sleep", asleep):
        yield


@contextlib.contextmanager
def listening(wrong: list[str]) -> Iterator[None]:
    """Take what is otherwise only printed for what it is: a complaint."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            wrong.append(f"asyncio: {record.getMessage()}")

    listener, hook = Listener(logging.WARNING), sys.unraisablehook
    logging.getLogger("asyncio").addHandler(listener)
    sys.unraisablehook = lambda found: wrong.append(f"unraisable: {found.exc_value!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        sys.unraisablehook = hook
        logging.getLogger("asyncio").removeHandler(listener)
