"""httpx clients: ours, and the caller's."""

from __future__ import annotations

import http.cookiejar
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from rerank_core._http.direct import DEFAULT_HEADERS
from rerank_core._http.pool import (
    KEEPALIVE_SECONDS,
    AsyncConnectionPool,
    ConnectionPool,
    tls_context,
)
from rerank_core._http.reply_streams import keep_only_clean
from rerank_core._http.transports import AsyncPoolTransport, PoolTransport
from rerank_core.errors import ConfigurationError

if TYPE_CHECKING:
    from rerank_core._http.asyncio_pool import AsyncioConnectionPool

_UNBOUNDED = httpx.Limits(
    max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEPALIVE_SECONDS
)
Client = TypeVar("Client", httpx.Client, httpx.AsyncClient)
_REFUSED = "no HTTP client can be made ({}): look at the proxy variables, HTTPS_PROXY for example"


def make_client(pool: ConnectionPool | None) -> httpx.Client:
    """A client over these connections; without any, one that goes through the proxies.

    Raises:
        ConfigurationError: The proxy variables make no sense.
    """
    if pool is not None:
        return httpx.Client(transport=PoolTransport(pool), **_own())
    return _through_proxies(httpx.Client)


def make_async_client(
    pool: AsyncConnectionPool | AsyncioConnectionPool | None,
) -> httpx.AsyncClient:
    """The same for async calls."""
    if pool is not None:
        return httpx.AsyncClient(transport=AsyncPoolTransport(pool), **_own())
    return _through_proxies(httpx.AsyncClient)


def adopt(given: Any) -> tuple[httpx.Client | None, httpx.AsyncClient | None]:
    """The caller's own client; around a transport, a client for each kind that it is.

    Raises:
        ConfigurationError: It is neither.
    """
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
    own: Any = {"transport": given, **_own()}
    return httpx.Client(**own) if blocking else None, httpx.AsyncClient(**own) if other else None


def _own() -> dict[str, Any]:
    """What our own clients have in common: a service's cookies, for one, are not sent back."""
    nowhere = http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
    return {"headers": DEFAULT_HEADERS, "cookies": http.cookiejar.CookieJar(nowhere)}


def _through_proxies(kind: type[Client]) -> Client:
    try:
        client = kind(verify=tls_context(), limits=_UNBOUNDED, **_own())
    except httpx.InvalidURL:
        failed = "InvalidURL"  # raised below, without it: its text may hold a piece of a password
    except (OSError, ValueError, ImportError) as error:
        raise ConfigurationError(_REFUSED.format(type(error).__name__)) from error
    else:
        keep_only_clean(client)
        return client
    raise ConfigurationError(_REFUSED.format(failed))
