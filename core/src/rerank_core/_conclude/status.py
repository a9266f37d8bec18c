"""Replies as errors: by their status, or by what a good status says instead of a ranking."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from attrs import evolve

from rerank_core import errors
from rerank_core._conclude.response import read_payload
from rerank_core._prepare.requests import Part
from rerank_core._resolve.secrets import Hide, clean
from rerank_core._resolve.target import Target
from rerank_core.errors import APIStatusError, RerankError, ResponseParseError
from rerank_core.records import JSON, HTTPResponse
from rerank_core.records._text import (
    beginning_of,
    codes_in,
    find_message,
    kind_of,
    message_in,
    read_json,
    status_in,
    without_userinfo,
)
from rerank_core.wire import decode_json

_SAID_CHARS = 500  # of what a service says
_URL_CHARS = 200
_BEGINNING_CHARS = 100
_KEPT_BYTES = 2**16  # of a reply that is kept in an error
_UNIX_TIME_FROM = 1_000_000_000
_MAX_SECONDS = 4e9  # of 126 years; clocks count to it, as Unix time it is long to come

TYPES: Mapping[int, type[APIStatusError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    413: errors.BadRequestError,
    422: errors.BadRequestError,
    429: errors.RateLimitError,
    **dict.fromkeys(range(500, 600), errors.ServerError),
}
# What the words of services of many kinds have in them, where no status says it.
_WORDS: Mapping[str, type[APIStatusError]] = {
    "auth|api_?key|(invalid|expired)_?token": errors.AuthenticationError,
    "access_?denied|forbidden|permission": errors.PermissionDeniedError,
    "not_?found": errors.NotFoundError,
    "rate_?limit|resource_?exhausted|throttl|too_?many": errors.RateLimitError,
    "api_?error|internal|overloaded|server_?error|unavailable": errors.ServerError,
    "bad_?request|invalid|validation": errors.BadRequestError,
}
_PHRASES = {each.phrase.lower(): TYPES[each] for each in HTTPStatus if each in TYPES}
_PYTHON_S_OWN = (TypeError, IndexError, AttributeError)  # whose words say nothing of a reply
_FAILED = {"error", "fail", "failed", "failure"}
_GOOD_CODES = (0, 200, "0", "200", "ok", "success")


def status_error(target: Target, reply: HTTPResponse, now: float, hide: Hide) -> APIStatusError:
    """The error that a reply's bad status stands for."""
    status, what = reply.status_code, f"status {reply.status_code}"
    if 300 <= status < 400 and "location" in reply.headers:  # noqa: PLR2004 - redirects
        where = hide(without_userinfo(reply.headers["location"]), _URL_CHARS)
        what += f" (redirects are not followed; it points to {where}: correct api_base)"
    return _make_error(what, status, read_json(reply.content), target, reply, now, hide)


def find_error(
    target: Target, reply: HTTPResponse, payload: JSON, now: float, hide: Hide
) -> APIStatusError | None:
    """The error that a reply with a good status carries instead of a ranking, if it does."""
    said = payload[0] if isinstance(payload, list) and payload else payload  # Google's, of streams
    if not isinstance(said, dict) or (failed := _says_failure(said)) is False:
        return None
    status = status_in(payload)
    known = target.provider.error_types.keys() & codes_in(payload, reply.headers)
    if not (failed or status or known or message_in(payload)):
        return None
    what = f"status {reply.status_code}, but the reply is an error"
    return _make_error(what, status, payload, target, reply, now, hide)


def _says_failure(payload: Mapping[str, Any]) -> bool | None:
    """Whether a reply says that something failed; `False` where it says that all is well."""
    code, success = payload.get("code"), payload.get("success")
    if payload.get("error") or success is False:
        return True
    if success is True or code in _GOOD_CODES:
        return False
    words = (payload.get("object"), payload.get("status"))
    return any(isinstance(word, str) and word.lower() in _FAILED for word in words) or None


def explain(
    error: ResponseParseError,
    part: Part,
    target: Target,
    reply: HTTPResponse,
    now: float,
    hide: Hide,
) -> RerankError:
    """The error to raise for an unreadable reply: what the reply says, or what it lacks."""
    try:
        payload = decode_json(reply.content)
    except ResponseParseError:
        return error
    better: RerankError | None = find_error(target, reply, payload, now, hide)
    if better is None:
        if error.path or not isinstance(error.__cause__, _PYTHON_S_OWN):
            return error  # it says itself what is wrong
        if not (expected := _find_expected(part, target, reply)):
            return error
        kind = kind_of(payload) if reply.content else "empty"
        message = (
            f"the reply is {kind}, where an object with {expected!r} was expected: docs/servers.md"
            " says which plugin speaks to which server"
        )
        better = ResponseParseError(message, path=expected)
    better.__cause__ = error
    return better


def _find_expected(part: Part, target: Target, reply: HTTPResponse) -> str:
    """The field that the plugin looks for first: the one that it misses in an empty object."""
    try:
        read_payload(part, target, {}, reply)
    except RerankError as error:
        return getattr(error, "path", "")
    return ""


def _make_error(
    what: str,
    code: int | None,
    payload: JSON,
    target: Target,
    reply: HTTPResponse,
    now: float,
    hide: Hide,
) -> APIStatusError:
    """An error with the service's words, of the kind that these or the status stand for."""
    facts, said = target.provider, find_message(payload, reply.content)
    words: list[Any] = [*codes_in(payload, reply.headers)]
    if code is None:
        named = (_WORDS[part] for word in words for part in _WORDS if re.search(part, word.lower()))
        usual = next(named, _PHRASES.get(said.lower(), APIStatusError))
    else:
        usual = TYPES.get(code, APIStatusError)
        words.append(code)
    message = f"{what}: {hide(said, _SAID_CHARS)}".removesuffix(": ")
    if hint := _first(facts.hints, words, said):
        message += f" ({hint})"
    kind = _first(facts.error_types, words, said) or usual
    wait = read_retry_after(reply.headers, facts.reset_headers, now)
    if wait is None and (pattern := facts.retry_after_pattern):
        body = beginning_of(reply.content, _KEPT_BYTES)
        found = re.search(pattern, said) or re.search(pattern, body)
        wait = read_seconds(found[1]) if found else None
    error = kind(message, response=reply, retry_after=wait)
    error.code = code
    return error


def _first(table: Mapping[Any, Any], words: Sequence[Any], said: str) -> Any:
    """What the table has for a phrase of the message, or for the first of the words it knows."""
    text = said.lower()
    phrases = [key for key in table if isinstance(key, str) and " " in key and key in text]
    return next((table[word] for word in (*phrases, *words) if word in table), None)


def read_retry_after(
    headers: Mapping[str, str], reset_headers: Sequence[str], now: float
) -> float | None:
    """Seconds that the service asks to wait; `None` where it does not say, or unreadably."""
    if (milliseconds := read_seconds(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    stated = headers.get("retry-after")
    if (seconds := read_seconds(stated)) is not None:
        return seconds
    # By the service's own clock where it states one: ours may be wrong by minutes.
    now = _timestamp(headers.get("date")) or now
    if (until := _timestamp(stated)) is not None:
        return min(max(0.0, until - now), _MAX_SECONDS)
    for name in reset_headers:
        if (reset := read_seconds(headers.get(name))) is not None:
            return max(0.0, reset - now) if reset >= _UNIX_TIME_FROM else reset
    return None


def read_seconds(text: str | None) -> float | None:
    """Seconds from a plain number, from 0 to 126 years; `nan` and the like are none."""
    if text is None or not text.strip().replace(".", "", 1).isdecimal():
        return None
    return min(float(text), _MAX_SECONDS)


def _timestamp(text: str | None) -> float | None:
    """Unix time from a date as headers have it."""
    try:
        moment = parsedate_to_datetime(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def describe(
    error: RerankError, target: Target, hide: Hide, reply: HTTPResponse | None = None
) -> None:
    """Say on an error where it happened, without any secret; once for each error."""
    if error._described:  # noqa: SLF001 - of our own class
        return
    error._described = True  # noqa: SLF001 - of our own class
    reply = error.response or reply
    if isinstance(error, ResponseParseError) and reply is not None:
        error.args = (f"{error.message}; {_beginning(reply, hide)}",)
    clean(error, hide)
    error._secrets = ()  # noqa: SLF001 - of our own class; whoever pickles the error has none
    error.provider = error.provider or target.provider.name
    error.model = error.model or target.model
    if reply is not None:
        # Looked at beyond what is kept: so that a secret across its end is found.
        text = reply.content[: 2 * _KEPT_BYTES].decode(errors="surrogateescape")
        content = hide(text, 2 * _KEPT_BYTES).encode(errors="surrogateescape")[:_KEPT_BYTES]
        headers = {name: hide(value) for name, value in reply.headers.items()}
        error.response = evolve(reply, headers=headers, content=content)


def _beginning(reply: HTTPResponse, hide: Hide) -> str:
    if not reply.content:
        return "the reply is empty"
    text = hide(beginning_of(reply.content, _KEPT_BYTES), _BEGINNING_CHARS)
    is_page = text.lower().startswith(("<!doctype", "<html", "<?xml"))
    return f"the reply is {'a page of HTML that' if is_page else 'one that'} begins: {text}"
