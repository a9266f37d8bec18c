"""Responses as plain values: dicts that are ready for JSON, and a table for notebooks."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence, Set
from math import isfinite
from typing import Any

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from rerank_core._text import shorten
from rerank_core.records.response import RerankResponse
from rerank_core.records.results import Document, RerankResult
from rerank_core.records.usage import Meta

_MAX_ROWS = 50
_MAX_CHARS = 200
_PLAIN = {str, int, bool, type(None)}

_converter = cattrs.Converter(omit_if_default=True)
_required, _omitted = override(omit_if_default=False), override(omit=True)


def to_plain(value: Any) -> Any:
    """The value as JSON has it: any mapping as a dict, any sequence as a list, else text."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return {str(name): to_plain(inner) for name, inner in value.items()}
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray)):
        return list(map(to_plain, value))
    tolist = getattr(value, "tolist", None)  # numpy's arrays and numbers
    return to_plain(tolist()) if callable(tolist) else str(value)


def document_to_dict(document: Document) -> dict[str, Any]:
    """The caller's fields with the text that was ranked."""
    return {**to_plain(document.fields or {}), "text": document.text}


def _meta_to_dict(plain: Callable[[Meta], dict[str, Any]]) -> Callable[[Meta], dict[str, Any]]:
    """Cohere writes the version as an object."""

    def to_dict(meta: Meta) -> dict[str, Any]:
        written = plain(meta)
        if meta.api_version is not None:
            written["api_version"] = {"version": meta.api_version}
        return written

    return to_dict


_converter.register_unstructure_hook(Document, document_to_dict)
_converter.register_unstructure_hook(
    RerankResult,
    make_dict_unstructure_fn(
        RerankResult,
        _converter,
        _cattrs_omit_if_default=True,
        relevance_score=_required,
        extra=_omitted,
    ),
)
_converter.register_unstructure_hook(
    Meta, _meta_to_dict(_converter.gen_unstructure_attrs_fromdict(Meta))
)
_converter.register_unstructure_hook(
    RerankResponse,
    make_dict_unstructure_fn(
        RerankResponse,
        _converter,
        _cattrs_omit_if_default=True,
        id=_required,
        payload=_omitted,
        headers=_omitted,
        attempts=_omitted,
        seconds=_omitted,
    ),
)


def response_to_dict(response: RerankResponse) -> dict[str, Any]:
    """The response in the shape of Cohere's API, unset values left out."""
    plain: dict[str, Any] = _converter.unstructure(response)
    return plain


def response_to_html(response: RerankResponse) -> str:
    """A table of the first results."""
    rows = "".join(
        f"<tr><td>{result.index}</td><td>{_score(result)}</td><td>{_text(result)}</td></tr>"
        for result in response.results[:_MAX_ROWS]
    )
    left = len(response.results) - _MAX_ROWS
    more = f"<p>and {left} more</p>" if left > 0 else ""
    said = "".join(f"<li>{html.escape(shorten(text))}</li>" for text in response.warnings)
    name = html.escape(f"{response.provider}/{response.model}")
    return (
        f"<table><caption>{name}</caption><thead><tr><th>index</th><th>relevance_score</th>"
        f"<th>document</th></tr></thead><tbody>{rows}</tbody></table>{more}"
        f"{f'<ul>{said}</ul>' if said else ''}"
    )


def _score(result: RerankResult) -> str:
    score: Any = result.relevance_score
    return "" if score is None else f"{score:.6g}"


def _text(result: RerankResult) -> str:
    document: Any = result.document
    return "" if document is None else html.escape(shorten(document.text, _MAX_CHARS))
