"""Scaleway's rerank API, v1, of its Generative APIs: the cosine of two embeddings.

https://www.scaleway.com/en/docs/generative-apis/how-to/query-reranking-models/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import (
    AuthenticationError,
    HTTPRequest,
    NotFoundError,
    PermissionDeniedError,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)

# How services say that they do not know a model.
_UNKNOWN_MODEL = ("does not exist", "model not found", "no such model", "unknown model")
_NOT_ALLOWED = (" permission", "permission denied")


@hookimpl
def resolve_provider() -> Provider:
    """State Scaleway's facts."""
    return Provider(
        name="scaleway",
        docs_url="https://www.scaleway.com/en/docs/generative-apis/how-to/query-reranking-models/",
        base_url="https://api.scaleway.ai/v1",
        base_url_env=("SCALEWAY_API_BASE",),
        api_key_env=("SCW_SECRET_KEY",),
        params={"top_n": "top_n"},
        score_kind="opaque",  # a cosine, from -1 to 1
        # A key that is unknown is answered with 403; a model with 422, as any fault of a body.
        error_types={
            403: AuthenticationError,
            **dict.fromkeys(_UNKNOWN_MODEL, NotFoundError),
            **dict.fromkeys(_NOT_ALLOWED, PermissionDeniedError),
        },
        hints={
            403: "if the secret key is the right one, its IAM policy must allow Generative APIs",
            422: "if it is about the model: GET /v1/models lists what is served; if the list is"
            " too long: max_documents= splits it",
            **dict.fromkeys(_UNKNOWN_MODEL, "GET /v1/models lists the models that are served"),
        },
        # No price: the documented one is in euros, and not confirmed for this endpoint.
        models=("qwen3-embedding-8b",),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Scaleway's names are the caller's."""
    return wire.rename_params(params, provider.params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; `top_n` is required, and that documents come back cannot be helped."""
    return HTTPRequest(
        url=wire.join_endpoint(provider.base_url or "", "/v1/rerank"),
        body={
            "model": request.model,
            "query": request.query,
            "documents": request.documents,
            "top_n": len(request.documents),
            **params,
        },
    )


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply."""
    return RerankResponse(
        wire.read_results(payload["results"]),
        id=payload.get("id"),
        meta=wire.read_meta(payload),
        model=payload.get("model"),
    )
