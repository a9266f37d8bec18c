"""Any server that speaks something near Jina's or Cohere's rerank API.

There is no one specification: https://docs.cohere.com/reference/rerank and
https://api.jina.ai/redoc are what others imitate. What is left open, options say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rerank_compatible._presets import PRESETS
from rerank_compatible._reading import read_meta, read_results
from rerank_compatible._settings import OPTIONS, Settings, join, read_settings
from rerank_core import (
    BadRequestError,
    ConfigurationError,
    HTTPRequest,
    MissingAPIKeyError,
    Provider,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)

if TYPE_CHECKING:
    from rerank_core.auth import HeaderAuth

__all__ = ["PRESETS"]

_OF_CALLS = ("max_tokens_per_doc", "max_chunks_per_doc")
_LISTWISE = ("jina-reranker-v3", "listwise")
_TOO_LONG = "is too large to process"
_BASE, _KEY = "environment_api_base", "environment_api_key"


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State what the options say of a server."""
    settings = read_settings(options)
    named = any(name in model.lower() for name in _LISTWISE)
    further = [name for name in settings.extra_params if name not in _OF_CALLS]
    params = {name: name for name in _OF_CALLS if name in settings.extra_params}
    if settings.top_n_field:
        params["top_n"] = settings.top_n_field
    service = settings.api_key_env is not None
    return Provider(
        name="compatible",
        docs_url="https://docs.cohere.com/reference/rerank",
        base_url=settings.endpoint_url or settings.api_base,
        # What names its place itself is not sent elsewhere by the environment.
        base_url_env=() if service or settings.endpoint_url else ("COMPATIBLE_API_BASE",),
        api_key_env=(settings.api_key_env,) if settings.api_key_env else (),
        api_key_required=service,
        api_key_hosts=_only_to_its_host(settings),
        auth=authorize,
        params=params,
        extra_params={name: name for name in further},
        options={
            "preset": ("COMPATIBLE_PRESET",),
            **dict.fromkeys(OPTIONS, ()),
            _BASE: ("COMPATIBLE_API_BASE",),
        },
        shaping_options=("preset",),
        secret_options={_KEY: ("COMPATIBLE_API_KEY",)},
        takes_mappings=settings.document_form == "native",
        max_documents=settings.max_documents,
        max_request_bytes=settings.max_request_bytes,
        max_document_chars=settings.max_document_chars,
        score_kind=settings.score_kind,
        listwise=named if settings.listwise is None else settings.listwise,
        # llama.cpp's 500, by itself and behind others: the same text would come again.
        error_types={_TOO_LONG: BadRequestError},
        hints={
            _TOO_LONG: "llama.cpp cuts nothing: start it with a larger --ubatch-size and"
            " --batch-size, or cut the document",
            "unexpected endpoint": "LM Studio does not rerank: serve the model with llama-server"
            " --rerank",
            401: "if no key was sent: give api_key=, since COMPATIBLE_API_KEY goes only to"
            " COMPATIBLE_API_BASE",
            404: "if the path is wrong, give the whole URL as endpoint_url=; if it is Ollama, it"
            " does not rerank: serve the model with llama-server --rerank, or with Lemonade",
            405: "if the path is wrong, give the whole URL as endpoint_url=",
            422: "if the server calls the list of documents otherwise, give documents_field= or"
            " dialect=",
            501: "if it is llama.cpp, start it with --rerank",
        },
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Call `top_n` what the server calls it."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request."""
    settings = read_settings(request.options)
    body: dict[str, Any] = {"model": request.model} if settings.send_model else {}
    body |= {"query": request.query, settings.documents_field: _to_documents(request, settings)}
    if repeated := sorted(body.keys() & params.keys()):
        message = f"two things would be called {repeated[0]!r} in the body: see extra_params="
        raise ConfigurationError(message)
    return HTTPRequest(url=_to_url(provider, settings), body={**body, **params})


@hookimpl
def parse_response(request: RerankRequest, payload: Any) -> RerankResponse:
    """Read the reply, whatever it calls its parts."""
    settings = read_settings(request.options)
    results = read_results(payload, settings, len(request.documents))
    said: Mapping[str, Any] = payload if isinstance(payload, dict) else {}
    return RerankResponse(
        results,
        id=said.get("id") or said.get("request_id"),
        model=(said.get("model") if settings.send_model else None) or "",
        meta=read_meta(payload),
    )


def authorize(key: str | None, provider: Provider, options: Mapping[str, Any]) -> HeaderAuth | None:
    """Write the key into its header; one of the environment only for the environment's server.

    Raises:
        MissingAPIKeyError: The caller chose a header for a key that is not there.
    """
    from rerank_core.auth import HeaderAuth  # noqa: PLC0415 - it imports httpx

    settings = read_settings(options)
    at_home = _origin(provider.base_url) == _origin(options.get(_BASE))
    if not key and at_home:
        key = options.get(_KEY)
    if key:
        return HeaderAuth(settings.auth_header, f"{settings.auth_scheme} {key}".strip())
    if "auth_header" in options:
        message = "auth_header= is given, and no key: give api_key=, or leave the header out"
        raise MissingAPIKeyError(message)
    return None


def _only_to_its_host(settings: Settings) -> dict[str, tuple[str, ...]]:
    host = urlsplit(settings.endpoint_url or settings.api_base or "").hostname
    return {settings.api_key_env: (host,)} if settings.api_key_env and host else {}


def _origin(url: str | None) -> tuple[str | None, str | None, int | None] | None:
    if not url:
        return None
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _to_url(provider: Provider, settings: Settings) -> str:
    base_url = provider.base_url or settings.endpoint_url or settings.api_base
    if not base_url:
        message = (
            "no base URL: give api_base=, endpoint_url= or a preset with one, or set"
            " COMPATIBLE_API_BASE; docs/servers.md has them for many servers"
        )
        raise ConfigurationError(message)
    if settings.endpoint_url and base_url != settings.endpoint_url:
        message = "endpoint_url= is the whole URL: leave api_base= out"
        raise ConfigurationError(message)
    parts = urlsplit(base_url)
    if settings.api_base and not parts.path.strip("/"):
        # The preset knows the path of a server that is elsewhere, too.
        base_url = parts._replace(path=urlsplit(settings.api_base).path).geturl()
    return settings.endpoint_url or join(base_url, settings.dialect)


def _to_documents(request: RerankRequest, settings: Settings) -> Sequence[Any]:
    """The documents in the form that the server takes."""
    if settings.document_form == "object":
        return [{"text": document} for document in request.documents]
    if settings.document_form == "string" or request.rank_fields is None:
        return request.documents
    return [
        {name: document[name] for name in request.rank_fields if document.get(name) is not None}
        if isinstance(document, Mapping)
        else document
        for document in request.documents
    ]
