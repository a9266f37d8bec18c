"""Isaacus's reranking API, for legal texts.

https://docs.isaacus.com/api-reference/rerankings
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import HTTPRequest, Provider, RerankRequest, RerankResponse, hookimpl, wire

_EXTRA = ("is_iql", "scoring_method", "chunking_options")


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State Isaacus's facts, as of 28 November 2026."""
    return Provider(
        name="isaacus",
        docs_url="https://docs.isaacus.com/api-reference/rerankings",
        base_url="https://api.isaacus.com/v1",
        base_url_env=("ISAACUS_API_BASE", "ISAACUS_BASE_URL"),
        api_key_env=("ISAACUS_API_KEY",),
        # Not max_tokens_per_doc: chunking_options sets the length of chunks, and nothing is cut.
        params={"top_n": "top_n"},
        extra_params={name: name for name in _EXTRA},
        # Of a chunk; a longer text is cut into chunks by the service.
        max_tokens=16_384 if model == "kanon-2-reranker" else None,
        score_kind="probability",
        retry_statuses=frozenset({409}),  # as its SDK does
        # No price: the one on the price list is of the embedder.
        models=("kanon-2-reranker", "kanon-universal-classifier"),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Isaacus's names are the caller's."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; documents are `texts`."""
    return HTTPRequest(
        url=wire.join_endpoint(provider.base_url or "", "/v1/rerankings"),
        body={
            "model": request.model,
            "query": request.query,
            "texts": request.documents,
            **params,
        },
    )


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply; tokens that went in are all that is billed."""
    return RerankResponse(
        wire.read_results(payload["results"], score="score"), meta=wire.read_meta(payload)
    )
