"""Voyage AI's rerank API, v1, on its own host and on MongoDB's.

https://docs.voyageai.com/reference/reranker-api
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import (
    HTTPRequest,
    InvalidRequestError,
    Price,
    Provider,
    RerankRequest,
    RerankResponse,
    UnsupportedParamError,
    hookimpl,
    wire,
)

# The most tokens of the query and one document, and whether the model heeds instructions.
_MODELS = {
    "rerank-3": (32_000, True),
    "rerank-3-lite": (32_000, True),
    "rerank-2.5": (32_000, True),
    "rerank-2.5-lite": (32_000, True),
    "rerank-2": (16_000, False),
    "rerank-2-lite": (8000, False),
    "rerank-1": (8000, False),
    "rerank-lite-1": (4000, False),
}
_UNKNOWN = (None, True)
# US dollars for a token.
_FULL, _LITE = 0.05e-6, 0.02e-6


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State Voyage's facts."""
    price = _LITE if "lite" in model else _FULL
    return Provider(
        name="voyage",
        docs_url="https://docs.voyageai.com/reference/reranker-api",
        base_url="https://api.voyageai.com/v1",
        base_url_env=("VOYAGE_API_BASE",),
        base_urls_by_key={"al-": "https://ai.mongodb.com/v1"},  # keys that Atlas issued
        api_key_env=("VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_AI_TOKEN"),
        params={"top_n": "top_k"},
        extra_params={"truncation": "truncation", "instruction": "query"},
        max_documents=1000,
        max_tokens=_MODELS.get(model, _UNKNOWN)[0],
        score_kind="probability",
        hints={
            401: "if the key is right: one that begins with 'al-' is valid only on"
            " https://ai.mongodb.com, any other only on https://api.voyageai.com",
            403: "if it is about the address: Voyage does not serve every IP address",
            429: "if the account has no payment method: it has 3 requests and 10,000 tokens a"
            " minute",
        },
        price=Price(price, "total_tokens", "2026-11-22") if model in _MODELS else None,
        models=tuple(_MODELS),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """`top_n` is `top_k`; an instruction becomes part of the query."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; documents are sent back only where that is asked for."""
    body = {**params, "model": request.model, "query": request.query}
    if (instruction := params.get("query")) is not None:
        _check_instruction(instruction, request.model)
        body["query"] = f"{instruction}\n{request.query}"
    return HTTPRequest(
        url=wire.join_endpoint(provider.base_url or "", "/v1/rerank"),
        body={**body, "documents": request.documents},
    )


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply, whose list is called `data`."""
    return RerankResponse(
        wire.read_results(payload["data"], "data"),
        id=payload.get("id"),  # none so far
        meta=wire.read_meta(payload),
        model=payload.get("model"),
    )


def _check_instruction(instruction: object, model: str) -> None:
    if not _MODELS.get(model, _UNKNOWN)[1]:
        message = f"{model} heeds no 'instruction': rerank-2.5 and later do"
        raise UnsupportedParamError(message, param="instruction")
    if not (isinstance(instruction, str) and instruction.strip()):
        message = f"instruction must be a string that is not blank, not {instruction!r}"
        raise InvalidRequestError(message)
