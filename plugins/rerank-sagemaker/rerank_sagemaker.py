"""Rerankers on Amazon SageMaker's real-time endpoints: InvokeEndpoint.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from rerank_core import (
    APIStatusError,
    BadRequestError,
    ConfigurationError,
    HTTPRequest,
    NotFoundError,
    Provider,
    RateLimitError,
    RerankRequest,
    RerankResponse,
    RerankResult,
    ResponseParseError,
    ServerError,
    hookimpl,
    wire,
)

_BASE = "https://runtime.sagemaker.{region}.amazonaws.com"
_SERVICE = "sagemaker"
# How AWS says what the container answered, behind a 424 of its own.
_BY_CONTAINER: Mapping[int | str, type[APIStatusError]] = {
    "received client error (404)": NotFoundError,
    "received client error (408)": ServerError,
    "received client error (424)": ServerError,  # TEI's: the model failed, which may pass
    "received client error (429)": RateLimitError,
    "received client error": BadRequestError,
    "received server error": ServerError,
}
_STREAM = "-response-stream"  # of a chat's answers, behind the same path
# What a container takes, and so what can be asked of it: SageMaker itself passes bodies on.
_PARAMS: Mapping[str, Mapping[str, str]] = {
    "tei": {},
    "cohere": {
        "top_n": "top_n",
        "max_tokens_per_doc": "max_tokens_per_doc",
        "max_chunks_per_doc": "max_chunks_per_doc",
    },
    "pairs": {},
}
_EXTRA: Mapping[str, tuple[str, ...]] = {
    "tei": ("raw_scores", "truncate", "truncation_direction"),
    "cohere": ("api_version",),
    "pairs": (),
}


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State SageMaker's facts; the model is the name of an endpoint."""
    from rerank_bedrock import aws  # noqa: PLC0415 - as light as this plugin, not before it is named

    container, _ = _split(model, options)
    signing = aws.sigv4_facts(options)
    kind: Literal["probability", "opaque"] = "opaque" if container == "pairs" else "probability"
    return Provider(
        name="sagemaker",
        docs_url="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html",
        base_url=_BASE,
        base_url_env=(
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
            "AWS_ENDPOINT_URL",
            "SAGEMAKER_API_BASE",
        ),
        api_key_required=False,
        auth=_make_auth,
        params=_PARAMS[container],
        extra_params={name: name for name in _EXTRA[container]},
        options={
            **signing.options,
            "container": (),
            "inference_component": (),
            "target_variant": (),
        },
        secret_options=signing.secret_options,
        option_sources=signing.option_sources,
        watched_env=signing.watched_env,
        max_documents=32 if container == "tei" else None,  # TEI's default
        max_request_bytes=1_900_000 if container == "tei" else 24_900_000,  # of 2 and 25 MB in all
        score_kind=kind,
        error_types={**aws.ERROR_TYPES, **_BY_CONTAINER},
        hints={
            **aws.SIGNATURE_HINTS,
            "AccessDeniedException": "the caller needs sagemaker:InvokeEndpoint on the endpoint",
            "ModelError": "the container refused the request, or failed: container= says what it"
            f" takes, one of {', '.join(_PARAMS)}",
            "ValidationError": "the endpoint may not exist in this region, or not be in service",
        },
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """The container's names are the caller's."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request that the container takes."""
    container, _ = _split(request.model, request.options)
    documents = request.documents
    if container == "tei":
        body = {"query": request.query, "texts": documents}
    elif container == "cohere":
        body = {"query": request.query, "documents": documents}
    else:
        body = {"inputs": [request.query] * len(documents), "docs": documents}
    return HTTPRequest(_to_url(provider, request), {**body, **params}, headers=_headers(request))


@hookimpl
def parse_response(
    request: RerankRequest, payload: Any, headers: Mapping[str, str]
) -> RerankResponse:
    """Read the reply of the container."""
    container, _ = _split(request.model, request.options)
    name = headers.get("x-amzn-requestid", "")
    if container == "tei":
        return RerankResponse(wire.read_results(payload, "the reply", score="score"), id=name)
    if container == "cohere":
        results = wire.read_results(payload["results"])
        return RerankResponse(results, id=name, meta=wire.read_meta(payload))
    scores, count = payload["scores"], len(request.documents)
    if not isinstance(scores, list) or len(scores) != count:
        message = f"scores are no list of {count}, one for each document"
        raise ResponseParseError(message, path="scores")
    return RerankResponse([RerankResult(at, score) for at, score in enumerate(scores)], id=name)


def _split(model: str, options: Mapping[str, Any]) -> tuple[str, str]:
    """The container that a model's prefix or an option states, and the endpoint's name.

    Raises:
        ConfigurationError: There is no such container, or they state two.
    """
    prefix, _, name = model.partition("/")
    stated = prefix if name and prefix in _PARAMS else None
    container = options.get("container") or stated or "tei"
    if container not in (*_PARAMS,) or stated not in {None, container}:  # may be unhashable
        known = ", ".join(map(repr, _PARAMS))
        message = f"container must be one of {known}, as the model's prefix, not {container!r}"
        raise ConfigurationError(message)
    return container, name if stated else model


def _to_url(provider: Provider, request: RerankRequest) -> str:
    """The whole URL: of the region, or the caller's."""
    from rerank_bedrock import aws  # noqa: PLC0415 - as above

    base = (provider.base_url or "").rstrip("/").removesuffix(_STREAM)
    if base == _BASE:
        region = aws.region_of(request)
        base = f"https://runtime.sagemaker.{region}.{aws.domain_of(region)}"
    aws.check_region(base, request)
    if base.endswith("/invocations"):
        return base
    _, endpoint = _split(request.model, request.options)
    return wire.join_endpoint(base, f"/endpoints/{quote(endpoint, safe='')}/invocations")


def _headers(request: RerankRequest) -> dict[str, str]:
    """Which model of an endpoint is meant, where it has several."""
    headers = {
        "X-Amzn-SageMaker-Inference-Component": request.options.get("inference_component"),
        "X-Amzn-SageMaker-Target-Variant": request.options.get("target_variant"),
    }
    for header, value in headers.items():
        if value is not None and not (
            isinstance(value, str) and value.isascii() and value.isprintable()
        ):
            message = f"{header} must be a name, not {value!r}"
            raise ConfigurationError(message)
    return {header: value for header, value in headers.items() if value is not None}


def _make_auth(key: str | None, provider: Provider, options: Any) -> Any:
    """What signs; there are no API keys."""
    if key:
        message = "SageMaker takes no API key: leave api_key out and sign with AWS credentials"
        raise ConfigurationError(message)
    from rerank_bedrock import aws  # noqa: PLC0415 - as above

    return aws.sigv4_auth(provider, options, service=_SERVICE)
