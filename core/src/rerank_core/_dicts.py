"""Records as plain dicts, by cattrs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from rerank_core._models import Document, Meta, RerankResponse, RerankResult

if TYPE_CHECKING:
    from collections.abc import Callable

_converter = cattrs.Converter(omit_if_default=True)
_required = override(omit_if_default=False)


def _document_to_dict(document: Document) -> dict[str, Any]:
    return {**_plain(document.fields or {}), "text": document.text}


def _plain(value: Any) -> Any:
    """The value in dicts and lists of its own: what is in a document may be any mapping."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        return list(map(_plain, value))
    return value


def _meta_to_dict(plain: Callable[[Meta], dict[str, Any]]) -> Callable[[Meta], dict[str, Any]]:
    """Cohere writes the version as an object."""

    def to_dict(meta: Meta) -> dict[str, Any]:
        written = plain(meta)
        if meta.api_version is not None:
            written["api_version"] = {"version": meta.api_version}
        return written

    return to_dict


_converter.register_unstructure_hook(Document, _document_to_dict)
_converter.register_unstructure_hook(
    RerankResult,
    make_dict_unstructure_fn(
        RerankResult,
        _converter,
        _cattrs_omit_if_default=True,
        relevance_score=_required,
        extra=override(omit=True),
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
        _results=override(omit=True),
        id=_required,
        payload=override(omit=True),
        headers=override(omit=True),
    ),
)


def response_to_dict(response: RerankResponse) -> dict[str, Any]:
    """The response in the shape of Cohere's API, unset values left out."""
    return {"results": _converter.unstructure(response.results), **_converter.unstructure(response)}
