"""What both drivers do around one HTTP attempt by an httpx client, and with what goes wrong."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from rerank_core._auth import RecordingAuth, make_auth
from rerank_core._http.bodies import ReplyBody, read_headers
from rerank_core._http.direct import timeouts_of
from rerank_core._http.event_loops import Turns, finish
from rerank_core._http.reply_streams import bound_reply, close_abandoned
from rerank_core._http.transports import MAX_BYTES
from rerank_core._models import HTTPResponse

if TYPE_CHECKING:
    from rerank_core._effects import Send

Client = httpx.Client | httpx.AsyncClient


def send_by_client(client: httpx.Client, effect: Send) -> HTTPResponse:
    """Send by a client, with the provider's authentication.

    Raises:
        httpx.HTTPError: No reply.
        httpx.InvalidURL: The plugin or the caller's base URL made no URL.
        ResponseParseError: The reply is larger than allowed.
    """
    try:
        reply = client.send(_build_request(client, effect), **_policy(client, effect))
    except httpx.HTTPStatusError as error:
        return _of_hook(error)
    try:
        if (record := _read_already(reply)) is not None:
            return record
        max_bytes = effect.target.options.max_response_bytes
        bound_reply(reply, max_bytes)
        # Bounded again: httpx may have something to unpack.
        body = ReplyBody(reply.status_code, max_bytes=max_bytes)
        try:
            for chunk in reply.iter_bytes():
                if not body.add(chunk):
                    break
        except httpx.DecodingError as error:
            body.lose(str(error))
        return to_record(reply, body.whole())
    finally:
        reply.close()


async def asend_by_client(client: httpx.AsyncClient, effect: Send) -> HTTPResponse:
    """`send_by_client`, awaited."""
    try:
        reply = await client.send(_build_request(client, effect), **_policy(client, effect))
    except httpx.HTTPStatusError as error:
        return _of_hook(error)
    except BaseException:
        if effect.target.connections.http_client is None:
            await finish(partial(close_abandoned, client))
        raise
    try:
        if (record := _read_already(reply)) is not None:
            return record
        max_bytes = effect.target.options.max_response_bytes
        bound_reply(reply, max_bytes)
        # Bounded again: httpx may have something to unpack.
        body = ReplyBody(reply.status_code, max_bytes=max_bytes)
        try:
            turns = Turns()
            async for chunk in reply.aiter_bytes():
                if not body.add(chunk):
                    break
                await turns.count()
        except httpx.DecodingError as error:
            body.lose(str(error))
        return to_record(reply, body.whole())
    finally:
        await reply.aclose()


def _build_request(client: Client, effect: Send) -> httpx.Request:
    """The attempt as httpx takes it: the body is bytes, so that it has a Content-Length."""
    max_bytes, url = effect.target.options.max_response_bytes, _parse(effect.request.url)
    # httpx logs the URL, and would put into a header what stands before an @.
    return client.build_request(
        effect.request.method,
        url.copy_with(username=None, password=None) if url.userinfo else url,
        content=effect.content or None,
        headers=dict(effect.headers),
        extensions={"timeout": timeouts_of(effect), MAX_BYTES: max_bytes},
    )


def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        parsed.host  # noqa: B018 - decoded when it is asked for
    except UnicodeError:
        message = "its host is no name"
        raise httpx.InvalidURL(message) from None
    return parsed


def _policy(client: Client, effect: Send) -> dict[str, Any]:
    return {"auth": _choose_auth(client, effect), "follow_redirects": False, "stream": True}


def _choose_auth(client: Client, effect: Send) -> httpx.Auth | None:
    """The provider's authentication, unless the caller's client or headers take care of it."""
    made = effect.target.made
    if client.auth is not None:
        # Threads share what is made: it is kept only when it is whole, and read once.
        noted = made.auth
        if not isinstance(noted, RecordingAuth) or noted.auth is not client.auth:
            made.auth = noted = RecordingAuth(client.auth)
            made.auth_is_made = True
        return noted
    if effect.target.options.authorizes:
        return None
    if not made.auth_is_made:  # made once: it may keep a token
        made.auth = make_auth(effect.target)
        made.auth_is_made = True
    auth = made.auth
    if auth is None and "@" in effect.request.url:
        url = _parse(effect.request.url)
        return httpx.BasicAuth(url.username, url.password) if url.userinfo else None
    return auth


def _read_already(reply: httpx.Response) -> HTTPResponse | None:
    """The reply that an event hook or the authentication has read."""
    try:
        return to_record(reply, reply.content)
    except httpx.ResponseNotRead:
        return None


def _of_hook(error: httpx.HTTPStatusError) -> HTTPResponse:
    """The reply for which an event hook called `raise_for_status`, maybe before it was read."""
    return _read_already(error.response) or to_record(error.response, b"")


def to_record(reply: httpx.Response, content: bytes) -> HTTPResponse:
    """The reply with this body."""
    return HTTPResponse(reply.status_code, read_headers(reply.headers.raw), content)
