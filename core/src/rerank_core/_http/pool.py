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

from rerank_core._http.backends import AsyncBackend, BlockingBackend, has_leftover
from rerank_core._http.bodies import ReplyBody, read_headers
from rerank_core._http.event_loops import Turns
from rerank_core._models import HTTPResponse
from rerank_core.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

# Below the 5 seconds after which uvicorn, and so many a server, hangs up: no request should meet a
# connection that is just being closed.
KEEPALIVE_SECONDS = 4.0

_BLOCKING, _ASYNC = BlockingBackend(), AsyncBackend()


class _Reusable(Protocol):
    def is_idle(self) -> bool: ...

    def has_expired(self) -> bool: ...


Connection = TypeVar("Connection", bound=_Reusable)


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


def _connection_arguments(url: httpcore.URL) -> dict[str, Any]:
    """What a connection is opened with."""
    return {
        "origin": url.origin,
        "ssl_context": tls_context() if url.scheme == b"https" else None,
        "keepalive_expiry": KEEPALIVE_SECONDS,
    }


class IdleConnections(Generic[Connection]):
    """Idle connections by origin, the one used last on top; threads may share it."""

    def __init__(self) -> None:
        self._idle: dict[tuple[bytes, bytes, int | None], deque[Connection]] = {}
        self._closed = False

    def _idle_of(self, url: httpcore.URL) -> deque[Connection]:
        origin = (url.scheme, url.host, url.port)
        idle = self._idle.get(origin)
        return self._idle.setdefault(origin, deque()) if idle is None else idle

    def _keep(self, connection: Connection, idle: deque[Connection]) -> Iterable[Connection]:
        """Keep a connection for the next request; return those that are to be closed."""
        if self._closed or not connection.is_idle():
            return (connection,)
        # The longest idle is at the front; one look per call ends them all in time.
        oldest = pop_or_none(idle.popleft)
        idle.append(connection)
        if oldest is not None and not oldest.has_expired():
            idle.appendleft(oldest)
            oldest = None
        expired = () if oldest is None else (oldest,)
        return (*expired, *_drain(idle)) if self._closed else expired  # by another thread

    def _take_all(self) -> list[Connection]:
        """Every idle connection; one that is in use is closed when its reply has come."""
        self._closed = True
        connections = [
            connection for idle in list(self._idle.values()) for connection in _drain(idle)
        ]
        self._idle.clear()
        return connections


def _drain(idle: deque[Connection]) -> list[Connection]:
    """All there are, each to one thread only."""
    return list(iter(lambda: pop_or_none(idle.popleft), None))


def pop_or_none(take: Callable[[], Connection]) -> Connection | None:
    """What there is to be taken, if anything is."""
    try:
        return take()
    except IndexError:
        return None


class ConnectionPool(IdleConnections[httpcore.HTTPConnection]):
    """For blocking calls."""

    def send(self, request: httpcore.Request, max_bytes: int | None) -> HTTPResponse:
        """Send one request and read the whole reply.

        Args:
            request: With all its headers.
            max_bytes: The most bytes that the reply may have, decompressed; `None` for no bound.

        Raises:
            ResponseParseError: The reply is larger, or cannot be decompressed.
            httpcore.TimeoutException: And whatever else httpcore raises.
        """
        idle = self._idle_of(request.url)
        while (connection := pop_or_none(idle.pop)) is not None and connection.has_expired():
            connection.close()
        connection = connection or httpcore.HTTPConnection(
            network_backend=_BLOCKING, **_connection_arguments(request.url)
        )
        try:
            reply = connection.handle_request(request)
            headers = read_headers(reply.headers)
            body = ReplyBody(reply.status, headers.get("content-encoding", ""), max_bytes)
            for chunk in cast("Iterable[bytes]", reply.stream):
                if not body.add(chunk):
                    break
            reply.close()
            response = HTTPResponse(reply.status, headers, body.whole())
        except BaseException:
            connection.close()
            raise
        for unwanted in (connection,) if has_leftover(connection) else self._keep(connection, idle):
            unwanted.close()
        return response

    def close(self) -> None:
        """Close every idle connection."""
        for connection in self._take_all():
            connection.close()


class AsyncConnectionPool(IdleConnections[httpcore.AsyncHTTPConnection]):
    """For async calls, of one event loop of whatever kind."""

    async def send(self, request: httpcore.Request, max_bytes: int | None) -> HTTPResponse:
        """`ConnectionPool.send`, awaited."""
        idle = self._idle_of(request.url)
        while (connection := pop_or_none(idle.pop)) is not None and connection.has_expired():
            await connection.aclose()
        connection = connection or httpcore.AsyncHTTPConnection(
            network_backend=_ASYNC, **_connection_arguments(request.url)
        )
        try:
            reply = await connection.handle_async_request(request)
            headers = read_headers(reply.headers)
            body = ReplyBody(reply.status, headers.get("content-encoding", ""), max_bytes)
            turns = Turns()
            async for chunk in cast("AsyncIterable[bytes]", reply.stream):
                if not body.add(chunk):
                    break
                await turns.count()
            await reply.aclose()
            response = HTTPResponse(reply.status, headers, body.whole())
        except BaseException:
            with anyio.CancelScope(shield=True):
                await connection.aclose()
            raise
        for unwanted in (connection,) if has_leftover(connection) else self._keep(connection, idle):
            await unwanted.aclose()
        return response

    async def aclose(self) -> None:
        """Close every idle connection."""
        for connection in self._take_all():
            await connection.aclose()
