"""Tokens, and the replies of the services that give them."""

from __future__ import annotations

import time
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from attrs import field, frozen

from rerank_core._messages import find_error_message, shorten
from rerank_core._models import HTTPResponse
from rerank_core._redaction import hide
from rerank_core._retry import read_retry_after
from rerank_core._secrets import named_secrets
from rerank_core.errors import (
    AuthenticationError,
    ConfigurationError,
    RerankError,
    ResponseParseError,
    TransportError,
)
from rerank_core.wire import decode_json

if TYPE_CHECKING:
    import httpx

_TRANSIENT = frozenset({408, 425, 429, *range(500, 600)})
# What may be quoted of the form that was sent; anything else of this length or more is hidden.
_NOT_SECRET = frozenset({"audience", "client_id", "grant_type", "resource", "scope"})


def check_token(value: Any, name: str) -> str:
    """A token that can stand in a header; it is not shown where it cannot.

    Args:
        value: The token.
        name: What the error calls it: an option's name, for example.

    Raises:
        ConfigurationError: It is no such string.
    """
    text = value if isinstance(value, str) else ""
    if text and text.isascii() and text.isprintable() and text.strip() == text:
        return text
    message = f"{name} must be a string with no space or line break at an end; get it again"
    raise ConfigurationError(message)


def _can_stand_in_a_header(_: Any, __: Any, value: Any) -> None:
    check_token(value, "a token")


@frozen
class Token:
    """A token and its end.

    Attributes:
        value: As it stands behind `Bearer`.
        ends: When it ends, in seconds since 1970; 0 where nobody says, or where whoever gives it
            keeps it: then it is asked for anew for each request.

    Raises:
        ConfigurationError: The value cannot stand in a header.
    """

    value: str = field(repr=False, validator=_can_stand_in_a_header)
    ends: float = 0.0


def read_token(reply: httpx.Response, *, given: str = "", end: str = "") -> Token:
    """Read a token service's reply: OAuth's `access_token` and `expires_in`.

    Args:
        reply: What came of the request for a token.
        given: What was given in exchange, in words, for errors.
        end: The field that says when the token ends, for a reply without `expires_in`.

    Raises:
        AuthenticationError: The service refuses.
        TransportError: It fails in a way that may pass.
        ResponseParseError: There is no token in the reply.
    """
    if not reply.is_success:
        raise _refusal(reply, given)
    if (token := _find_token(reply, end)) is not None:
        return token
    raise ResponseParseError(f"{reply.request.url.host} answered with no token that can be used")


def _find_token(reply: httpx.Response, end: str) -> Token | None:
    try:
        payload = decode_json(reply.content)
        if end and "expires_in" not in payload:
            ends = float(payload[end])
        else:  # counted from now, so that a wrong clock does no harm
            ends = time.time() + float(payload["expires_in"])
        if isfinite(ends):
            return Token(payload["access_token"], ends)
    except (ResponseParseError, ConfigurationError, LookupError, TypeError, ValueError):
        pass  # not chained: what was read may hold a token
    return None


def _refusal(reply: httpx.Response, given: str) -> RerankError:
    record = HTTPResponse(reply.status_code, dict(reply.headers.items()), reply.content)
    what = f"no token for {given}" if given else "no token"
    message = f"{reply.request.url.host} gave {what}: status {reply.status_code}"
    if said := _read_message(record, reply.request):
        message += f": {said}"
    if reply.status_code not in _TRANSIENT:
        return AuthenticationError(message, response=record)
    # There is no reply yet of the service that the token is for, and there may be one.
    wait = read_retry_after(record.headers, (), time.time())
    return TransportError(message, response=record, retry_after=wait)


def _read_message(record: HTTPResponse, request: httpx.Request) -> str:
    """OAuth's `error_description`, else whatever the reply says; never what was exchanged."""
    try:
        said = str(decode_json(record.content)["error_description"])
    except (ResponseParseError, LookupError, TypeError):
        said = find_error_message(record)
    return shorten(hide(said, (*named_secrets(request.headers), *form_secrets(request))))


def form_secrets(request: httpx.Request) -> list[str]:
    """What is given in exchange for a token: the values of the form that is sent."""
    form = parse_qsl(request.content.decode(errors="replace"))
    return [text for name, text in form if name not in _NOT_SECRET]
