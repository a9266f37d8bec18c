"""Volcengine's rerankers, through its knowledge service.

https://www.volcengine.com/docs/84313/1254474
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    ConfigurationError,
    HTTPRequest,
    Meta,
    PermissionDeniedError,
    Provider,
    RateLimitError,
    RerankRequest,
    RerankResponse,
    RerankResult,
    ResponseParseError,
    ServerError,
    Tokens,
    hookimpl,
    wire,
)

_PATH = "/api/knowledge/service/rerank"
_SERVICES = "api/knowledge/(?!service/rerank$).*"  # all but this one
_ARK = re.compile(r"ark\.[a-z0-9-]+\.(volces|bytepluses)\.com")
_REGION_OF_HOST = re.compile(r"\.([a-z]+-[a-z0-9-]+)\.(?:volces|bytepluses)\.com$")
_MODELS = ("doubao-seed-rerank", "Doubao-pro-4k-rerank", "base-multilingual-rerank")
_GOOD_CODES = (0, 200)
# The codes of the service that say more than that it failed.
_KINDS: Mapping[int, type[APIStatusError]] = {
    1000001: AuthenticationError,
    1000002: PermissionDeniedError,
    1000003: BadRequestError,
    1000028: ServerError,
    1000029: RateLimitError,
}


@hookimpl
def resolve_provider() -> Provider:
    """State the knowledge service's facts."""
    return Provider(
        name="volcengine",
        docs_url="https://www.volcengine.com/docs/84313/1254474",
        base_url="https://api-knowledgebase.mlp.cn-beijing.volces.com",
        base_url_env=("VOLCENGINE_API_BASE",),
        api_key_env=("VOLCENGINE_API_KEY",),
        api_key_required=False,
        auth=_make_auth,
        extra_params={"instruction": "rerank_instruction"},
        options={"volcengine_region": ("VOLCENGINE_REGION",)},
        secret_options={
            "volcengine_access_key": ("VOLC_ACCESSKEY",),
            "volcengine_secret_key": ("VOLC_SECRETKEY",),
            "volcengine_session_token": ("VOLC_SESSION_TOKEN",),
        },
        max_documents=50,
        hints={
            401: "if it is about the signature: access key and secret key must belong together, and"
            " the clock be right",
            403: "if the account has not opened the knowledge service (VikingDB): open it",
        },
        models=_MODELS,
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """The service's name for an instruction."""
    return wire.rename_params(params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request, which says the query beside each document."""
    return HTTPRequest(
        url=wire.join_endpoint(_checked(provider.base_url or ""), _PATH, others=_SERVICES),
        body={
            "rerank_model": request.model,
            "datas": [{"query": request.query, "content": text} for text in request.documents],
            **params,
        },
    )


@hookimpl
def parse_response(request: RerankRequest, payload: Any) -> RerankResponse:
    """Read the scores, which stand in the order of the documents, or the error beside a 200."""
    code = payload.get("code")
    if type(code) is int and code not in _GOOD_CODES:
        if kind := _KINDS.get(code):
            raise kind(f"{payload.get('message')} (code {code})")
        raise ResponseParseError("the reply has the code of an error", path="code")
    found = payload["data"]
    # Some versions of the service write the list alone, and usage beside it.
    scores, usage = (found, payload) if isinstance(found, list) else (found["scores"], found)
    count = len(request.documents)
    if not isinstance(scores, list) or len(scores) != count:
        message = f"scores are no list of {count}, one for each document"
        raise ResponseParseError(message, path="data.scores")
    tokens = usage.get("token_usage")
    return RerankResponse(
        [RerankResult(at, score) for at, score in enumerate(scores)],
        id=payload.get("request_id"),
        meta=Meta(billed_units=BilledUnits(total_tokens=tokens), tokens=Tokens(tokens)),
    )


def _checked(base_url: str) -> str:
    """The base URL, unless it is that of the models' own API.

    Raises:
        ConfigurationError: Nothing is reranked there.
    """
    host = urlsplit(base_url).hostname or ""
    if _ARK.fullmatch(host):
        message = f"{host} does not rerank: leave api_base out, and sign for the knowledge service"
        raise ConfigurationError(message)
    return base_url


def _make_auth(key: str | None, provider: Provider, options: Any) -> Any:
    """What signs or sends a key; what the caller gives comes before what variables hold."""
    from rerank_volcengine._auth import make_auth  # noqa: PLC0415 - httpx not before the first call

    region = options.get("volcengine_region") or "cn-beijing"
    if not isinstance(region, str):
        raise ConfigurationError(f"volcengine_region must be a string, not {region!r}")
    if stated := _REGION_OF_HOST.search(urlsplit(provider.base_url or "").hostname or ""):
        # A signature for another region would be refused; a variable is for all of Volcengine.
        if region != stated[1] and "volcengine_region" in options.given:
            message = (
                f"the base URL is that of {stated[1]}, but the region is {region}: give one of"
                " api_base= and volcengine_region="
            )
            raise ConfigurationError(message)
        region = stated[1]
    return make_auth(key, provider, options, region=region)
