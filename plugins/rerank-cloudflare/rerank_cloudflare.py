"""Cloudflare Workers AI's rerankers, through its REST API.

https://developers.cloudflare.com/workers-ai/models/bge-reranker-base/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from rerank_core import (
    ConfigurationError,
    HTTPRequest,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)

_ROOT = "https://api.cloudflare.com/client/v4"
_LOGIT = "@cf/baai/bge-reranker-base"
# An AI gateway: its address, that of its chat, or that of any provider behind it.
_GATEWAY = re.compile(r"(/v1/[^/]+/[^/]+)(/.*)?")


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State Workers AI's facts."""
    return Provider(
        name="cloudflare",
        docs_url="https://developers.cloudflare.com/workers-ai/models/bge-reranker-base/",
        base_url=_ROOT,
        base_url_env=("CLOUDFLARE_API_BASE",),
        api_key_env=("CLOUDFLARE_API_KEY", "CLOUDFLARE_API_TOKEN"),
        params={"top_n": "top_k"},
        options={"account_id": ("CLOUDFLARE_ACCOUNT_ID",)},
        max_tokens=512 if model == _LOGIT else None,
        # As the model's last layer gives them: seen by its users, and not documented.
        score_kind="logit" if model == _LOGIT else "opaque",
        hints={
            401: "if the token is right: it needs the permission Workers AI: Read, in this account",
            403: "if the token is right: it needs the permission Workers AI: Read, in this account",
            404: "if it is about the model: models are written as on their page,"
            f" cloudflare/{_LOGIT}; if about the account, see account_id",
            429: "if the day's free allocation is used up, it begins anew at 00:00 UTC",
        },
        models=(_LOGIT,),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Call `top_n` what Workers AI calls it."""
    return wire.rename_params(params, provider.params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request: the model is part of the path, documents are objects."""
    contexts = [{"text": text} for text in request.documents]
    return HTTPRequest(
        url=_to_url(provider.base_url or "", request),
        body={"query": request.query, "contexts": contexts, **params},
    )


@hookimpl
def parse_response(payload: Any, headers: Mapping[str, str]) -> RerankResponse:
    """Read the reply, where an index is called `id`."""
    rows = payload["result"]["response"]
    return RerankResponse(
        wire.read_results(rows, "result.response", index="id", score="score"),
        id=headers.get("cf-ray", ""),
    )


def _to_url(base_url: str, request: RerankRequest) -> str:
    """Complete a base URL: of the API, an account, the run or chat API, or an AI gateway."""
    parts = urlsplit(base_url)
    path = wire.OTHER_TASKS.sub("", parts.path.rstrip("/"))
    if parts.hostname == "gateway.ai.cloudflare.com" and (gateway := _GATEWAY.fullmatch(path)):
        path = f"{gateway[1]}/workers-ai"
    elif parts.hostname == "api.cloudflare.com":
        path = path or "/client/v4"
    model = quote(request.model, safe="@/")
    if not path.endswith(f"/{model}"):
        if path.endswith("/client/v4"):
            path += f"/accounts/{_account_of(request)}"
        # What stands behind the account is another model's, or an API that has no reranking.
        path = re.sub(r"(/accounts/[^/]+)(/ai(/.*)?)?$|/ai(/v1)?$", r"\1/ai/run", path)
        path += f"/{model}"
    return urlunsplit(parts._replace(path=path, fragment=""))


def _account_of(request: RerankRequest) -> str:
    account = request.options.get("account_id")
    if isinstance(account, str) and re.fullmatch(r"[0-9A-Za-z_-]+", account):
        return account
    message = (
        "no Cloudflare account: give account_id=, or set CLOUDFLARE_ACCOUNT_ID"
        if account is None
        else "account_id must be the account's id, letters and digits"
    )
    raise ConfigurationError(message)
