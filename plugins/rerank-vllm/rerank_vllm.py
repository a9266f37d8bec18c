"""vLLM, a self-hosted server of models, where it serves a reranker.

https://docs.vllm.ai/en/latest/models/pooling_models/scoring/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rerank_core import HTTPRequest, Provider, RerankRequest, RerankResponse, hookimpl, wire

# Other routes of the same server.
_SIBLINGS = "score|pooling|classify|tokenize|invocations|health|docs"
_EXTRA = (
    "max_tokens_per_query",
    "truncate_prompt_tokens",
    "truncation_side",
    "use_activation",
    "instruction",
    "chat_template_kwargs",
    "padding",
    "mm_processor_kwargs",
    "cache_salt",
    "priority",
    "request_id",
    "user",
)


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State vLLM's facts."""
    return Provider(
        name="vllm",
        docs_url="https://docs.vllm.ai/en/latest/models/pooling_models/scoring/",
        base_url="http://localhost:8000",
        base_url_env=("HOSTED_VLLM_API_BASE",),
        api_key_env=("HOSTED_VLLM_API_KEY", "VLLM_API_KEY"),
        api_key_required=False,
        params={"top_n": "top_n", "max_tokens_per_doc": "max_tokens_per_doc"},
        extra_params={name: name for name in _EXTRA},
        takes_mappings=True,  # parts of a multimodal document; others are rendered below
        # By the model that is served: 0..1, logits, cosines, or sums of them.
        score_kind="opaque",
        listwise="jina-reranker-v3" in model.lower(),
        hints={
            401: "if the server was started with a key: give it as api_key=, or set"
            " HOSTED_VLLM_API_KEY",
            404: "if the model was not started with --runner pooling, there is no such route; if a"
            " proxy publishes only /v1, end api_base in /v1; if it is Ollama: it does not rerank",
            "unexpected endpoint": "LM Studio does not rerank: serve the model with llama-server"
            " --rerank",
            "NotFoundError": "GET /v1/models lists what is served",
            "BadRequestError": "if a pair is too long: truncate_prompt_tokens=-1 cuts it",
            "does not support rerank": "the model that is served is no reranker",
        },
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the caller's names; a null would be answered with 400, and none is ever among them."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; `/v1` stays where it is: only there and below `/v2` keys are checked."""
    return HTTPRequest(
        url=wire.join_endpoint(provider.base_url or "", "/rerank", others=_SIBLINGS),
        body={
            "model": request.model,
            "query": request.query,
            "documents": [
                document
                if _has_parts(document, request.rank_fields)
                else wire.render_document(document, request.rank_fields)
                for document in request.documents
            ],
            **params,
        },
    )


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply, without the documents that the server always sends back."""
    return RerankResponse(
        wire.read_results(payload["results"]),
        id=payload.get("id"),
        meta=wire.read_meta(payload),
        model=payload.get("model"),
    )


def _has_parts(document: str | Mapping[str, Any], rank_fields: Sequence[str] | None) -> bool:
    """Whether it is a multimodal document: text, images and more, in a list called `content`."""
    if isinstance(document, str) or not isinstance(document.get("content"), list):
        return False
    return rank_fields is None or "content" in rank_fields
