"""Pure helpers that providers share. Plain values in, plain values out."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rerank_core._json import decode_json, encode_json
from rerank_core._messages import read_error_code, read_error_message, read_strings, shorten
from rerank_core._models import (
    JSON,
    BilledUnits,
    Document,
    Meta,
    Tokens,
)
from rerank_core._results import Results
from rerank_core.errors import ResponseParseError

_STRINGS = {str}
_NO_META = Meta()
_NOTHING: Mapping[str, Any] = MappingProxyType({})

__all__ = [
    "add_extra",
    "decode_json",
    "encode_json",
    "join_endpoint",
    "read_error_code",
    "read_error_message",
    "read_meta",
    "read_results",
    "read_strings",
    "rename_params",
    "render_document",
    "render_documents",
    "render_fields",
    "render_value",
    "shorten",
    "to_document",
]


@functools.lru_cache(256)
def join_endpoint(base_url: str, path: str) -> str:
    """Complete a base URL to an endpoint, however much of `path` it has already.

    Users copy bases with and without `/v1`, and whole endpoints: what follows the base's last
    segment in `path` is appended, or all of it where that segment is not in `path`. A query
    string stays; trailing slashes go.

    Args:
        base_url: For example `https://api.example.com/v1`.
        path: For example `/v1/rerank`.
    """
    parts = urlsplit(base_url)
    base = parts.path.rstrip("/")
    steps = path.strip("/").split("/")
    last = base.rpartition("/")[2]
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
    return [
        document if type(document) is str else render_document(document, rank_fields)
        for document in documents
    ]


def render_fields(
    document: Mapping[str, Any], names: Iterable[str] | None = None
) -> dict[str, str]:
    """The fields of a mapping, or those of `names`, as text; see `render_document`."""
    chosen = document if names is None else [name for name in names if name in document]
    return {name: render_value(document[name]) for name in chosen if document[name] is not None}


def render_value(value: object) -> str:
    """A field's value as text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else encode_json(value).decode()


def to_document(document: str | Mapping[str, Any], rank_fields: Iterable[str] | None) -> Document:
    """The caller's document as a record; a mapping stays the caller's own object."""
    if isinstance(document, str):
        return Document(document)
    text = document.get("text")
    return Document(
        text if isinstance(text, str) else render_document(document, rank_fields), document
    )


def read_results(
    rows: JSON, path: str = "results", *, index: str = "index", score: str = "relevance_score"
) -> Results:
    """Read a list of objects that each hold an index and a score.

    Values are taken as they are: core checks all of them afterwards.

    Args:
        rows: The list.
        path: Where it stands in the reply, for error messages.
        index: The name of the index.
        score: The name of the score.

    Returns:
        A sequence of `RerankResult`s, made when somebody looks at them.

    Raises:
        ResponseParseError: It is not such a list.
    """
    if not isinstance(rows, list):
        message = f"{path} is {_kind(rows)}, not a list"
        raise ResponseParseError(message, path=path)
    try:
        return Results(
            list(map(itemgetter(index), rows)),
            list(map(itemgetter(score), rows)),
        )
    except (KeyError, TypeError, IndexError):
        at, row = next(
            (at, row)
            for at, row in enumerate(rows)
            if not (isinstance(row, dict) and index in row and score in row)
        )
    message = f"{path}[{at}] is {_kind(row)} without {index!r} and {score!r}"
    raise ResponseParseError(message, path=f"{path}[{at}]")


def add_extra(results: Results, rows: Sequence[Mapping[str, Any]], name: str) -> Results:
    """Add a field of the service's rows to the `extra` of the results that were read from them.

    Without making a record of any: to set `result.extra` on each would make them all.

    Args:
        results: What `read_results` returned.
        rows: The list that it read.
        name: Of the field, in the rows as in `extra`; it is left out where it is missing or null.

    Returns:
        The results with it; those given where no row has it.
    """
    values = [row.get(name) for row in rows]
    if values.count(None) == len(values):
        return results
    given = Results.of(results)
    extras = [
        extra if value is None else {**(extra or {}), name: value}
        for extra, value in zip(given.extras or [None] * len(given), values, strict=True)
    ]
    return Results(given.indices, given.scores, given.documents, extras)


def read_meta(payload: JSON) -> Meta:
    """Read a Cohere-shaped `meta` and an OpenAI-shaped `usage` from a reply, where it has them.

    A total alone is what went in, for a reranker writes nothing.
    """
    meta, usage = _mapping(payload, "meta"), _mapping(payload, "usage")
    if not (meta or usage):
        return _NO_META
    billed, tokens = _mapping(meta, "billed_units"), _mapping(meta, "tokens")
    version = _mapping(meta, "api_version").get("version")
    units, total = billed.get("search_units"), usage.get("total_tokens")
    counted = _NO_META.tokens
    if tokens or usage:
        counted = Tokens(
            tokens.get("input_tokens", usage.get("prompt_tokens", total)),
            tokens.get("output_tokens", usage.get("completion_tokens")),
        )
    return Meta(
        version if isinstance(version, str) else None,
        BilledUnits(units, billed.get("total_tokens", total)),
        counted,
    )


def _mapping(value: JSON, name: str) -> Mapping[str, Any]:
    if isinstance(value, dict) and isinstance(inner := value.get(name), dict):
        return inner
    return _NOTHING


def _kind(value: JSON) -> str:
    names = {dict: "an object", list: "a list", str: "a string", type(None): "null"}
    return names.get(type(value), "a number or boolean")
