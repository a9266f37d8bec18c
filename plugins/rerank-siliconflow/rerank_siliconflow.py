"""SiliconFlow's rerank API, of its international site or, by `api_base=`, of its Chinese one.

https://docs.siliconflow.com/en/api-reference/rerank/create-rerank
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import (
    BilledUnits,
    HTTPRequest,
    Meta,
    NotFoundError,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)

_OF_CHUNKS = ("bge-", "bce-")  # models whose documents the service cuts into chunks
_MAX_TOKENS = {
    "Qwen/Qwen3-Reranker-8B": 32_768,
    "Qwen/Qwen3-Reranker-4B": 32_768,
    "Qwen/Qwen3-Reranker-0.6B": 32_768,
    "Qwen/Qwen3-VL-Reranker-8B": None,
    "BAAI/bge-reranker-v2-m3": 8_192,
    "Pro/BAAI/bge-reranker-v2-m3": 8_192,
    "netease-youdao/bce-reranker-base_v1": 512,
}


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State SiliconFlow's facts, as of 28 November 2026."""
    chunks = any(name in model for name in _OF_CHUNKS)
    instructed = "Qwen3-Reranker" in model
    unknown = model not in _MAX_TOKENS and not (chunks or instructed)
    return Provider(
        name="siliconflow",
        docs_url="https://docs.siliconflow.com/en/api-reference/rerank/create-rerank",
        base_url="https://api.siliconflow.com/v1",
        base_url_env=("SILICONFLOW_API_BASE",),
        api_key_env=("SILICONFLOW_API_KEY",),
        params={"top_n": "top_n"}
        | ({"max_chunks_per_doc": "max_chunks_per_doc"} if chunks or unknown else {}),
        # Not truncate_prompt_tokens: the service keeps the last tokens of the prompt, and so cuts
        # the query off; https://github.com/Tencent/WeKnora/issues/2143
        extra_params=({"instruction": "instruction"} if instructed or unknown else {})
        | ({"overlap_tokens": "overlap_tokens"} if chunks or unknown else {}),
        max_tokens=_MAX_TOKENS.get(model),
        score_kind="opaque",  # mostly 0..1, by no promise
        error_types={"model does not exist": NotFoundError},  # with status 400
        hints={
            401: "if the key is right: keys belong to one site: for one of siliconflow.cn give"
            " api_base='https://api.siliconflow.cn/v1'",
            400: "if it is the model: the sites siliconflow.com and siliconflow.cn serve different"
            " ones",
            404: "if it is the model: the sites siliconflow.com and siliconflow.cn serve different"
            " ones",
        },
        # No price: those known are in yuan.
        models=tuple(_MAX_TOKENS),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """SiliconFlow's names are the caller's."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; documents do not come back unless asked for."""
    return HTTPRequest(
        url=wire.join_endpoint(provider.base_url or "", "/v1/rerank"),
        body={
            "model": request.model,
            "query": request.query,
            "documents": request.documents,
            **params,
        },
    )


@hookimpl
def parse_response(payload: Any, headers: Mapping[str, str]) -> RerankResponse:
    """Read the reply."""
    return RerankResponse(
        wire.read_results(payload["results"]),
        id=payload.get("id") or headers.get("x-siliconcloud-trace-id", ""),
        meta=_read_meta(payload),
    )


def _read_meta(payload: Mapping[str, Any]) -> Meta:
    """Tokens, within `meta` or beside the results; the `search_units` are 0 in every reply."""
    own = payload.get("meta")
    own = own if isinstance(own, dict) else {}
    meta = wire.read_meta(
        {**payload, "meta": {**own, "tokens": own.get("tokens") or payload.get("tokens")}}
    )
    went_in, came_out = meta.tokens.input_tokens, meta.tokens.output_tokens or 0
    total = None if went_in is None else went_in + came_out
    return Meta(billed_units=BilledUnits(total_tokens=total), tokens=meta.tokens)
