"""NVIDIA's NeMo Retriever reranking NIM: containers of your own, and those that NVIDIA hosts.

https://docs.nvidia.com/nim/nemo-retriever/reranking/latest/
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from rerank_core import (
    BadRequestError,
    ConfigurationError,
    HTTPRequest,
    InvalidRequestError,
    NextRequest,
    PermissionDeniedError,
    Provider,
    RerankRequest,
    RerankResponse,
    ResponseParseError,
    hookimpl,
    wire,
)

_HOSTED = "https://ai.api.nvidia.com"
# The second one is that of chat and embeddings, which the environment of users often names.
_HOSTS = ("ai.api.nvidia.com", "integrate.api.nvidia.com")
# A gateway to models of many owners, which speaks Cohere's API and not the NIM's.
_GATEWAY_HOST = "inference-api.nvidia.com"
_STATUS_HOST = "api.nvcf.nvidia.com"
_POLL_SECONDS = 1.0
_TOO_LONG = "maximum allowed token size"
# Tokens of query and document together.
_MODELS = {
    "nvidia/llama-nemotron-rerank-1b-v2": 8192,
    "nvidia/llama-nemotron-rerank-vl-1b-v2": 8192,
    "nvidia/llama-nemotron-rerank-500m-v2": 8192,
    "nvidia/llama-3.2-nemoretriever-500m-rerank-v2": 8192,
    "nvidia/llama-3.2-nv-rerankqa-1b-v2": 8192,
    "nvidia/llama-3.2-nv-rerankqa-1b-v1": 512,
    "nvidia/nv-rerankqa-mistral-4b-v3": 512,
    "nv-rerank-qa-mistral-4b:1": 512,
}


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State NVIDIA's facts."""
    sigmoid = options.get("sigmoid")
    if sigmoid is not None and not isinstance(sigmoid, bool):
        message = f"sigmoid must be True or False, not {sigmoid!r}"
        raise ConfigurationError(message)
    return Provider(
        name="nvidia_nim",
        docs_url="https://docs.nvidia.com/nim/nemo-retriever/reranking/latest/",
        base_url=_HOSTED,
        base_url_env=("NVIDIA_NIM_API_BASE", "NVIDIA_BASE_URL"),
        api_key_env=("NVIDIA_NIM_API_KEY", "NVIDIA_API_KEY"),
        api_key_required_hosts=_HOSTS,  # containers need none
        further_hosts=(_STATUS_HOST,),
        extra_params={"truncate": "truncate"},
        options={"sigmoid": ()},
        takes_mappings=True,  # those with an image; others are rendered below
        max_documents=512,  # often quoted, in no documentation
        max_tokens=_MODELS.get(_with_dots(_to_model(model))),
        score_kind="probability" if sigmoid else "logit",
        # Not paid for; a pair that is too long, which some containers answer with 500.
        error_types={402: PermissionDeniedError, _TOO_LONG: BadRequestError},
        hints={
            400: "if a pair is too long: truncate='END' cuts it",
            402: "if the trial's credits are used up: a container of your own needs none",
            404: "if the model is a container's: give its own base URL, for example"
            " api_base='http://localhost:8000'; if it is hosted: write it owner/name",
            _TOO_LONG: "truncate='END' cuts a pair that is too long",
        },
        models=tuple(_MODELS),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """NVIDIA's name is the caller's; the service answers 400 to any that it does not know."""
    return wire.rename_params(params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request for a container, or for the model's own URL on NVIDIA's host."""
    base_url = provider.base_url or ""
    hosted, model = _is_hosted(base_url), _to_model(request.model)
    own = not hosted and not model.startswith("nvidia/")  # a container's, named by its owner
    return HTTPRequest(
        url=_to_hosted_url(base_url, model) if hosted else _to_container_url(base_url),
        body={
            "model": model if own else _with_dots(model),
            "query": {"text": request.query},
            "passages": [
                _to_passage(document, request.rank_fields) for document in request.documents
            ],
            **params,
        },
    )


@hookimpl
def parse_response(
    provider: Provider,
    request: RerankRequest,
    payload: Any,
    headers: Mapping[str, str],
    status_code: int,
) -> RerankResponse | NextRequest:
    """Read the reply, or ask for it again later."""
    identifier = headers.get("nvcf-reqid", "")
    if status_code == 202:  # noqa: PLR2004 - accepted, and not done
        return _ask_later(provider.base_url or "", identifier)
    rows = payload["rankings"]
    results = wire.read_results(
        rows, "rankings", score="score" if rows and "logit" not in rows[0] else "logit"
    )
    if request.options.get("sigmoid"):
        for result in results:
            result.relevance_score = _to_probability(result.relevance_score)
    return RerankResponse(results, id=identifier, meta=wire.read_meta(payload))


def _ask_later(base_url: str, identifier: str) -> NextRequest:
    """The request for the result of one that was accepted, which NVIDIA's host alone does."""
    said = "status 202: the request was accepted and is not done"
    if not _is_hosted(base_url):
        # Its key is not NVIDIA's business.
        message = f"{said}; a container does not answer so: look at what stands before it"
        raise ResponseParseError(message)
    if not identifier:
        message = f"{said}, but no NVCF-REQID says where its result will be: call again"
        raise ResponseParseError(message)
    url = f"https://{_STATUS_HOST}/v2/nvcf/pexec/status/{quote(identifier, safe='')}"
    return NextRequest(HTTPRequest(url, method="GET", delay=_POLL_SECONDS))


def _is_hosted(base_url: str) -> bool:
    return urlsplit(base_url).hostname in _HOSTS


def _to_model(model: str) -> str:
    """The model without the `ranking/` by which litellm knows a container: the base URL tells."""
    return model.removeprefix("ranking/")


def _with_dots(model: str) -> str:
    """The model as the body names it; other underscores than those between digits are its own."""
    return re.sub(r"(?<=\d)_(?=\d)", ".", model)


def _to_container_url(base_url: str) -> str:
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if parts.hostname == _GATEWAY_HOST or path.endswith(("/rerank", "/reranks")):
        message = (
            "the base URL is that of a gateway with Cohere's API: write litellm_proxy/<model>, of"
            " the distribution rerank-litellm-proxy, or leave api_base out for NVIDIA's own host"
        )
        raise ConfigurationError(message)
    done = path.endswith("/reranking")
    return wire.join_endpoint(base_url, "/reranking" if done else "/v1/ranking")


def _to_hosted_url(base_url: str, model: str) -> str:
    """A URL for each model, in which dots are underscores."""
    parts = urlsplit(base_url)
    own = parts.hostname == _HOSTS[0]  # nothing is reranked at the other
    if own and parts.path.rstrip("/").endswith(("/ranking", "/reranking")):
        return base_url.rstrip("/")
    name = "nvidia" if model == "nv-rerank-qa-mistral-4b:1" else model.replace(".", "_")
    return f"{_HOSTED}/v1/retrieval/{quote(name)}/reranking"


def _to_passage(
    document: str | Mapping[str, Any], rank_fields: tuple[str, ...] | None
) -> dict[str, str]:
    """A document's text and, where it has one, its image, which is a data URL."""
    if isinstance(document, str):
        return {"text": document}
    names = document if rank_fields is None else [name for name in rank_fields if name in document]
    fields = {name: document[name] for name in names if document[name] is not None}
    image = fields.pop("image", None)
    text = wire.render_document(fields)
    if image is None:
        return {"text": text}
    if not isinstance(image, str):
        message = f"image must be a data URL as a string, not {type(image).__name__}"
        raise InvalidRequestError(message)
    # Rendered into the text, an image gets a score that means nothing.
    return {"text": text, "image": image} if text.strip() else {"image": image}


def _to_probability(logit: Any) -> Any:
    """The logistic function; what is no finite number stays, for core to refuse."""
    if type(logit) not in {int, float} or not math.isfinite(logit):
        return logit
    part = math.exp(-abs(logit))
    return (1 if logit >= 0 else part) / (1 + part)
