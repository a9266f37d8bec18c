"""The LiteLLM proxy, a gateway to other services; its path selects no version of an API.

https://docs.litellm.ai/docs/rerank
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rerank_core import (
    AuthenticationError,
    HTTPRequest,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)

# For administrators, and the way of Azure's clients to the chat; but an endpoint stays.
_PAGE = re.compile(r"/ui(/(?!(.*/)?(v\d|rerank)$).*)?$")
_AS_AZURE = re.compile(r"/openai/deployments/(?!.*/rerank$).*$")
_EXTRA = (
    "instruction",
    "truncate_prompt_tokens",
    "truncation_side",
    "max_tokens_per_query",
    "user",
    "metadata",
    "tags",
)
_TOO_LONG = (
    "if the list is too long for the service behind the proxy: max_documents= splits it; if it"
    " demands top_n: give top_n="
)


@hookimpl
def resolve_provider() -> Provider:
    """State the proxy's facts; limits, scale and price are those of what stands behind it."""
    names = ("top_n", "max_chunks_per_doc", "max_tokens_per_doc")
    return Provider(
        name="litellm_proxy",
        docs_url="https://docs.litellm.ai/docs/rerank",
        base_url_env=("LITELLM_PROXY_API_BASE",),
        base_url_required=True,  # a default would send the key to somebody else
        api_key_env=("LITELLM_PROXY_API_KEY",),
        api_key_required=False,  # without a master key a proxy accepts anything
        params={name: name for name in names},
        extra_params={name: name for name in _EXTRA},
        takes_mappings=True,  # images, for services that rank them; others are rendered below
        score_kind="opaque",
        # What a proxy without a database answers to a key that it does not know, with status 400.
        error_types={"no_db_connection": AuthenticationError},
        retry_after_pattern=r"[Tt]ry again in (\d+(?:\.\d+)?) seconds",
        hints={
            400: _TOO_LONG,
            404: "if the proxy's address is right: its administrator may have switched /rerank off",
            422: _TOO_LONG,
            500: "if the key is missing or wrong, some proxies answer so: check api_key=",
            "litellm.notfounderror: ": "the service behind the proxy does not know the model, or"
            " the proxy has another address for it: ask the proxy's administrator",
            "invalid model name passed": "the proxy has no such model group: GET /v1/models lists"
            " those of this key",
            "missing required top_n": "the service behind the proxy demands it: give top_n=",
            "top_n number field": "the service behind the proxy demands it: give top_n=",
            "no_db_connection": "the key is not the proxy's master key, and it has no database"
            " to look up others: check api_key=",
            "auth_error": "the proxy refuses this: check api_key=, and that no upstream's api_base"
            " or api_key stands in the body",
            "authentication_error": "the service behind the proxy refuses the proxy's key, not"
            " yours: ask the proxy's administrator",
            "all_deployments_in_cooldown": "nobody exceeded a rate: an earlier failure of the"
            " service behind the proxy put it in cooldown",
            "budget_exceeded": "the budget of this key or team is used up",
            "internal_server_error": "it is the service behind the proxy that failed",
        },
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """The proxy's names are the caller's."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; the proxy sends no documents back unless it is asked for them."""
    base_url = _to_api(provider.base_url or "")
    version = "v2" if urlsplit(base_url).path.endswith("/v2") else "v1"
    return HTTPRequest(
        url=wire.join_endpoint(base_url, f"/{version}/rerank"),
        body={
            "model": request.model,
            "query": request.query,
            "documents": [
                document
                if _is_multimodal(document, request.rank_fields)
                else wire.render_document(document, request.rank_fields)
                for document in request.documents
            ],
            **params,
        },
    )


@hookimpl
def parse_response(payload: Any, headers: Mapping[str, str]) -> RerankResponse:
    """Read the reply, which the proxy gives one shape whoever answered it."""
    return RerankResponse(
        wire.read_results(payload["results"]),
        id=payload.get("id"),
        meta=wire.read_meta(payload),
        warnings=wire.read_warnings(payload),
        cost=_read_cost(headers.get("x-litellm-response-cost", "")),
    )


def _to_api(base_url: str) -> str:
    """The base URL, without the page that a browser shows, or the path of Azure's clients."""
    parts = urlsplit(base_url)
    path = _AS_AZURE.sub("", parts.path.rstrip("/"))
    if page := _PAGE.search(path):
        return urlunsplit(parts._replace(path=path[: page.start()], query="", fragment=""))
    return urlunsplit(parts._replace(path=path))


def _is_multimodal(document: str | Mapping[str, Any], rank_fields: Sequence[str] | None) -> bool:
    """Whether it is a mapping that must travel as it is, because text cannot say it.

    The proxy hands mappings on unchanged, and most services refuse them: all others are rendered.
    """
    if isinstance(document, str):
        return False
    names = ("image", "content") if rank_fields is None else rank_fields
    return ("image" in names and isinstance(document.get("image"), str)) or (
        "content" in names and isinstance(document.get("content"), list)
    )


def _read_cost(stated: str) -> float | None:
    """The cost in US dollars; the proxy says 0.0 where it knows no price."""
    try:
        cost = float(stated)
    except ValueError:
        return None
    return cost if math.isfinite(cost) and cost > 0 else None
