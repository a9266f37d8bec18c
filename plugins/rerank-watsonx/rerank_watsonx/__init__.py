"""IBM watsonx.ai's text rerank API, on IBM Cloud and as software on a cluster of one's own.

https://cloud.ibm.com/apidocs/watsonx-ai
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from rerank_core import (
    BilledUnits,
    ConfigurationError,
    HTTPRequest,
    Meta,
    Provider,
    RerankRequest,
    RerankResponse,
    Tokens,
    hookimpl,
    wire,
)

_CLOUD = "https://{}.ml.cloud.ibm.com"
_REGIONS = {
    **{
        name: _CLOUD.format(name)
        for name in ("us-south", "eu-de", "eu-gb", "jp-tok", "au-syd", "ca-tor")
    },
    "ap-south-1": "https://ap-south-1.aws.wxai.ibm.com",
    "us-east-1": "https://us-east-1.aws.wxai.ibm.com",
    "us-gov": "https://wxai.ibmforusgov.com",
}
_CONSOLES = ("dataplatform.cloud.ibm.com",)
# What stands beside rerank: other tasks, deployments, and the gateway with OpenAI's API.
_SIBLINGS = "ml/(v1(?!/text/rerank$)|v4|gateway)(/.*)?"
_VERSION = "2026-10-14"  # pins the behaviour; the one that IBM's own SDK 1.8 sends
_MODEL = "cross-encoder/ms-marco-minilm-l-12-v2"
_PLACES = {
    "project_id": ("WATSONX_PROJECT_ID", "WX_PROJECT_ID", "PROJECT_ID"),
    "space_id": ("WATSONX_DEPLOYMENT_SPACE_ID", "WATSONX_SPACE_ID", "WX_SPACE_ID", "SPACE_ID"),
}


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State watsonx.ai's facts; a region or place that the caller gives silences variables."""
    region = options.get("region")
    if region not in (None, *_REGIONS):  # a tuple: what is given may be unhashable
        message = f"region must be one of {', '.join(_REGIONS)}, not {region!r}"
        raise ConfigurationError(message, provider="watsonx", model=model)
    return Provider(
        name="watsonx",
        docs_url="https://cloud.ibm.com/apidocs/watsonx-ai",
        base_url=_REGIONS[region] if region else None,
        base_url_env=() if region else ("WATSONX_API_BASE", "WATSONX_URL", "WX_URL", "WML_URL"),
        base_url_required=True,
        api_key_env=("WATSONX_APIKEY", "WATSONX_API_KEY", "WX_API_KEY"),
        api_key_required=False,  # a token does as well: `auth` says what is missing
        auth=_make_auth,
        params={"top_n": "top_n", "max_tokens_per_doc": "truncate_input_tokens"},
        extra_params={"return_query": "query", "crypto": "crypto"},
        options={
            **_choose_variables(options),
            "region": (),
            "api_version": (),
            "iam_url": ("WATSONX_IAM_URL",),
            "username": (),
            "transaction_id": (),
        },
        secret_options={"token": ("WATSONX_TOKEN",), "zen_api_key": ("WATSONX_ZENAPIKEY",)},
        max_documents=1000,
        max_tokens=512 if model == _MODEL else None,
        # Embedding models, which the endpoint takes too, score by similarity.
        score_kind="logit" if model.startswith("cross-encoder/") else "opaque",
        hints={
            401: "if the token is IBM Cloud's: it ends after an hour; if it is a key: it must be"
            " valid for this host",
            "invalid_input_argument": "if an input is too long: max_tokens_per_doc= cuts it",
            "token_quota_reached": "the plan's tokens are used up",
        },
        models=(_MODEL,),  # no price: IBM's per-token price of it is not confirmed
    )


@hookimpl
def map_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Put each parameter where the service wants it."""
    body = wire.rename_params(params, {"crypto": "crypto"})
    returned = wire.rename_params(params, {"top_n": "top_n", "return_query": "query"})
    parameters = wire.rename_params(params, {"max_tokens_per_doc": "truncate_input_tokens"})
    if returned:
        parameters["return_options"] = returned
    return body | ({"parameters": parameters} if parameters else {})


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; inputs are objects, a bare string is refused."""
    _refuse_two_hosts(provider.base_url or "", request.options.get("region"))
    for name in (*_PLACES, "transaction_id"):
        if not isinstance(value := request.options.get(name) or "", str):
            message = f"{name} must be a string, not {type(value).__name__}"
            raise ConfigurationError(message)
    body = {
        "model_id": request.model,
        "query": request.query,
        "inputs": [{"text": text} for text in request.documents],
        **_choose_place(request.options),
        **params,
    }
    transaction = request.options.get("transaction_id")
    base_url = _checked(provider.base_url or "")
    url = wire.join_endpoint(base_url, "/ml/v1/text/rerank", others=_SIBLINGS)
    return HTTPRequest(
        url=_add_version(url, request.options.get("api_version")),
        body=body,
        headers={"x-global-transaction-id": transaction} if transaction else {},
    )


@hookimpl
def parse_response(
    provider: Provider, request: RerankRequest, payload: Any, headers: Mapping[str, str]
) -> RerankResponse:
    """Read the reply, which has no id but the one in its header."""
    count = payload.get("input_token_count")
    system = payload.get("system")
    said = system.get("warnings") if isinstance(system, dict) else None
    said = said if isinstance(said, list) else []
    return RerankResponse(
        wire.read_results(payload["results"], score="score"),
        id=headers.get("x-global-transaction-id", ""),
        model=payload.get("model_id"),
        meta=Meta(billed_units=BilledUnits(total_tokens=count), tokens=Tokens(input_tokens=count)),
        warnings=(
            *wire.read_strings([row.get("message") for row in said if isinstance(row, dict)]),
            *_warn_of_two_places(provider, request.options),
        ),
    )


def _make_auth(key: str | None, provider: Provider, options: Any) -> Any:
    from rerank_watsonx._auth import make_auth  # noqa: PLC0415 - httpx not before the first call

    return make_auth(key, provider, options)


def _choose_variables(options: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The variables that name a place; none where the caller names one."""
    given = any(options.get(name) is not None for name in _PLACES)
    return dict.fromkeys(_PLACES, ()) if given else dict(_PLACES)


def _refuse_two_hosts(base_url: str, region: str | None) -> None:
    """Refuse a region that is not the base URL's, which the caller gave besides.

    A private endpoint is the region's too: `private.` and the name of the region's host.
    """
    if not region:
        return
    host = urlsplit(_REGIONS[region]).hostname
    if not f".{urlsplit(base_url).hostname}".endswith(f".{host}"):
        message = (
            f"region={region!r} contradicts api_base=, which is another host: give one of them"
        )
        raise ConfigurationError(message)


def _checked(base_url: str) -> str:
    """The base URL of an API.

    Raises:
        ConfigurationError: It is the console's, which has no API.
    """
    host = urlsplit(base_url).hostname or ""
    if host.endswith(_CONSOLES):
        message = (
            f"{host} is a page for the browser: give region=, or the host of the region,"
            f" for example {_REGIONS['us-south']}"
        )
        raise ConfigurationError(message)
    return base_url


def _choose_place(options: Mapping[str, Any]) -> dict[str, str]:
    """The project or else the space: exactly one is taken, and IBM's advice is the project."""
    for name in _PLACES:
        if options.get(name):
            return {name: options[name]}
    message = f"no project: give project_id= or space_id=, or set {_PLACES['project_id'][0]}"
    raise ConfigurationError(message)


def _warn_of_two_places(provider: Provider, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what was left out where the caller, and not only the environment, named both."""
    if all(options.get(name) and not provider.options[name] for name in _PLACES):
        return ("space_id was left out: watsonx takes one place, and project_id was given",)
    return ()


def _add_version(url: str, version: str | None) -> str:
    """The URL with the date that the service demands, unless the base URL has one."""
    parts = urlsplit(url)
    if stated := parse_qs(parts.query).get("version"):
        if version not in (None, *stated):
            message = f"api_version={version!r} contradicts the base URL's version={stated[0]}"
            raise ConfigurationError(message)
        return url
    query = "&".join(filter(None, (parts.query, urlencode({"version": version or _VERSION}))))
    return urlunsplit(parts._replace(query=query))
