"""OpenRouter's rerank API, a router to rerankers of several providers.

https://openrouter.ai/docs/api-reference/rerank/submit-a-rerank-request
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rerank_core import (
    ConfigurationError,
    HTTPRequest,
    InvalidRequestError,
    PermissionDeniedError,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)

_HEADERS = {
    "http_referer": "HTTP-Referer",
    "x_open_router_title": "X-OpenRouter-Title",
    "x_open_router_categories": "X-OpenRouter-Categories",
}
# `provider` is taken: by what hands a plugin over to core.
_EXTRA = {
    "provider_preferences": "provider",
    "user": "user",
    "session_id": "session_id",
    "trace": "trace",
}


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State OpenRouter's facts, as of 28 November 2026; no model's, for their ids change."""
    return Provider(
        name="openrouter",
        docs_url="https://openrouter.ai/docs/api-reference/rerank/submit-a-rerank-request",
        base_url="https://openrouter.ai/api/v1",
        base_url_env=("OPENROUTER_API_BASE",),
        api_key_env=("OPENROUTER_API_KEY",),
        params={"top_n": "top_n"},
        extra_params=_EXTRA,
        options=dict.fromkeys(_HEADERS, ()),
        takes_mappings=True,  # those with an image; others are rendered below
        score_kind="opaque",  # the model's behind it, and routing may change that
        listwise="listwise" in model or "jina-reranker-v3" in model,
        error_types={402: PermissionDeniedError},  # no credits
        hints={
            402: "if the account has no credits left: add some",
            404: "if it is about the model: https://openrouter.ai/models?output_modalities=rerank"
            " lists them, and those of voyageai/ are now at mongodb/",
        },
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """OpenRouter's names are the caller's."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; that documents come back cannot be helped."""
    return HTTPRequest(
        url=wire.join_endpoint(provider.base_url or "", "/api/v1/rerank"),
        body={
            "model": request.model,
            "query": request.query,
            "documents": _to_documents(request),
            **params,
        },
        headers={_HEADERS[name]: _checked(name, value) for name, value in request.options.items()},
    )


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply; it states the cost itself."""
    usage = payload.get("usage")
    cost = usage.get("cost") if isinstance(usage, dict) else None
    return RerankResponse(
        wire.read_results(payload["results"]),
        id=payload.get("id"),
        meta=wire.read_meta(payload),
        cost=cost if isinstance(cost, float) or type(cost) is int else None,
        model=payload.get("model"),
    )


def _checked(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    message = f"{name} must be a string, not {type(value).__name__}"
    raise ConfigurationError(message)


def _to_documents(request: RerankRequest) -> Sequence[Any]:
    """Text as strings, images as objects."""
    return [
        _to_object(at, document, request.rank_fields) if isinstance(document, Mapping) else document
        for at, document in enumerate(request.documents)
    ]


def _to_object(
    at: int, document: Mapping[str, Any], rank_fields: Sequence[str] | None
) -> str | dict[str, Any]:
    """A mapping with an image as an object, which holds only `text` beside it; others as text."""
    names = document if rank_fields is None else rank_fields
    ranked = {name: document[name] for name in names if document.get(name) is not None}
    if "image" not in ranked:
        return wire.render_document(document, rank_fields)
    if others := sorted(ranked.keys() - {"image", "text"}):
        message = (
            f"documents[{at}] has other fields beside its image and text, {', '.join(others)}:"
            " choose by rank_fields, for example rank_fields=['text', 'image']"
        )
        raise InvalidRequestError(message)
    return ranked
