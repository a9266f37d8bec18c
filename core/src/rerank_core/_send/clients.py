"""httpx clients: ours, each with one connection, and the caller's."""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx

from rerank_core._send.connections import KEEPALIVE_SECONDS, Connections
from rerank_core._send.effects import Send
from rerank_core._send.loops import close_whole, stack_of_loop
from rerank_core._version import __version__
from rerank_core.errors import ConfigurationError

ACCEPT_ENCODING = "gzip"  # what `bodies` unpacks
HEADERS = {"accept-encoding": ACCEPT_ENCODING, "user-agent": f"rerank-core/{__version__}"}
_LIMITS = httpx.Limits(
    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS
)
# For plain http, where reading all certificates would be in vain: it trusts nobody.
_NO_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_REFUSED = "no HTTP client can be made ({}): look at the proxy variables, HTTPS_PROXY for example"


class _NoCookies(httpx.Cookies):
    """Keeps no cookies, for none are sent; to look for them, httpx parses the URL once more."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Take none."""


@functools.cache
def _lean(kind: Any) -> Any:
    """The class as it is now, for a tool may have replaced httpx's own; without cookies."""
    return type(kind.__name__, (kind,), {"cookies": _NoCookies()}) if type(kind) is type else kind


@contextmanager
def borrowed(effect: Send, url: httpx.URL) -> Iterator[httpx.Client]:
    """A client to send one request with; it is kept, or closed whole where that fails."""
    connections, direct = effect.route.connections, effect.direct
    if connections.http_client is not None and not direct:
        yield _adopt(connections, httpx.Client, httpx.BaseTransport)
        return
    stack, origin = connections.blocking, (url.scheme, url.netloc, direct)
    client = stack.take(origin) or _make(httpx.Client, url, direct=direct)
    try:
        yield client
    # An interrupt is not among these: it may have left a lock of httpcore's held, on which `close`
    # would wait for ever. The socket is closed with the client, when that is collected.
    except Exception:
        client.close()
        raise
    for old in () if client.is_closed else stack.give_back(origin, client):
        old.close()


@asynccontextmanager
async def aborrowed(effect: Send, url: httpx.URL) -> AsyncIterator[httpx.AsyncClient]:
    """`borrowed`, for the running event loop."""
    connections, direct = effect.route.connections, effect.direct
    if connections.http_client is not None and not direct:
        yield _adopt(connections, httpx.AsyncClient, httpx.AsyncBaseTransport)
        return
    stack, origin = await stack_of_loop(connections), (url.scheme, url.netloc, direct)
    client = stack.take(origin) or _make(httpx.AsyncClient, url, direct=direct)
    try:
        yield client
    except BaseException:
        await close_whole(client)
        raise
    if not client.is_closed and (old := stack.give_back(origin, client)):
        await close_whole(*old)


def _make(kind: Any, url: httpx.URL, *, direct: bool) -> Any:
    """A client with one connection, which honours the environment's proxies as httpx does."""
    places = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    verify = _tls_context(*places) if url.scheme == "https" else _NO_CONTEXT
    try:
        return _lean(kind)(verify=verify, limits=_LIMITS, trust_env=not direct, headers=HEADERS)
    except httpx.InvalidURL:
        failed = "InvalidURL"  # raised below, without it: its text may hold a piece of a password
    except (OSError, ValueError, ImportError) as error:
        raise ConfigurationError(_REFUSED.format(type(error).__name__)) from error
    raise ConfigurationError(_REFUSED.format(failed))


@functools.lru_cache(maxsize=4)
def _tls_context(file: str | None, folder: str | None) -> ssl.SSLContext:
    """The one context of all clients, as httpx makes it from SSL_CERT_FILE and SSL_CERT_DIR."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        named = "SSL_CERT_FILE" if file else "SSL_CERT_DIR" if folder else "the certificates"
        message = f"{named} cannot be read ({type(error).__name__}): no connection can be made"
        raise ConfigurationError(message) from error


def _adopt(connections: Connections, kind: Any, transport: Any) -> Any:
    """The caller's own client, or a client around the caller's transport."""
    given = connections.http_client
    if isinstance(given, kind):
        if given.is_closed:
            raise ConfigurationError("http_client is closed: keep it open while it is used")
        return given
    if not isinstance(given, transport):
        message = f"http_client must be an httpx.{kind.__name__} or a transport for one"
        raise ConfigurationError(f"{message}, not {type(given).__name__}")
    if kind not in connections.adopted:
        connections.adopted[kind] = _lean(kind)(transport=given, headers=HEADERS)
    return connections.adopted[kind]
