"""The pool of connections under asyncio, and how they are opened."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import anyio
import httpcore

from rerank_core._http.asyncio_connection import AsyncioConnection
from rerank_core._http.happy_eyeballs import connect
from rerank_core._http.pool import IdleConnections, pop_or_none, tls_context
from rerank_core._models import HTTPResponse

_PORTS = {b"http": 80, b"https": 443}


class AsyncioConnectionPool(IdleConnections[AsyncioConnection]):
    """For async calls, of one event loop of asyncio's."""

    async def send(self, request: httpcore.Request, max_bytes: int | None) -> HTTPResponse:
        """`ConnectionPool.send`, awaited."""
        idle = self._idle_of(request.url)
        while (connection := pop_or_none(idle.pop)) is not None and connection.has_expired():
            connection.close()
        connection = connection or await _open(request)
        try:
            response = await connection.send(request, max_bytes)
        except BaseException:
            await _close([connection])
            raise
        if unwanted := self._keep(connection, idle):
            await _close(unwanted)
        return response

    async def aclose(self) -> None:
        """Close every idle connection."""
        await _close(self._take_all())


async def _close(connections: Iterable[AsyncioConnection]) -> None:
    for connection in connections:
        connection.close()
    with anyio.CancelScope(shield=True):
        await asyncio.sleep(0)  # then the event loop has closed them


async def _open(request: httpcore.Request) -> AsyncioConnection:
    """Connect to where a request goes."""
    loop, url = asyncio.get_running_loop(), request.url
    timeout = request.extensions.get("timeout", {}).get("connect")
    tls: dict[str, Any] = {}
    if url.scheme == b"https":
        context = tls_context()
        context.set_alpn_protocols(["http/1.1"])
        tls = {"ssl": context, "server_hostname": url.host.decode("ascii")}
    try:
        async with asyncio.timeout(timeout):
            connected = await connect(url.host, url.port or _PORTS[url.scheme])
        connection = AsyncioConnection(loop)
        try:
            async with asyncio.timeout(timeout if tls else None):
                await loop.create_connection(lambda: connection, sock=connected, **tls)
        except BaseException:
            connection.close()  # first: a watched socket's number would be the next one's as well
            connected.close()
            raise
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    return connection
