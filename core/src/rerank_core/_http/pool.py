"""Pools of connections, for blocking calls and for async ones, on httpcore's connections.

They find an idle connection in the same time, however many there are; httpcore's own pool looks at
every connection on every request and every release, so that its cost grows with the square of the
concurrency (encode/httpx#3215).
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

import anyio
import httpcore

from rerank_core._http.backends import AsyncBackend, BlockingBackend, has_more
from rerank_core._http.bodies import Body, read_headers
from rerank_core._models import HTTPResponse
from rerank_core.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

# Below the 5 seconds after which uvicorn, and so many a server, hangs up: no request should meet a
# connection that is just being closed.
KEEPALIVE_SECONDS = 4.0

_BLOCKING, _ASYNC = BlockingBackend(), AsyncBackend()


class _Kept(Protocol):
    def is_idle(self) -> bool: ...

    def has_expired(self) -> bool: ...


Lane = TypeVar("Lane", bound=_Kept)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """One context for all connections: reading the certificates takes longer than a call.

    Raises:
        ConfigurationError: The certificates cannot be read.
    """
    import httpx  # noqa: PLC0415 - it knows where they are

    try:
        return httpx.create_ssl_context()
    except (OSError, ValueError) as error:
        message = (
            f"no TLS context can be made ({type(error).__name__}): look at SSL_CERT_FILE and"
            " SSL_CERT_DIR"
        )
        raise ConfigurationError(message) from error


def _facts(url: httpcore.URL) -> dict[str, Any]:
    """What a connection is opened with."""
    return {
        "origin": url.origin,
        "ssl_context": tls_context() if url.scheme == b"https" else None,
        "keepalive_expiry": KEEPALIVE_SECONDS,
    }


class Pool(Generic[Lane]):
    """Idle connections by origin, the one used last on top; threads may share it."""

    def __init__(self) -> None:
        self._idle: dict[tuple[bytes, bytes, int | None], deque[Lane]] = {}
        self._closed = False

    def _of(self, url: httpcore.URL) -> deque[Lane]:
        origin = (url.scheme, url.host, url.port)
        idle = self._idle.get(origin)
        return self._idle.setdefault(origin, deque()) if idle is None else idle

    def _keep(self, lane: Lane, idle: deque[Lane]) -> Iterable[Lane]:
        """Keep a connection for the next request; return those that are to be closed."""
        if self._closed or not lane.is_idle():
            return (lane,)
        # The longest idle is at the front; one look per call ends them all in time.
        oldest = pop(idle.popleft)
        idle.append(lane)
        if oldest is not None and not oldest.has_expired():
            idle.appendleft(oldest)
            oldest = None
        expired = () if oldest is None else (oldest,)
        return (*expired, *_drain(idle)) if self._closed else expired  # by another thread

    def _end(self) -> list[Lane]:
        """Every idle connection; one that is in use is closed when its reply has come."""
        self._closed = True
        lanes = [lane for idle in list(self._idle.values()) for lane in _drain(idle)]
        self._idle.clear()
        return lanes


def _drain(idle: deque[Lane]) -> list[Lane]:
    """All there are, each to one thread only."""
    return list(iter(lambda: pop(idle.popleft), None))


def pop(take: Callable[[], Lane]) -> Lane | None:
    """What there is to be taken, if anything is."""
    try:
        return take()
    except IndexError:
        return None


class Lanes(Pool[httpcore.HTTPConnection]):
    """For blocking calls."""

    def send(self, request: httpcore.Request, most: int | None) -> HTTPResponse:
        """Send one request and read the whole reply.

        Args:
            request: With all its headers.
            most: The most bytes that the reply may have, decompressed; `None` for no bound.

        Raises:
            ResponseParseError: The reply is larger, or cannot be decompressed.
            httpcore.TimeoutException: And whatever else httpcore raises.
        """
        idle = self._of(request.url)
        while (lane := pop(idle.pop)) is not None and lane.has_expired():
            lane.close()
        lane = lane or httpcore.HTTPConnection(network_backend=_BLOCKING, **_facts(request.url))
        try:
            reply = lane.handle_request(request)
            headers = read_headers(reply.headers)
            body = Body(reply.status, headers.get("content-encoding", ""), most)
            for chunk in cast("Iterable[bytes]", reply.stream):
                if not body.add(chunk):
                    break
            reply.close()
            response = HTTPResponse(reply.status, headers, body.whole())
        except BaseException:
            lane.close()
            raise
        for unwanted in (lane,) if has_more(lane) else self._keep(lane, idle):
            unwanted.close()
        return response

    def close(self) -> None:
        """Close every idle connection."""
        for lane in self._end():
            lane.close()


class AsyncLanes(Pool[httpcore.AsyncHTTPConnection]):
    """For async calls, of one event loop."""

    async def send(self, request: httpcore.Request, most: int | None) -> HTTPResponse:
        """`Lanes.send`, awaited."""
        idle = self._of(request.url)
        while (lane := pop(idle.pop)) is not None and lane.has_expired():
            await lane.aclose()
        lane = lane or httpcore.AsyncHTTPConnection(network_backend=_ASYNC, **_facts(request.url))
        try:
            reply = await lane.handle_async_request(request)
            headers = read_headers(reply.headers)
            body = Body(reply.status, headers.get("content-encoding", ""), most)
            async for chunk in cast("AsyncIterable[bytes]", reply.stream):
                if not body.add(chunk):
                    break
            await reply.aclose()
            response = HTTPResponse(reply.status, headers, body.whole())
        except BaseException:
            with anyio.CancelScope(shield=True):
                await lane.aclose()
            raise
        for unwanted in (lane,) if has_more(lane) else self._keep(lane, idle):
            await unwanted.aclose()
        return response

    async def aclose(self) -> None:
        """Close every idle connection."""
        for lane in self._end():
            await lane.aclose()
