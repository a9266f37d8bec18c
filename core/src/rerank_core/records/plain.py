"""Responses as plain values: dicts that are ready for JSON, and a table for notebooks."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import isfinite
from typing import Any

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from rerank_core.records._text import shorten
from rerank_core.records.response import RerankResponse
from rerank_core.records.results import Document, Meta, RerankResult

_MAX_ROWS, _MAX_CHARS = 50, 200
_converter = cattrs.Converter(omit_if_default=True)


def to_plain(value: Any) -> Any:
    """The value as JSON has it: any mapping as a dict, any sequence as a list, else text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Mapping):
        return {str(name): to_plain(inner) for name, inner in value.items()}
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, (Sequence, AbstractSet)) and not isinstance(value, (bytes, bytearray)):
        return list(map(to_plain, value))
    tolist = getattr(value, "tolist", None)  # numpy's arrays and numbers
    return to_plain(tolist()) if callable(tolist) else str(value)


def _document_to_dict(document: Document) -> dict[str, Any]:
    """The caller's fields with the text that was ranked."""
    return {**to_plain(document.fields or {}), "text": document.text}


def _meta_to_dict(meta: Meta) -> dict[str, Any]:
    """Cohere writes the version as an object."""
    version = {} if meta.api_version is None else {"api_version": {"version": meta.api_version}}
    return {**_plain_meta(meta), **version}


def _register(kind: type, *omitted: str, required: str) -> None:
    options = dict.fromkeys(omitted, override(omit=True))
    options[required] = override(omit_if_default=False)
    write: Any = make_dict_unstructure_fn(
        kind,
        _converter,
        _cattrs_omit_if_default=True,
        **options,  # type: ignore[arg-type]  # overrides of fields
    )
    _converter.register_unstructure_hook(kind, write)


_plain_meta = _converter.gen_unstructure_attrs_fromdict(Meta)
_converter.register_unstructure_hook(Document, _document_to_dict)
_converter.register_unstructure_hook(Meta, _meta_to_dict)
_register(RerankResult, "extra", required="relevance_score")
_register(RerankResponse, "payload", "headers", "attempts", "seconds", required="id")


def to_dict(value: Any) -> Any:
    """A response, or a piece of one, in the shape of Cohere's API; unset values are left out."""
    return _converter.unstructure(value)


def response_to_html(response: RerankResponse) -> str:
    """A table of the first results, and what is said of them."""
    head = ("index", "relevance_score", "document")
    rows = [head, *map(_cells, response.results[:_MAX_ROWS])]
    table = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    left = len(response.results) - _MAX_ROWS
    said = [*response.warnings, *([f"and {left} more results"] if left > 0 else [])]
    name = html.escape(f"{response.provider}/{response.model}")
    notes = "".join(f"<li>{html.escape(shorten(text))}</li>" for text in said)
    return f"<table><caption>{name}</caption>{table}</table><ul>{notes}</ul>"


def _cells(result: RerankResult) -> tuple[str, str, str]:
    score: Any = result.relevance_score
    document: Any = result.document
    text = "" if document is None else html.escape(shorten(document.text, _MAX_CHARS))
    return str(result.index), "" if score is None else f"{score:.6g}", text
