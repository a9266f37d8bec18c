"""What both drivers do around one HTTP attempt: httpx in, records out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
from attrs import astuple

from rerank_core._messages import without_userinfo
from rerank_core._models import HTTPResponse
from rerank_core.auth import make_auth
from rerank_core.errors import ConfigurationError, RequestTimeoutError, RerankError, TransportError

if TYPE_CHECKING:
    from rerank_core._effects import Send
    from rerank_core._target import Target

Client = httpx.Client | httpx.AsyncClient


def build_request(client: Client, effect: Send) -> httpx.Request:
    """The attempt as httpx takes it: the body is bytes, so that it has a Content-Length.

    Raises:
        httpx.InvalidURL: The plugin or the caller's base URL made no URL.
    """
    bounds = astuple(effect.timeout)
    if effect.deadline is not None:
        remaining = max(effect.deadline - time.monotonic(), 0.001)
        bounds = tuple(remaining if bound is None else min(bound, remaining) for bound in bounds)
    connect, read, write, pool = bounds
    return client.build_request(
        effect.request.method,
        effect.request.url,
        content=effect.content or None,
        headers=dict(effect.headers),
        timeout=httpx.Timeout(connect=connect, read=read, write=write, pool=pool),
    )


def choose_auth(client: Client, target: Target) -> Any:
    """The provider's authentication, unless the caller's client or headers take care of it."""
    if client.auth is not None or target.options.authorizes:
        return httpx.USE_CLIENT_DEFAULT
    if "auth" not in target.made:
        target.made["auth"] = make_auth(target)
    # Without any, what stands in the URL before an @ is httpx's business.
    return target.made["auth"] or httpx.USE_CLIENT_DEFAULT


def read_reply(reply: httpx.Response) -> HTTPResponse:
    """The reply as a record."""
    return HTTPResponse(reply.status_code, dict(reply.headers.items()), reply.content)


def _read_unread(reply: httpx.Response) -> HTTPResponse:
    """A reply whose body an event hook may have left unread."""
    try:
        return read_reply(reply)
    except httpx.ResponseNotRead:
        return HTTPResponse(reply.status_code, dict(reply.headers.items()))


def translate_error(error: Exception, client: Client, effect: Send) -> HTTPResponse:
    """Raise our error for what went wrong; where that is a reply after all, return it.

    Raises:
        TransportError: There was no reply.
        RequestTimeoutError: There was none in time.
        ConfigurationError: The request cannot be sent at all.
        PluginError: The plugin's own authentication failed.
    """
    if isinstance(error, httpx.HTTPStatusError):  # of an event hook that calls raise_for_status
        return _read_unread(error.response)
    if not isinstance(error, (httpx.HTTPError, httpx.InvalidURL)):
        own_hooks = any(client.event_hooks.values())
        if isinstance(error, RerankError) or own_hooks or not callable(effect.target.provider.auth):
            raise error
        message = f"authentication raised {type(error).__name__}: {error}"
        raise effect.target.hooks.source.error(message) from error
    where = f"{effect.request.method} {without_userinfo(effect.request.url)}"
    name = type(error).__name__
    if isinstance(error, httpx.LocalProtocolError):
        # Its text may hold a header's value, so that it is not even chained.
        message = f"{where}: a header or the URL holds what HTTP does not allow"
        raise ConfigurationError(message) from None
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        message = f"{where} is not a URL that can be sent to: mend api_base"
        raise ConfigurationError(message) from error
    if isinstance(error, httpx.TimeoutException):
        message = f"{where}: no reply in time ({name}); raise timeout= if the service is slow"
        raise RequestTimeoutError(message) from error
    detail = f"{name}: {error}" if str(error) else name
    raise TransportError(f"{where}: {detail}") from error
