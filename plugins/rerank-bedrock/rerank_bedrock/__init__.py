"""Amazon Bedrock's rerank models: the Rerank operation, or InvokeModel.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from rerank_bedrock._credentials import (
    FILES_AND_ROLES,
    PROFILE,
    REGION,
    SECRETS,
    RegionOfProfile,
    RouteByCredentials,
)
from rerank_bedrock._endpoints import (
    ARN,
    INVOKE_BASE,
    RERANK_BASE,
    SERVICES,
    StatedRegion,
    arn_of,
    endpoint_of,
    region_by_host,
    route_by_path,
    route_of,
    split_route,
)
from rerank_bedrock._errors import ERROR_TYPES, HINTS
from rerank_core import (
    BilledUnits,
    ConfigurationError,
    HTTPRequest,
    Meta,
    NextRequest,
    Price,
    Provider,
    RerankRequest,
    RerankResponse,
    Tokens,
    UnsupportedParamError,
    hookimpl,
    wire,
)

_MAX_DIGITS = 15  # what is longer is no count
_AGENT = "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME"
_RUNTIME = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_BEDROCK_RUNTIME_ENDPOINT", "BEDROCK_API_BASE")
# US dollars for a search unit: one query with up to 100 chunks of documents. Bedrock reports no
# units: they are counted in documents, and where some are longer than a chunk, the bill is higher.
_PRICES = {"amazon.rerank-v1:0": 0.001, "cohere.rerank-v3-5:0": 0.002}
_PER_UNIT = 100


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State Bedrock's facts."""
    prefix, name = split_route(model)
    route = options.get("route") or prefix
    if route and (route not in (*SERVICES,) or prefix not in (None, route)):  # may be unhashable
        message = f"route must be 'rerank' or 'invoke', as the model's prefix, not {route!r}"
        raise ConfigurationError(message)
    settled = route or route_by_path(options.get("api_base"))  # else credentials choose
    arn, is_cohere = ARN.fullmatch(name), "cohere." in name
    # A region that is stated there is meant: variables are for all of AWS.
    stated = arn[1] if arn else region_by_host(options.get("api_base"))
    profile = options.get("aws_profile_name")
    usd = next((price for known, price in _PRICES.items() if name.endswith(known)), None)
    return Provider(
        name="bedrock",
        docs_url="https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-use.html",
        base_url=INVOKE_BASE if route == "invoke" else RERANK_BASE,
        base_url_env=(_RUNTIME if route == "invoke" else _AGENT, *_ENDPOINTS),
        # A Bedrock API key works with InvokeModel alone, so that api_key= chooses it.
        base_urls_by_key=dict.fromkeys(() if route else ("ABSK", "bedrock-api-key-"), INVOKE_BASE),
        api_key_required=False,
        auth=_make_auth,
        watched_env=FILES_AND_ROLES,
        params={"top_n": "top_n" if route == "invoke" else "numberOfResults"}
        | ({"max_tokens_per_doc": "max_tokens_per_doc"} if is_cohere else {}),
        options={
            "aws_region_name": () if stated else REGION,
            "aws_profile_name": () if profile else PROFILE,
            "route": (),
            "additional_model_request_fields": (),
        }
        | ({} if route else {"runtime_endpoint": (_RUNTIME,)}),
        # Whoever names a profile means that one, not the keys of a variable.
        secret_options=dict.fromkeys(SECRETS, ()) if profile else SECRETS,
        option_sources={
            "aws_region_name": StatedRegion(stated) if stated else RegionOfProfile(profile)
        }
        | ({} if route else {"route": RouteByCredentials(profile)}),
        takes_mappings=settled != "invoke",  # InvokeModel gets, and its limit counts, their text
        max_documents=1000,
        max_request_bytes=24_900_000 if settled == "invoke" else None,  # of 25,000,000 in all
        max_document_chars=None if settled == "invoke" else 32_000,
        max_query_chars=None if settled == "invoke" else 32_000,
        max_tokens=4096 if is_cohere else None,
        score_kind="probability",
        error_types=ERROR_TYPES,
        hints=HINTS,
        price=None if usd is None else Price(usd, "search_units", "2026-11-22"),
        models=tuple(_PRICES),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Bedrock's names."""
    return wire.rename_params(params, provider.params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request of the route that was chosen."""
    name = "max_tokens_per_doc"  # its place in the Rerank operation is not documented
    fields = {name: params[name]} if name in params else {}
    if route_of(provider, request) == "rerank":
        return _build_rerank(provider, request, fields)
    if request.options.get("additional_model_request_fields"):
        message = "only the Rerank operation takes additional_model_request_fields: use extra_body"
        raise UnsupportedParamError(message, param="additional_model_request_fields")
    body = {
        "query": request.query,
        "documents": wire.render_documents(request.documents, request.rank_fields),
        **({} if request.top_n is None else {"top_n": request.top_n}),
        **fields,
        # Cohere's model requires it, Amazon's refuses it.
        **({"api_version": 2} if "cohere." in request.model else {}),
    }
    return HTTPRequest(endpoint_of(provider, request, "invoke"), body)


@hookimpl
def parse_response(
    provider: Provider, request: RerankRequest, payload: Any, headers: Mapping[str, str]
) -> RerankResponse | NextRequest:
    """Read the reply, and ask on where there is more."""
    is_rerank = route_of(provider, request) == "rerank"
    rows = payload["results"]
    read, written = (
        headers.get(f"x-amzn-bedrock-{kind}-token-count", "") for kind in ("input", "output")
    )
    token = payload.get("nextToken") if is_rerank else None
    more = token and len(rows) < (request.top_n or len(request.documents))
    units = 0 if more else -(-len(request.documents) // _PER_UNIT)  # once, for all pages
    response = RerankResponse(
        wire.read_results(rows, score="relevanceScore" if is_rerank else "relevance_score"),
        id=headers.get("x-amzn-requestid", ""),
        meta=Meta(
            billed_units=BilledUnits(search_units=units),
            tokens=Tokens(_count(read), _count(written)),
        ),
    )
    if not more:
        return response
    following = _build_rerank(provider, request, {}, token)
    if "max_tokens_per_doc" in provider.params:  # which this hook cannot see
        warning = "the ranking came in pages: max_tokens_per_doc, if given, cut the first one only"
        response = evolve(response, warnings=(warning,))
    return NextRequest(following, response)


def _build_rerank(
    provider: Provider, request: RerankRequest, fields: Mapping[str, Any], token: str | None = None
) -> HTTPRequest:
    """The Rerank operation's envelope; without a number it is said to rank only five."""
    given = request.options.get("additional_model_request_fields") or {}
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        message = f"additional_model_request_fields must be a mapping, not {kind}"
        raise ConfigurationError(message)
    fields = {**given, **fields}
    model = {"modelArn": arn_of(request)}
    configuration = {
        "numberOfResults": request.top_n or len(request.documents),
        "modelConfiguration": {**model, "additionalModelRequestFields": fields}
        if fields
        else model,
    }
    body = {
        "queries": [{"type": "TEXT", "textQuery": {"text": request.query}}],
        "sources": [
            {"type": "INLINE", "inlineDocumentSource": _to_source(document, request.rank_fields)}
            for document in request.documents
        ],
        "rerankingConfiguration": {
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": configuration,
        },
        **({"nextToken": token} if token else {}),
    }
    return HTTPRequest(endpoint_of(provider, request, "rerank"), body)


def _to_source(
    document: str | Mapping[str, Any], rank_fields: tuple[str, ...] | None
) -> dict[str, Any]:
    if isinstance(document, str):
        return {"type": "TEXT", "textDocument": {"text": document}}
    names = rank_fields or document
    kept = {name: document[name] for name in names if name in document}
    return {"type": "JSON", "jsonDocument": kept}


def _count(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else None


def _make_auth(key: str | None, provider: Provider, options: Any) -> Any:
    """What signs. Where the caller named a profile, no variable is looked at."""
    from rerank_bedrock._auth import BedrockAuth  # noqa: PLC0415 - httpx not before the first call

    auth = BedrockAuth(key, options, chosen=not provider.options["aws_profile_name"])
    if not (key or options.get("aws_bearer_token")):
        auth.load()  # here, where a deadline ends it before anything is sent
    return auth
