"""Text for people, out of replies and URLs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

MESSAGE_CHARS = 500
_MAX_CHARS = 20_000  # of a body that is read for its message
_CUT = " …"
_DEPTH = 4  # how far into an error's objects is looked
# Where services write what went wrong, the most telling first.
_MESSAGES = (
    "error",
    "message",
    "Message",
    "errors",
    "detail",
    "details",
    "errorMessage",
    "error_description",
    "error_msg",
    "msg",
    "reason",
    "description",
)
_CODES = ("type", "code", "__type", "errorCode", "error_code", "error_type", "status")
_STATUSES = ("code", "status", "status_code", "statusCode", "error_code", "errorCode")


def shorten(text: str, most: int = MESSAGE_CHARS) -> str:
    """The text, cut to `most` characters: a service may send the whole input back."""
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT


def is_url(url: str) -> bool:
    """Whether a URL is absolute, and one that can be sent to."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, a bracket that is not closed
        return False
    return bool(usable) and url.isprintable() and " " not in url


def without_userinfo(url: str) -> str:
    """The URL without user name, password, query values and fragment, fit to be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that cannot be read"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query="", fragment=""))


def shown_url(url: str | None) -> str:
    """The `repr` of a URL that may hold a password."""
    return repr(None if url is None else without_userinfo(url))


def shown(value: object) -> str:
    """A value as a message shows it: small ones whole, others by their type."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    return type(value).__name__


def kind_of(value: object) -> str:
    """What a decoded JSON value is, in words."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")


def must_be(error: type[Exception], what: str, fits: Callable[[Any], object]) -> Any:
    """A validator of a field: raises the error where `fits` is false or fails."""

    def check(_: object, attribute: Any, value: Any) -> None:
        with contextlib.suppress(Exception):
            if fits(value):
                return
        raise error(f"{attribute.name} must be {what}, not {shown(value)}")

    return check


def read_json(content: bytes) -> Any:
    """The decoded JSON of an error reply, or `None` where it is none."""
    try:
        return orjson.loads(content)
    except ValueError:
        return None


def find_message(payload: Any, content: bytes, most: int = _MAX_CHARS) -> str:
    """The text in a reply that tells a person what went wrong, at most `most` characters.

    Knows the shapes in use, nested ones too; of anything else, the beginning of the body.

    Args:
        payload: The decoded reply; `None` where it is no JSON.
        content: The reply's body.
        most: Characters.
    """
    said = message_in(payload)
    return shorten(said or beginning_of(content, most), most)


def beginning_of(content: bytes, most: int = MESSAGE_CHARS) -> str:
    """The first characters of a body on one line."""
    text = content[: 4 * most + 4].decode("utf-8-sig", "replace")
    return shorten(" ".join(text.split()), most)


def message_in(value: Any, depth: int = _DEPTH) -> str:
    """The message in a decoded error; empty where none of the usual places has one."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth:
        # A validation error lists one entry per document: the first few say it all.
        return "; ".join(filter(None, (message_in(item, depth - 1) for item in value[:3])))
    return _describe(value, depth - 1) if isinstance(value, dict) and depth else ""


def _describe(error: Mapping[str, Any], depth: int) -> str:
    text, word, detail = error.get("message"), error.get("error"), error.get("detail")
    if isinstance(said := error.get("msg"), str) and "loc" in error:
        return f"{_location(error['loc'])}{said}"
    if isinstance(text, str) and isinstance(error.get("field"), str):
        return f"{error['field']}: {text}"
    if isinstance(text, str) and text and isinstance(word, str):
        return _with_title(error, text)  # beside a sentence, `error` is but a word
    if isinstance(detail, str) and (listed := message_in(error.get("errors"), depth)):
        return f"{detail}: {listed}"
    found = (message_in(error.get(name), depth) for name in _MESSAGES)
    said = next(filter(None, found), "") or _of_fields(error.get("errors"))
    return _with_cause(error, _with_title(error, said))


def _of_fields(errors: Any) -> str:
    """What is wrong with each field, where a validator lists it by the field's name."""
    rows = [*errors.items()][:3] if isinstance(errors, dict) else []
    said = [(name, message_in(value)) for name, value in rows if isinstance(value, (str, list))]
    return "; ".join(f"{name}: {text}" for name, text in said if text)


def _with_title(error: Mapping[str, Any], text: str) -> str:
    """The message behind its title, where the error has both and they differ."""
    title = error.get("title")
    if not isinstance(title, str) or not title or title in text:
        return text
    return f"{title}: {text}" if text else title


def _with_cause(error: Mapping[str, Any], text: str) -> str:
    """The message with the cause that lies deepest, where the error has one that says more."""
    cause = error
    while isinstance(inner := cause.get("caused_by"), dict):
        cause = inner
    reason = cause.get("reason")
    known = cause is error or not isinstance(reason, str) or reason in text
    return text if known else f"{text}: {reason}"


def _location(loc: Any) -> str:
    steps = [str(step) for step in loc if type(step) in {str, int}] if isinstance(loc, list) else []
    return ".".join(steps) + ": " if steps else ""


def codes_in(payload: Any, headers: Mapping[str, str]) -> list[str]:
    """The words for an error: its `type`, `code` or `status`, outermost first.

    Knows the header `x-amzn-errortype` as well.
    """
    found = (error.get(name) for error in _errors_in(payload) for name in _CODES)
    words = [headers.get("x-amzn-errortype"), *found]
    named = [word for word in words if isinstance(word, str) and word and not word.isdecimal()]
    return [word.rpartition("#")[2].partition(":")[0] for word in named]


def status_in(payload: Any) -> int | None:
    """The HTTP status, from 400 to 599, that the body of an error names; else `None`."""
    for error in _errors_in(payload):
        for name in _STATUSES:
            value = error.get(name)
            if isinstance(value, str) and value.isdecimal() and len(value) == 3:  # noqa: PLR2004 - digits of a status
                value = int(value)
            if type(value) is int and 400 <= value <= 599:  # noqa: PLR2004 - the statuses of errors
                return value
    return None


def _errors_in(value: Any, depth: int = _DEPTH) -> Iterator[Mapping[str, Any]]:
    """The objects of a decoded error, the outermost first."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict) and depth:
        yield value
        for name in ("error", "errors", "detail"):
            yield from _errors_in(value.get(name), depth - 1)
