"""Contextual AI's rerank API.

https://docs.contextual.ai/api-reference/rerank/rerank
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rerank_core import (
    HTTPRequest,
    InvalidRequestError,
    Price,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)

_OTHERS = "agents(/.*)?|generate|lmunit|parse"  # its other tasks, an agent's chat above all
# US dollars for a token; the price list of June 2026.
_PRICES = {
    "ctxl-rerank-v2-instruct-multilingual": 0.05e-6,
    "ctxl-rerank-v2-instruct-multilingual-mini": 0.02e-6,
}


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State Contextual AI's facts."""
    price = _PRICES.get(model)
    return Provider(
        name="contextual",
        docs_url="https://docs.contextual.ai/api-reference/rerank/rerank",
        base_url="https://api.contextual.ai/v1",
        base_url_env=("CONTEXTUAL_API_BASE", "CONTEXTUAL_AI_BASE_URL"),
        api_key_env=("CONTEXTUAL_API_KEY", "CONTEXTUAL_AI_API_KEY"),
        params={"top_n": "top_n"},
        extra_params={"instruction": "instruction", "metadata": "metadata"},
        score_kind="probability",
        # How it scores is not documented; an instruction weighs documents against each other.
        listwise=True,
        # Replies state no usage, so that `cost` stays unknown.
        price=Price(price, "total_tokens", "2026-06-30") if price else None,
        models=(*_PRICES, "ctxl-rerank-v1-instruct"),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Contextual AI's names are the caller's."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; `metadata` stands beside the documents, so there must be as many."""
    given = params.get("metadata")
    if given is not None and (isinstance(given, str) or not isinstance(given, Sequence)):
        message = f"metadata must be a list of strings, not {type(given).__name__}"
        raise InvalidRequestError(message)
    if given is not None and len(given) != len(request.documents):
        message = (
            f"metadata has {len(given):,} entries for {len(request.documents):,} documents that"
            " are sent: give one for each, '' where there is none; blank documents are not sent,"
            " and a list that is split cannot have metadata"
        )
        raise InvalidRequestError(message)
    return HTTPRequest(
        url=wire.join_endpoint(provider.base_url or "", "/v1/rerank", others=_OTHERS),
        body={
            "model": request.model,
            "query": request.query,
            "documents": request.documents,
            **params,
        },
    )


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply, which is the ranking alone."""
    return RerankResponse(wire.read_results(payload["results"]))
