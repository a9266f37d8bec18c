"""Text for people, out of replies and URLs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import orjson

if TYPE_CHECKING:
    from rerank_core._models import JSON, HTTPResponse

_MESSAGE_CHARS = 500
_MAX_CHARS = 20_000
CUT = " …"
_MESSAGE_NAMES = (
    "error",
    "message",
    "Message",
    "errors",
    "detail",
    "errorMessage",
    "error_description",
    "title",
    "reason",
)


def read_strings(value: JSON) -> tuple[str, ...]:
    """The strings in a list, for a service's warnings; nothing where there is no list."""
    if not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, str))


def read_error_message(response: HTTPResponse) -> str:
    """The text in an error reply that a person needs, at most 500 characters."""
    return shorten(find_error_message(response))


def find_error_message(response: HTTPResponse) -> str:
    """The text in an error reply that a person needs, at most 20,000 characters.

    Knows the shapes in use, nested too; of anything else, an HTML page for example, the beginning.
    """
    try:
        payload = orjson.loads(response.content)
    except ValueError:
        return " ".join(shorten(response.text, _MAX_CHARS).split())
    return shorten(_find_message(payload) or response.text, _MAX_CHARS)


def _find_message(value: JSON, depth: int = 4) -> str:
    if isinstance(value, str):
        return value
    if depth == 0:
        return ""
    if isinstance(value, list):
        # A validation error lists one entry per document: the first few say it all.
        return "; ".join(filter(None, (_find_message(item, depth - 1) for item in value[:3])))
    return _describe(value, depth - 1) if isinstance(value, dict) else ""


def _describe(value: dict[str, Any], depth: int) -> str:
    """The message in an error object, by the shapes in use."""
    text, word, detail = value.get("message"), value.get("error"), value.get("detail")
    if isinstance(said := value.get("msg"), str):
        return f"{_location(value.get('loc'))}{said}"
    if isinstance(text, str) and isinstance(value.get("field"), str):
        return f"{value['field']}: {text}"
    if isinstance(text, str) and text and isinstance(word, str):
        return text  # beside a sentence, `error` is but a word
    if isinstance(detail, str) and (listed := _find_message(value.get("errors"), depth)):
        return f"{detail}: {listed}"
    found = (_find_message(value.get(name), depth) for name in _MESSAGE_NAMES)
    return next(filter(None, found), "")


def _location(loc: JSON) -> str:
    steps = [str(step) for step in loc if type(step) in {str, int}] if isinstance(loc, list) else []
    return ".".join(steps) + ": " if steps else ""


def shorten(text: str, most: int = _MESSAGE_CHARS) -> str:
    """The text, cut to `most` characters: a service may send the whole input back."""
    return text if len(text) <= most else text[: most - len(CUT)] + CUT


def without_userinfo(url: str) -> str:
    """The URL without user name, password, query values and fragment, fit to be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that is none"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query="", fragment=""))


def read_error_code(response: HTTPResponse) -> str:
    """The first word for the error in an error reply, or nothing; see `read_error_codes`."""
    return next(iter(read_error_codes(response)), "")


def read_error_codes(response: HTTPResponse) -> list[str]:
    """The words for the error in an error reply: its `type`, `code` or `status`, outermost first.

    Knows the header `x-amzn-errortype` as well.
    """
    try:
        payload: Any = orjson.loads(response.content)
    except ValueError:
        payload = None
    words = [response.headers.get("x-amzn-errortype") or "", *_find_codes(payload)]
    return [word.rpartition("#")[2].partition(":")[0] for word in words if word]


def _find_codes(value: JSON, depth: int = 4) -> Iterator[str]:
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict) or depth == 0:
        return
    for name in ("type", "code", "__type", "errorCode", "error_type", "status"):
        if isinstance(word := value.get(name), str) and word and not word.isdecimal():
            yield word
    for name in ("error", "errors"):
        yield from _find_codes(value.get(name), depth - 1)


def shown_url(url: str | None) -> str:
    """The `repr` of a URL that may hold a password."""
    return repr(None if url is None else without_userinfo(url))
