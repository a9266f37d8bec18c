"""Infinity, a self-hosted server of rerankers and embedding models.

https://github.com/michaelfeil/infinity
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import (
    HTTPRequest,
    Meta,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)

_MOST_CHARS = 122_880
_SIBLINGS = "models|classify|health|docs"  # other routes of the same server


@hookimpl
def resolve_provider() -> Provider:
    """State Infinity's facts."""
    return Provider(
        name="infinity",
        docs_url="https://michaelfeil.eu/infinity/",
        base_url="http://localhost:7997",
        base_url_env=("INFINITY_API_BASE",),
        api_key_env=("INFINITY_API_KEY",),
        api_key_required=False,
        params={"top_n": "top_n"},
        extra_params={"raw_scores": "raw_scores"},
        takes_blank_documents=True,
        max_documents=2048,
        max_document_chars=_MOST_CHARS,
        max_query_chars=_MOST_CHARS,
        score_kind="probability",  # with raw_scores=True: logit
        hints={
            401: "if the server was started with --api-key: give it as api_key=",
            404: "if the server was started with --url-prefix: it belongs to the base URL, for"
            " example api_base='http://localhost:7997/v1'; if not: the base URL ends in no /v1",
            429: "if the server's queue is full: give fewer documents at a time with"
            " max_documents= and max_concurrency=",
        },
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Infinity's names are the caller's."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; `/v1` is never put in between, a default server has none."""
    return HTTPRequest(
        url=wire.join_endpoint(provider.base_url or "", "/rerank", others=_SIBLINGS),
        body={
            "model": request.model,
            "query": request.query,
            "documents": request.documents,
            **params,
        },
    )


@hookimpl
def parse_response(request: RerankRequest, payload: Any) -> RerankResponse:
    """Read the reply."""
    return RerankResponse(
        wire.read_results(payload["results"]),
        id=payload.get("id"),
        meta=Meta() if _counts_characters(request, payload) else wire.read_meta(payload),
        # A server with one model answers whatever model it is asked for.
        model=payload.get("model"),
    )


def _counts_characters(request: RerankRequest, payload: Any) -> bool:
    """Whether `usage` is in characters, as it is without --lengths-via-tokenize: no tokens."""
    query = len(request.query.strip()) * len(request.documents)
    texts = sum(len(str(document).strip()) for document in request.documents)
    usage = payload.get("usage")
    return isinstance(usage, dict) and usage.get("total_tokens") == query + texts
