"""The pools of connections as httpx's transports: beneath the clients that carry authentication."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpcore
import httpx

from rerank_core._http.bodies import RequestContent
from rerank_core._http.pool import AsyncConnectionPool, ConnectionPool
from rerank_core._models import HTTPResponse

if TYPE_CHECKING:
    from rerank_core._http.asyncio_pool import AsyncioConnectionPool

MAX_BYTES = "rerank_core.max_bytes"
"""The extension of a request that bounds its reply."""

_UNDONE = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class PoolTransport(httpx.BaseTransport):
    """Sends over `ConnectionPool`."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read the whole reply."""
        request.read()
        with _translated(request):
            reply = self._pool.send(_to_httpcore(request), request.extensions.get(MAX_BYTES))
        return _to_httpx(reply)

    def close(self) -> None:
        """Close every idle connection."""
        self._pool.close()


class AsyncPoolTransport(httpx.AsyncBaseTransport):
    """Sends over `AsyncConnectionPool` or `AsyncioConnectionPool`."""

    def __init__(self, pool: AsyncConnectionPool | AsyncioConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read the whole reply."""
        await request.aread()
        with _translated(request):
            max_bytes = request.extensions.get(MAX_BYTES)
            reply = await self._pool.send(_to_httpcore(request), max_bytes)
        return _to_httpx(reply)

    async def aclose(self) -> None:
        """Close every idle connection."""
        await self._pool.aclose()


def _to_httpcore(request: httpx.Request) -> httpcore.Request:
    url = httpcore.URL(
        scheme=request.url.raw_scheme,
        host=request.url.raw_host,
        port=request.url.port,
        target=request.url.raw_path,
    )
    return httpcore.Request(
        request.method,
        url,
        headers=request.headers.raw,
        content=RequestContent(request.content),
        extensions=request.extensions,
    )


def _to_httpx(reply: HTTPResponse) -> httpx.Response:
    # As bytes: httpx takes text for ASCII.
    headers = [
        (name.encode("latin-1"), value.encode())
        for name, value in reply.headers.items()
        if name not in _UNDONE
    ]
    return httpx.Response(reply.status_code, headers=headers, content=reply.content)


@contextlib.contextmanager
def _translated(request: httpx.Request) -> Iterator[None]:
    """Raise httpx's exception of the same name for each of httpcore's."""
    try:
        yield
    except Exception as error:
        kind = getattr(httpx, type(error).__name__, None)
        if kind is None or not type(error).__module__.startswith("httpcore"):
            raise
        raise kind(str(error), request=request) from error
