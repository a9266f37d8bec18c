"""One flight for calls that ask for the same at the same time."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
from anyio.lowlevel import current_token
from attrs import define, field


@define
class Flights:
    """One call at a time of those that ask for the same."""

    _locks: dict[Any, threading.Lock] = field(factory=lambda: defaultdict(threading.Lock))
    _alocks: dict[tuple[Any, bytes], anyio.Lock] = field(factory=lambda: defaultdict(anyio.Lock))
    _waiting: dict[Any, int] = field(factory=lambda: defaultdict(int))
    _guard: threading.Lock = field(factory=threading.Lock)

    @contextmanager
    def flight(self, key: bytes) -> Iterator[None]:
        """Wait until no other thread asks for the same."""
        of_process = (os.getpid(), key)  # a thread that holds a lock does not cross a fork
        with self._guard:
            self._waiting[of_process] += 1
            lock = self._locks[of_process]
        try:
            with lock:
                yield
        finally:
            self._left(of_process, self._locks)

    @asynccontextmanager
    async def aflight(self, key: bytes) -> AsyncIterator[None]:
        """Wait until no other task of this loop asks for the same."""
        of_loop = (current_token(), key)  # locks are their loop's
        with self._guard:
            self._waiting[of_loop] += 1
            lock = self._alocks[of_loop]
        try:
            async with lock:
                yield
        finally:
            self._left(of_loop, self._alocks)

    def _left(self, key: Any, locks: dict[Any, Any]) -> None:
        with self._guard:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], locks[key]
