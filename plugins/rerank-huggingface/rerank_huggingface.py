"""Hugging Face: Text Embeddings Inference (TEI), yours or an Inference Endpoint, and the router.

https://huggingface.co/docs/text-embeddings-inference and
https://huggingface.co/docs/inference-providers/providers/hf-inference
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from rerank_core import (
    BadRequestError,
    ConfigurationError,
    HTTPRequest,
    PermissionDeniedError,
    Provider,
    RateLimitError,
    RerankRequest,
    RerankResponse,
    ServerError,
    UnsupportedParamError,
    hookimpl,
    wire,
)

_ROUTER = "https://router.huggingface.co"
_ROUTER_HOST, _RETIRED_HOST = "router.huggingface.co", "api-inference.huggingface.co"
_HOSTS = ("*.huggingface.co", "*.endpoints.huggingface.cloud")
_MOST_BYTES = 2_000_000
# Of other servers and of TEI's other routes.
_TASKS = "v1|embed(_all|_sparse)?|predict|similarity|tokenize|decode|invocations|info|docs|health"
# Other tasks of a model, behind its owner and name.
_OF_A_MODEL = re.compile(r"(?<=/models/)([^/]+/[^/]+)/(pipeline/(?!text-ranking/*$).*|v1(/.*)?)$")
_NO_RERANKER = "not a re-ranker"
_MAX_DIGITS = 15  # what is longer is no count
_FOR_THE_REST = 1_000  # of a body: its names, its options
_MAX_TOKENS = {
    "BAAI/bge-reranker-base": 512,
    "BAAI/bge-reranker-large": 512,
    "BAAI/bge-reranker-v2-m3": 8192,
    "Alibaba-NLP/gte-multilingual-reranker-base": 8192,
    "Alibaba-NLP/gte-reranker-modernbert-base": 8192,
}


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State the facts about TEI, which hold for the router as well: TEI stands behind it."""
    return Provider(
        name="huggingface",
        docs_url="https://huggingface.co/docs/text-embeddings-inference",
        base_url=_ROUTER,
        base_url_env=("HF_API_BASE", "HUGGINGFACE_API_BASE"),
        api_key_env=("HF_TOKEN", "HUGGINGFACE_API_KEY", "HUGGING_FACE_HUB_TOKEN"),
        api_key_required_hosts=(_ROUTER_HOST,),  # TEI needs none
        api_key_hosts={"HF_TOKEN": _HOSTS, "HUGGING_FACE_HUB_TOKEN": _HOSTS},
        extra_params={
            "raw_scores": "raw_scores",
            "truncate": "truncate",
            "truncation_direction": "truncation_direction",
        },
        max_documents=32,  # TEI's default; the router's is not documented
        max_request_bytes=_MOST_BYTES - _FOR_THE_REST,
        max_tokens=_MAX_TOKENS.get(model),
        score_kind="probability",  # with raw_scores=True: logit
        # The model failed, which may pass; that it is no reranker has the same status, and may not.
        retry_statuses=frozenset({424}),
        retry_after_pattern=r'"estimated_time": ?(\d+(?:\.\d+)?)',  # of a model that is loading
        error_types={
            402: PermissionDeniedError,  # not paid
            _NO_RERANKER: BadRequestError,
            # These two have statuses of their own, unless a gateway hands them on with another.
            "Overloaded": RateLimitError,
            "Unhealthy": ServerError,
        },
        hints={
            401: "if a key is set: TEI wants the one that it was started with, an Inference"
            " Endpoint and the router a Hub token; HF_TOKEN is sent to no other host, so give"
            " api_key= there",
            402: "if the month's credits are used up: give api_base= of a server of your own",
            404: "if the base URL is a TEI server's: it answers at /rerank, without /v1; if it is"
            " the router's: it serves only some models",
            413: "if the batch is too large, give max_documents=; if a text is too long,"
            " truncate=True",
            422: "if the batch is too large, give max_documents=; if a text is too long,"
            " truncate=True",
            _NO_RERANKER: "GET /info says what is served",
            429: "if the server is a TEI: each text takes one of its permits, 512 by default; give"
            " max_concurrency= or max_documents= for fewer at a time",
            503: "if the endpoint was scaled to zero, it takes minutes to start: give max_retries=",
            "batch size": "give max_documents= of what the server was started with",
            "must have less than": "truncate=True cuts texts that are too long",
            "missing field": "this route wants another body: what listens there may be no"
            " reranking TEI",
        },
        models=tuple(_MAX_TOKENS),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """TEI's names are the caller's."""
    return wire.rename_params(params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request of TEI or of the router, by the host of the base URL."""
    base_url = provider.base_url or ""
    body = {"query": request.query, "texts": request.documents, **params}
    if _is_router(base_url):
        for name in params:
            # Its published schema has only query and texts.
            # Servers ignore fields they do not know.
            message = f"the router does not take {name!r}; a TEI server does, given as api_base="
            raise UnsupportedParamError(message, param=name)
        return HTTPRequest(url=_to_router_url(base_url, request.model), body={"inputs": body})
    if urlsplit(base_url).path.rstrip("/").endswith("/vertex"):
        return HTTPRequest(url=base_url.rstrip("/"), body={"instances": [body]})
    # There is no `/v1` on TEI, though other services' users write it.
    return HTTPRequest(url=wire.join_endpoint(base_url, "/rerank", others=_TASKS), body=body)


@hookimpl
def parse_response(payload: Any, headers: Mapping[str, str]) -> RerankResponse:
    """Read the reply, a bare list; usage stands in the headers."""
    found = payload.get("predictions") if isinstance(payload, dict) else None  # from /vertex
    rows = found[0] if isinstance(found, list) and found else payload
    counted = headers.get("x-compute-tokens", "")
    tokens = int(counted) if counted.isdecimal() and len(counted) <= _MAX_DIGITS else None
    return RerankResponse(
        wire.read_results(rows, "reply", score="score"),
        id=headers.get("x-request-id", ""),
        meta=wire.read_meta({"usage": {"total_tokens": tokens}}),
    )


def _is_router(base_url: str) -> bool:
    host = urlsplit(base_url).hostname
    if host == _RETIRED_HOST:
        message = f"{host} was switched off: leave api_base out, or give {_ROUTER!r}"
        raise ConfigurationError(message)
    return host == _ROUTER_HOST


def _to_router_url(base_url: str, model: str) -> str:
    """Complete a base URL that may name the model already."""
    parts = urlsplit(base_url)
    if "/models/" in parts.path.rstrip("/"):
        named = parts._replace(path=_OF_A_MODEL.sub(r"\1", parts.path))
        return wire.join_endpoint(urlunsplit(named), "/pipeline/text-ranking")
    return f"{_ROUTER}/hf-inference/models/{quote(model)}/pipeline/text-ranking"
