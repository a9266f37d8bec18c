"""Replies as errors, and errors with the place where they happened."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin

from attrs import evolve

from rerank_core._messages import find_error_message, read_error_codes, shorten, without_userinfo
from rerank_core._redaction import hider
from rerank_core._retry import read_retry_after, read_seconds
from rerank_core._secrets import clean
from rerank_core.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RerankError,
    ServerError,
)

if TYPE_CHECKING:
    from rerank_core._models import HTTPResponse
    from rerank_core._target import Target

T = TypeVar("T")
_MAX_CHARS = 1000  # of an error's text
_URL_CHARS = 200

_TYPES: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
}


def status_error(target: Target, reply: HTTPResponse, now: float) -> APIStatusError | None:
    """The error that a reply's status stands for, or `None` for a good one.

    Args:
        target: Who was asked.
        reply: What came back.
        now: Seconds since 1970, for dates in headers.
    """
    status = reply.status_code
    if 200 <= status < 300:  # noqa: PLR2004 - the good ones
        return None
    provider = target.provider
    usual = ServerError if 500 <= status < 600 else APIStatusError  # noqa: PLR2004 - the 5xx
    words: list[int | str] = [*read_error_codes(reply), status]
    kind = _first(provider.error_types, words) or _TYPES.get(status, usual)
    said = _said(target, reply)
    message = f"status {status}: {said}" if said else f"status {status}"
    if hint := _first(provider.hints, words):
        message += f" ({hint})"
    if 300 <= status < 400 and "location" in reply.headers:  # noqa: PLR2004 - redirects
        where = _shown_location(target, reply.headers["location"])
        message += f" (redirects are not followed; it points to {where}: correct api_base)"
    return kind(message, response=reply, retry_after=_find_wait(target, reply, said, now))


def _find_wait(target: Target, reply: HTTPResponse, said: str, now: float) -> float | None:
    """Seconds that the service asks to wait, in a header or in words."""
    provider = target.provider
    wait = read_retry_after(reply.headers, provider.reset_headers, now)
    if wait is None and provider.retry_after_pattern:
        found = re.search(provider.retry_after_pattern, said)
        wait = read_seconds(found[1]) if found else None
    return wait


def _shown_location(target: Target, location: str) -> str:
    """Where a redirect points to; secrets go before the text is cut."""
    try:
        url = urljoin(target.provider.base_url or "", location)
    except ValueError:
        return "what is no URL"
    return shorten(target.redact(without_userinfo(url)), _URL_CHARS)


def _first(table: Mapping[int | str, T], words: Iterable[int | str]) -> T | None:
    """What the table has for the first of the words that it knows."""
    return next((table[word] for word in words if word in table), None)


def add_wait(error: RerankError, target: Target, reply: HTTPResponse, now: float) -> None:
    """Say on an error that was found in a good reply what that asks to wait."""
    if error.retry_after is None:
        error.retry_after = _find_wait(target, reply, error.message, now)


def error_in_success(target: Target, reply: HTTPResponse) -> APIStatusError:
    """The error in a reply that has a good status all the same."""
    kind = _first(target.provider.error_types, read_error_codes(reply)) or APIStatusError
    message = f"status {reply.status_code}, but the reply is an error: {_said(target, reply)}"
    return kind(message, response=reply)


def _said(target: Target, reply: HTTPResponse) -> str:
    """What the service said; secrets go before the text is cut, which might leave half of one."""
    return shorten(target.redact(find_error_message(reply)))


def describe(error: RerankError, target: Target, reply: HTTPResponse | None = None) -> None:
    """Say on an error where it happened, without any secret."""
    redact = hider(target.find_secrets())
    clean(error, redact)
    error.args = (shorten(error.message, _MAX_CHARS), *error.args[1:])
    error.provider = error.provider or target.provider.name
    error.model = error.model or target.model
    if (reply := error.response or reply) is not None:
        error.response = _without_secrets(reply, redact)


def _without_secrets(reply: HTTPResponse, redact: Callable[[str], str]) -> HTTPResponse:
    """The reply, which may quote what was sent."""
    text, headers = reply.content.decode(errors="surrogateescape"), reply.headers
    content = redact(text).encode(errors="surrogateescape")
    together = "\n".join(headers.values())
    if redact(together) != together:
        headers = {name: redact(value) for name, value in headers.items()}
    return evolve(reply, headers=headers, content=content)
