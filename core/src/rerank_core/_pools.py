"""HTTP clients: one for blocking calls, one per event loop for async ones."""

from __future__ import annotations

import functools
import http.cookiejar
import threading
import urllib.request
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import anyio
import httpcore
import httpx
from anyio.lowlevel import current_token
from attrs import frozen

from rerank_core._sending import HEADERS, is_plain
from rerank_core.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

    from rerank_core._target import Target

# Below the 5 seconds after which uvicorn, and so many a server, hangs up: no request should meet a
# connection that is just being closed.
_KEEPALIVE_SECONDS = 4.0
_UNBOUNDED = httpx.Limits(
    max_connections=None, max_keepalive_connections=None, keepalive_expiry=_KEEPALIVE_SECONDS
)


@functools.cache
def _tls() -> ssl.SSLContext:
    """One context for all clients: reading the certificates takes longer than a call."""
    return httpx.create_ssl_context()


def _no_cookies() -> http.cookiejar.CookieJar:
    """A jar that keeps nothing: a service's cookies are not sent back."""
    return http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))


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
            ssl_context=_tls() if origin.scheme == b"https" else None,
            keepalive_expiry=_KEEPALIVE_SECONDS,
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


@frozen
class Channel:
    """A client, and the transport beneath it where nothing of the client's is needed.

    Attributes:
        client: Serves every request.
        transport: Serves those that need neither proxies nor a conversation to authenticate, at
            two thirds of the price; `None` where the environment or the caller has a say.
    """

    client: Any
    transport: Any = None

    def shortcut(self, target: Target) -> Any:
        """The transport, where this target's requests need no more than that."""
        return self.transport if is_plain(target) else None


def _open_channel(kind: Any, transport: Callable[[], Any]) -> Channel:
    own: Any = {"headers": HEADERS, "cookies": _no_cookies()}
    if urllib.request.getproxies():  # only httpx's own pools know proxies
        return Channel(kind(verify=_tls(), limits=_UNBOUNDED, **own))
    opened = transport()
    return Channel(kind(transport=opened, **own), opened)


def _open_blocking() -> Channel:
    return _open_channel(
        httpx.Client, lambda: httpx.HTTPTransport(verify=_tls(), limits=_UNBOUNDED)
    )


def _open_async() -> Channel:
    return _open_channel(httpx.AsyncClient, LanesTransport)


def _adopt(given: Any) -> tuple[Channel | None, Channel | None]:
    """The caller's own client; around a transport, a client for each kind that it is."""
    if isinstance(given, httpx.Client):
        return Channel(given), None
    if isinstance(given, httpx.AsyncClient):
        return None, Channel(given)
    blocking = isinstance(given, httpx.BaseTransport)
    other = isinstance(given, httpx.AsyncBaseTransport)
    if not blocking and not other:
        message = (
            "http_client must be an httpx.Client, an httpx.AsyncClient or an httpx transport,"
            f" not {type(given).__name__}"
        )
        raise ConfigurationError(message)
    own: Any = {"transport": given, "headers": HEADERS, "cookies": _no_cookies()}
    return (
        Channel(httpx.Client(**own)) if blocking else None,
        Channel(httpx.AsyncClient(**own)) if other else None,
    )


async def _close_at_end(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    """Close the client when the event loop ends, or when nobody holds this generator any more.

    An event loop closes the async generators that are still open when it ends, asyncio's and
    trio's alike; so no connection outlives its loop.
    """
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()


class Pools:
    """The clients of one `Reranker`, or those that the functions share.

    Args:
        http_client: The caller's own client or transport; used as it is and never closed here.
    """

    def __init__(self, http_client: Any = None) -> None:
        self._given = http_client is not None
        self._blocking, self._given_async = _adopt(http_client) if self._given else (None, None)
        self._of_loop: WeakKeyDictionary[Any, tuple[Channel, AsyncGenerator[None, None]]] = (
            WeakKeyDictionary()
        )
        self._lock = threading.Lock()

    def blocking(self) -> Channel:
        """The client for blocking calls, from any thread.

        Raises:
            ConfigurationError: The caller's own client is an async one.
        """
        if self._blocking is None:
            if self._given:
                message = "http_client is async: rerank() takes an httpx.Client or a transport"
                raise ConfigurationError(message)
            with self._lock:
                self._blocking = self._blocking or _open_blocking()
        return self._blocking

    async def of_loop(self) -> Channel:
        """The client of the running event loop.

        Raises:
            ConfigurationError: The caller's own client is a blocking one.
        """
        if self._given:
            if self._given_async is None:
                message = "http_client blocks: arerank() takes an httpx.AsyncClient or a transport"
                raise ConfigurationError(message)
            return self._given_async
        loop = current_token().native_token
        found = self._of_loop.get(loop)
        if found is None:
            channel = _open_async()
            closer = _close_at_end(channel.client)
            await anext(closer)
            self._of_loop[loop] = found = (channel, closer)
        return found[0]

    def close(self) -> None:
        """Close the blocking client; the caller's own stays open."""
        if self._blocking is not None and not self._given:
            self._blocking.client.close()
            self._blocking = None

    async def aclose(self) -> None:
        """Close the client of the running event loop; the caller's own stays open."""
        found = self._of_loop.pop(current_token().native_token, None)
        if found is not None:
            await found[1].aclose()
