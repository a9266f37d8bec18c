"""Documents as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rerank_core.records.results import Document
from rerank_core.wire._json import encode_json

_STRINGS = {str}


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


def to_document(document: str | Mapping[str, Any], rank_fields: Iterable[str] | None) -> Document:
    """A document as a record; a mapping stays the caller's own object."""
    if isinstance(document, str):
        return Document(document)
    text = document.get("text")
    return Document(
        text if isinstance(text, str) else render_document(document, rank_fields), document
    )
