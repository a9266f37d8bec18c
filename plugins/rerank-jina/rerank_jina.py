"""Jina AI's rerank API, v1.

https://api.jina.ai/redoc
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from rerank_core import (
    APIStatusError,
    ConfigurationError,
    HTTPRequest,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    Price,
    Provider,
    RateLimitError,
    RerankRequest,
    RerankResponse,
    ServerError,
    UnsupportedParamError,
    hookimpl,
    wire,
)

_ONLY_V3 = {"max_tokens_per_doc": "max_doc_length", "return_embeddings": "return_embeddings"}
_CONTEXTS = {
    "jina-reranker-v3.5": 131_072,
    "jina-reranker-v3": 131_072,
    "jina-reranker-m0": 10_240,
    "jina-reranker-v2-base-multilingual": 1024,  # longer documents are cut or chunked
}
# US dollars for a token. No other model's price is known.
_PRICES = {"jina-reranker-v2-base-multilingual": 0.05e-6}
# Each has its status as well, unless a gateway hands it on with another.
_ERRORS: Mapping[int | str, type[APIStatusError]] = {
    402: PermissionDeniedError,  # an empty balance, on some older accounts
    "INPUT_MODEL_NOT_FOUND": NotFoundError,  # with status 400
    **dict.fromkeys(
        ("AUTHZ_INSUFFICIENT_BALANCE", "AUTHZ_RESOURCE_LIMIT_EXCEEDED"), PermissionDeniedError
    ),
    **dict.fromkeys(
        (
            "RATE_REQUEST_LIMIT_EXCEEDED",
            "RATE_TOKEN_LIMIT_EXCEEDED",
            "RATE_CONCURRENCY_LIMIT_EXCEEDED",
            "RATE_IP_LIMIT_EXCEEDED",
        ),
        RateLimitError,
    ),
    "SERVICE_TIMEOUT": ServerError,
}
_EMPTY_BALANCE = "the key has no tokens left: top it up at jina.ai"
# Jina's other hosts: none has rerank.
_OTHER_HOSTS = ("deepsearch.jina.ai", "r.jina.ai", "s.jina.ai")


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State Jina's facts."""
    name = _without_owner(model)
    price = _PRICES.get(name)
    return Provider(
        name="jina",
        docs_url="https://api.jina.ai/redoc",
        base_url="https://api.jina.ai/v1",
        base_url_env=("JINA_AI_API_BASE",),
        api_key_env=("JINA_AI_API_KEY", "JINA_API_KEY", "JINA_AI_TOKEN"),
        params={"top_n": "top_n", "max_tokens_per_doc": "max_doc_length"},
        extra_params={"truncation": "truncation", "return_embeddings": "return_embeddings"},
        takes_mappings=_takes_images(name),  # of which all but images are rendered below
        max_tokens=_CONTEXTS.get(name),
        # v3's is a cosine from -1 to 1, colbert's is not documented.
        score_kind="probability"
        if name.startswith(("jina-reranker-v1", "jina-reranker-v2", "jina-reranker-m0"))
        else "opaque",
        listwise=_is_v3(name),
        error_types=_ERRORS,
        retry_statuses=frozenset({409}),  # CONFLICT_RESOURCE_BUSY
        hints={
            402: f"if it is about the balance: {_EMPTY_BALANCE}",
            "AUTHZ_INSUFFICIENT_BALANCE": _EMPTY_BALANCE,
        },
        price=Price(price, "total_tokens", "2026-11-22") if price else None,
        models=(
            "jina-reranker-v3.5",
            "jina-reranker-v3",
            "jina-reranker-m0",
            "jina-reranker-v2-base-multilingual",
            "jina-colbert-v2",
            "jina-colbert-v1-en",
            "jina-reranker-v1-base-en",
            "jina-reranker-v1-turbo-en",
            "jina-reranker-v1-tiny-en",
        ),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Only `max_tokens_per_doc` has another name on the wire."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request."""
    model = _without_owner(request.model)
    if not _is_v3(model):
        _refuse_of_v3(model, params)
    return HTTPRequest(
        url=_to_url(provider.base_url or ""),
        body={
            "model": model,
            "query": request.query,
            "documents": _to_documents(request),
            # What happens without it, documentation and observation do not agree on.
            "return_documents": False,
            **params,
        },
    )


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply; its documents, which come in four shapes, are not needed."""
    results = wire.read_results(payload["results"])
    return RerankResponse(
        wire.add_extra(results, payload["results"], "embedding"),
        id=payload.get("id"),
        meta=wire.read_meta(payload),
        model=payload.get("model"),
    )


def _to_url(base_url: str) -> str:
    """The endpoint; a host that has none is refused."""
    host = urlsplit(base_url).hostname
    if host in _OTHER_HOSTS:
        message = f"{host} does not rerank: leave api_base out, or give 'https://api.jina.ai/v1'"
        raise ConfigurationError(message)
    return wire.join_endpoint(base_url, "/v1/rerank", others="classify|segment|train")


def _without_owner(model: str) -> str:
    """The model's name as the API takes it: its own list of models puts an owner in front."""
    return model.removeprefix("jina-ai/")


def _is_v3(model: str) -> bool:
    return model.startswith("jina-reranker-v3")  # v3.5 by its claim to be a drop-in for v3


def _takes_images(model: str) -> bool:
    return model == "jina-reranker-m0"


def _refuse_of_v3(model: str, params: Mapping[str, Any]) -> None:
    for name, wire_name in _ONLY_V3.items():
        if wire_name in params:
            message = f"only jina-reranker-v3 and v3.5 take {name!r}, {model} does not"
            raise UnsupportedParamError(message, param=name)


def _to_documents(request: RerankRequest) -> Sequence[Any]:
    """Text as strings, images as objects: beside `image`, the API's objects hold only `text`."""
    return [
        {"image": document["image"]}
        if isinstance(document, Mapping) and _is_image(at, document, request.rank_fields)
        else wire.render_document(document, request.rank_fields)
        for at, document in enumerate(request.documents)
    ]


def _is_image(at: int, document: Mapping[str, Any], rank_fields: Sequence[str] | None) -> bool:
    names = document if rank_fields is None else rank_fields
    ranked = [name for name in names if document.get(name) is not None]
    if "image" in ranked and len(ranked) > 1:
        message = (
            f"documents[{at}] has other fields beside its image, which is ranked alone: choose"
            " by rank_fields, for example rank_fields=['image']"
        )
        raise InvalidRequestError(message)
    return ranked == ["image"]
