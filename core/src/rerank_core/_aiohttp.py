"""Connections through aiohttp: under asyncio, and much cheaper where hundreds of calls run at once.

They take what `AsyncLanes` takes, put the same on the wire, and raise what httpcore raises.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import select
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import aiohttp
import anyio
import h11
import httpcore
from yarl import URL

from rerank_core import _lanes
from rerank_core._bodies import Body, read_headers
from rerank_core._models import HTTPResponse

if TYPE_CHECKING:
    from aiohttp.connector import Connection

_OLDEST = (3, 13)
if tuple(int(part) for part in aiohttp.__version__.split(".")[:2]) < _OLDEST:
    raise ImportError(aiohttp.__version__)

_LENGTH = frozenset({b"content-length", b"Content-Length"})
_NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_MOST_AT_ONCE = 2**20
_MOST_HEAD = 100 * 1024  # as httpcore has it
_KINDS: tuple[tuple[type[Exception], type[Exception]], ...] = (
    (h11.LocalProtocolError, httpcore.LocalProtocolError),
    (aiohttp.ConnectionTimeoutError, httpcore.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpcore.ReadTimeout),
    (aiohttp.ClientConnectorError, httpcore.ConnectError),
    (aiohttp.ServerDisconnectedError, httpcore.RemoteProtocolError),
    (aiohttp.ClientConnectionError, httpcore.ReadError),
    (aiohttp.ClientError, httpcore.RemoteProtocolError),
    (TimeoutError, httpcore.WriteTimeout),
)
"""The first that fits is what httpcore calls it."""


class AiohttpLanes:
    """For async calls, of one event loop of asyncio's."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._under_way = 0
        self._closed = False
        self._url: tuple[httpcore.URL, URL] | None = None
        self._head: tuple[Any, list[tuple[str, str]]] | None = None

    async def send(self, request: httpcore.Request, most: int | None) -> HTTPResponse:
        """`Lanes.send`, awaited."""
        self._under_way += 1
        try:
            with _translated():
                return await self._send(request, most)
        finally:
            self._under_way -= 1
            if self._closed:
                await self._close_unused()

    async def _send(self, request: httpcore.Request, most: int | None) -> HTTPResponse:
        session = self._session = self._session or _open_session()
        bounds = request.extensions.get("timeout", {})
        # aiohttp has no bound for sending what the service does not read.
        async with asyncio.timeout(_until_head(bounds)):
            reply = await session.request(
                request.method.decode(),
                self._convert_url(request.url),
                headers=self._convert_headers(request),
                data=_as_data(request.stream.whole),  # type: ignore[union-attr]
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=bounds.get("connect"), sock_read=bounds.get("read")
                ),
                ssl=_lanes.tls_context() if request.url.scheme == b"https" else True,
            )
        try:
            headers = read_headers(reply.raw_headers)
            body = Body(reply.status, headers.get("content-encoding", ""), most)
            while chunk := await reply.content.readany():
                if not body.add(chunk):
                    break
            return HTTPResponse(reply.status, headers, body.whole())
        finally:
            reply.close()  # with its connection, unless it was read to the end

    def _convert_url(self, url: httpcore.URL) -> URL:
        """The same, as it goes over the wire; that of the last request is kept."""
        if self._url is None or self._url[0] != url:
            host = f"[{url.host.decode()}]" if b":" in url.host else url.host.decode()
            port = "" if url.port is None else f":{url.port}"
            whole = f"{url.scheme.decode()}://{host}{port}{url.target.decode()}"
            self._url = url, URL(whole, encoded=True)
        return self._url[1]

    def _convert_headers(self, request: httpcore.Request) -> list[tuple[str, str]]:
        """The same as text, checked as httpcore has them checked; the last are kept."""
        fixed = [pair for pair in request.headers if pair[0] not in _LENGTH]
        if self._head is None or self._head[0] != (request.method, request.url.target, fixed):
            target = request.url.target
            h11.Request(method=request.method, target=target, headers=request.headers)
            self._head = (request.method, target, fixed), _as_text(fixed)
        lengths = [pair for pair in request.headers if pair[0] in _LENGTH]
        return [*self._head[1], *_as_text(lengths)]

    async def aclose(self) -> None:
        """Close every idle connection, and those in use when their replies have come."""
        self._closed = True
        await self._close_unused()

    async def _close_unused(self) -> None:
        session = self._session
        if session is not None and not self._under_way:
            self._session = None
            with anyio.CancelScope(shield=True):
                await session.close()


def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=_Connector(
            limit=0,
            keepalive_timeout=_lanes.KEEPALIVE_SECONDS,
            resolver=aiohttp.ThreadedResolver(),
            use_dns_cache=False,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_NOT_ADDED,
        auto_decompress=False,
        max_line_size=_MOST_HEAD,
        max_field_size=_MOST_HEAD,
    )


class _Connector(aiohttp.TCPConnector):
    """Hands out no connection on which something came that nobody asked for, or its end."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: WeakSet[Any] = WeakSet()

    async def connect(self, *arguments: Any, **keywords: Any) -> Connection:
        while True:
            connection = await super().connect(*arguments, **keywords)
            protocol: Any = connection.protocol
            if protocol not in self._used:
                self._used.add(protocol)
                return connection
            if not protocol.should_close and not _is_readable(connection):
                return connection
            connection.close()


def _is_readable(connection: Connection) -> bool:
    """Whether the socket holds what the event loop has not seen yet."""
    transport = connection.transport
    socket = None if transport is None else transport.get_extra_info("socket")
    if socket is None or socket.fileno() < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([socket.fileno()], [], [], 0)[0])
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _as_data(content: bytes) -> bytes | io.BytesIO | None:
    # aiohttp warns of bytes that are written at once.
    return io.BytesIO(content) if len(content) > _MOST_AT_ONCE else content or None


def _until_head(bounds: Mapping[str, float | None]) -> float | None:
    each = [bounds.get(name) for name in ("connect", "write", "read")]
    return None if None in each else sum(filter(None, each))


def _as_text(pairs: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("ascii"), value.decode()) for name, value in pairs]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Raise httpcore's kind of each error."""
    try:
        yield
    except Exception as error:
        for kind, httpcores in _KINDS:
            if isinstance(error, kind):
                raise httpcores(_say(error)) from error
        raise


def _say(error: Any) -> str:
    """What went wrong, without what aiohttp tells of itself."""
    for name in ("certificate_error", "os_error", "message"):
        if getattr(error, name, None):
            return str(getattr(error, name)).partition("\n")[0]
    return str(error)
