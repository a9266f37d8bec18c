"""Mixedbread's reranking API.

https://www.mixedbread.com/api-reference/endpoints/reranking
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import (
    HTTPRequest,
    Price,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)

_OWNER = "mixedbread-ai/"
_LARGE_V2, _BASE_V2, _BASE_V1 = (
    f"{_OWNER}mxbai-rerank-{name}" for name in ("large-v2", "base-v2", "base-v1")
)
_MAX_TOKENS = {
    _LARGE_V2: 8_192,
    _BASE_V2: 8_192,
    f"{_OWNER}mxbai-rerank-large-v1": 512,
    _BASE_V1: 512,
    f"{_OWNER}mxbai-rerank-xsmall-v1": 512,
}
_PRICED = (_LARGE_V2, _BASE_V2, _BASE_V1)


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State Mixedbread's facts."""
    model = _with_owner(model)
    return Provider(
        name="mixedbread",
        docs_url="https://www.mixedbread.com/api-reference/endpoints/reranking",
        base_url="https://api.mixedbread.com",
        base_url_env=("MIXEDBREAD_API_BASE", "MIXEDBREAD_BASE_URL"),
        api_key_env=("MXBAI_API_KEY", "MIXEDBREAD_API_KEY"),
        params={"top_n": "top_k", "rank_fields": "rank_fields"},
        extra_params={"rewrite_query": "rewrite_query"},
        takes_mappings=True,  # with rank_fields; without, how they are read is not documented
        max_documents=1000,
        max_query_chars=32_000,
        max_tokens=_MAX_TOKENS.get(model),
        score_kind="probability" if model.endswith("-v1") else "opaque",
        listwise="listwise" in model,
        price=Price(0.15e-6, "total_tokens", "2026-11-28") if model in _PRICED else None,
        models=tuple(_MAX_TOKENS),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Call `top_n` what Mixedbread calls it."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; mappings travel as they are where `rank_fields` say how to read them."""
    body = {"model": _with_owner(request.model), "query": request.query, **params}
    native = all(isinstance(document, Mapping) for document in request.documents)
    # What they mean for a string is not documented, and a dot leads to a field within a field.
    if not native or any("." in name for name in request.rank_fields or ()):
        body.pop("rank_fields", None)
    body["input"] = (
        request.documents
        if "rank_fields" in body
        else wire.render_documents(request.documents, request.rank_fields)
    )
    return HTTPRequest(url=wire.join_endpoint(provider.base_url or "", "/v1/reranking"), body=body)


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply, where the list is `data`, and `object` is the type of a row."""
    return RerankResponse(
        wire.read_results(payload["data"], "data", score="score"),
        model=payload.get("model"),
        meta=wire.read_meta(payload),
    )


def _with_owner(model: str) -> str:
    """The model's name as the API takes it."""
    return model if "/" in model or not model else f"{_OWNER}{model}"
