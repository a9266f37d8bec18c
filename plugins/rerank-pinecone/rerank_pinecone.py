"""Pinecone Inference's rerank API.

https://docs.pinecone.io/reference/api/2026-07/inference/rerank
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from rerank_core import (
    APIKeyHeader,
    BilledUnits,
    ConfigurationError,
    HTTPRequest,
    InvalidRequestError,
    Meta,
    PermissionDeniedError,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)

_VERSION = "2026-07"  # all from 2024-10 on have the same schema
# Answered by cohere-rerank-4-fast since that day, on another scale and at another price.
_REPLACED = {"cohere-rerank-3.5": "2026-08-01"}
_TOKENS = {"bge-reranker-v2-m3": 1024, "pinecone-rerank-v0": 512}


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State Pinecone's facts."""
    is_cohere = model.startswith("cohere-")
    return Provider(
        name="pinecone",
        docs_url="https://docs.pinecone.io/reference/api/2026-07/inference/rerank",
        base_url="https://api.pinecone.io",
        base_url_env=("PINECONE_API_BASE", "PINECONE_CONTROLLER_HOST"),
        api_key_env=("PINECONE_API_KEY",),
        auth=APIKeyHeader("Api-Key", scheme=""),
        params={"top_n": "top_n"}
        | ({"max_tokens_per_doc": "max_tokens_per_doc"} if is_cohere else {}),
        extra_params={"truncate": "truncate", "parameters": "parameters"},
        options={"api_version": ()},
        takes_mappings=True,
        max_documents=100,
        max_tokens=_TOKENS.get(model),
        score_kind="probability" if is_cohere or model in _TOKENS else "opaque",
        error_types={402: PermissionDeniedError},  # not paid for
        hints={
            400: "if a text is longer than the model reads: truncate='END' cuts it",
            402: "if a payment is due: see the organization's billing",
            403: "if the project may not use the model: deprecated ones are closed to most",
        },
        retires=_REPLACED.get(model),
        models=("bge-reranker-v2-m3", "cohere-rerank-4-fast", *_REPLACED, "pinecone-rerank-v0"),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Put what concerns the model alone under `parameters`."""
    known = wire.rename_params(params, provider.params, provider.extra_params)
    given = known.pop("parameters", {})
    if not isinstance(given, Mapping):
        message = f"parameters must be a mapping, not {type(given).__name__}"
        raise InvalidRequestError(message)
    own = {name: known.pop(name) for name in ("truncate", "max_tokens_per_doc") if name in known}
    if twice := sorted(given.keys() & own.keys()):
        message = f"{', '.join(twice)} is given twice, beside parameters= and within: give it once"
        raise InvalidRequestError(message)
    return known | ({"parameters": {**given, **own}} if given or own else {})


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request: documents are objects, and are sent back unless told not to be."""
    version = request.options.get("api_version") or _VERSION
    if not (isinstance(version, str) and version.isascii() and version.isprintable()):
        message = f"api_version must be like {_VERSION!r}, not {version!r}"
        raise ConfigurationError(message)
    return HTTPRequest(
        url=wire.join_endpoint(_checked(provider.base_url or ""), "/rerank", others="embed|models"),
        headers={"X-Pinecone-Api-Version": version},
        body={
            "model": request.model,
            "query": request.query,
            **_to_documents(request),
            "return_documents": False,
            **params,
        },
    )


@hookimpl
def parse_response(payload: Any, headers: Mapping[str, str]) -> RerankResponse:
    """Read the reply."""
    usage = payload.get("usage")
    units = usage.get("rerank_units") if isinstance(usage, dict) else None
    return RerankResponse(
        wire.read_results(payload["data"], "data", score="score"),
        id=headers.get("x-pinecone-request-id", ""),
        model=payload.get("model"),
        meta=Meta(billed_units=BilledUnits(search_units=units)),
    )


def _checked(base_url: str) -> str:
    """The base URL, unless it is that of an index or an assistant.

    Raises:
        ConfigurationError: Nothing is reranked there.
    """
    host = urlsplit(base_url).hostname or ""
    if host.endswith(".pinecone.io") and not host.startswith("api"):
        message = f"{host} does not rerank: leave api_base out, or give 'https://api.pinecone.io'"
        raise ConfigurationError(message)
    return base_url


def _to_documents(request: RerankRequest) -> dict[str, Any]:
    """The documents by their fields where the model can rank so, else as their text.

    Most models rank by one field. Each document must have every field, as a string.
    """
    names = request.rank_fields or ()
    several = request.model.startswith("cohere-")
    if (len(names) == 1 or (names and several)) and _all_have(request.documents, names):
        fields = [wire.render_fields(document, names) for document in request.documents]  # type: ignore[arg-type]  # mappings all
        return {"documents": fields, "rank_fields": list(names)}
    texts = wire.render_documents(request.documents, request.rank_fields)
    return {"documents": [{"text": text} for text in texts], "rank_fields": ["text"]}


def _all_have(documents: Sequence[str | Mapping[str, Any]], names: Sequence[str]) -> bool:
    return all(
        isinstance(document, Mapping) and all(isinstance(document.get(name), str) for name in names)
        for document in documents
    )
