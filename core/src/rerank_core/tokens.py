"""Tokens from a token service: stated by a plugin, asked for, kept and replaced by core.

A plugin says how one token is obtained: by one request or several, or from a function or an object
that the caller or a library gives. Its `auth` returns `TokenAuth(exchange)`::

    def exchange() -> Steps:
        reply = yield httpx.Request("POST", url, data=form)
        return read_token(reply)

    def exchange() -> Steps:
        found = yield from fetch(credential.get_token, library="vault")
        return Token(found.token, found.expires_on)

This module imports httpx, so import it where `auth` is defined, not at the top of the plugin.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from math import isfinite
from typing import Any, TypeAlias

import httpx
from attrs import field, frozen

from rerank_core import errors
from rerank_core.records import HTTPResponse
from rerank_core.records._text import find_message, message_in, read_json, shorten
from rerank_core.wire import decode_json

__all__ = [
    "Exchange",
    "Step",
    "Steps",
    "Token",
    "TokenAuth",
    "ask_directly",
    "check_token",
    "fetch",
    "read_token",
]

_EARLY = 60.0  # seconds before its end at which a token is replaced
DIRECT = "rerank_core.direct"
_TRANSIENT = frozenset({408, 425, 429, *range(500, 600)})
_MAX_CHARS = 10_000  # of what a library or a service says; core cuts it where an error leaves

Step: TypeAlias = httpx.Request | Callable[[], Any]
"""What an exchange yields. A request is sent, within the bounds of time and size of the request
that the token is for, and the reply comes back, read. A function is called in a worker thread, and
awaited under async if it is async; what it raises is raised at the `yield`."""


def check_token(value: Any, name: str) -> str:
    """Return the token, if a header can hold it.

    Raises:
        ConfigurationError: No header can hold it. The message shows `name`, never the token.
    """
    text = value if isinstance(value, str) else ""
    if text and text.isascii() and text.isprintable() and text.strip() == text:
        return text
    message = f"{name} must be a string with no space or line break at an end; get it again"
    raise errors.ConfigurationError(message)


@frozen
class Token:
    """A token and its end.

    Attributes:
        value: As it stands behind `Bearer`.
        ends: When it ends, in seconds since 1970; 0 if nobody knows, or if its source keeps it:
            then core asks the source before each request, and never shares the token.

    Raises:
        ConfigurationError: The value cannot stand in a header.
    """

    value: str = field(repr=False, validator=lambda *given: check_token(given[2], "a token"))
    ends: float = 0.0

    def is_due(self) -> bool:
        """Whether it has ended, or will within a minute."""
        return self.ends - _EARLY <= time.time()


Steps: TypeAlias = Generator[Step, Any, Token]
Exchange: TypeAlias = Callable[[], Steps]


class TokenAuth:
    """Sends a token: core asks for it first, again shortly before it ends, and once after a 401.

    One exchange serves all threads and tasks that wait for it, whether it succeeds or fails. What
    it raises goes to the caller, after the attempts that core makes for an error that may pass.

    Args:
        exchange: Makes the steps to one token; called each time that one is needed.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.token: Token | None = None
        # By process: an exchange that was under way at a fork will never end in the child.
        self.pending: dict[int, Any] = {}


def ask_directly(request: httpx.Request) -> httpx.Request:
    """Have a request sent without any proxy, and not by the caller's own client.

    For a metadata server, whose answer is a secret of this machine that no proxy should see.
    """
    request.extensions[DIRECT] = True
    return request


def read_token(reply: httpx.Response, *, given: str = "", end: str = "") -> Token:
    """Read a token service's reply: OAuth's `access_token` and `expires_in`.

    Args:
        reply: The reply to the request for a token.
        given: What the token was requested with, in words, for errors.
        end: The field that says when the token ends, for a reply without `expires_in`.

    Raises:
        AuthenticationError: The service refuses.
        TransportError: It fails in a way that may pass.
        ResponseParseError: There is no token in the reply.
    """
    if reply.is_success and (token := _find_token(reply, end)) is not None:
        return token
    is_object = isinstance(read_json(reply.content), dict)  # unnamed: it may hold a token
    if not reply.is_success or (is_object and message_in(read_json(reply.content))):
        raise _refusal(reply, given)
    message = f"{reply.request.url.host} answered with no token that can be used"
    raise errors.ResponseParseError(message)


# Apart, and not chained: what a traceback shows of it may be a token.
def _find_token(reply: httpx.Response, end: str) -> Token | None:
    with contextlib.suppress(errors.RerankError, LookupError, TypeError, ValueError):
        payload = decode_json(reply.content)
        if end and "expires_in" not in payload:
            ends = float(payload[end])
        else:  # counted from now, so that a wrong clock does no harm
            ends = time.time() + float(payload["expires_in"])
        return Token(payload["access_token"], ends) if isfinite(ends) else None
    return None


def _refusal(reply: httpx.Response, given: str) -> errors.RerankError:
    what = f"no token for {given}" if given else "no token"
    said = find_message(read_json(reply.content), reply.content, _MAX_CHARS)
    message = f"{reply.request.url.host} gave {what}: status {reply.status_code}: {said}"
    record = HTTPResponse(reply.status_code, dict(reply.headers.items()), reply.content)
    # There is no reply yet of the service that the token is for, and there may be one.
    kind = errors.TransportError if reply.status_code in _TRANSIENT else errors.AuthenticationError
    return kind(message.removesuffix(": "), response=record)


def fetch(
    function: Callable[[], Any],
    failed: str = "no token could be obtained:",
    *,
    library: str | None = None,
    may_pass: Callable[[Exception], bool] = lambda _: False,
) -> Generator[Step, Any, Any]:
    """Call a function that the caller or a library gives; what it raises becomes an error of ours.

    Args:
        function: It may block, or be async.
        failed: What an error says before the exception's name.
        library: The top-level module whose exceptions may be quoted; others may hold a secret.
        may_pass: Whether a failure is worth another attempt; an `OSError` is in any case.

    Raises:
        AuthenticationError: The function fails.
        TransportError: It fails in a way that may pass.
    """
    try:
        return (yield function)
    except errors.RerankError:
        raise
    except Exception as error:
        message = f"{failed} {type(error).__name__}"
        if type(error).__module__.partition(".")[0] == library:
            message += f": {shorten(str(error), _MAX_CHARS)}"
        passes = isinstance(error, OSError) or may_pass(error)
        raise (errors.TransportError if passes else errors.AuthenticationError)(message) from error
