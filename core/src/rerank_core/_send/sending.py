"""One request through `httpx.Client.send` or `httpx.AsyncClient.send`, and its reply, bounded."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import anyio.lowlevel
import httpx

from rerank_core._send.bodies import ReplyBody, RequestBody
from rerank_core._send.clients import ACCEPT_ENCODING, HEADERS, aborrowed, borrowed
from rerank_core._send.effects import Send
from rerank_core.errors import (
    ConfigurationError,
    RequestTimeoutError,
    RerankError,
    ResponseParseError,
    TransportError,
)
from rerank_core.records._text import without_userinfo
from rerank_core.records.exchange import HTTPResponse

_MAX_CHUNKS = 1000  # that are read before other tasks have their turn: they may have come at once
_MAX_LEFT = 3  # chunks of what had arrived before a reply was closed
# In the place of a reply's stream, with which it is in a cycle: so bodies are freed at once.
_NOTHING = httpx.ByteStream(b"")
_SENDING = "http11.send_request_headers.started"


def send(effect: Send) -> HTTPResponse:
    """Send a request and read its reply."""
    try:
        url = _parse(effect.url)
        with borrowed(effect, url) as client:
            request = _build(client, effect, url)
            if effect.deadline is not None:
                request.extensions["trace"] = functools.partial(_refuse_if_over, effect)
            auth = _auth_of(client, effect)
            reply = client.send(request, auth=auth, follow_redirects=False, stream=True)
            record = _read(reply, effect)
            if _may_lack_its_end(record, effect):
                client.close()
            return record
    except httpx.HTTPStatusError as error:  # of an event hook that raises for a bad status
        return _of_hook(error.response)
    except Exception as error:  # noqa: BLE001 - sorted out there, and raised again
        raise_ours(error, effect)


async def asend(effect: Send) -> HTTPResponse:
    """`send`, awaited."""
    try:
        url = _parse(effect.url)
        async with aborrowed(effect, url) as client:
            request = _build(client, effect, url)
            auth = _auth_of(client, effect)
            reply = await client.send(request, auth=auth, follow_redirects=False, stream=True)
            record = await _aread(reply, effect)
            if _may_lack_its_end(record, effect):
                await client.aclose()
            return record
    except httpx.HTTPStatusError as error:
        return _of_hook(error.response)
    except Exception as error:  # noqa: BLE001 - as above
        raise_ours(error, effect)


def _refuse_if_over(effect: Send, event: str, _: Any) -> None:
    """Refuse between connecting and sending: a look-up of a name heeds no timeout."""
    if event == _SENDING and effect.is_over:
        message = "the deadline has passed"
        raise RequestTimeoutError(message)


@functools.lru_cache(maxsize=256)
def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        parsed.host  # noqa: B018 - decoded when it is asked for
    except UnicodeError:
        message = "its host is no name"
        raise httpx.InvalidURL(message) from None
    return parsed


def _build(client: httpx.Client | httpx.AsyncClient, effect: Send, url: httpx.URL) -> httpx.Request:
    """The request, which has its body at hand for mocks and hooks."""
    if url.userinfo:  # httpx logs the URL, and would put this into a header
        url = url.copy_with(username=None, password=None)
    given = client is effect.route.connections.http_client  # has headers and cookies of its own
    make: Any = client.build_request if given else httpx.Request
    request: httpx.Request = make(
        effect.method,
        url,
        content=effect.content or None,
        headers=_head((*effect.headers.items(),), own=not given),
        extensions={"timeout": _timeouts(effect)},
    )
    if effect.content:
        request.stream = RequestBody(effect.content)
    effect.sent = request.headers  # as it will be, authentication included
    return request


@functools.lru_cache(maxsize=256)
def _head(headers: tuple[tuple[str, str], ...], *, own: bool) -> httpx.Headers:
    """The headers but authentication, made once for all requests that have them."""
    usual = HEADERS if own else {"accept-encoding": ACCEPT_ENCODING}
    return httpx.Headers({"accept": "*/*", **usual, **dict(headers)})


def _timeouts(effect: Send) -> dict[str, float | None]:
    """The attempt's bounds as httpx takes them."""
    if effect.deadline is None:
        return {**effect.timeout}  # a copy, which hooks of the client may change
    left = max(effect.deadline - time.monotonic(), 0.001)
    return {
        name: left if bound is None else min(bound, left) for name, bound in effect.timeout.items()
    }


def _auth_of(client: httpx.Client | httpx.AsyncClient, effect: Send) -> httpx.Auth | None:
    """The provider's authentication, unless the caller's client brings its own."""
    url: httpx.URL = _parse(effect.url)
    auth: httpx.Auth | None = client.auth or effect.auth
    if auth is None and url.userinfo and "authorization" not in effect.headers:
        auth = httpx.BasicAuth(url.username, url.password)
    return auth


def _read(reply: httpx.Response, effect: Send) -> HTTPResponse:
    try:
        if (record := _read_already(reply)) is not None:
            return record
        body = _begin(reply, effect)
        for chunk in reply.iter_raw():
            if not body.add(chunk):
                break
        return to_record(reply, body.whole())
    finally:
        reply.close()
        reply.stream = _NOTHING


async def _aread(reply: httpx.Response, effect: Send) -> HTTPResponse:
    chunks, taken = reply.aiter_raw(), 0
    try:
        if (record := _read_already(reply)) is not None:
            return record
        body = _begin(reply, effect)
        async for chunk in chunks:
            if not body.add(chunk):
                await _end(reply, chunks, effect)
                break
            taken += 1
            if not taken % _MAX_CHUNKS:
                await anyio.lowlevel.checkpoint()
        return to_record(reply, body.whole())
    except ResponseParseError:
        await _end(reply, chunks, effect)
        raise
    finally:
        await reply.aclose()
        reply.stream = _NOTHING


async def _end(reply: httpx.Response, chunks: AsyncIterator[bytes], effect: Send) -> None:
    """Close a reply that is not read to its end, and have httpx's generators see it: trio warns."""
    await reply.aclose()
    if effect.route.connections.http_client is not None:
        return  # a stream of the caller's may go on although it is closed
    with contextlib.suppress(Exception):  # what it says of reading on, or that it was at its end
        for _ in range(_MAX_LEFT):
            await anext(chunks)


def _may_lack_its_end(record: HTTPResponse, effect: Send) -> bool:
    """Whether a good reply is no whole JSON: what its length left out is no next reply."""
    ours = effect.route.connections.http_client is None
    whole = record.content[-16:].rstrip().endswith((b"}", b"]"))
    return ours and not whole and 200 <= record.status_code < 300  # noqa: PLR2004 - the good ones


def _begin(reply: httpx.Response, effect: Send) -> ReplyBody:
    most = effect.route.target.options.max_response_bytes
    return ReplyBody(reply.status_code, reply.headers.get("content-encoding", ""), most)


def _read_already(reply: httpx.Response) -> HTTPResponse | None:
    try:  # an event hook, a mock or the authentication may have read it
        return to_record(reply, reply.content)
    except httpx.ResponseNotRead:
        return None


def _of_hook(reply: httpx.Response) -> HTTPResponse:
    return _read_already(reply) or to_record(reply, b"")  # a hook raised, maybe before it was read


def to_record(reply: httpx.Response, content: bytes) -> HTTPResponse:
    """The reply with this body."""
    return HTTPResponse(reply.status_code, dict(reply.headers.items()), content)


def raise_ours(error: Exception, effect: Send) -> NoReturn:
    """Raise our error for what went wrong."""
    where = f"{effect.method} {without_userinfo(effect.url)[:200]}"
    name = type(error).__name__
    if isinstance(error, RerankError):
        raise error
    if isinstance(error, httpx.LocalProtocolError):
        # Its text may hold a header's value, so that it is not even chained.
        message = f"{where}: a header or the URL holds what HTTP does not allow"
        raise ConfigurationError(message) from None
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        message = f"{where} is not a URL that can be sent to: correct api_base"
        raise ConfigurationError(message) from error
    if isinstance(error, httpx.TimeoutException):
        message = f"{where}: no reply in time ({name}); raise timeout= if the service is slow"
        raise RequestTimeoutError(message) from error
    if not isinstance(error, httpx.HTTPError):
        given, target = effect.route.connections.http_client, effect.route.target
        if any(getattr(given, "event_hooks", {}).values()):
            raise error  # the caller's own hook raised it
        if given is None and callable(target.provider.auth):
            message = f"authentication raised {name}: {error}"
            raise target.hooks.source.error(message) from error
    raise TransportError(f"{where}: {name}: {_said(error)}".removesuffix(": ")) from error


def _said(error: BaseException) -> str:
    """An error's words, or else those of what led to it: under trio, httpx has none of its own."""
    seen: BaseException | None = error
    while seen is not None and not str(seen):
        seen = seen.__cause__ or seen.__context__
    return "" if seen is None else str(seen)
