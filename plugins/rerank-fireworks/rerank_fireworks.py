"""Fireworks AI's rerank API, v1.

https://docs.fireworks.ai/api-reference/rerank-documents
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import (
    HTTPRequest,
    PermissionDeniedError,
    Price,
    Provider,
    RerankRequest,
    RerankResponse,
    UnsupportedParamError,
    hookimpl,
    wire,
)

# Serverless, in both of its spellings; the others run on deployments, billed by time.
_SERVERLESS = ("accounts/fireworks/models/qwen3-reranker-8b", "fireworks/qwen3-reranker-8b")


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State Fireworks' facts."""
    is_serverless = _to_wire_model(model) in _SERVERLESS
    return Provider(
        name="fireworks",
        docs_url="https://docs.fireworks.ai/api-reference/rerank-documents",
        base_url="https://api.fireworks.ai/inference/v1",
        base_url_env=("FIREWORKS_API_BASE", "FIREWORKS_AI_API_BASE"),
        api_key_env=(
            "FIREWORKS_API_KEY",
            "FIREWORKS_AI_API_KEY",
            "FIREWORKSAI_API_KEY",
            "FIREWORKS_AI_TOKEN",
        ),
        params={"top_n": "top_n"},
        extra_params={"task": "task", "instruction": "task"},
        max_tokens=40_960,
        score_kind="probability",
        error_types={402: PermissionDeniedError},  # an unpaid plan or a usage limit
        hints={
            402: "the account's plan is unpaid, or its usage limit is reached",
            404: "only qwen3-reranker-8b is served without a deployment of your own, and not every"
            " deployment can rerank",
            412: "Fireworks' answer to a suspended account, and to a LoRA that cannot be loaded",
        },
        price=Price(0.2e-6, "total_tokens", "2026-11-22") if is_serverless else None,
        models=("qwen3-reranker-8b", "qwen3-reranker-4b", "qwen3-reranker-0p6b"),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """An instruction, as others call it, is Fireworks' task."""
    if params.keys() >= {"task", "instruction"}:
        message = "fireworks takes one of 'task' and 'instruction', which are the same"
        raise UnsupportedParamError(message, param="instruction")
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; its schema is closed, so that it holds nothing but what is documented."""
    return HTTPRequest(
        url=wire.join_endpoint(provider.base_url or "", "/inference/v1/rerank"),
        body={
            "model": _to_wire_model(request.model),
            "query": request.query,
            "documents": request.documents,
            "return_documents": False,  # else they are sent back
            **params,
        },
    )


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply, whose list is called `data`, or else `results`."""
    name = "data" if "data" in payload else "results"
    return RerankResponse(
        wire.read_results(payload[name], name),
        id=payload.get("id") or "",  # none is documented
        meta=wire.read_meta(payload),
    )


def _to_wire_model(model: str) -> str:
    """The whole id for a bare name; one with an account or a deployment stays as it is."""
    return model if "/" in model or "#" in model else f"accounts/fireworks/models/{model}"
