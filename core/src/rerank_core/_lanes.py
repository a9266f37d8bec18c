"""A pool of connections for async calls."""

from __future__ import annotations

import functools
from collections import deque
from typing import TYPE_CHECKING

import anyio
import httpcore
import httpx

if TYPE_CHECKING:
    import ssl

# Below the 5 seconds after which uvicorn, and so many a server, hangs up: no request should meet a
# connection that is just being closed.
KEEPALIVE_SECONDS = 4.0


@functools.cache
def tls_context() -> ssl.SSLContext:
    """One context for all clients: reading the certificates takes longer than a call."""
    return httpx.create_ssl_context()


class LanesTransport(httpx.AsyncBaseTransport):
    """A pool that finds an idle connection in the same time, however many there are.

    httpcore's own pool looks at every connection on every request and every release, so that its
    cost grows with the square of the concurrency (encode/httpx#3215).
    """

    def __init__(self) -> None:
        self._idle: dict[str, deque[httpcore.AsyncHTTPConnection]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read the whole reply."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        lane = await self._take(url.origin)
        try:
            reply = await lane.handle_async_request(
                httpcore.Request(
                    request.method,
                    url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
            content = await reply.aread()
            await reply.aclose()
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await lane.aclose()
            # httpx has an exception of the same name for each of httpcore's.
            kind = getattr(httpx, type(error).__name__, None)
            if isinstance(error, Exception) and kind is not None:
                raise kind(str(error), request=request) from error
            raise
        await self._give_back(url.origin, lane)
        return httpx.Response(reply.status, headers=reply.headers, stream=httpx.ByteStream(content))

    async def _take(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        idle = self._idle.setdefault(str(origin), deque())
        while idle:
            lane = idle.pop()
            if not lane.is_closed() and not lane.has_expired():
                return lane
            await lane.aclose()
        return httpcore.AsyncHTTPConnection(
            origin,
            ssl_context=tls_context() if origin.scheme == b"https" else None,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )

    async def _give_back(self, origin: httpcore.Origin, lane: httpcore.AsyncHTTPConnection) -> None:
        idle = self._idle[str(origin)]
        # The longest idle stands first; one look per call ends them all in time.
        if idle and idle[0].has_expired():
            await idle.popleft().aclose()
        if lane.is_idle():
            idle.append(lane)
        else:
            await lane.aclose()

    async def aclose(self) -> None:
        """Close every idle connection."""
        for idle in self._idle.values():
            while idle:
                await idle.pop().aclose()
