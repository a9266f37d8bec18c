"""Example's rerank API, version 1.

https://docs.example.com/rerank
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_core import HTTPRequest, Provider, RerankRequest, RerankResponse, hookimpl, wire


@hookimpl
def resolve_provider() -> Provider:
    """State the service's facts; `help(rerank_core.Provider)` lists what can be stated."""
    return Provider(
        name="example",
        docs_url="https://docs.example.com/rerank",
        base_url="https://api.example.com",
        base_url_env=("EXAMPLE_API_BASE",),
        api_key_env=("EXAMPLE_API_KEY",),
        params={"top_n": "top_n"},
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Call the parameters what the service calls them."""
    return wire.rename_params(params, provider.params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request."""
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
def parse_response(payload: Any) -> RerankResponse:
    """Read the reply."""
    return RerankResponse(
        wire.read_results(payload["results"]),
        id=payload.get("id"),
        meta=wire.read_meta(payload),
    )
