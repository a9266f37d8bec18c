"""Together AI's rerank API, v1: rerank models on dedicated endpoints.

https://docs.together.ai/reference/rerank-1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import (
    BadRequestError,
    ConfigurationError,
    HTTPRequest,
    PermissionDeniedError,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)

_NEEDS_ENDPOINT = (
    "if it is about the model: rerank models on Together need a dedicated endpoint; use its name"
    " as the model"
)


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State Together's facts."""
    is_llama_rank = "llama-rank" in model.lower()
    # An endpoint's own name hides its model, so that the caller may say what it takes.
    chosen = options.get("structured_documents")
    takes_objects = is_llama_rank if chosen is None else bool(chosen)
    return Provider(
        name="together",
        docs_url="https://docs.together.ai/reference/rerank-1",
        base_url="https://api.together.ai/v1",
        base_url_env=("TOGETHER_AI_API_BASE", "TOGETHER_BASE_URL"),
        api_key_env=(
            "TOGETHER_API_KEY",
            "TOGETHER_AI_API_KEY",
            "TOGETHERAI_API_KEY",
            "TOGETHER_AI_TOKEN",
        ),
        params={"top_n": "top_n"} | ({"rank_fields": "rank_fields"} if takes_objects else {}),
        options={"structured_documents": ()},
        takes_mappings=takes_objects,
        max_tokens=8192,
        # Other models' scales are not documented.
        score_kind="probability" if is_llama_rank else "opaque",
        # A spending limit; too much for the model, which its general page has at 403.
        error_types={402: PermissionDeniedError, "context length": BadRequestError},
        retry_statuses=frozenset({409}),  # as the official SDK does
        reset_headers=("x-ratelimit-reset", "x-tokenlimit-reset"),  # of requests, of tokens
        hints={
            400: _NEEDS_ENDPOINT,
            402: "if no payment is due, the account's spending limit is reached",
            # By its general page on errors; of reranking it says nothing.
            403: "if it is about tokens or length: the request is too large for the model",
            404: _NEEDS_ENDPOINT,
        },
        # No price: a dedicated endpoint is billed by the minute, not by the call.
        models=("Salesforce/Llama-Rank-V1", "mixedbread-ai/Mxbai-Rerank-Large-V2"),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Together's names are the caller's."""
    return wire.rename_params(params, provider.params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; its schema is closed, so that it holds nothing but what is documented.

    Documents are sent back only where that is asked for, as far as is known.
    """
    _check_option(request.options.get("structured_documents"))
    body = {"model": request.model, "query": request.query, "documents": request.documents}
    body |= params
    if any(isinstance(document, str) for document in request.documents):
        # Strings and objects must not be mixed: beside a string, all are sent as text.
        body["documents"] = wire.render_documents(request.documents, request.rank_fields)
        body.pop("rank_fields", None)
    return HTTPRequest(url=wire.join_endpoint(provider.base_url or "", "/v1/rerank"), body=body)


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply; its `model` may be an engine's internal name, and its `usage` null."""
    return RerankResponse(
        wire.read_results(payload["results"]),
        id=payload.get("id"),
        meta=wire.read_meta(payload),
    )


def _check_option(chosen: object) -> None:
    if chosen is not None and not isinstance(chosen, bool):
        message = f"structured_documents must be True or False, not {chosen!r}"
        raise ConfigurationError(message)
