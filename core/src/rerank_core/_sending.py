"""What both drivers do around one HTTP attempt: httpx in, records out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
from attrs import asdict

from rerank_core._effects import JSON_HEADERS
from rerank_core._messages import without_userinfo
from rerank_core._models import HTTPResponse
from rerank_core._version import __version__
from rerank_core.auth import HeaderAuth, make_auth
from rerank_core.errors import ConfigurationError, RequestTimeoutError, RerankError, TransportError

if TYPE_CHECKING:
    from rerank_core._effects import Send
    from rerank_core._target import Target

Client = httpx.Client | httpx.AsyncClient
HEADERS = {"user-agent": f"rerank-core/{__version__}"}


def build_request(client: Client, effect: Send) -> httpx.Request:
    """The attempt as httpx takes it: the body is bytes, so that it has a Content-Length.

    Raises:
        httpx.InvalidURL: The plugin or the caller's base URL made no URL.
    """
    return client.build_request(
        effect.request.method,
        effect.request.url,
        content=effect.content or None,
        headers=dict(effect.headers),
        extensions={"timeout": _bounds(effect)},
    )


def build_plain_request(client: Client, effect: Send) -> httpx.Request:
    """The same for a transport: whole by itself, with what is alike in all calls made once.

    Raises:
        httpx.InvalidURL: As above.
    """
    made, url = effect.target.made, effect.request.url
    # Threads share what is made: it is kept only when it is whole, and read once.
    usual = effect.headers == JSON_HEADERS
    headers = made.get("headers") if usual else None
    if headers is None:
        headers = httpx.Headers(client.headers)
        headers.update({**effect.headers, **_key_header(effect.target)})
        if usual:
            made["headers"] = headers
    parsed = made.get("url")
    if parsed is None or parsed[0] != url:
        made["url"] = parsed = (url, httpx.URL(url))
    return httpx.Request(
        effect.request.method,
        parsed[1],
        headers=headers,
        content=effect.content or None,
        extensions={"timeout": _bounds(effect)},
    )


def _key_header(target: Target) -> dict[str, str]:
    auth = _auth_of(target)
    return {auth.header: auth.value} if isinstance(auth, HeaderAuth) else {}


def is_plain(target: Target) -> bool:
    """Whether a header, or none, is all the authentication there is."""
    made = target.made
    if "plain" not in made:
        alone = target.options.authorizes or isinstance(_auth_of(target), HeaderAuth | None)
        made["plain"] = alone and "@" not in (target.provider.base_url or "")
    return bool(made["plain"])


def _bounds(effect: Send) -> dict[str, float | None]:
    """The attempt's bounds as httpx hands them to its transports."""
    bounds = effect.timeout
    if effect.deadline is None:
        return {
            "connect": bounds.connect,
            "read": bounds.read,
            "write": bounds.write,
            "pool": bounds.pool,
        }
    remaining = max(effect.deadline - time.monotonic(), 0.001)
    return {
        name: remaining if bound is None else min(bound, remaining)
        for name, bound in asdict(bounds).items()
    }


def choose_auth(client: Client, target: Target) -> Any:
    """The provider's authentication, unless the caller's client or headers take care of it."""
    if client.auth is not None or target.options.authorizes:
        return httpx.USE_CLIENT_DEFAULT
    # Without any, what stands in the URL before an @ is httpx's business.
    return _auth_of(target) or httpx.USE_CLIENT_DEFAULT


def _auth_of(target: Target) -> httpx.Auth | None:
    """The target's authentication, made once: it may keep a token."""
    if target.options.authorizes:
        return None
    if "auth" not in target.made:
        target.made["auth"] = make_auth(target)
    auth: httpx.Auth | None = target.made["auth"]
    return auth


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
