"""Fireworks AI's rerank API, v1.

https://docs.fireworks.ai/api-reference/rerank-documents
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

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

# The context of query and document; a deployment's or another model's is not known.
_MAX_TOKENS = {
    "qwen3-reranker-8b": 40_960,
    "qwen3-reranker-4b": 40_960,
    "qwen3-reranker-0p6b": 40_960,
    "voyage-rerank-2-5": 32_000,  # since June 2026
}
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
        max_tokens=_MAX_TOKENS.get(re.sub(r".*/models/|^fireworks/|#.*", "", model)),
        score_kind="probability",
        error_types={402: PermissionDeniedError},  # an unpaid plan or a usage limit
        hints={
            402: "if the account's plan is paid, its usage limit is reached",
            404: "if it is about the model: qwen3-reranker-8b is served without a deployment of"
            " your own, most others are not, and not every deployment can rerank",
            412: "if the account is not suspended, a LoRA could not be loaded",
        },
        price=Price(0.2e-6, "total_tokens", "2026-11-22") if is_serverless else None,
        models=tuple(_MAX_TOKENS),
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
        url=wire.join_endpoint(_to_inference(provider.base_url or ""), "/inference/v1/rerank"),
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
        id=payload.get("id"),  # none is documented
        meta=wire.read_meta(payload),
        model=payload.get("model"),
    )


def _to_inference(base_url: str) -> str:
    """The base URL, with the API of models in the place of the one that manages an account."""
    parts = urlsplit(base_url)
    if parts.hostname != "api.fireworks.ai":
        return base_url
    return urlunsplit(parts._replace(path=re.sub(r"^/v1(?=/|$)", "/inference/v1", parts.path)))


def _to_wire_model(model: str) -> str:
    """The whole id for a bare name; one with an account or a deployment stays as it is."""
    return model if "/" in model or "#" in model else f"accounts/fireworks/models/{model}"
