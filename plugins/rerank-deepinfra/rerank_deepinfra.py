"""DeepInfra's native inference API for rerankers.

https://deepinfra.com/Qwen/Qwen3-Reranker-8B/api
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from rerank_core import (
    HTTPRequest,
    PermissionDeniedError,
    Price,
    Provider,
    RerankRequest,
    RerankResponse,
    RerankResult,
    ResponseParseError,
    hookimpl,
    wire,
)

# US dollars for a million tokens; the query counts once for each document.
_PRICES = {
    "Qwen/Qwen3-Reranker-0.6B": 0.010,
    "Qwen/Qwen3-Reranker-8B": 0.050,
    "nvidia/Nemotron-3.5-Rerank-8B-BF16": 0.050,
}


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State DeepInfra's facts."""
    # The priority tier costs more than the list says: there only what the reply says counts.
    price = None if options.get("service_tier") == "priority" else _PRICES.get(model)
    is_qwen = model.startswith("Qwen/Qwen3-Reranker-")
    return Provider(
        name="deepinfra",
        docs_url="https://deepinfra.com/docs/inference",
        base_url="https://api.deepinfra.com/v1/inference",
        base_url_env=("DEEPINFRA_API_BASE", "DEEPINFRA_BASE_URL"),
        api_key_env=("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
        # `webhook` is left out: with it the reply has no scores.
        extra_params={"instruction": "instruction"},
        # The tier is none of a call's parameters, because the price depends on it.
        options={"broadcast_query": (), "service_tier": ()},
        max_documents=1000,  # no limit is documented; so many were seen to work
        max_tokens=32768 if is_qwen or model in _PRICES else None,
        score_kind="probability" if is_qwen else "opaque",
        error_types={402: PermissionDeniedError},  # not paid for
        hints={
            402: "if the account's balance is used up: top it up",
            404: "if it is about the model: write it as on its page, owner/name",
            429: "if there are no more than 200 requests at once on this model, it is being scaled"
            " up",
        },
        price=Price(price / 1e6, "total_tokens", "2026-11-22") if price else None,
        models=(*_PRICES, "Qwen/Qwen3-Reranker-4B"),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """DeepInfra's names are the caller's."""
    return wire.rename_params(params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request: the model in the path, and a query for each document."""
    # The documented form repeats it; the service was also seen to spread a single one over all.
    count = 1 if request.options.get("broadcast_query") else len(request.documents)
    tier = request.options.get("service_tier")
    return HTTPRequest(
        url=_to_url(provider.base_url or "", request.model),
        body={
            "queries": [request.query] * count,
            "documents": request.documents,
            **params,
            **({"service_tier": tier} if tier else {}),
        },
    )


@hookimpl
def parse_response(request: RerankRequest, payload: Any) -> RerankResponse:
    """Read the scores, which stand in the order of the documents."""
    scores, status = payload["scores"], payload.get("inference_status")
    if len(scores) != len(request.documents):
        message = f"scores has {len(scores)} entries for {len(request.documents)} documents"
        raise ResponseParseError(message, path="scores")
    status = status if isinstance(status, dict) else {}
    tokens = payload.get("input_tokens") or status.get("tokens_input")
    return RerankResponse(
        [RerankResult(index, score) for index, score in enumerate(scores)],
        id=payload.get("request_id"),
        meta=wire.read_meta({"usage": {"total_tokens": tokens}}),
        cost=_read_cost(status.get("cost")),
    )


def _read_cost(stated: Any) -> float | None:
    """The cost in US dollars; 0 is a placeholder, and then the list price counts."""
    return stated if type(stated) in {int, float} and stated > 0 else None


def _to_url(base_url: str, model: str) -> str:
    """Complete a base URL, which may be the one of the chat API, or whole for a deployment."""
    parts = urlsplit(base_url)
    path = wire.OTHER_TASKS.sub("", parts.path.rstrip("/"))
    if "/inference/" not in path:
        if chat := re.fullmatch(r"(.*?)/(?:openai|(anthropic))(?:/.*)?", path):
            path = chat[1] + ("/v1" if chat[2] else "") + "/inference"
        elif not path.endswith("/inference"):
            path += "/inference" if path.endswith("/v1") else "/v1/inference"
        path += "/" + quote(model, safe="/:")
    return urlunsplit(parts._replace(path=path, fragment=""))
