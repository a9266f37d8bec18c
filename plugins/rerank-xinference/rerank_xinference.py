"""Xinference, Xorbits' self-hosted server of models.

https://inference.readthedocs.io/en/latest/models/model_abilities/rerank.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import (
    HTTPRequest,
    NotFoundError,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State Xinference's facts, as of version 3.2.1."""
    return Provider(
        name="xinference",
        docs_url="https://inference.readthedocs.io/en/latest/models/model_abilities/rerank.html",
        base_url="http://127.0.0.1:9997",
        base_url_env=("XINFERENCE_API_BASE", "XINFERENCE_SERVER_URL"),
        api_key_env=("XINFERENCE_API_KEY",),
        api_key_required=False,
        # Not max_chunks_per_doc: the server accepts it, and its engines ignore or reject it.
        params={"top_n": "top_n"},
        extra_params={"return_len": "return_len", "kwargs": "kwargs"},
        score_kind="opaque",  # the model's, mostly 0..1
        # Of any version; the name is the one that the operator chose at the launch.
        listwise="jina-reranker-v3" in model.lower(),
        final_statuses=frozenset({500, 501}),  # any fault of a model, bad input above all
        error_types={"model not found": NotFoundError},  # with status 400
        hints={
            400: "if it is about the model: it is the uid that one was launched with, and"
            " GET /v1/models lists those",
            401: "if the server wants a key: give api_key=, or set XINFERENCE_API_KEY",
            500: "if the model is still being launched, wait for it; if a text is too long, cut it",
        },
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Xinference's names are the caller's; options of the engine travel as JSON in a string."""
    mapped = wire.rename_params(params, provider.params, provider.extra_params)
    if isinstance(mapped.get("kwargs"), Mapping):
        mapped["kwargs"] = wire.encode_json(mapped["kwargs"]).decode()
    return mapped


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; over HTTP, documents do not come back unless asked for."""
    return HTTPRequest(
        # A browser shows pages of the same server.
        url=wire.join_endpoint(provider.base_url or "", "/v1/rerank", others="ui|docs"),
        body={
            "model": request.model,
            "query": request.query,
            "documents": request.documents,
            **params,
        },
    )


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply; its count of tokens that went out only repeats that of those that went in."""
    meta = payload.get("meta")
    tokens = meta.get("tokens") if isinstance(meta, dict) else None
    went_in = tokens.get("input_tokens") if isinstance(tokens, dict) else None
    return RerankResponse(
        wire.read_results(payload["results"]),
        id=payload.get("id"),
        meta=wire.read_meta({"usage": {"total_tokens": went_in}}),
        warnings=wire.read_warnings(payload),
    )
