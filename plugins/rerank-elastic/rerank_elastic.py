"""Elasticsearch's inference API, task rerank.

https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-inference-rerank
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

from rerank_core import (
    ConfigurationError,
    HTTPRequest,
    Provider,
    RerankRequest,
    RerankResponse,
    RerankResult,
    ResponseParseError,
    hookimpl,
    wire,
)

if TYPE_CHECKING:
    from rerank_core.auth import AuthOptions

# Endpoints that every cluster, or every one with Elastic Inference Service, has. Others are the
# user's own, and their names say nothing.
_BUILT_IN = (
    ".rerank-v1-elasticsearch",
    ".jina-reranker-v2-base-multilingual",
    ".jina-reranker-v3",
    ".jina-reranker-v3.5",
)
_WHOLE = re.compile(r"/_inference/(rerank/[^/_][^/]*|(?!rerank$)[^/_][^/]*)$")  # `_all` lists them
_KIBANA = re.compile(r"\.kb\..*\.(elastic\.cloud|elastic-cloud\.com|found\.io)$")


@hookimpl
def resolve_provider(model: str) -> Provider:
    """State Elasticsearch's facts; the model is the id of an inference endpoint."""
    is_elastic_rerank = model.startswith(".rerank-v1")
    kind: Literal["logit", "opaque"] = "logit" if is_elastic_rerank else "opaque"
    return Provider(
        name="elastic",
        docs_url="https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-inference-rerank",
        base_url_env=("ELASTICSEARCH_URL", "ELASTIC_API_BASE"),
        base_url_required=True,
        api_key_env=("ELASTIC_API_KEY", "ELASTICSEARCH_API_KEY"),
        api_key_required=False,
        auth=_make_auth,
        params={"top_n": "top_n"},
        extra_params={"task_settings": "task_settings"},
        options={"username": (), "inference_timeout": ()},
        secret_options={"password": (), "bearer_token": ()},
        max_tokens=512 if is_elastic_rerank else None,
        score_kind=kind,
        listwise=model.startswith(".jina-reranker-v3"),
        hints={
            401: "if nothing was given: give api_key=, username= and password=, or bearer_token=",
            403: "if a privilege is missing: the role needs the cluster's monitor_inference",
            404: "if it is about the model: it is the id of an inference endpoint, and"
            " GET /_inference/rerank/_all lists them",
            "unknown field [top_n]": "a version before 9 does not know it: leave it out, and take"
            " the first results",
            408: "if a built-in model has to be started first: give inference_timeout='120s'",
        },
        models=_BUILT_IN,
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Elasticsearch's names are the caller's."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request: the endpoint's id stands in the path, the documents in `input`."""
    return HTTPRequest(
        url=_to_url(provider.base_url or "", request),
        body={"query": request.query, "input": request.documents, **params},
    )


@hookimpl
def parse_response(request: RerankRequest, payload: Any) -> RerankResponse:
    """Read the reply, whose numbers an official example writes as strings."""
    rows = wire.read_results(payload["rerank"], "rerank")
    if request.top_n is None and len(rows) < len(request.documents):
        message = (
            f"the reply ranks {len(rows):,} documents where {len(request.documents):,} were asked"
            " for: if the endpoint or task_settings= has a top_n of its own, give top_n= as well"
        )
        raise ResponseParseError(message, path="rerank")
    return RerankResponse(
        [
            RerankResult(_to_number(row.index, int), _to_number(row.relevance_score, float))
            for row in rows
        ]
    )


def _to_number(value: Any, kind: type[int | float]) -> Any:
    return kind(value) if isinstance(value, str) else value


def _to_url(base_url: str, request: RerankRequest) -> str:
    """Complete a base URL, which may hold the whole path, with the endpoint's id."""
    parts = urlsplit(base_url)
    if _KIBANA.search(parts.hostname or ""):
        message = f"{parts.hostname} is Kibana's address: give api_base= that of Elasticsearch"
        raise ConfigurationError(message)
    path = parts.path.rstrip("/")
    if not _WHOLE.search(path):
        path = path.partition("/_inference")[0]  # that of another task has the cluster's before it
        path += f"/_inference/rerank/{quote(request.model, safe='')}"
    query = parts.query
    if (seconds := request.options.get("inference_timeout")) is not None:
        if not isinstance(seconds, str):
            message = f"inference_timeout must be a duration like '60s', not {seconds!r}"
            raise ConfigurationError(message)
        query = "&".join(filter(None, (query, urlencode({"timeout": seconds}))))
    return urlunsplit(parts._replace(path=path, query=query, fragment=""))


def _make_auth(key: str | None, provider: Provider, options: AuthOptions) -> Any:
    """A token, a user, or a key; none of them for a cluster without security.

    Token and user, in options or in the base URL, come before a key of the environment.
    """
    import httpx  # noqa: PLC0415 - not before the first call

    from rerank_core.auth import HeaderAuth  # noqa: PLC0415 - it imports httpx
    from rerank_core.tokens import check_token  # noqa: PLC0415 - likewise

    if (token := options.get("bearer_token")) is not None:
        return HeaderAuth("Authorization", f"Bearer {check_token(token, 'bearer_token')}")
    user, password = options.get("username"), options.get("password")
    if isinstance(user, str) and isinstance(password, str):
        return httpx.BasicAuth(user, password)
    if user is not None or password is not None:
        raise ConfigurationError("username and password belong together, each as a string")
    parts = urlsplit(provider.base_url or "")
    if parts.username is not None and "api_key" not in options.given:
        return httpx.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
    if not key:
        return httpx.Auth()
    if ":" in key:  # as it is shown once: its id, a colon, the key
        key = base64.b64encode(key.encode()).decode()
    return HeaderAuth("Authorization", f"ApiKey {key}")
