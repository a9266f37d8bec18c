"""Ways to the services: connections of our own, and httpx clients."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rerank_core._http.event_loops import is_trio
from rerank_core._http.pool import AsyncConnectionPool, ConnectionPool

_PROXIED = frozenset({"http", "https", "all"})
_PROXY_VARIABLES = frozenset(f"{scheme}_proxy" for scheme in _PROXIED)


class Channel:
    """Connections of our own, and an httpx client for what takes more than those.

    Args:
        make_client: Makes the client.
        pool: Serves the requests that need neither proxies nor a conversation to authenticate,
            at half the price; `None` where the environment or the caller has a say.
    """

    def __init__(self, make_client: Callable[[], Any], pool: Any = None) -> None:
        self._make_client = make_client
        self._client: Any = None
        self._users = 0
        self._closed = False
        self._lock = threading.Lock()
        self.pool = pool

    @property
    def client(self) -> Any:
        """The client, made on first use."""
        with self._lock:
            self._client = self._client or self._make_client()
            return self._client

    @contextlib.contextmanager
    def borrowed_client(self) -> Iterator[Any]:
        """The client, which is not closed before it was given back."""
        with self._lock:
            self._users += 1
        try:
            yield self.client
        finally:
            with self._lock:
                self._users -= 1
            self._close_unused()

    def close(self) -> None:
        """Close what a blocking channel has opened; what is in use closes when it no longer is."""
        self._closed = True
        if self.pool is not None:
            self.pool.close()
        self._close_unused()

    def _close_unused(self) -> None:
        client = None
        with self._lock:
            if self._closed and not self._users:
                client, self._client = self._client, None
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close what an async channel has opened."""
        for opened in filter(None, (self._client, self.pool)):
            await opened.aclose()


def _has_proxies() -> bool:
    """Whether the environment, or the system's settings, name a proxy. `no_proxy` alone does not.

    Only httpx's own pools know proxies.
    """
    # What is asked below takes long to import.
    by_environment = sys.platform not in {"darwin", "win32"}
    if by_environment and _PROXY_VARIABLES.isdisjoint(map(str.lower, os.environ)):
        return False
    import urllib.request  # noqa: PLC0415 - see above

    return not _PROXIED.isdisjoint(urllib.request.getproxies())


def open_channel() -> Channel:
    """The channel of blocking calls."""
    pool = None if _has_proxies() else ConnectionPool()

    def make() -> Any:
        from rerank_core._http.clients import make_client  # noqa: PLC0415 - httpx where it is needed

        return make_client(pool)

    return Channel(make, pool)


def open_async_channel(loop: Any) -> Channel:
    """The channel of an event loop, which is running."""
    pool = None if _has_proxies() else _open_pool(loop)

    def make() -> Any:
        from rerank_core._http.clients import make_async_client  # noqa: PLC0415 - as above

        return make_async_client(pool)

    return Channel(make, pool)


def _open_pool(loop: Any) -> Any:
    """Connections for this loop; httpcore's, but where it is one of asyncio's own selectors."""
    if is_trio(loop):
        return AsyncConnectionPool()
    import asyncio  # noqa: PLC0415 - nothing of asyncio's under trio
    import select  # noqa: PLC0415 - likewise

    if not isinstance(loop, asyncio.SelectorEventLoop) or not hasattr(select, "poll"):
        return AsyncConnectionPool()
    from rerank_core._http.asyncio_pool import AsyncioConnectionPool  # noqa: PLC0415 - likewise

    return AsyncioConnectionPool()
