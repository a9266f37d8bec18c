"""HTTP clients: one for blocking calls, one per event loop for async ones."""

from __future__ import annotations

import contextlib
import http.cookiejar
import threading
import urllib.request
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import anyio
import httpx
from anyio.lowlevel import current_token
from attrs import frozen

from rerank_core._lanes import KEEPALIVE_SECONDS, LanesTransport, tls_context
from rerank_core._sending import HEADERS, is_plain
from rerank_core.errors import ConfigurationError

if TYPE_CHECKING:
    from rerank_core._target import Target

_UNBOUNDED = httpx.Limits(
    max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEPALIVE_SECONDS
)


def _no_cookies() -> http.cookiejar.CookieJar:
    """A jar that keeps nothing: a service's cookies are not sent back."""
    return http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))


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
    try:
        # Only httpx's own pools know proxies. `no` alone names none.
        if urllib.request.getproxies().keys() & {"http", "https", "all"}:
            return Channel(kind(verify=tls_context(), limits=_UNBOUNDED, **own))
        opened = transport()
    except (OSError, ValueError, ImportError) as error:
        message = (
            f"no HTTP client can be made ({type(error).__name__}): look at SSL_CERT_FILE,"
            " SSL_CERT_DIR and the proxy variables, HTTPS_PROXY for example"
        )
        raise ConfigurationError(message) from error
    return Channel(kind(transport=opened, **own), opened)


def _open_blocking() -> Channel:
    return _open_channel(
        httpx.Client, lambda: httpx.HTTPTransport(verify=tls_context(), limits=_UNBOUNDED)
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


Opened = WeakKeyDictionary[Any, tuple[Channel, AsyncGenerator[None, None]]]
"""For an event loop, the channel that was opened in it, and what closes that."""


async def _close_at_end(
    client: httpx.AsyncClient, opened: ref[Opened]
) -> AsyncGenerator[None, None]:
    """Close the client when the event loop ends, or when nobody holds this generator any more.

    An event loop closes the async generators that are still open when it ends, asyncio's and
    trio's alike; so no connection outlives its loop, and no loop is kept by its connections.
    """
    loop = current_token().native_token
    try:
        yield
    finally:
        if (kept := opened()) is not None:
            kept.pop(loop, None)
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
        self._of_loop: Opened = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._under_way = 0
        self._retired: list[Channel] = []

    def borrow(self) -> Channel:
        """The client for one blocking attempt, from any thread; to be given back.

        Raises:
            ConfigurationError: The caller's own client is an async one.
        """
        with self._lock:
            if self._blocking is None:
                if self._given:
                    message = "http_client is async: rerank() takes an httpx.Client or a transport"
                    raise ConfigurationError(message)
                self._blocking = _open_blocking()
            self._under_way += 1
            return self._blocking

    def give_back(self) -> None:
        """End an attempt; the last one closes what was to be closed meanwhile."""
        with self._lock:
            self._under_way -= 1
        self._close_retired()

    def _close_retired(self) -> None:
        with self._lock:
            retired = [] if self._under_way else self._retired[:]
            del self._retired[: len(retired)]
        for channel in retired:
            channel.client.close()

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
            closer = _close_at_end(channel.client, ref(self._of_loop))
            await anext(closer)
            self._of_loop[loop] = found = (channel, closer)
        return found[0]

    def close(self) -> None:
        """Close the blocking client; the caller's own stays open."""
        with self._lock:
            if self._blocking is not None and not self._given:
                self._retired.append(self._blocking)  # an attempt may still be under way
                self._blocking = None
        self._close_retired()

    async def aclose(self) -> None:
        """Close the client of the running event loop; the caller's own stays open."""
        found = self._of_loop.pop(current_token().native_token, None)
        if found is not None:
            await found[1].aclose()

    def abandon(self) -> None:
        """Close everything from wherever the last holder let go; async clients in their loops."""
        self.close()
        for loop, (_, closer) in list(self._of_loop.items()):
            # asyncio closes a generator that nobody holds any more; trio only complains of it.
            if hasattr(loop, "run_sync_soon"):
                import trio  # noqa: PLC0415 - here only where it runs

                with contextlib.suppress(trio.RunFinishedError):
                    loop.run_sync_soon(trio.lowlevel.spawn_system_task, closer.aclose)
