"""Text for people, out of replies and URLs."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
from attrs.validators import deep_mapping, instance_of

MESSAGE_CHARS = 500
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_CHARS = 20_000  # of a body that is read for its message
_CUT = " …"
_DEPTH = 8  # how far into an error's objects is looked
_MAX_ERRORS = 50  # that are looked at
_FIRST = 3  # of a list: a validator lists one error per document, and the first few say it all
# Where services write what went wrong, the most telling first; and the errors within an error.
_MESSAGES = (
    "message",
    "Message",
    "msg",
    "errorMessage",
    "error_description",
    "error_msg",
    "reason",
    "description",
)
_WITHIN = ("error", "detail", "errors", "caused_by")
_DEEPER = (*_WITHIN, "metadata", "raw")  # where a router has what the service behind it said
_KNOWN = frozenset({"title", "details", *_MESSAGES, *_WITHIN})
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
    large = isinstance(value, int) and abs(value) > sys.maxsize
    if value is None or (isinstance(value, (bool, int, float)) and not large):
        return repr(value)
    return type(value).__name__


def is_missing(value: Any) -> bool:
    """Whether a value says that there is none: `None`, NaN, pandas' NaT and NA."""
    if value is None or type(value).__name__ == "NAType":
        return True
    with contextlib.suppress(Exception):  # an array compares each of its items
        return bool(value != value)  # noqa: PLR0124 - of a number, NaN alone differs from itself
    return False


def kind_of(value: object) -> str:
    """What a decoded JSON value is, in words."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")


def mapping_of(values: Any, keys: Any = str) -> Any:
    """A validator of a field that is a mapping of such keys to values that fit a validator."""
    kind: Any = Mapping
    return deep_mapping(instance_of(keys), values, instance_of(kind))


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
    with contextlib.suppress(ValueError):
        return orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))  # a byte order mark
    return None


def find_message(payload: Any, content: bytes, most: int = _MAX_CHARS) -> str:
    """What an error reply says went wrong; of one in no usual shape, the beginning of its body."""
    return shorten(message_in(payload) or beginning_of(content, most), most)


def beginning_of(content: bytes, most: int = MESSAGE_CHARS) -> str:
    """The first characters of a body on one line."""
    text = content[: 4 * most + 4].decode("utf-8-sig", "replace")
    return shorten(" ".join(text.split()), most)


def message_in(payload: Any) -> str:
    """What a decoded error says went wrong; empty where none of the usual places has it."""
    said = [text for error in _errors_in(payload) for text in _say(error)]
    return "; ".join(dict.fromkeys(said))


def _say(error: Mapping[str, Any]) -> list[str]:
    """The title of one error, and its message behind the place in the request that it is about."""
    said = [error.get(name) for name in _MESSAGES]
    message = next((text for text in said if isinstance(text, str) and text), "")
    place = error.get("loc", error.get("field"))
    if isinstance(place, list):
        place = ".".join(str(step) for step in place if isinstance(step, (str, int)))
    if message and place and isinstance(place, str):
        message = f"{place}: {message}"
    return [text for text in (error.get("title"), message) if isinstance(text, str) and text]


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


def _errors_in(value: Any) -> Iterable[Mapping[str, Any]]:
    """The errors in a decoded reply, the outermost first, and not endlessly many."""
    return islice(_walk(value, _DEPTH), _MAX_ERRORS)


def _walk(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    for error in value[:_FIRST] if isinstance(value, list) else [value]:
        if isinstance(error, str):
            yield {"message": error, "code": error if "_" in error and " " not in error else None}
        elif isinstance(error, list) and depth:
            yield from _walk(error, depth - 1)
        elif isinstance(error, dict) and depth:
            yield error
            inner = [error.get(name) for name in (_WITHIN if depth == _DEPTH else _DEEPER)]
            if not (isinstance(error.get("message"), str) and error["message"]):  # says the most
                said = (error.get(name) for name in _MESSAGES)
                inner += [error.get("details"), *(text for text in said if type(text) is not str)]
            for each in inner:
                yield from _walk(each, depth - 1)
            fields: Any = error.get("errors")
            for field, each in [*fields.items()][:_FIRST] if isinstance(fields, dict) else ():
                if isinstance(each, list) or fields.keys().isdisjoint(_KNOWN):  # a validator's
                    yield from ({"field": field, **found} for found in _walk(each, depth - 1))
