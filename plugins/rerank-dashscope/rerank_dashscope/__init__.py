"""DashScope, Alibaba Cloud Model Studio's API: its native rerank API and its compatible one.

https://www.alibabacloud.com/help/en/model-studio/text-rerank-api
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    HTTPRequest,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    Price,
    Provider,
    RateLimitError,
    RerankRequest,
    RerankResponse,
    ResponseParseError,
    ServerError,
    Tokens,
    hookimpl,
    wire,
)
from rerank_dashscope._endpoints import (
    BEIJING,
    OF_REGION,
    PATHS,
    choose_api,
    find_base,
    without_chat,
)

# For each model: documents in a request, tokens of each (longer ones are cut without a word), US
# dollars for a million tokens; None where that is not known, is in another currency, or depends on
# the kind of document. The price of qwen3-rerank is Singapore's.
_MODELS = {
    "qwen3-rerank": (500, 4000, 0.1),
    "qwen3.7-text-rerank": (None, 32_768, None),
    "gte-rerank-v2": (500, 4000, 0.115),
    "qwen3-vl-rerank": (100, 8000, None),
    "gte-rerank": (None, None, None),
}
_ERRORS: Mapping[int | str, type[APIStatusError]] = {
    "InvalidParameter": BadRequestError,
    "DataInspectionFailed": BadRequestError,
    "InvalidApiKey": AuthenticationError,
    "AccessDenied": PermissionDeniedError,
    "AccessDenied.Unpurchased": PermissionDeniedError,
    "Arrearage": PermissionDeniedError,
    "Model.AccessDenied": PermissionDeniedError,
    "Model.NotExist": NotFoundError,
    "ModelNotFound": NotFoundError,
    "Throttling": RateLimitError,
    "Throttling.RateQuota": RateLimitError,
    "Throttling.AllocationQuota": RateLimitError,
    "InternalError": ServerError,
    "ServiceUnavailable": ServerError,
    "GatewayTimeout": ServerError,
}
_HINTS: Mapping[int | str, str] = {
    401: "if the key is right: it belongs to one region, so give region=, or the base URL of the"
    " key's region",
    404: "if it is about the path: a base URL ends in /compatible-api/v1 or /api/v1, or has none",
    "AccessDenied.Unpurchased": "switch Model Studio on for this account",
    "Arrearage": "the account has an unpaid bill",
    "DataInspectionFailed": "the content filter refused query or documents",
    "Model.AccessDenied": "the key's workspace may not use this model",
}
_MOST_VISUAL = {"image": 40, "video": 4}


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State DashScope's facts."""
    max_documents, max_tokens, usd = _MODELS.get(model, (None, None, None))
    sees = "-vl-" in model
    instruct = {} if model.startswith("gte-") else {"instruct": "instruct"}
    given = options.get("region") is not None  # which silences variables, but not `api_base`
    return Provider(
        name="dashscope",
        docs_url="https://www.alibabacloud.com/help/en/model-studio/text-rerank-api",
        base_url=OF_REGION if given else BEIJING,
        base_url_env=()
        if given
        else (
            "DASHSCOPE_API_BASE_RERANK",
            "DASHSCOPE_API_BASE",
            "DASHSCOPE_BASE_URL",
            "DASHSCOPE_HTTP_BASE_URL",
        ),
        api_key_env=("DASHSCOPE_API_KEY",),
        params={"top_n": "top_n"},
        extra_params=instruct
        | ({"instruction": "instruct"} if instruct else {})
        | ({"fps": "fps"} if sees else {}),
        options={
            "api": (),
            # Where a base URL is stated, it says the region.
            "region": () if options.get("api_base") else ("DASHSCOPE_REGION",),
            "workspace": ("DASHSCOPE_WORKSPACE",),
        },
        takes_mappings=sees,
        max_documents=max_documents,
        max_tokens=max_tokens,
        score_kind="probability",
        listwise=True,  # scores of different requests may not be compared, says the documentation
        error_types=_ERRORS,
        retry_statuses=frozenset({409}),
        hints=_HINTS,
        price=Price(usd / 1_000_000, "total_tokens", "2026-11-22") if usd else None,
        retires="2026-05-30" if model == "gte-rerank" else None,
        models=tuple(_MODELS),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """DashScope's names."""
    if "instruct" in params and "instruction" in params:
        message = "instruct and instruction are the same: give one of them"
        raise InvalidRequestError(message)
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request of the API that was chosen."""
    base, is_workspaces = find_base(provider, request.options)
    base = without_chat(base)
    api = choose_api(base, request)
    asked = {"query": request.query, "documents": _to_documents(provider, request)}
    workspace = request.options.get("workspace")
    return HTTPRequest(
        url=wire.join_endpoint(
            base.replace("/compatible-mode/v1/reranks", PATHS["compatible"]), PATHS[api]
        ),
        # The official SDK sends `parameters` even where there are none.
        body={"model": request.model, "input": asked, "parameters": dict(params)}
        if api == "native"
        else {"model": request.model, **asked, **params},
        headers={"X-DashScope-WorkSpace": workspace} if workspace and not is_workspaces else {},
    )


@hookimpl
def parse_response(payload: Any, headers: Mapping[str, str]) -> RerankResponse:
    """Read the reply of either API."""
    native = "output" in payload
    if isinstance(code := payload.get("code"), str) and code in _ERRORS:
        raise ResponseParseError("the reply has the code of an error", path="code")
    path = "output.results" if native else "results"
    meta = wire.read_meta(payload)
    identity = payload.get("id") or payload.get("request_id") or headers.get("x-request-id")
    return RerankResponse(
        wire.read_results((payload["output"] if native else payload)["results"], path),
        id=identity if isinstance(identity, str) else "",
        model=payload.get("model"),
        meta=evolve(meta, tokens=Tokens(input_tokens=meta.billed_units.total_tokens)),
    )


def _to_documents(provider: Provider, request: RerankRequest) -> Any:
    """Strings; for a model that sees, objects of its own kinds, and all of them objects then."""
    if not provider.takes_mappings:
        return request.documents
    documents = [
        document if isinstance(document, str) else _to_document(at, document, request.rank_fields)
        for at, document in enumerate(request.documents)
    ]
    for kind, most in _MOST_VISUAL.items():
        if sum(kind in document for document in documents if not isinstance(document, str)) > most:
            message = f"a request takes at most {most} {kind}s: split with max_documents={most}"
            raise InvalidRequestError(message)
    if all(isinstance(document, str) for document in documents):
        return documents
    return [{"text": item} if isinstance(item, str) else item for item in documents]


def _to_document(
    at: int, document: Mapping[str, Any], rank_fields: Sequence[str] | None
) -> str | dict[str, Any]:
    """What is to be seen as an object, with the text beside it; anything else as text."""
    names = document if rank_fields is None else rank_fields
    ranked = {name: document[name] for name in names if document.get(name) is not None}
    if ranked.keys().isdisjoint(_MOST_VISUAL):
        return wire.render_document(document, rank_fields)
    if ranked.keys() <= {"text", *_MOST_VISUAL}:
        return ranked
    message = (
        f"documents[{at}] has other fields than text beside its image or video, which could only be"
        " sent as text: choose by rank_fields, for example rank_fields=['image']"
    )
    raise InvalidRequestError(message)
