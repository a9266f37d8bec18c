"""One request through `httpx.Client.send` or `httpx.AsyncClient.send`, and its reply, bounded."""

from __future__ import annotations

import contextlib
import functools
import time
import traceback
from typing import Any

import anyio
import anyio.lowlevel
import httpx

from rerank_core._send.bodies import ReplyBody, RequestBody
from rerank_core._send.clients import ACCEPT_ENCODING, HEADERS, aborrowed, borrowed
from rerank_core._send.effects import DEADLINE_PASSED, Send
from rerank_core.errors import ConfigurationError, RequestTimeoutError, RerankError, TransportError
from rerank_core.records import HTTPResponse
from rerank_core.records._text import without_userinfo

_MAX_CHUNKS = 1000  # that are read before other tasks have their turn: they may have come at once
# In the place of a reply's stream, with which it is in a cycle: so bodies are freed at once.
_NOTHING = httpx.ByteStream(b"")
_SENDING = ".send_request_headers.started"
# Public names of httpx's, and where replies are read: what comes through none is no transport's.
_OF_A_TRANSPORT = {"handle_request", "handle_async_request", "iter_raw", "aiter_raw"}
_OF_A_TRANSPORT |= {"_read_reply", "_aread_reply", "_already_read_reply"}


def send(effect: Send) -> HTTPResponse:
    """Send a request and read its reply."""
    try:
        with borrowed(effect, _parse(effect.url)) as client:
            request, auth = _build(client, effect)
            if effect.deadline is not None:
                request.extensions["trace"] = functools.partial(_refuse_if_over, effect)
            reply = client.send(request, auth=auth, follow_redirects=False, stream=True)
            try:
                record = _already_read_reply(reply) or _read_reply(reply, effect)
            finally:
                reply.close()
                reply.stream = _NOTHING
            if _may_lack_its_end(record, effect):
                client.close()
            return record
    except Exception as error:  # noqa: BLE001 - sorted out there, and raised again
        return settle(error, effect)


async def asend(effect: Send) -> HTTPResponse:
    """`send`, awaited."""
    try:
        async with aborrowed(effect, _parse(effect.url)) as client:
            request, auth = _build(client, effect)
            reply = await client.send(request, auth=auth, follow_redirects=False, stream=True)
            try:
                record = _already_read_reply(reply) or await _aread_reply(reply, effect)
            finally:
                await reply.aclose()
                reply.stream = _NOTHING
            if _may_lack_its_end(record, effect):
                await client.aclose()
            return record
    except Exception as error:  # noqa: BLE001 - as above
        return settle(error, effect)


def _refuse_if_over(effect: Send, event: str, _: Any) -> None:
    """Refuse between connecting and sending: a look-up of a name heeds no timeout."""
    if event.endswith(_SENDING) and effect.is_over:
        raise RequestTimeoutError(DEADLINE_PASSED)


@functools.lru_cache(maxsize=256)
def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        parsed.host  # noqa: B018 - decoded when it is asked for
    except UnicodeError:
        raise httpx.InvalidURL("its host is no name") from None
    return parsed


def _build(
    client: httpx.Client | httpx.AsyncClient, effect: Send
) -> tuple[httpx.Request, httpx.Auth | None]:
    """The request, which has its body at hand for mocks and hooks, and what authorizes it."""
    url, auth = _parse(effect.url), client.auth or effect.auth  # the caller's client has its own
    if url.userinfo:  # httpx logs the URL
        if auth is None and "authorization" not in effect.headers:
            auth = httpx.BasicAuth(url.username, url.password)
        url = url.copy_with(username=None, password=None)
    bounds, body = {**effect.timeout}, RequestBody(effect.content)  # hooks may change the bounds
    if effect.deadline is not None:
        left = max(effect.deadline - time.monotonic(), 0.001)
        bounds = {step: min(most or left, left) for step, most in bounds.items()}
    if client is effect.route.connections.http_client:  # has headers and cookies of its own
        headers = {"accept": "*/*", "accept-encoding": ACCEPT_ENCODING, **effect.headers}
        request = client.build_request(effect.method, url, content=effect.content, headers=headers)
        request.stream = body
    else:
        head = _head(url.netloc, (*effect.headers.items(),))
        if effect.content or effect.method.upper() in {"POST", "PUT", "PATCH"}:  # as httpx does
            head += ((b"content-length", b"%d" % len(effect.content)),)
        request = httpx.Request(effect.method, url, headers=head, stream=body)
        request.read()
    request.extensions["timeout"] = bounds
    effect.sent = request.headers  # as it will be, authentication included
    return request, auth


@functools.lru_cache(maxsize=256)
def _head(host: bytes, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """The headers but authentication, made once for all requests that have them."""
    usual = {"host": host.decode(), "accept": "*/*", **HEADERS}
    return tuple(httpx.Headers({**usual, **dict(headers)}).raw)


def _read_reply(reply: httpx.Response, effect: Send) -> HTTPResponse:
    stream, body = _begin(reply, effect)
    for chunk in stream:
        if effect.is_over or not body.add(chunk):
            break
    return to_record(reply, body.whole())


async def _aread_reply(reply: httpx.Response, effect: Send) -> HTTPResponse:
    stream, body = _begin(reply, effect)
    chunks, taken = aiter(stream), 0
    async for chunk in chunks:
        if not body.add(chunk):
            if effect.route.connections.http_client is None:  # httpx's generators end, read on
                with anyio.move_on_after(0), contextlib.suppress(Exception):
                    for _ in range(_MAX_CHUNKS):
                        await anext(chunks)
            break
        taken += 1
        if not taken % _MAX_CHUNKS:
            await anyio.lowlevel.checkpoint()
    return to_record(reply, body.whole())


def _begin(reply: httpx.Response, effect: Send) -> tuple[Any, ReplyBody]:
    """What arrives, without the further iterator of `iter_raw`, and its place."""
    most = effect.route.target.options.max_response_bytes
    body = ReplyBody(reply.status_code, reply.headers.get("content-encoding", ""), most)
    return reply.stream, body


def _already_read_reply(reply: httpx.Response) -> HTTPResponse | None:
    """The reply that an event hook, a mock or the authentication has read."""
    return to_record(reply, reply.content) if reply.is_stream_consumed or reply.is_closed else None


def _may_lack_its_end(record: HTTPResponse, effect: Send) -> bool:
    """Whether a good reply is no whole JSON: what its length left out is no next reply."""
    ours = effect.route.connections.http_client is None
    whole = record.content[-16:].rstrip().endswith((b"}", b"]"))
    return ours and not whole and 200 <= record.status_code < 300  # noqa: PLR2004 - the good ones


def to_record(reply: httpx.Response, content: bytes) -> HTTPResponse:
    """The reply with this body."""
    return HTTPResponse(reply.status_code, dict(reply.headers.items()), content)


def settle(error: Exception, effect: Send) -> HTTPResponse:
    """The reply for which an event hook raised; raises our error for anything else."""
    if isinstance(error, httpx.HTTPStatusError):
        with contextlib.suppress(httpx.ResponseNotRead):
            return to_record(error.response, error.response.content)
        return to_record(error.response, b"")
    where, name = f"{effect.method} {without_userinfo(effect.url)[:200]}", type(error).__name__
    if isinstance(error, RerankError):
        raise error
    if isinstance(error, httpx.LocalProtocolError):
        # Its text may hold a header's value, so that it is not even chained.
        message = f"{where}: a header or the URL has something that HTTP does not allow"
        raise ConfigurationError(message) from None
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        message = f"{where} is not a URL that can be sent to: correct api_base"
        raise ConfigurationError(message) from error
    if isinstance(error, httpx.TimeoutException):
        message = f"{where}: no reply in time ({name}); raise timeout= if the service is slow"
        raise RequestTimeoutError(message) from error
    if not isinstance(error, httpx.HTTPError):
        given, target = effect.route.connections.http_client, effect.route.target
        passed = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
        own = (getattr(given, "auth", None), *getattr(given, "event_hooks", {}).values())
        if passed.isdisjoint(_OF_A_TRANSPORT) and any(own):
            raise error  # the caller's own hook or authentication raised it
        if given is None and callable(target.provider.auth):
            raise target.hooks.source.error(f"authentication raised {name}: {error}") from error
    raise TransportError(f"{where}: {name}: {_said(error)}".removesuffix(": ")) from error


def _said(error: BaseException | None) -> str:
    """An error's words, or else those of what led to it: under trio, httpx has none of its own."""
    while error is not None and not str(error):
        error = error.__cause__ or error.__context__
    return "" if error is None else str(error)
