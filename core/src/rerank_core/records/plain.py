"""Responses as plain values: dicts that are ready for JSON, and a table for notebooks."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import isfinite
from typing import Any

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from rerank_core.records._text import is_missing, shorten
from rerank_core.records.response import RerankResponse
from rerank_core.records.results import Document, Meta, RerankResult

_MAX_ROWS, _MAX_CHARS = 50, 200
_converter = cattrs.Converter(omit_if_default=True)


def to_plain(value: Any) -> Any:
    """The value as JSON has it: any mapping as a dict, any sequence as a list, else text."""
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        return {str(name): to_plain(inner) for name, inner in value.items()}
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, (Sequence, AbstractSet)) and not isinstance(value, (bytes, bytearray)):
        return list(map(to_plain, value))
    if callable(getattr(value, "tolist", None)):
        return to_plain(value.tolist())  # numpy's arrays and numbers
    return None if is_missing(value) else str(value)


@_converter.register_unstructure_hook
def _document_to_dict(document: Document) -> dict[str, Any]:
    """The caller's fields with the text that was ranked."""
    plain = {}
    for name, value in (document.fields or {}).items():
        try:
            plain[str(name)] = to_plain(value)
        except Exception as error:  # noqa: BLE001 - a field that was not ranked costs no ranking
            plain[str(name)] = f"{type(value).__name__}, cannot be written: {type(error).__name__}"
    return {**plain, "text": document.text}


def _write(kind: type, **overrides: Any) -> None:
    write: Any = make_dict_unstructure_fn(
        kind, _converter, _cattrs_omit_if_default=True, **overrides
    )
    _converter.register_unstructure_hook(kind, write)


_left_out = dict.fromkeys(("payload", "headers", "attempts", "seconds"), override(omit=True))
# Cohere writes the version as an object.
_write(Meta, api_version=override(unstruct_hook=lambda version: {"version": to_plain(version)}))
_write(RerankResult, extra=override(omit=True))
_write(RerankResponse, id=override(omit_if_default=False), **_left_out)


def to_dict(value: Any) -> Any:
    """A response, or a piece of one, in the shape of Cohere's API; unset values are left out."""
    return _converter.unstructure(value)


def response_to_html(response: RerankResponse) -> str:
    """A table of the first results, and the warnings."""
    head = ("index", "relevance_score", "document")
    rows = [head, *map(_cells, response.results[:_MAX_ROWS])]
    table = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    name = html.escape(f"{response.provider}/{response.model}: {len(response)} results")
    notes = "".join(f"<li>{html.escape(shorten(text))}</li>" for text in response.warnings)
    return f"<table><caption>{name}</caption>{table}</table><ul>{notes}</ul>"


def _cells(result: RerankResult) -> tuple[str, str, str]:
    score: Any = result.relevance_score
    document: Any = result.document
    text = "" if document is None else html.escape(shorten(document.text, _MAX_CHARS))
    return str(result.index), "" if score is None else f"{score:.6g}", text
