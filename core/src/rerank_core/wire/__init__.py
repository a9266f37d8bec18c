"""Pure functions that providers share. Plain values in, plain values out."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

import orjson

from rerank_core.errors import InvalidRequestError, ResponseParseError
from rerank_core.records import JSON
from rerank_core.records._text import shorten
from rerank_core.wire._replies import (
    add_extra,
    read_meta,
    read_results,
    read_strings,
    read_warnings,
)

__all__ = [
    "add_extra",
    "decode_json",
    "encode_json",
    "join_endpoint",
    "read_meta",
    "read_results",
    "read_strings",
    "read_warnings",
    "rename_params",
    "render_document",
    "render_documents",
    "render_fields",
    "render_value",
    "shorten",
]

_NEVER_NAN = {str, int, bool, type(None)}
_STRINGS = {str}
# Last segments of a path by which servers call a rerank endpoint: none of them is completed.
_ENDPOINTS = frozenset({"rerank", "reranking", "reranks", "ranking"})


@functools.lru_cache(256)
def join_endpoint(base_url: str, path: str) -> str:
    """Complete a base URL to an endpoint, however much of `path` it has already.

    Users copy bases with and without `/v1`, and whole endpoints: what follows the base's last
    segment in `path` is appended, or all of it where that segment is not in `path`. A base that
    ends in the name of another rerank endpoint (`/v1/reranking`) is taken as it stands, and of one
    that ends in a chat's endpoint its base. A query string stays; trailing slashes go.

    Args:
        base_url: For example `https://api.example.com/v1`.
        path: For example `/v1/rerank`.
    """
    parts = urlsplit(base_url)
    base = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/embeddings")
    steps = path.strip("/").split("/")
    last = base.rpartition("/")[2]
    if last in _ENDPOINTS and steps[-1] in _ENDPOINTS:
        steps = [last]
    done = len(steps) - steps[::-1].index(last) if last in steps else 0
    return urlunsplit(parts._replace(path="/".join([base, *steps[done:]]), fragment=""))


def rename_params(params: Mapping[str, Any], *tables: Mapping[str, str]) -> dict[str, Any]:
    """The params under their names on the wire, which `tables` give; others are left out."""
    return {
        table[name]: value for name, value in params.items() for table in tables if name in table
    }


def render_document(
    document: str | Mapping[str, Any], rank_fields: Iterable[str] | None = None
) -> str:
    """The text of a document for a service that takes only strings.

    A mapping becomes `field: value` lines, in the order of `rank_fields` or its own; one with
    only `text` is that text. Fields that are missing or `None` are left out; values that are not
    strings are written as JSON.
    """
    if isinstance(document, str):
        return document
    fields = render_fields(document, rank_fields)
    if list(fields) == ["text"]:
        return fields["text"]
    return "\n".join(f"{name}: {value}" for name, value in fields.items())


def render_documents(
    documents: Sequence[str | Mapping[str, Any]], rank_fields: Iterable[str] | None = None
) -> list[str]:
    """The text of each document; see `render_document`."""
    if set(map(type, documents)) <= _STRINGS:
        return list(documents)  # type: ignore[arg-type]  # all are strings
    return [render_document(document, rank_fields) for document in documents]


def render_fields(
    document: Mapping[str, Any], names: Iterable[str] | None = None
) -> dict[str, str]:
    """The fields of a mapping, or those of `names`, as text; see `render_document`."""
    chosen = document if names is None else [name for name in names if name in document]
    return {name: render_value(document[name]) for name in chosen if document[name] is not None}


def render_value(value: object) -> str:
    """A field's value as text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else encode_json(value).decode()


def encode_json(value: JSON) -> bytes:
    """Encode a value as compact UTF-8 JSON.

    Raises:
        InvalidRequestError: Something in it has no JSON form, for example a lone surrogate.
    """
    try:
        _refuse_nan(value)
        return orjson.dumps(value, default=_to_plain)
    except (TypeError, RecursionError) as error:
        raise InvalidRequestError(f"the request cannot be written as JSON: {error}") from error


def _refuse_nan(value: object) -> None:
    """Orjson would write `null` for what is no number: another value than the caller's."""
    if isinstance(value, float):
        if not isfinite(value):
            raise TypeError(f"{value} has no JSON form: leave it out, or give None")
    elif isinstance(value, (list, tuple)):
        if not set(map(type, value)) <= _NEVER_NAN:
            for inner in value:
                _refuse_nan(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            if type(inner) not in _NEVER_NAN:
                _refuse_nan(inner)


def _to_plain(value: object) -> JSON:
    """What orjson does not know itself: any mapping and any sequence."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def decode_json(content: bytes) -> JSON:
    """Decode JSON; an empty body is `None`.

    Half of a surrogate pair, which a gateway leaves that cut a text within an emoji, is taken.

    Raises:
        ResponseParseError: It is not JSON. NaN and infinities are not.
    """
    if not content:
        return None
    try:
        return orjson.loads(content)
    except ValueError as error:
        if rb"\ud" in content.lower():
            try:
                return json.loads(content, parse_constant=_refuse_constant)
            except (ValueError, RecursionError):
                pass
        # Core says how the reply begins, once no secret is left in it.
        raise ResponseParseError(f"the reply is not JSON ({error})") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
