"""Google's ranking API, of Vertex AI Search: Discovery Engine's `rankingConfigs.rank`, v1.

https://cloud.google.com/generative-ai-app-builder/docs/ranking
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlunsplit

from rerank_core import (
    BilledUnits,
    ConfigurationError,
    HTTPRequest,
    Meta,
    Price,
    Provider,
    RerankRequest,
    RerankResponse,
    RerankResult,
    ResponseParseError,
    hookimpl,
    wire,
)
from rerank_vertex_ai._hosts import BASE, find_host

_SHORT = (
    "semantic-ranker-default-003",
    "semantic-ranker-default-002",
    "semantic-ranker-512@latest",
)


@hookimpl
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider:
    """State the ranking API's facts."""
    return Provider(
        name="vertex_ai",
        docs_url="https://cloud.google.com/generative-ai-app-builder/docs/ranking",
        base_url=BASE,
        base_url_env=("DISCOVERYENGINE_API_BASE",),
        api_key_required=False,  # there are none: `auth` says what is missing
        auth=_make_auth,
        watched_env=("CLOUDSDK_CONFIG", "GCE_METADATA_HOST"),
        params={"top_n": "topN"},
        extra_params={"user_labels": "userLabels"},
        options={
            "vertex_project": ("VERTEXAI_PROJECT", "GOOGLE_CLOUD_PROJECT"),
            "vertex_location": () if options.get("vertex_location") else ("VERTEXAI_LOCATION",),
            "ranking_config": (),
        },
        secret_options={
            "access_token": (),
            "vertex_credentials": ("VERTEXAI_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"),
        },
        option_sources={"vertex_project": _find_project},
        takes_mappings=True,  # as title and content
        max_documents=200,
        max_tokens=512 if model in _SHORT else None,  # longer records are cut; 004: not confirmed
        score_kind="probability",
        hints={
            401: "if the token has not ended, it is not Google's",
            403: "if access is what lacks: the project needs discoveryengine.googleapis.com"
            " enabled, the caller discoveryengine.rankingConfigs.rank and the use of the project's"
            " quota",
            404: "if it is about the location: vertex_location, or VERTEXAI_LOCATION, is 'global',"
            " 'us' or 'eu' here",
        },
        retry_after_pattern=r'"retryDelay": ?"(\d+(?:\.\d+)?)s"',  # of google.rpc.RetryInfo
        price=Price(0.001, "search_units", "2026-11-22"),
        models=(
            "semantic-ranker-default-004",
            "semantic-ranker-fast-004",
            "semantic-ranker-default@latest",
            "semantic-ranker-fast@latest",
            *_SHORT,
        ),
    )


@hookimpl
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
    """Rename to lowerCamelCase; an unknown field is refused."""
    return wire.rename_params(params, provider.params, provider.extra_params)


@hookimpl
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest:
    """Build the request; a user's credentials are refused without the project in a header."""
    project = _read_name(request.options, "vertex_project")
    return HTTPRequest(
        url=_build_url(provider, request.options),
        body={
            "model": request.model,
            "query": request.query,
            "records": [
                _to_record(at, document, request.rank_fields)
                for at, document in enumerate(request.documents)
            ],
            "ignoreRecordDetailsInResponse": True,  # it would send title and content back unasked
            **params,
        },
        headers={"X-Goog-User-Project": project} if project else {},
    )


@hookimpl
def parse_response(request: RerankRequest, payload: Any) -> RerankResponse:
    """Read the reply, which knows records by the id that they were sent with."""
    sent = len(request.documents)
    return RerankResponse(
        _read_records(payload["records"], sent),
        # Not reported: one query with up to 100 records is what the price is for.
        meta=Meta(billed_units=BilledUnits(search_units=-(-sent // 100))),
    )


def _make_auth(key: str | None, provider: Provider, options: Any) -> Any:
    from rerank_vertex_ai._auth import make_auth  # noqa: PLC0415 - httpx not before the first call

    del provider
    return make_auth(key, options)


def _find_project(secrets: Mapping[str, Any]) -> str | None:
    from rerank_vertex_ai._credentials import find_project  # noqa: PLC0415 - only where needed

    return find_project(secrets.get("vertex_credentials"))


def _build_url(provider: Provider, options: Mapping[str, Any]) -> str:
    """The endpoint: the base URL may be an origin, end in a version, or be all of it."""
    project, config = (_read_name(options, name) for name in ("vertex_project", "ranking_config"))
    location = _read_name(options, "vertex_location")
    is_given = not provider.options["vertex_location"]  # else it may be meant for other APIs
    parts, location = find_host(provider.base_url or BASE, location, is_given=is_given)
    path = parts.path.rstrip("/")
    if path.endswith(":rank"):
        _refuse_contradiction(path, config)
    else:
        if not re.search(r"/v1(alpha|beta)?$", path):
            path += "/v1"
        if not project:
            message = "no project: give vertex_project=, or set VERTEXAI_PROJECT"
            raise ConfigurationError(message)
        steps = ("projects", project, "locations", location, "rankingConfigs")
        names = (*steps, config or "default_ranking_config")
        path = "/".join([path, *(quote(name, safe=":") for name in names)])
        path += ":rank"
    return urlunsplit(parts._replace(path=path, fragment=""))


def _refuse_contradiction(path: str, config: str | None) -> None:
    """Refuse a configuration that a URL which is whole does not say.

    A location is not compared: it may be the environment's, which other APIs have too.
    """
    if config and f"/rankingConfigs/{quote(config, safe=':')}:rank" not in path:
        message = (
            f"ranking_config={config!r} contradicts the base URL, which is whole: give one of them"
        )
        raise ConfigurationError(message)


def _read_name(options: Mapping[str, Any], name: str) -> str | None:
    """An option that is part of the URL; a project may be known by its number."""
    value = options.get(name)
    if type(value) is int and name == "vertex_project":
        return str(value)
    if value is None or isinstance(value, str):
        return value
    message = f"{name} must be a string, not {type(value).__name__}"
    raise ConfigurationError(message)


def _to_record(
    at: int, document: str | Mapping[str, Any], rank_fields: Sequence[str] | None
) -> dict[str, str]:
    """A document with its position for an id, and a title only where it has one.

    Title and content are scored together, so that a title made up here would change the score.
    """
    if isinstance(document, str):
        return {"id": str(at), "content": document}
    names = document if rank_fields is None else rank_fields
    fields = {name: document[name] for name in names if document.get(name) is not None}
    title = fields["title"] if isinstance(fields.get("title"), str) else ""
    rest = {name: value for name, value in fields.items() if not (name == "title" and title)}
    only_content = list(rest) == ["content"]
    content = wire.render_value(rest["content"]) if only_content else wire.render_document(rest)
    record = {"title": title, "content": content}
    if not (title.strip() or content.strip()):  # blank fields, whose names core takes for text
        record = {"content": wire.render_document(document, rank_fields)}
    return {"id": str(at)} | {name: text for name, text in record.items() if text.strip()}


def _read_records(rows: Any, sent: int) -> list[RerankResult]:
    positions = {str(at): at for at in range(sent)}
    if not isinstance(rows, list):
        message = f"records is {type(rows).__name__}, not a list"
        raise ResponseParseError(message, path="records")
    results = []
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or row.get("id") not in positions:
            message = f"records[{place}] has no id of a record that was sent"
            raise ResponseParseError(message, path=f"records[{place}].id")
        # In JSON of this kind a zero is left out.
        results.append(RerankResult(positions[row["id"]], row.get("score", 0.0)))
    return results
