"""What a `Reranker` sends with: made on first use, closed at exit, left behind by a fork."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from rerank_core._http.open_channels import OpenChannels

_left_behind: list[Any] = []
_all: WeakSet[Connections] = WeakSet()


class Connections:
    """Makes the channels on first use, so that importing and configuring need no httpx.

    Args:
        http_client: The caller's own client or transport.
    """

    def __init__(self, http_client: Any = None) -> None:
        self.http_client = http_client
        self._channels: OpenChannels | None = None
        self._lock = threading.Lock()
        _all.add(self)

    def channels(self) -> OpenChannels:
        """The channels."""
        if self._channels is None:
            from rerank_core._http.open_channels import OpenChannels  # noqa: PLC0415 - httpx not before the first call

            with self._lock:
                self._channels = self._channels or OpenChannels(self.http_client)
        return self._channels

    def close(self) -> None:
        """Close the channel of blocking calls, if one was made."""
        if self._channels is not None:
            self._channels.close()

    async def aclose(self) -> None:
        """Close the running event loop's channel, if one was made."""
        if self._channels is not None:
            await self._channels.aclose()

    def __del__(self) -> None:
        """Close the channels of a `Reranker` that nobody closed."""
        channels = getattr(self, "_channels", None)  # one that was never made whole has none
        if channels is not None:
            channels.abandon()

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Refuse to be copied or pickled: sockets and locks are this process's."""
        message = "a Reranker cannot be pickled or copied deeply: make another one instead"
        raise TypeError(message)

    def forget(self) -> None:
        """Leave the channels to the process that made them, without touching their locks."""
        _left_behind.append(self._channels)
        self._channels, self._lock = None, threading.Lock()


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
