"""Oracle's OCI Generative AI: RerankText, version 20231130.

https://docs.oracle.com/iaas/api/#/en/generative-ai-inference/20231130/RerankTextResult/RerankText
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rerank_core import (
    ConfigurationError,
    HTTPRequest,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)
from rerank_oci._config import AUTHS, CONFIG_FILE, PROFILE, SECRETS, RegionOfConfig

_BASE = "https://inference.generativeai.{region}.oci.{domain}"
_PATH = "/20231130/actions/rerankText"
# What follows the origin where another action is meant, or OpenAI's API.
_OTHERS = r"20231130/actions/(?!rerankText$)\w+|openai/v1"
_HINTS: Mapping[int | str, str] = {
    "NotAuthenticated": "the user, fingerprint and key must belong together, the clock be right",
    "NotAuthorizedOrNotFound": "a policy must allow `use generative-ai-family` in the compartment",
    404: "if it is about the model: not every region offers each",
}


@hookimpl
def resolve_provider(options: Mapping[str, Any]) -> Provider:
    """State OCI's facts."""
    given = options.get("oci_region") is not None  # which silences variables, but not `api_base`
    return Provider(
        name="oci",
        docs_url="https://docs.oracle.com/iaas/Content/generative-ai/rerank.htm",
        base_url=_BASE,
        base_url_env=() if given else ("OCI_API_BASE",),
        api_key_required=False,
        auth=_make_auth,
        params={
            "top_n": "topN",
            "max_chunks_per_doc": "maxChunksPerDocument",
            "max_tokens_per_doc": "maxTokensPerDocument",
        },
        options={
            "oci_region": ("OCI_REGION", "OCI_CLI_REGION"),
            "oci_compartment_id": ("OCI_COMPARTMENT_ID",),
            "oci_profile": PROFILE,
            "oci_config_file": CONFIG_FILE,
            "oci_auth": ("OCI_CLI_AUTH",),
        },
        secret_options=SECRETS,
        option_sources={
            "oci_region": RegionOfConfig(options.get("oci_profile"), options.get("oci_config_file"))
        },
        score_kind="probability",
        hints=_HINTS,
        models=("cohere.rerank-v3.5", "cohere.rerank-v4.0-fast", "cohere.rerank-v4.0-pro"),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """OCI's names."""
    return wire.rename_params(params, provider.params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request: a model on demand, or an endpoint of a dedicated cluster by its OCID."""
    compartment = request.options.get("oci_compartment_id")
    if not isinstance(compartment, str) or not compartment:
        message = "no compartment: give oci_compartment_id=, or set OCI_COMPARTMENT_ID"
        raise ConfigurationError(message)
    mode = (
        {"servingType": "DEDICATED", "endpointId": request.model}
        if request.model.startswith("ocid1.generativeaiendpoint.")
        else {"servingType": "ON_DEMAND", "modelId": request.model}
    )
    base = provider.base_url or ""
    base = _in_region(request) if base == _BASE else base
    return HTTPRequest(
        url=wire.join_endpoint(base, _PATH, others=_OTHERS),
        body={
            "input": request.query,
            "compartmentId": compartment,
            "servingMode": mode,
            "documents": request.documents,
            **params,
        },
    )


@hookimpl
def parse_response(request: RerankRequest, payload: Any) -> RerankResponse:
    """Read the reply; an OCID, of an endpoint or of a model, does not say which model it is."""
    model = payload.get("modelId")
    names = (request.model, model) if isinstance(model, str) else ()
    is_named = not any(name.startswith("ocid1.") for name in names)
    return RerankResponse(
        wire.read_results(payload["documentRanks"], "documentRanks", score="relevanceScore"),
        id=payload.get("id"),
        model=model if is_named else None,
    )


def _in_region(request: RerankRequest) -> str:
    """The endpoint of a region, in the domain of its realm."""
    region = request.options.get("oci_region")
    if not isinstance(region, str) or not re.fullmatch(r"[a-z0-9-]+", region):
        message = (
            "no OCI region: give oci_region=, set OCI_REGION, or name one in the profile"
            if region is None
            else f"oci_region must be like 'us-chicago-1', not {region!r}"
        )
        raise ConfigurationError(message)
    from oci.regions import endpoint_for  # type: ignore[import-untyped]  # noqa: PLC0415 - late

    template = _BASE.replace("{domain}", "{secondLevelDomain}")
    found = endpoint_for(
        "generative-ai-inference", service_endpoint_template=template, region=region
    )
    return str(found)


def _make_auth(key: str | None, _: Provider, options: Mapping[str, Any]) -> Any:
    """What signs."""
    if key:
        message = "RerankText takes no API key: leave api_key out; see the README for what signs"
        raise ConfigurationError(message)
    if (kind := options.get("oci_auth") or "api_key") not in AUTHS:
        message = f"oci_auth must be one of {', '.join(AUTHS)}, not {kind!r}"
        raise ConfigurationError(message)
    from rerank_oci._auth import SignerAuth  # noqa: PLC0415 - httpx not before the first call

    return SignerAuth(options)
