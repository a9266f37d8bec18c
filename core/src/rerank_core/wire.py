"""Pure functions that providers share. Plain values in, plain values out."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from operator import itemgetter
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from rerank_core.errors import InvalidRequestError, ResponseParseError
from rerank_core.records import JSON, BilledUnits, Meta, RerankResult, Tokens
from rerank_core.records._text import kind_of, shorten
from rerank_core.records.results import Fresh

__all__ = [
    "OTHER_TASKS",
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
_WENT_IN = ("input_tokens", "prompt_tokens", "text_tokens")
# Last segments of a path by which servers call a rerank endpoint: none of them is completed.
_ENDPOINTS = frozenset({"rerank", "reranking", "rerankings", "reranks", "ranking"})
OTHER_TASKS = re.compile(
    r"/((chat/)?completions|responses|messages|[a-z]*embeddings|(?<=/v\d/)(chat|embed|models))$"
)
"""The end of the path of a chat, of embeddings or of the models, which users copy for a base."""


@functools.lru_cache(256)
def join_endpoint(base_url: str, path: str, *, others: str = "") -> str:
    """Complete a base URL to an endpoint such as `/v1/rerank`, whatever part of it the URL has.

    Users copy base URLs with and without `/v1`, and whole endpoints, even of a chat; the pattern
    `others` tells more such ends. Another rerank endpoint (`/v1/reranks`) and a query string stay.
    """
    parts = urlsplit(base_url)
    base = re.sub(rf"/({others})$", "", OTHER_TASKS.sub("", parts.path.rstrip("/")))
    steps = path.strip("/").split("/")
    last = base.rpartition("/")[2]
    if last in _ENDPOINTS and steps[-1] in _ENDPOINTS:
        steps = [last]
    done = len(steps) - steps[::-1].index(last) if last in steps else 0
    return urlunsplit(parts._replace(path="/".join([base, *steps[done:]]), fragment=""))


def rename_params(params: Mapping[str, Any], *tables: Mapping[str, str]) -> dict[str, Any]:
    """The params by their names on the wire, from `tables`; params in no table are left out."""
    return {
        table[name]: value for name, value in params.items() for table in tables if name in table
    }


def render_document(
    document: str | Mapping[str, Any], rank_fields: Iterable[str] | None = None
) -> str:
    """The text of a document for a service that takes only strings.

    A mapping becomes lines of `field: value`, as `render_fields` has them; one with only `text` is
    that text.
    """
    if isinstance(document, str):
        return document
    fields = render_fields(document, rank_fields)
    if fields.keys() == {"text"}:
        return fields["text"]
    return "\n".join(f"{name}: {value}" for name, value in fields.items())


def render_documents(
    documents: Sequence[str | Mapping[str, Any]], rank_fields: Iterable[str] | None = None
) -> list[str]:
    """The text of each document; see `render_document`."""
    if {str}.issuperset(map(type, documents)):
        return list(documents)  # type: ignore[arg-type]  # all are strings
    return [render_document(document, rank_fields) for document in documents]


def render_fields(
    document: Mapping[str, Any], names: Iterable[str] | None = None
) -> dict[str, str]:
    """The fields of a mapping as text, in its own order or that of `names`, without `None`."""
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


def _refuse_nan(value: Any) -> None:
    """Orjson would write `null` for what is no number: another value than the caller's."""
    if isinstance(value, Mapping):
        value = value.values()
    elif isinstance(value, float) and not isfinite(value):
        raise TypeError(f"{value} has no JSON form: leave it out, or give None")
    elif not isinstance(value, (list, tuple)):
        return
    if not _NEVER_NAN.issuperset(map(type, value)):
        for inner in value:
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

    It accepts a byte order mark, a number that no float holds, and half of a surrogate pair, as
    left by a gateway that cut a text within an emoji.

    Raises:
        ResponseParseError: It is not JSON, or it has NaN or an infinity.
    """
    if not content:
        return None
    try:
        return orjson.loads(content)
    except ValueError as error:
        with contextlib.suppress(ValueError, RecursionError):
            if "depth" not in str(error):  # which `json` does not take either; NaN is no integer
                return json.loads(content.decode("utf-8-sig"), parse_constant=int)
        raise ResponseParseError(f"the reply is not JSON ({error})") from error


def read_results(
    rows: JSON, path: str = "results", *, index: str = "index", score: str = "relevance_score"
) -> list[RerankResult]:
    """Read a list of objects that each hold an index and a score; core checks both afterwards.

    Args:
        rows: The list.
        path: Where it stands in the reply, for errors.
        index: The name of the index.
        score: The name of the score.

    Raises:
        ResponseParseError: It is not such a list.
    """
    if not isinstance(rows, list):
        raise ResponseParseError(f"{path} is {kind_of(rows)}, not a list", path=path)
    try:
        return Fresh(map(RerankResult, map(itemgetter(index), rows), map(itemgetter(score), rows)))
    except (KeyError, TypeError, IndexError):
        whole = [isinstance(row, dict) and index in row and score in row for row in rows]
        at = whole.index(False)
        message = f"{path}[{at}] is {kind_of(rows[at])} without {index!r} and {score!r}"
        raise ResponseParseError(message, path=f"{path}[{at}]") from None


def add_extra(
    results: list[RerankResult], rows: Sequence[Mapping[str, Any]], name: str
) -> list[RerankResult]:
    """Add a field of each row, unless it is null, to the `extra` of the result read from it."""
    values = [row.get(name) for row in rows]
    if values.count(None) < len(values):
        for result, value in zip(results, values, strict=True):
            if value is not None:
                result.extra = {**(result.extra or {}), name: value}
    return results


def read_strings(value: JSON) -> tuple[str, ...]:
    """The strings in a list, for a service's warnings; nothing where there is no list."""
    listed = value if isinstance(value, list) else []
    return tuple(item for item in listed if isinstance(item, str))


def read_warnings(payload: JSON) -> tuple[str, ...]:
    """What a reply warns of, where Cohere has it: the strings under `meta.warnings`."""
    return read_strings(_mapping(payload, "meta").get("warnings"))


def read_meta(payload: JSON) -> Meta:
    """Read what a reply says of usage, in all usual places: Cohere's `meta`, OpenAI's `usage`.

    A total alone counts as input, since a reranker writes nothing. Unreadable values are left out.
    """
    meta, usage = _mapping(payload, "meta"), _mapping(payload, "usage")
    usage = usage or _mapping(meta, "usage")
    billed, tokens = _mapping(meta, "billed_units"), _mapping(meta, "tokens")
    version = _mapping(meta, "api_version").get("version")
    places = (tokens, usage, billed)
    total = _first((billed, usage, tokens), "total_tokens")
    return Meta(
        version if isinstance(version, str) else None,
        BilledUnits(
            _first((billed, usage), "search_units", "rerank_units"),
            total if total is not None else _first((billed, usage), *_WENT_IN),
        ),
        Tokens(
            _first(places, *_WENT_IN, "total_tokens"),
            _first(places, "output_tokens", "completion_tokens"),
        ),
    )


def _first(places: Sequence[Mapping[str, Any]], *names: str) -> float | None:
    """The first number under one of the names, the better name before the better place."""
    for name in names:
        for place in places:
            if type(value := place.get(name)) in {int, float}:
                return value
    return None


def _mapping(value: JSON, name: str) -> Mapping[str, Any]:
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}
