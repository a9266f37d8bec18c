"""Replies as errors: by their status, or by what a good status says instead of a ranking."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any, TypeVar
from urllib.parse import urljoin

from attrs import evolve

from rerank_core._resolve.secrets import Hide, clean
from rerank_core._resolve.target import Target
from rerank_core.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RerankError,
    ResponseParseError,
    ServerError,
    TransportError,
)
from rerank_core.records import JSON, HTTPResponse
from rerank_core.records._text import (
    beginning_of,
    codes_in,
    find_message,
    message_in,
    read_json,
    status_in,
    without_userinfo,
)

T = TypeVar("T")
_SAID_CHARS = 500  # of what a service says
_ERROR_CHARS = 1000
_URL_CHARS = 200
_BEGINNING_CHARS = 100
_KEPT_BYTES = 2**16  # of a reply that is kept in an error
_UNIX_TIME_FROM = 1_000_000_000
_MAX_SECONDS = 4e9  # of 126 years; clocks count to it, as Unix time it is long to come

_TYPES: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
}
# What the words of services of many kinds have in them, where no status says it.
_WORDS: Mapping[str, type[APIStatusError]] = {
    "auth|api_?key": AuthenticationError,
    "forbidden|permission": PermissionDeniedError,
    "not_?found": NotFoundError,
    "rate_?limit|resource_?exhausted|too_?many": RateLimitError,
    "api_?error|internal|overloaded|server_?error|unavailable": ServerError,
    "bad_?request|invalid|validation": BadRequestError,
}
_FAILED = frozenset({"error", "fail", "failed", "failure"})
_GOOD_CODES = (0, 200, "0", "200", "ok", "success")


def status_error(target: Target, reply: HTTPResponse, now: float, hide: Hide) -> APIStatusError:
    """The error that a reply's bad status stands for."""
    status, payload = reply.status_code, read_json(reply.content)
    words: list[int | str] = [*codes_in(payload, reply.headers), status]
    said = find_message(payload, reply.content)
    message = f"status {status}: {hide(said, _SAID_CHARS)}".removesuffix(": ")
    if 300 <= status < 400 and "location" in reply.headers:  # noqa: PLR2004 - redirects
        where = hide(_location(target, reply.headers["location"]), _URL_CHARS)
        message += f" (redirects are not followed; it points to {where}: correct api_base)"
    return _make(_type_of(status), message, target, reply, words, said, status, now)


def find_error(
    target: Target, reply: HTTPResponse, payload: JSON, now: float, hide: Hide
) -> APIStatusError | None:
    """The error that a reply with a good status carries instead of a ranking, if it does."""
    if not isinstance(payload, dict) or _says_success(payload):
        return None
    said = message_in(payload)
    status = status_in(payload)
    words: list[int | str] = [*codes_in(payload, reply.headers)]
    known = any(word in target.provider.error_types for word in words)
    if not (said or status or known or _says_failure(payload)):
        return None
    words += [status] if status else []
    usual = _type_of(status) if status else _type_named(words)
    said = said or beginning_of(reply.content, _SAID_CHARS)
    shown = hide(said, _SAID_CHARS)
    message = f"status {reply.status_code}, but the reply is an error: {shown}"
    return _make(usual, message, target, reply, words, said, status, now)


def _says_success(payload: Mapping[str, Any]) -> bool:
    code = payload.get("code")
    return not payload.get("error") and (
        payload.get("success") is True or (type(code) in {int, str} and code in _GOOD_CODES)
    )


def _says_failure(payload: Mapping[str, Any]) -> bool:
    words = (payload.get("object"), payload.get("status"))
    failed = any(isinstance(word, str) and word.lower() in _FAILED for word in words)
    return failed or payload.get("success") is False or bool(payload.get("error"))


def _type_of(status: int) -> type[APIStatusError]:
    usual = ServerError if 500 <= status < 600 else APIStatusError  # noqa: PLR2004 - the 5xx
    return _TYPES.get(status, usual)


def _type_named(words: Iterable[int | str]) -> type[APIStatusError]:
    found = (
        kind
        for word in words
        for inside, kind in _WORDS.items()
        if re.search(inside, str(word).lower())
    )
    return next(found, APIStatusError)


def _make(
    usual: type[APIStatusError],
    message: str,
    target: Target,
    reply: HTTPResponse,
    words: Iterable[int | str],
    said: str,
    code: int | None,
    now: float,
) -> APIStatusError:
    if hint := _first(target.provider.hints, words, said):
        message += f" ({hint})"
    kind = _first(target.provider.error_types, words, said) or usual
    error = kind(message, response=reply, retry_after=_find_wait(target, reply, said, now))
    error.code = code
    return error


def _find_wait(target: Target, reply: HTTPResponse, said: str, now: float) -> float | None:
    """Seconds that the service asks to wait: in headers, else in its message."""
    provider = target.provider
    wait = read_retry_after(reply.headers, provider.reset_headers, now)
    if wait is None and provider.retry_after_pattern:
        found = re.search(provider.retry_after_pattern, said)
        wait = read_seconds(found[1]) if found else None
    return wait


def _location(target: Target, location: str) -> str:
    """Where a redirect points to, in full."""
    try:
        return without_userinfo(urljoin(target.provider.base_url or "", location))
    except ValueError:
        return "what is no URL"


def _first(table: Mapping[Any, T], words: Iterable[int | str], said: str) -> T | None:
    """What the table has for a phrase of the message, or for the first of the words it knows."""
    text = said.lower()
    phrases = [key for key in table if isinstance(key, str) and " " in key and key in text]
    return next((table[word] for word in (*phrases, *words) if word in table), None)


def read_retry_after(
    headers: Mapping[str, str], reset_headers: tuple[str, ...], now: float
) -> float | None:
    """Seconds that the service asks to wait; `None` where it does not say, or unreadably."""
    milliseconds = read_seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    stated = headers.get("retry-after")
    if stated is not None:
        seconds = read_seconds(stated)
        if seconds is not None:
            return seconds
        until = _timestamp(stated)
        if until is not None:
            return min(max(0.0, until - _own_time(headers, now)), _MAX_SECONDS)
    for name in reset_headers:
        reset = read_seconds(headers.get(name))
        if reset is not None:
            unix = reset >= _UNIX_TIME_FROM
            return max(0.0, reset - _own_time(headers, now)) if unix else reset
    return None


def _own_time(headers: Mapping[str, str], now: float) -> float:
    """The service's own clock where it states one: ours may be wrong by minutes."""
    stated = _timestamp(headers.get("date", ""))
    return now if stated is None else stated


def read_seconds(text: str | None) -> float | None:
    """Seconds from a plain number, from 0 to 126 years; `nan` and the like are none."""
    if text is None or not text.strip().replace(".", "", 1).isdecimal():
        return None
    return min(float(text), _MAX_SECONDS)


def _timestamp(text: str) -> float | None:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - slow to import, rarely needed

    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return float(aware.timestamp())


def describe(
    error: RerankError, target: Target, hide: Hide, reply: HTTPResponse | None = None
) -> None:
    """Say on an error where it happened, without any secret; once for each error."""
    if error._described:  # noqa: SLF001 - of our own class
        return
    error._described = True  # noqa: SLF001 - of our own class
    reply = error.response or reply
    if isinstance(error, ResponseParseError) and reply is not None:
        error.args = (f"{error.message}; {_beginning(reply, hide)}", *error.args[1:])
    # Of a connection's failure, httpx may quote all that came.
    clean(error, hide, _SAID_CHARS if isinstance(error, TransportError) else _ERROR_CHARS)
    error._secrets = ()  # noqa: SLF001 - of our own class; whoever pickles the error has none
    error.provider = error.provider or target.provider.name
    error.model = error.model or target.model
    if reply is not None:
        text = reply.content[:_KEPT_BYTES].decode(errors="surrogateescape")
        content = hide(text, _KEPT_BYTES).encode(errors="surrogateescape")
        headers = {name: hide(value) for name, value in reply.headers.items()}
        error.response = evolve(reply, headers=headers, content=content)


def _beginning(reply: HTTPResponse, hide: Hide) -> str:
    if not reply.content:
        return "the reply is empty"
    text = hide(beginning_of(reply.content, 10 * _BEGINNING_CHARS), _BEGINNING_CHARS)
    is_page = text.lstrip().lower().startswith(("<!doctype", "<html", "<?xml"))
    return f"the reply is {'a page of HTML that' if is_page else 'one that'} begins: {text}"
