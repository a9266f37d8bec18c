"""httpx clients: ours, each with one connection, and the caller's."""

from __future__ import annotations

import functools
import http.cookiejar
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import httpx

from rerank_core._send.connections import KEEPALIVE_SECONDS, Connections
from rerank_core._send.loops import finish, stack_of_loop
from rerank_core._version import __version__
from rerank_core.errors import ConfigurationError

ACCEPT_ENCODING = "gzip"  # what `bodies` unpacks
_LIMITS = httpx.Limits(
    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS
)
HEADERS = {"accept-encoding": ACCEPT_ENCODING, "user-agent": f"rerank-core/{__version__}"}
_REFUSED = "no HTTP client can be made ({}): look at the proxy variables, HTTPS_PROXY for example"
Client = TypeVar("Client", httpx.Client, httpx.AsyncClient)


@contextmanager
def borrowed(connections: Connections, url: httpx.URL, *, direct: bool) -> Iterator[httpx.Client]:
    """A client to send one request with; it is closed whole where that fails, and kept if open."""
    if direct:
        with _make(httpx.Client, url, trust_env=False) as client:
            yield client
        return
    if connections.http_client is not None:
        given, _ = _adopted(connections)
        if given is None:
            message = "http_client is async: rerank() takes an httpx.Client or a transport"
            raise ConfigurationError(message)
        yield given
        return
    stack, origin = connections.blocking(), _origin(url)
    client = stack.take(origin) or _make(httpx.Client, url)
    try:
        yield client
    except BaseException:
        client.close()
        raise
    for old in () if client.is_closed else stack.give_back(origin, client):
        old.close()


@asynccontextmanager
async def aborrowed(
    connections: Connections, url: httpx.URL, *, direct: bool
) -> AsyncIterator[httpx.AsyncClient]:
    """`borrowed`, for the running event loop."""
    if direct:
        async with _make(httpx.AsyncClient, url, trust_env=False) as client:
            yield client
        return
    if connections.http_client is not None:
        _, given = _adopted(connections)
        if given is None:
            message = "http_client blocks: arerank() takes an httpx.AsyncClient or a transport"
            raise ConfigurationError(message)
        yield given
        return
    stack, origin = await stack_of_loop(connections), _origin(url)
    client = stack.take(origin) or _make(httpx.AsyncClient, url)
    try:
        yield client
    except BaseException:
        await finish(client.aclose)
        raise
    for old in () if client.is_closed else stack.give_back(origin, client):
        await finish(old.aclose)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _make(kind: type[Client], url: httpx.URL, *, trust_env: bool = True) -> Client:
    """A client with one connection, which honours the environment's proxies as httpx does.

    A service's cookies are not sent back.
    """
    nowhere = http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
    try:
        return kind(
            verify=tls_context() if url.scheme == "https" else _no_context(),
            limits=_LIMITS,
            headers=HEADERS,
            cookies=http.cookiejar.CookieJar(nowhere),
            trust_env=trust_env,
        )
    except httpx.InvalidURL:
        failed = "InvalidURL"  # raised below, without it: its text may hold a piece of a password
    except (OSError, ValueError, ImportError) as error:
        raise ConfigurationError(_REFUSED.format(type(error).__name__)) from error
    raise ConfigurationError(_REFUSED.format(failed))


def tls_context() -> ssl.SSLContext:
    """The one context of all clients, as httpx makes it from SSL_CERT_FILE and SSL_CERT_DIR."""
    return _context_of(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.lru_cache(maxsize=4)
def _context_of(file: str | None, folder: str | None) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        named = "SSL_CERT_FILE" if file else "SSL_CERT_DIR" if folder else "the certificates"
        message = f"{named} cannot be read ({type(error).__name__}): no connection can be made"
        raise ConfigurationError(message) from error


@functools.cache
def _no_context() -> ssl.SSLContext:
    """For plain http, where reading all certificates would be in vain: it trusts nobody."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _adopted(connections: Connections) -> tuple[httpx.Client | None, httpx.AsyncClient | None]:
    """The caller's own client; around a transport, a client for each kind that it is."""
    if connections.adopted is None:
        connections.adopted = _adopt(connections.http_client)
    found: tuple[httpx.Client | None, httpx.AsyncClient | None] = connections.adopted
    return found


def _adopt(given: Any) -> tuple[httpx.Client | None, httpx.AsyncClient | None]:
    if isinstance(given, httpx.Client):
        return given, None
    if isinstance(given, httpx.AsyncClient):
        return None, given
    blocking = isinstance(given, httpx.BaseTransport)
    other = isinstance(given, httpx.AsyncBaseTransport)
    if not blocking and not other:
        message = (
            "http_client must be an httpx.Client, an httpx.AsyncClient or an httpx transport,"
            f" not {type(given).__name__}"
        )
        raise ConfigurationError(message)
    nowhere = http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
    own: Any = {
        "transport": given,
        "headers": HEADERS,
        "cookies": http.cookiejar.CookieJar(nowhere),
    }
    return httpx.Client(**own) if blocking else None, httpx.AsyncClient(**own) if other else None
