"""What a `Reranker` sends with: made on first use, closed at exit, left behind by a fork.

Each idle client of httpx's has one connection; a call takes the one used last, or makes one, and
gives it back. So the cost of a call does not grow with the number of connections, and whatever goes
wrong in one call harms no other. Measured in docs/performance.md.
"""

from __future__ import annotations

import atexit
import os
import time
from collections import deque
from collections.abc import Hashable
from typing import Any
from weakref import WeakSet

KEEPALIVE_SECONDS = 5.0
"""How long a connection that nobody uses is kept."""

_left_behind: list[Any] = []
_all: WeakSet[Connections] = WeakSet()


class Stack:
    """Idle clients by origin, the one used last on top; for blocking calls, or for one loop."""

    def __init__(self) -> None:
        self._idle: dict[Hashable, deque[tuple[float, Any]]] = {}
        self._due = 0.0  # when to look for what is too old: not at each call, of many origins
        self.is_closed = False

    def take(self, origin: Hashable) -> Any:
        """The client that was used last; `None` where none is idle."""
        try:
            return self._idle[origin].pop()[1]
        except LookupError:
            return None

    def give_back(self, origin: Hashable, client: Any) -> list[Any]:
        """Put a client on top; returns those that are to be closed."""
        now = time.monotonic()
        self._idle.setdefault(origin, deque()).append((now, client))
        if now < self._due and not self.is_closed:
            return []
        self._due = now + 1.0
        return self._drop(None if self.is_closed else now - KEEPALIVE_SECONDS)

    def close(self) -> list[Any]:
        """Keep nothing any longer; returns the clients that are to be closed."""
        self.is_closed = True
        return self._drop(None)

    def _drop(self, before: float | None) -> list[Any]:
        """Take out the clients that were given back before then, or all."""
        found = []
        for idle in list(self._idle.values()):
            # No name of a module's: at the very end of a program, there are none any more.
            try:
                while before is None or idle[0][0] < before:
                    found.append(idle.popleft()[1])
            except IndexError:  # there are no more, another thread may have taken the last one
                continue
        return found


class Connections:
    """The clients of one `Reranker`, or those that the functions share."""

    def __init__(self, http_client: Any = None) -> None:
        self.http_client = http_client
        self.adopted: dict[Any, Any] = {}
        self.loops: dict[Any, Any] = {}
        self.blocking = Stack()
        _all.add(self)

    def close(self) -> None:
        """Close the clients of blocking calls; those in use close when they are given back."""
        closed, self.blocking = self.blocking, Stack()
        for client in closed.close():
            client.close()

    def __del__(self) -> None:
        """Close the clients of a `Reranker` that nobody closed."""
        if hasattr(self, "blocking"):  # one that was never made whole has none
            for client in self.blocking.close():
                client.close()
            for each in list(self.loops.values()):
                each.abandon()

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Refuse to be copied or pickled: sockets and locks are this process's."""
        raise TypeError("a Reranker cannot be pickled or copied deeply: make another one instead")

    def forget(self) -> None:
        """Leave the clients to the process that made them, without touching their locks."""
        _left_behind.extend((self.blocking, self.loops))
        self.blocking, self.loops = Stack(), {}


SHARED = Connections()
"""Those of `rerank` and `arerank`."""


@atexit.register
def _close_all() -> None:
    """Close what is still held when the program ends: later, httpx could no longer be used."""
    for connections in list(_all):
        connections.close()


def _forget_all() -> None:
    """A fork shares its parent's sockets: on them, one would read the other's replies."""
    for connections in list(_all):
        connections.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
