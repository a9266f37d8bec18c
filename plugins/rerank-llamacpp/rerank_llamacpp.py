"""llama.cpp's server, `llama-server --rerank`, with any reranker in GGUF.

https://github.com/ggml-org/llama.cpp/tree/master/tools/server
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import (
    BadRequestError,
    HTTPRequest,
    Provider,
    RerankRequest,
    RerankResponse,
    ResponseParseError,
    hookimpl,
    wire,
)

_SIBLINGS = "completion|embedding|tokenize|health|props|slots"  # other routes of the same server
_NOT_COMPUTED = -1_000_000  # the score of a document on which the server failed


@hookimpl
def resolve_provider() -> Provider:
    """State llama.cpp's facts."""
    return Provider(
        name="llamacpp",
        docs_url="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
        base_url="http://127.0.0.1:8080",
        base_url_env=("LLAMACPP_API_BASE",),
        api_key_env=("LLAMACPP_API_KEY", "LLAMA_API_KEY"),
        api_key_required=False,
        params={"top_n": "top_n"},
        takes_blank_documents=True,
        # Logits of BERT-like models, which most are; 0..1 of Qwen3's.
        score_kind="opaque",
        # A pair that is too long for a batch is answered with 500: no retry and no other server
        # mends the request.
        error_types={
            "too large to process": BadRequestError,
            "larger than the max context": BadRequestError,  # of builds before September 2025
        },
        final_statuses=frozenset({500, 501}),
        hints={
            401: "if the server was started with a key: give it as api_key=, or set"
            " LLAMACPP_API_KEY",
            404: "if it is about the path: end api_base where the server's own begins, for"
            " /v1/rerank is added; if it is Ollama: it does not rerank",
            "unexpected endpoint": "LM Studio does not rerank: serve the model with llama-server"
            " --rerank",
            500: "if a query and a document together are too large to process: start the server"
            " with a larger --ubatch-size and --batch-size, or cut the document; nothing is cut"
            " by the server",
            501: "if the server was started without --rerank, start it with that",
            503: "if the model is still being loaded: give max_retries=",
        },
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """llama.cpp's name is the caller's."""
    return wire.rename_params(params, provider.params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; `documents`, because `texts` would make the server answer as TEI does."""
    return HTTPRequest(
        url=wire.join_endpoint(provider.base_url or "", "/v1/rerank", others=_SIBLINGS),
        body={
            "model": request.model,
            "query": request.query,
            "documents": request.documents,
            **params,
        },
    )


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply, unless the server failed on a document and ranks it all the same."""
    rows = payload["results"]
    results = wire.read_results(rows)
    for at, row in enumerate(rows):
        if row["relevance_score"] == _NOT_COMPUTED:
            message = f"the server could not score documents[{row['index']}]: see its log"
            raise ResponseParseError(message, path=f"results[{at}]")
    # A server with one model repeats whatever name it is asked for; a proxy may not.
    return RerankResponse(results, model=payload.get("model"), meta=wire.read_meta(payload))
