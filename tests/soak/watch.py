"""What a soak watches in its own process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import socket
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from unittest import mock

import anyio
import trio
from attrs import frozen


@frozen
class Memory:
    """What a process takes at one moment.

    Attributes:
        size: Its bytes in memory, without what the allocator keeps free; 0 where the system does
            not tell.
        blocks: How many of Python's objects are in use, or what they are made of.
    """

    size: int
    blocks: int


def read_memory() -> Memory:
    """What this process takes now, when all that is garbage has gone."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # elsewhere than with glibc
        ctypes.CDLL(None).malloc_trim(0)
    size = 0
    with contextlib.suppress(OSError):
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        size = int(pages) * os.sysconf("SC_PAGE_SIZE")
    return Memory(size, sys.getallocatedblocks())


def living_threads() -> list[str]:
    """The names of all threads."""
    return [thread.name for thread in threading.enumerate()]


def living_tasks() -> list[str]:
    """The names of all tasks of the event loop that runs here, asyncio's or trio's."""
    try:
        root = trio.lowlevel.current_root_task()
    except RuntimeError:  # which is not trio's
        return [task.get_name() for task in asyncio.all_tasks()]
    return [] if root is None else list(_names_below(root))


def _names_below(task: trio.lowlevel.Task) -> Iterator[str]:
    yield task.name
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _names_below(child)


def missing_from(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """What is there now and was not then."""
    return list((Counter(after) - Counter(before)).elements())


@contextlib.contextmanager
def nobody_listening() -> Iterator[str]:
    """The base URL of a port that is taken, so that every connection to it is refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


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
            # httpcore's own, where a reply that is too large is broken off; only trio minds.
            warnings.filterwarnings("ignore", "Async generator 'httpcore", ResourceWarning)
            yield
    finally:
        sys.unraisablehook = hook
        logging.getLogger("asyncio").removeHandler(listener)
