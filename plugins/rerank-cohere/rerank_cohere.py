"""Cohere's rerank API, v2; v1 where `max_chunks_per_doc` or the base URL asks for it.

https://docs.cohere.com/reference/rerank and https://docs.cohere.com/v1/reference/rerank
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from rerank_core import (
    AuthenticationError,
    ConfigurationError,
    HTTPRequest,
    InvalidRequestError,
    PermissionDeniedError,
    Price,
    Provider,
    RerankRequest,
    RerankResponse,
    UnsupportedParamError,
    hookimpl,
    wire,
)

_SHARED = {"top_n": "top_n"}
_ONLY_V1 = {"max_chunks_per_doc": "max_chunks_per_doc", "rank_fields": "rank_fields"}
_ONLY_V2 = {"max_tokens_per_doc": "max_tokens_per_doc"}
_EXTRA_V2 = {"priority": "priority", "relevant_spans": "relevant_spans"}
# US dollars for a search unit: one query with up to 100 documents. No list price is known for v5.
_PRICES = {
    "rerank-v4.0-pro": 0.0025,
    "rerank-v4.0-fast": 0.002,
    "rerank-v3.5": 0.002,
    "rerank-english-v3.0": 0.002,
    "rerank-multilingual-v3.0": 0.002,
}
_CONTEXTS = {"-v3": 4096, "-v4": 32_768, "-v5": 32_768}  # of a private model none is known
_MOST_CHUNKS = 10_000
# Of Cohere's own hosts: the API that is compatible with OpenAI's, and a `/v1` of old examples.
_TASKS = re.compile(r"(/compatibility)?/v1$|/compatibility(/.*)?$")


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State Cohere's facts."""
    price = _PRICES.get(model)
    return Provider(
        name="cohere",
        docs_url="https://docs.cohere.com/reference/rerank",
        base_url="https://api.cohere.com",
        base_url_env=("COHERE_API_BASE", "CO_API_URL"),
        api_key_env=("COHERE_API_KEY", "CO_API_KEY"),
        params=_SHARED | _ONLY_V1 | _ONLY_V2,
        extra_params=_EXTRA_V2,
        options={"api_version": (), "client_name": ()},
        takes_mappings=True,  # v1 does; for v2 they are rendered below
        max_documents=1000,  # advised; 10,000 are refused
        max_tokens=next((most for known, most in _CONTEXTS.items() if known in model), None),
        score_kind="probability",
        error_types={402: PermissionDeniedError, 498: AuthenticationError},  # unpaid, blocked
        retry_statuses=frozenset({409}),
        reset_headers=("x-ratelimit-reset",),
        price=Price(price, "search_units", "2026-11-22") if price else None,
        retires="2025-04-30" if model.endswith("-v2.0") else None,
        models=("rerank-v5.0-pro", "rerank-v5.0-fast", *_PRICES),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Cohere's names are the caller's."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request of the version that the base URL or the parameters ask for."""
    base_url, stated = _read_base(provider.base_url or "")
    version = _choose_version(stated, request.options, params)
    body = {"model": request.model, "query": request.query, **params}
    if version == "v1":
        _refuse(params, _ONLY_V2 | _EXTRA_V2, "v2")
        _check_chunks(len(request.documents), params.get("max_chunks_per_doc"))
        body["documents"] = _to_v1_documents(request.documents, request.rank_fields)
    else:
        _refuse(params, {"max_chunks_per_doc": ""}, "v1")
        body["documents"] = wire.render_documents(request.documents, body.pop("rank_fields", None))
    if not isinstance(name := request.options.get("client_name") or "", str):
        raise ConfigurationError(f"client_name must be a string, not {name!r}")
    return HTTPRequest(
        url=wire.join_endpoint(base_url, f"/{version}/rerank"),
        body=body,
        headers={"X-Client-Name": name} if name else {},
    )


@hookimpl
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply, which both versions give the same shape."""
    results = wire.read_results(payload["results"])
    return RerankResponse(
        wire.add_extra(results, payload["results"], "relevant_spans"),
        id=payload.get("id"),
        meta=wire.read_meta(payload),
        warnings=wire.read_warnings(payload),
    )


def _choose_version(stated: str, options: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """What the base URL states, else what the caller chose, else what the parameters need."""
    chosen = options.get("api_version")
    if chosen not in (None, "v1", "v2"):
        message = f"api_version must be 'v1' or 'v2', not {chosen!r}"
        raise ConfigurationError(message)
    if stated and chosen not in (None, stated):
        message = f"api_version={chosen!r} contradicts the base URL, which ends in {stated}"
        raise ConfigurationError(message)
    needs_v1 = "max_chunks_per_doc" in params and "max_tokens_per_doc" not in params
    return stated or chosen or ("v1" if needs_v1 else "v2")


@functools.lru_cache
def _read_base(base_url: str) -> tuple[str, str]:
    """The base URL, and the version that it states, if any.

    On Cohere's own hosts a bare `/v1` goes: old chat examples had it, and it means nothing. So
    does the path of the API that is compatible with OpenAI's, and an endpoint for chat.
    """
    parts = urlsplit(base_url)
    path = wire.OTHER_TASKS.sub("", parts.path.rstrip("/"))
    if (parts.hostname or "").endswith(("cohere.com", "cohere.ai")):
        path = _TASKS.sub("", path)
    stated = path.removesuffix("/rerank").rpartition("/")[2]
    return parts._replace(path=path).geturl(), stated if stated in {"v1", "v2"} else ""


def _refuse(params: Mapping[str, Any], names: Mapping[str, str], other: str) -> None:
    for name in names:
        if name in params:
            message = f"cohere takes {name!r} only in {other} of its API, which this is not"
            raise UnsupportedParamError(message, param=name)


def _check_chunks(documents: int, chunks: Any) -> None:
    """Version 1 counts chunks, as many for each document as may be made of it."""
    if type(chunks) is int and documents * chunks > _MOST_CHUNKS:
        message = (
            f"{documents:,} documents of up to {chunks:,} chunks are more than the"
            f" {_MOST_CHUNKS:,} chunks that a request may have: lower max_chunks_per_doc, or split"
            " with max_documents="
        )
        raise InvalidRequestError(message)


def _to_v1_documents(
    documents: Sequence[str | Mapping[str, Any]], rank_fields: Sequence[str] | None
) -> Sequence[Any]:
    """Strings as they are; beside a mapping, all as mappings of strings, which v1 wants."""
    if all(isinstance(document, str) for document in documents):
        return documents
    field = rank_fields[0] if rank_fields else "text"  # where a string counts as a whole
    return [
        {field: document} if isinstance(document, str) else _to_v1_mapping(document, rank_fields)
        for document in documents
    ]


def _to_v1_mapping(
    document: Mapping[str, Any], rank_fields: Sequence[str] | None
) -> Mapping[str, str]:
    fields = wire.render_fields(document)
    # Without rank_fields, v1 ranks by `text`.
    return fields if rank_fields or "text" in fields else {"text": wire.render_document(document)}
