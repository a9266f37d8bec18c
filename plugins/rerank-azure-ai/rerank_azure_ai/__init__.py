"""Cohere's rerank models on Azure AI Foundry and serverless endpoints: Cohere's API, v2 or v1.

https://docs.cohere.com/docs/cohere-on-microsoft-azure
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlunsplit

from rerank_azure_ai._endpoints import choose_header, find_api
from rerank_core import (
    ConfigurationError,
    HTTPRequest,
    NotFoundError,
    Price,
    Provider,
    RerankRequest,
    RerankResponse,
    UnsupportedParamError,
    hookimpl,
    wire,
)

_SHARED = {"top_n": "top_n", "rank_fields": "rank_fields"}
_ONLY_V1 = {"max_chunks_per_doc": "max_chunks_per_doc"}
_ONLY_V2 = {"max_tokens_per_doc": "max_tokens_per_doc"}
_EXTRA_V2 = {"priority": "priority", "relevant_spans": "relevant_spans"}
# US dollars for a search unit: one query with up to 100 documents.
_PRICES = {
    "cohere-rerank-v4.0-pro": 0.0025,
    "cohere-rerank-v4.0-fast": 0.002,
    "cohere-rerank-v3.5": 0.002,
    "cohere-rerank-v3-english": 0.002,
    "cohere-rerank-v3-multilingual": 0.002,
}
_RETIRED = dict.fromkeys(
    ("cohere-rerank-v3-english", "cohere-rerank-v3-multilingual"), "2025-06-30"
)
# What azure-identity's default chain reads for itself, beside the options.
_OF_THE_CHAIN = (
    "AZD_CONFIG_DIR",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_CONFIG_DIR",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_IDENTITY_DISABLE_MULTITENANTAUTH",
    "AZURE_KUBERNETES_CA_DATA",
    "AZURE_KUBERNETES_CA_FILE",
    "AZURE_KUBERNETES_SNI_NAME",
    "AZURE_KUBERNETES_TOKEN_PROXY",
    "AZURE_PASSWORD",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_REGIONAL_AUTHORITY_NAME",
    "AZURE_TOKEN_CREDENTIALS",
    "AZURE_USERNAME",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
)


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State Azure's facts, by the deployment's model where that is known."""
    header = options.get("auth_header")
    if header not in (None, "api-key", "bearer"):  # a tuple: what is given may be unhashable
        message = f"auth_header must be 'api-key' or 'bearer', not {header!r}"
        raise ConfigurationError(message, provider="azure_ai", model=model)
    name = str(options.get("base_model") or model).lower()
    price = _PRICES.get(name)
    return Provider(
        name="azure_ai",
        docs_url="https://docs.cohere.com/docs/cohere-on-microsoft-azure",
        base_url_env=("AZURE_AI_API_BASE",),
        base_url_required=True,
        api_key_env=("AZURE_AI_API_KEY",),
        api_key_required=False,  # Entra ID does as well: `auth` says what is missing
        auth=_make_auth,
        watched_env=_OF_THE_CHAIN,
        params=_SHARED | _ONLY_V1 | _ONLY_V2,
        extra_params=_EXTRA_V2,
        options={
            "api_version": (),
            "auth_header": (),
            "base_model": (),
            "tenant_id": ("AZURE_TENANT_ID",),
            "client_id": ("AZURE_CLIENT_ID",),
            "azure_scope": ("AZURE_SCOPE",),
            "azure_authority_host": ("AZURE_AUTHORITY_HOST",),
        },
        secret_options={
            "azure_ad_token": ("AZURE_AD_TOKEN",),
            "azure_ad_token_provider": (),
            "azure_credential": (),
            "client_secret": ("AZURE_CLIENT_SECRET",),
        },
        takes_mappings=True,  # v1 does; for v2 they are rendered below
        max_documents=1000,  # Cohere's advice
        max_tokens=4096 if "-v3" in name else 32768 if "-v4" in name else None,
        score_kind="probability",
        error_types={"unknown_model": NotFoundError, "unavailable_model": NotFoundError},
        hints=_make_hints(options),
        price=Price(price, "search_units", "2026-11-22") if price else None,
        retires=_RETIRED.get(name),
        models=("Cohere-rerank-v4.0-pro", "Cohere-rerank-v4.0-fast", "Cohere-rerank-v3.5"),
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
    base = find_api(provider.base_url or "")
    body = {"model": request.model, "query": request.query, **params}
    fields = body.pop("rank_fields", None)
    named = bool(fields) and not any(isinstance(document, str) for document in request.documents)
    wanted = "v1" if named or "max_chunks_per_doc" in params else "v2"
    if params.keys() & (_ONLY_V2 | _EXTRA_V2).keys():
        wanted = "v2"
    version = _choose_version(base.path, request.options.get("api_version"), wanted)
    if version == "v1":
        _refuse(params, _ONLY_V2 | _EXTRA_V2, "v2")
    else:
        _refuse(params, _ONLY_V1, "v1")
    if named and version == "v1":
        body["rank_fields"] = list(fields)
        body["documents"] = [
            wire.render_fields(document)
            for document in request.documents
            if not isinstance(document, str)
        ]
    else:
        body["documents"] = wire.render_documents(request.documents, fields)
    return HTTPRequest(wire.join_endpoint(urlunsplit(base), f"/{version}/rerank"), body)


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


def _make_auth(key: str | None, provider: Provider, options: Any) -> Any:
    from rerank_azure_ai._auth import make_auth  # noqa: PLC0415 - httpx not before the first call

    return make_auth(key, provider, options)


def _make_hints(options: Mapping[str, Any]) -> dict[int | str, str]:
    """What a person should try; for a refused key, the other header first of all."""
    header = choose_header(options, options.get("api_base"))
    other = "bearer" if header == "api-key" else "api-key"
    no_model = "model is the name of the deployment, which the portal shows"
    asked = find_api(str(options.get("api_base") or ""))
    return {
        401: f"if an API key was given: it is sent as {header!r} here, try auth_header={other!r};"
        " if an Entra token: it needs the role Cognitive Services User, for some minutes already,"
        " and the right azure_scope",
        403: "if no network rule forbids it, a role such as Cognitive Services User is missing",
        404: f"if it is about the model: {no_model}; if about the path: api_base is the resource's"
        f" or the endpoint's address, and {asked.hostname}{asked.path} was completed to the URL",
        500: "if the path is one that a v4 deployment does not have: on a Foundry resource it is"
        " /providers/cohere/v2/rerank",
        "unknown_model": no_model,
        "unavailable_model": no_model,
    }


def _choose_version(path: str, chosen: Any, wanted: str) -> str:
    """What the base URL states, else what the caller chose, else what the parameters need."""
    if chosen not in (None, "v1", "v2"):
        message = f"api_version must be 'v1' or 'v2', not {chosen!r}"
        raise ConfigurationError(message)
    stated = path.removesuffix("/rerank").rpartition("/")[2]
    if stated not in {"v1", "v2"}:
        return chosen or wanted
    if chosen not in {None, stated}:
        message = f"api_version={chosen!r} contradicts the base URL, which is {stated}'s"
        raise ConfigurationError(message)
    return stated


def _refuse(params: Mapping[str, Any], names: Mapping[str, str], other: str) -> None:
    for name in names:
        if name in params:
            message = f"azure_ai takes {name!r} only in {other} of Cohere's API, which this is not"
            raise UnsupportedParamError(message, param=name)
