"""The HTTP clients behind a target, made when the first request needs them."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from rerank_core._http.open_channels import Pools

_left_behind: list[Any] = []
_all: WeakSet[Connections] = WeakSet()


class Connections:
    """Makes the clients on first use, so that importing and configuring need no httpx.

    Args:
        http_client: The caller's own client or transport.
    """

    def __init__(self, http_client: Any = None) -> None:
        self.http_client = http_client
        self._pools: Pools | None = None
        self._lock = threading.Lock()
        _all.add(self)

    def pools(self) -> Pools:
        """The clients."""
        if self._pools is None:
            from rerank_core._http.open_channels import Pools  # noqa: PLC0415 - httpx not before the first call

            with self._lock:
                self._pools = self._pools or Pools(self.http_client)
        return self._pools

    def close(self) -> None:
        """Close the blocking client, if one was made."""
        if self._pools is not None:
            self._pools.close()

    async def aclose(self) -> None:
        """Close the running event loop's client, if one was made."""
        if self._pools is not None:
            await self._pools.aclose()

    def __del__(self) -> None:
        """Close the clients of a `Reranker` that nobody closed."""
        pools = getattr(self, "_pools", None)  # one that was never made whole has none
        if pools is not None:
            pools.abandon()

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Refuse to be copied or pickled: sockets and locks are this process's."""
        message = "a Reranker cannot be pickled or copied deeply: make another one instead"
        raise TypeError(message)

    def forget(self) -> None:
        """Leave the clients to the process that made them, without touching their locks."""
        _left_behind.append(self._pools)
        self._pools, self._lock = None, threading.Lock()


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
