"""Azure's requests, replies, errors, keys and tokens, against stand-ins for it and Entra ID."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import azure.identity
import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

import rerank_azure_ai
from rerank_azure_ai._auth import application_auth, chain_auth, read_environment
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    ConfigurationError,
    Meta,
    MissingAPIKeyError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    Reranker,
    ResponseParseError,
    ServerError,
    TransportError,
    UnsupportedParamError,
    rerank,
)
from rerank_core.testing import Case, Check, Example, Ranking, conformance
from service import (
    NOTHING,
    Difference,
    Send,
    both_ways,
    check_watched,
    differing,
    every_way,
    load,
    send_async,
    stated,
)
from token_service import (
    FAILED_ANYWHERE,
    FailedExchange,
    TokenCheck,
    TokenService,
    call_thrice,
    form_of,
    from_tasks,
    from_threads,
    shown_with,
    slow,
    token,
    token_checks,
    without_state,
)

RESOURCE = "https://my-resource.services.ai.azure.com"
SERVERLESS = "https://my-deployment.eastus2.models.ai.azure.com"
GATEWAY = "https://gateway.test/ai"
COHERE = f"{RESOURCE}/providers/cohere/v2/rerank"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France.", "Madrid is in Spain."]
CALL: dict[str, Any] = {
    "model": "azure_ai/Cohere-rerank-v4.0-pro",
    "query": "capital of France?",
    "documents": DOCUMENTS,
    "api_base": RESOURCE,
    "max_retries": 0,
}
KEYED = CALL | {"api_key": "the-secret-key"}
APPLICATION = {"tenant_id": "ten/ant", "client_id": "app", "client_secret": "app-secret"}
AS_APPLICATION = CALL | APPLICATION
PLACE: dict[str, Any] = {name: CALL[name] for name in ("model", "api_base")}


def encode(ranking: Ranking, documents: Sequence[str], top_n: int | None) -> dict[str, Any]:
    """Write the service's reply for a ranking."""
    del documents, top_n
    rows = [{"index": index, "relevance_score": score} for index, score in ranking]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return {"id": "2c7a51e0", "results": rows, "meta": meta}


CASE = Case(
    plugin=rerank_azure_ai,
    model="Cohere-rerank-v4.0-pro",
    options={"api_base": SERVERLESS},  # where both versions are to be had
    params={"priority": 1, "relevant_spans": {}},
    encode=encode,
    encode_error=lambda message: {"error": {"code": "BadRequest", "message": message}},
    example=Example(
        call={"query": "capital of France?", "documents": DOCUMENTS, "top_n": 2},
        url=f"{SERVERLESS}/v2/rerank",
        json={
            "model": "Cohere-rerank-v4.0-pro",
            "query": "capital of France?",
            "documents": DOCUMENTS,
            "top_n": 2,
        },
        reply=encode([(1, 0.9421), (0, 0.1107)], DOCUMENTS, 2),
        ranking=[(1, 0.9421), (0, 0.1107)],
        id="2c7a51e0",
        meta=Meta(api_version="2", billed_units=BilledUnits(search_units=1)),
    ),
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The plugin keeps what every plugin must."""
    check()


bare_environment = without_state("azure_ai", application_auth, chain_auth)


def ranking(count: int, **more: Any) -> dict[str, Any]:
    """A reply in the service's shape, the last document first."""
    rows = [{"index": at, "relevance_score": (at + 1) / 1000} for at in reversed(range(count))]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return {"id": "2c7a51e0", "results": rows, "meta": meta, **more}


Service = partial(
    TokenService,
    ranking=lambda asked: ranking(len(asked["documents"])),
    refusal=httpx.Response(401, json={"statusCode": 401, "message": "Unauthorized."}),
    path="/oauth2/v2.0/token",
)
COHERE_V1, COHERE_V2 = "azure_ai-cohere-v1-serverless-base", "azure_ai-cohere-v2-foundry-base"
LITELLM_V2, LITELLM_ROOT = "azure_ai-litellm-foundry-v2", "azure_ai-litellm-root"
# Where the captured call goes.
BASES: Mapping[str, str] = {
    COHERE_V1: SERVERLESS,
    COHERE_V2: f"{GATEWAY}/providers/cohere",
    LITELLM_V2: "http://127.0.0.1/providers/cohere/v2",
    LITELLM_ROOT: "http://127.0.0.1",
}
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "headers.accept",
        "application/json",
        "nothing else can be read",
        (COHERE_V1, COHERE_V2),
    ),
    (
        "path",
        "/ai/providers/cohere/v2/rerank",
        "the path of the gateway that is asked here",
        (COHERE_V2,),
    ),
    (
        "json.return_documents",
        NOTHING,
        "core attaches the caller's own documents",
        (LITELLM_V2, LITELLM_ROOT),
    ),
    ("json.max_tokens_per_doc", 512, "v2 takes it; litellm loses it", (LITELLM_V2,)),
)


@both_ways
@pytest.mark.parametrize("name", BASES)
def test_the_same_call_sends_the_same_as_others_but_for_the_differences(
    name: str, send: Send
) -> None:
    """Method, path, query, headers and the whole body."""
    call, service = load(name)["call"]["kwargs"], Service()
    call["model"] = f"azure_ai/{call['model'].removeprefix('azure_ai/')}"

    send(**call | {"api_base": BASES[name], "api_key": "test-key"}, http_client=service)

    (request,) = service.requests
    assert differing(name, service) == stated(name, DIFFERENCES)
    assert request.headers["content-length"] == str(len(request.content))
    assert "transfer-encoding" not in request.headers


@pytest.mark.parametrize(
    ("base", "url"),
    [
        # as it is
        (f"{SERVERLESS}/v1/rerank", f"{SERVERLESS}/v1/rerank"),
        (f"{SERVERLESS}/v2/rerank/", f"{SERVERLESS}/v2/rerank"),
        (COHERE, COHERE),
        (f"{RESOURCE}/models/v1/rerank", f"{RESOURCE}/models/v1/rerank"),
        # with its version
        (f"{SERVERLESS}/v1", f"{SERVERLESS}/v1/rerank"),
        (f"{SERVERLESS}/v2/", f"{SERVERLESS}/v2/rerank"),
        (f"{RESOURCE}/providers/cohere/v2", COHERE),
        # Cohere's API, without a version
        (f"{RESOURCE}/providers/cohere", COHERE),
        (f"{GATEWAY}/providers/cohere/", f"{GATEWAY}/providers/cohere/v2/rerank"),
        # a resource, or another of its APIs
        (RESOURCE, COHERE),
        (f"{RESOURCE}/", COHERE),
        (f"{RESOURCE}/models", COHERE),
        (f"{RESOURCE}/openai", COHERE),
        (f"{RESOURCE}/openai/v1/", COHERE),
        (f"{RESOURCE}/api/projects/my-project", COHERE),
        (f"{RESOURCE}/api/projects/my-project/openai/v1", COHERE),
        (
            "https://r.cognitiveservices.azure.com",
            "https://r.cognitiveservices.azure.com/providers/cohere/v2/rerank",
        ),
        # an endpoint for one model
        (SERVERLESS, f"{SERVERLESS}/v2/rerank"),
        (
            "https://name.eastus2.inference.ai.azure.com/",
            "https://name.eastus2.inference.ai.azure.com/v2/rerank",
        ),
        # a gateway
        (GATEWAY, f"{GATEWAY}/v2/rerank"),
        ("https://gateway.test/openai/v1", "https://gateway.test/openai/v1/rerank"),
        (f"{GATEWAY}/rerank", f"{GATEWAY}/rerank"),
        (f"{GATEWAY}?subscription=a%20b#top", f"{GATEWAY}/v2/rerank?subscription=a%20b"),
        (f"{RESOURCE}?tier=a", f"{COHERE}?tier=a"),
    ],
)
def test_a_base_url_becomes_the_endpoint(base: str, url: str) -> None:
    """Whatever of it was copied from the portal; never with an api-version of ours."""
    service = Service()

    rerank(**KEYED | {"api_base": base}, http_client=service)

    assert service.url == url


def test_a_variable_names_the_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no default host."""
    service = Service()

    with pytest.raises(ConfigurationError, match="AZURE_AI_API_BASE"):
        rerank(**KEYED | {"api_base": None}, http_client=service)
    monkeypatch.setenv("AZURE_AI_API_BASE", SERVERLESS)
    rerank(**KEYED | {"api_base": None}, http_client=service)

    assert service.url == f"{SERVERLESS}/v2/rerank"


@pytest.mark.parametrize("base", [SERVERLESS, GATEWAY])
@pytest.mark.parametrize(
    ("params", "version"),
    [
        ({}, "v2"),
        ({"max_tokens_per_doc": 9}, "v2"),
        ({"max_chunks_per_doc": 9}, "v1"),
        ({"rank_fields": ["text"]}, "v2"),  # no document is a mapping
        ({"documents": [{"text": "a"}], "rank_fields": ["text"]}, "v1"),
        ({"documents": [{"text": "a"}, "b"], "rank_fields": ["text"]}, "v2"),
        ({"documents": [{"text": "a"}]}, "v2"),
        ({"documents": [{"text": "a"}], "rank_fields": ["text"], "max_tokens_per_doc": 9}, "v2"),
        ({"documents": [{"text": "a"}], "rank_fields": ["text"], "priority": 1}, "v2"),
        ({"documents": [{"text": "a"}], "rank_fields": ["text"], "api_version": "v2"}, "v2"),
        ({"api_version": "v1"}, "v1"),
    ],
)
def test_the_params_choose_the_version_where_the_base_url_does_not(
    base: str, params: dict[str, Any], version: str
) -> None:
    """v1 for what only v1 can do."""
    service = Service()

    rerank(**KEYED | {"api_base": base} | params, http_client=service)

    assert service.requests[0].url.path.endswith(f"/{version}/rerank")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"max_chunks_per_doc": 3}, "max_chunks_per_doc"),
        ({"max_chunks_per_doc": 3, "max_tokens_per_doc": 9}, "max_chunks_per_doc"),
        ({"api_base": f"{SERVERLESS}/v1", "max_tokens_per_doc": 3}, "max_tokens_per_doc"),
        ({"api_base": f"{SERVERLESS}/v1", "priority": 3}, "priority"),
        ({"api_base": SERVERLESS, "api_version": "v1", "relevant_spans": {}}, "relevant_spans"),
        ({"api_base": SERVERLESS, "api_version": "v2", "max_chunks_per_doc": 3}, "max_chunks_per"),
        ({"truncation": True}, "truncation"),
    ],
)
def test_a_param_that_the_version_lacks_is_refused_or_left_out(
    changes: dict[str, Any], param: str
) -> None:
    """A Foundry resource has v2 only."""
    service = Service()

    with pytest.raises(UnsupportedParamError, match=param):
        rerank(**KEYED | changes, http_client=service)
    response = rerank(**KEYED | changes, drop_params=True, http_client=service)

    assert len(service.requests) == 1
    assert any(param in warning for warning in response.warnings)
    assert not any(name.startswith(param) for name in service.body)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api_version": "2024-05-01"}, "api_version must be 'v1' or 'v2'"),
        ({"api_version": ["v2"]}, "api_version must be 'v1' or 'v2'"),
        ({"api_version": "v1"}, "contradicts the base URL, which is v2's"),
        ({"api_version": "v2", "api_base": f"{SERVERLESS}/v1"}, "contradicts"),
    ],
)
def test_a_version_that_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    """Before anything is sent, as a mistake in the configuration."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        rerank(**KEYED | changes, http_client=Service())

    assert type(caught.value) is ConfigurationError


@pytest.mark.parametrize(
    ("base", "documents", "rank_fields", "sent", "fields"),
    [
        (RESOURCE, ["a", "b"], None, ["a", "b"], None),
        (RESOURCE, [{"text": "a"}, {"Title": "t", "n": 1}], None, ["a", "Title: t\nn: 1"], None),
        (RESOURCE, [{"Title": "t", "text": "a"}], ["Title"], ["Title: t"], None),
        (SERVERLESS, [{"Title": "t", "n": 1}], ["n"], [{"Title": "t", "n": "1"}], ["n"]),
        (SERVERLESS, [{"n": 1, "Title": None}], ["n"], [{"n": "1"}], ["n"]),
        (f"{SERVERLESS}/v1", [{"Title": "t", "n": 1}], None, ["Title: t\nn: 1"], None),
        (f"{SERVERLESS}/v1", ["a", {"text": "b"}], ["text"], ["a", "b"], None),
        (RESOURCE, ["a", " ", ""], None, ["a"], None),
    ],
)
def test_documents_travel_as_the_version_takes_them(
    base: str, documents: list[Any], rank_fields: list[str] | None, sent: Any, fields: Any
) -> None:
    """Mappings only to v1 with rank_fields, whose names stay as the caller wrote them."""
    service = Service()

    response = rerank(
        **KEYED | {"api_base": base, "documents": documents},
        rank_fields=rank_fields,
        http_client=service,
    )

    assert service.body["documents"] == sent
    assert service.body.get("rank_fields") == fields
    assert len(response.results) == len(documents)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, {}),
        ({"top_n": 2}, {"top_n": 2}),
        ({"top_n": 9}, {"top_n": 3}),
        ({"return_documents": False}, {}),
        ({"priority": 1, "relevant_spans": {}}, {"priority": 1, "relevant_spans": {}}),
        ({"max_tokens_per_doc": 9}, {"max_tokens_per_doc": 9}),
    ],
)
def test_nothing_is_sent_that_was_not_asked_for(
    params: dict[str, Any], expected: dict[str, Any]
) -> None:
    """No default is restated, and the deployment's name stays as it is."""
    service = Service(ranking(3))

    rerank(**KEYED | params, http_client=service)

    always = {
        "model": "Cohere-rerank-v4.0-pro",
        "query": "capital of France?",
        "documents": DOCUMENTS,
    }
    assert service.body == always | expected


def test_a_long_list_is_split() -> None:
    """As Cohere advises, at 1,000 documents."""
    service = Service()

    response = rerank(**KEYED | {"documents": ["x"] * 1001}, http_client=service)

    assert sorted(len(json.loads(r.content)["documents"]) for r in service.requests) == [500, 501]
    assert response.meta.billed_units.search_units == 2


@both_ways
def test_a_reply_is_read(send: Send) -> None:
    """As Cohere's; another model's name in it is nothing to worry about."""
    body = {
        "id": "2c7a51e0",
        "model": "whatever the endpoint serves",
        "results": [
            {"index": 1, "relevance_score": 0.9421, "document": {"text": "not the caller's"}},
            {"index": 0, "relevance_score": 0.1107, "relevant_spans": [[0, 3]]},
        ],
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"search_units": 1},
            "tokens": {"input_tokens": 40},
            "warnings": ["cut"],
        },
    }
    service = Service(body)

    response = send(**KEYED, top_n=2, http_client=service)

    rows = [(result.index, result.relevance_score) for result in response.results]
    assert rows == [(1, 0.9421), (0, 0.1107)]
    assert response.results[0]["document"]["text"] == DOCUMENTS[1]
    assert response.results[1].extra == {"relevant_spans": [[0, 3]]}
    assert response.id == "2c7a51e0"
    assert response.meta.api_version == "2"
    assert response.meta.tokens.input_tokens == 40
    assert response.warnings == ("cut",)
    assert response.cost == pytest.approx(0.0025)


def test_a_reply_without_id_and_meta_is_read() -> None:
    """An id is made, and unknown usage and cost stay unknown."""
    body = ranking(3, id=None, meta=None)

    response = rerank(**KEYED, http_client=Service(body))

    assert response.id
    assert response.cost is None


@pytest.mark.parametrize(
    "body",
    [{"id": "x"}, {"results": [{"index": 0}]}, {"results": []}, [], '"text"', {"results": {}}],
)
def test_a_reply_of_another_shape_is_no_ranking(body: Any) -> None:
    """Never an empty success."""
    with pytest.raises(ResponseParseError):
        rerank(**KEYED, http_client=Service(body))


FOUNDRY_ERROR = {"error": {"code": "PermissionDenied", "message": "No data access."}}
UNKNOWN = {"error": {"code": "unknown_model", "message": "No such."}}
UNAVAILABLE = {"error": {"code": "unavailable_model", "message": "No such."}}
NO_LENGTH = {"error": {"code": "no_content_length_header", "message": "Bad body."}}


@both_ways
@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, NO_LENGTH, BadRequestError, "Bad body."),
        (400, UNKNOWN, NotFoundError, "No such. (model is the name of the deployment"),
        (404, UNAVAILABLE, NotFoundError, "No such. (model is the name of the deployment"),
        (401, {"statusCode": 401, "message": "Unauthorized."}, AuthenticationError, "Unauthorized"),
        (401, FOUNDRY_ERROR, AuthenticationError, "No data access. (if an API key was"),
        (403, FOUNDRY_ERROR, PermissionDeniedError, "No data access. (if no network"),
        (404, {"id": "x", "message": "model 'x' not found"}, NotFoundError, "model 'x' not found"),
        (408, {"message": "slow"}, APIStatusError, "slow"),
        (422, {"message": "bad field"}, BadRequestError, "bad field"),
        (429, {"error": {"code": "429", "message": "Rate."}}, RateLimitError, "Rate."),
        (500, {"message": "boom"}, ServerError, "/providers/cohere/v2/rerank"),
        (503, "<html>gateway</html>", ServerError, "<html>gateway</html>"),
    ],
)
def test_an_error_is_of_its_kind(
    status: int, body: Any, kind: type[APIStatusError], words: str, send: Send
) -> None:
    """With the service's words in whichever of its shapes, and what to try."""
    text = body if isinstance(body, str) else json.dumps(body)
    service = Service(httpx.Response(status, text=text))

    with pytest.raises(APIStatusError) as caught:
        send(**KEYED, http_client=service)

    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert words.lower() in str(caught.value).lower()
    assert "the-secret-key" not in str(caught.value)
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("base", "header", "words"),
    [
        (RESOURCE, None, "sent as 'api-key' here, try auth_header='bearer'"),
        (SERVERLESS, None, "sent as 'bearer' here, try auth_header='api-key'"),
        (SERVERLESS, "api-key", "sent as 'api-key' here, try auth_header='bearer'"),
        (RESOURCE, "bearer", "sent as 'bearer' here, try auth_header='api-key'"),
    ],
)
def test_a_refused_key_s_error_says_how_it_was_sent(
    base: str, header: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And how to send it otherwise: sources disagree about which header it is."""
    monkeypatch.setenv("AZURE_AI_API_BASE", base)
    service = Service(httpx.Response(401, json={"message": "no"}))

    with pytest.raises(AuthenticationError, match=words):
        rerank(**KEYED | {"api_base": None}, auth_header=header, http_client=service)


def test_what_may_pass_is_tried_again_when_the_service_says() -> None:
    """`retry-after-ms` is heeded."""
    reply = httpx.Response(429, headers={"retry-after-ms": "1"}, json={"message": "Rate."})
    service = Service(reply)

    with pytest.raises(RateLimitError) as caught:
        rerank(**KEYED | {"max_retries": 1}, http_client=service)

    assert caught.value.retry_after == 0.001
    assert len(service.requests) == 2


# Who calls


@both_ways
@pytest.mark.parametrize(
    ("base", "choice", "header", "value"),
    [
        (RESOURCE, None, "api-key", "the-secret-key"),
        ("https://r.cognitiveservices.azure.com", None, "api-key", "the-secret-key"),
        (SERVERLESS, None, "authorization", "Bearer the-secret-key"),
        ("https://n.r.inference.ai.azure.com", None, "authorization", "Bearer the-secret-key"),
        (GATEWAY, None, "authorization", "Bearer the-secret-key"),
        ("https://a.test/x.services.ai.azure.com", None, "authorization", "Bearer the-secret-key"),
        ("https://my.services.ai.azure.com.test", None, "authorization", "Bearer the-secret-key"),
        ("https://my.SERVICES.ai.azure.com:443/", None, "api-key", "the-secret-key"),
        (RESOURCE, "bearer", "authorization", "Bearer the-secret-key"),
        (SERVERLESS, "api-key", "api-key", "the-secret-key"),
    ],
)
def test_a_key_goes_in_the_host_s_header_or_the_chosen_one(
    base: str, choice: str | None, header: str, value: str, send: Send
) -> None:
    """In one of the two, never in both."""
    service = Service()

    send(**KEYED | {"api_base": base}, auth_header=choice, http_client=service)

    headers = service.requests[0].headers
    sent = {name: headers[name] for name in ("api-key", "authorization") if name in headers}
    assert sent == {header: value}


def test_a_header_that_there_is_not_is_refused() -> None:
    """Before anything is sent."""
    for header in ("both", ["bearer"]):
        with pytest.raises(ConfigurationError, match="auth_header must be 'api-key' or 'bearer'"):
            rerank(**KEYED, auth_header=header, http_client=Service())


ENVIRONMENT = {
    "AZURE_AI_API_KEY": "env-key",
    "AZURE_AD_TOKEN": "env-token",
    "AZURE_TENANT_ID": "env-tenant",
    "AZURE_CLIENT_ID": "env-app",
    "AZURE_CLIENT_SECRET": "env-secret",
}


@both_ways
@pytest.mark.parametrize(
    ("given", "first", "expected"),
    [
        ({"api_key": "k", "azure_ad_token": "t"}, 0, "k"),
        ({"azure_ad_token": "t"}, 0, "t"),
        ({"azure_ad_token_provider": lambda: "made"}, 0, "made"),
        (
            {"azure_credential": SimpleNamespace(get_token=lambda *scopes: f"for {scopes[0]}")},
            0,
            "for https://ai.azure.com/.default",
        ),
        (APPLICATION, 0, "token-1"),
        ({"client_id": "another-app"}, 2, "token-1"),
        ({}, 0, "env-key"),
        ({}, 1, "env-token"),
        ({}, 2, "token-1"),
    ],
)
def test_the_first_of_what_is_known_signs_the_request(
    given: dict[str, Any], first: int, expected: str, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's before the environment's; a key, a token, an application."""
    for name, value in list(ENVIRONMENT.items())[first:]:
        monkeypatch.setenv(name, value)
    service = Service()

    send(**CALL | {"api_base": SERVERLESS} | given, http_client=service)

    assert service.authorizations == [f"Bearer {expected}"]


def test_the_caller_s_own_header_signs_alone() -> None:
    """No key is needed, and none is sent."""
    service = Service()

    rerank(**CALL, extra_headers={"Authorization": "Basic own"}, http_client=service)

    assert service.authorizations == ["Basic own"]


@pytest.mark.parametrize(
    ("options", "url", "scope"),
    [
        ({}, "https://login.microsoftonline.com", "https://ai.azure.com/.default"),
        (
            {
                "azure_authority_host": "login.microsoftonline.us",
                "azure_scope": "https://cognitiveservices.azure.com/.default",
            },
            "https://login.microsoftonline.us",
            "https://cognitiveservices.azure.com/.default",
        ),
        (
            {"azure_authority_host": "https://login.chinacloudapi.cn/"},
            "https://login.chinacloudapi.cn",
            "https://ai.azure.com/.default",
        ),
    ],
)
def test_an_application_exchanges_its_secret(options: dict[str, str], url: str, scope: str) -> None:
    """A form, to the tenant's token service, for the scope."""
    service = Service()

    rerank(**AS_APPLICATION | options, http_client=service)

    (request,) = service.exchanges
    assert str(request.url) == f"{url}/ten%2Fant/oauth2/v2.0/token"
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert form_of(request) == {
        "grant_type": "client_credentials",
        "client_id": "app",
        "client_secret": "app-secret",
        "scope": scope,
    }
    assert service.authorizations == ["Bearer token-1"]


def test_scope_and_authority_have_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """For sovereign clouds."""
    monkeypatch.setenv("AZURE_SCOPE", "https://scope.test/.default")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "login.test")
    service = Service()

    rerank(**AS_APPLICATION, http_client=service)

    assert service.exchanges[0].url.host == "login.test"
    assert b"scope.test" in service.exchanges[0].content


def test_half_an_application_is_refused() -> None:
    """With what is missing."""
    with pytest.raises(ConfigurationError, match="tenant_id, client_id is missing"):
        rerank(**CALL, client_secret="s3cret", http_client=Service())  # noqa: S106 - a test's


REFUSED = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."}
FAILED_EXCHANGES: list[FailedExchange] = [
    (
        httpx.Response(401, json=REFUSED),
        AuthenticationError,
        "login.microsoftonline.com gave no token: status 401: AADSTS7000215: Invalid",
    ),
    (httpx.Response(400, json={"error": "bad"}), AuthenticationError, "status 400: bad"),
    (httpx.Response(403, text="<html>no</html>"), AuthenticationError, "status 403: <html>"),
    (httpx.Response(429, json=["slow"]), TransportError, "status 429: slow"),
    (token("ok", expires_in="soon"), ResponseParseError, "no token that can be used"),
    *FAILED_ANYWHERE,
]


# The older token service writes seconds as a string.
LASTING: list[tuple[dict[str, Any], int]] = [
    ({"expires_in": 60}, 2),
    ({"expires_in": "60"}, 2),
    ({"expires_in": 3599}, 1),
    ({"expires_in": "3599"}, 1),
]


@token_checks(
    AS_APPLICATION,
    Service,
    lasting=LASTING,
    refused="role Cognitive Services User",
    failed=FAILED_EXCHANGES,
    hidden="app-secret",
)
def test_tokens_are_used_as_wherever_there_are_any(check: TokenCheck) -> None:
    """Kept, replaced 60 seconds before their end, and where refused; a failure hides secrets."""
    check()


class Credential:
    """A credential of azure-identity's kind that counts what it is asked.

    Args:
        lifetime: Seconds that its tokens live.
    """

    def __init__(self, lifetime: float = 3600) -> None:
        self.lifetime, self.threads = lifetime, set[int]()
        self.scopes: list[str] = []

    def get_token(self, *scopes: str) -> AccessToken:
        """A token, which takes some time."""
        time.sleep(0.01)
        self.threads.add(threading.get_ident())
        self.scopes.extend(scopes)
        return AccessToken(f"token-{len(self.scopes)}", int(time.time() + self.lifetime))


class AsyncCredential(Credential):
    """The same, awaited."""

    async def get_token(self, *scopes: str) -> AccessToken:  # type: ignore[override]
        """A token."""
        await asyncio.sleep(0)
        return super().get_token(*scopes)


@every_way
@pytest.mark.parametrize(("lifetime", "asked"), [(3600, 1), (30, 3)])
def test_a_credential_s_token_is_kept_until_shortly_before_its_end(
    lifetime: float, asked: int, send: Send
) -> None:
    """One that runs a program each time is not run for each call."""
    service, credential = Service(), Credential(lifetime)

    with Reranker(**PLACE, azure_credential=credential, http_client=service) as reranker:
        call_thrice(reranker, send)

    assert credential.scopes == ["https://ai.azure.com/.default"] * asked
    assert service.authorizations[-1] == f"Bearer token-{asked}"
    assert threading.get_ident() not in credential.threads  # what hangs there holds up nobody


class ComparedCredential(Credential):
    """One that is compared by value, as a data class is, and so has no hash."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComparedCredential) and other.lifetime == self.lifetime

    __hash__ = None  # type: ignore[assignment]  # what Python does by itself, for the type checker


@every_way
@pytest.mark.parametrize("kind", [Credential, ComparedCredential])
def test_a_credential_that_is_given_to_each_call_is_asked_once(
    kind: type[Credential], send: Send
) -> None:
    """A call with a client has a `Reranker` of its own; the token belongs to the credential."""
    service, credential, another = Service(), kind(), kind()

    for given in (credential, credential, another, credential):
        send(**CALL, azure_credential=given, http_client=service)

    assert (len(credential.scopes), len(another.scopes)) == (1, 1)
    assert len(service.requests) == 4


def test_an_async_credential_serves_async_calls() -> None:
    """And only these: a blocking call says so."""
    service = Service()

    send_async(**CALL, azure_credential=AsyncCredential(), http_client=service)

    assert service.authorizations == ["Bearer token-1"]
    with pytest.raises(ConfigurationError, match="is async: use arerank"):
        rerank(**CALL, azure_credential=AsyncCredential(), http_client=service)


async def give_token() -> str:
    """What `azure.identity.aio.get_bearer_token_provider` returns."""
    return "made"


def test_an_async_token_provider_serves_async_calls() -> None:
    """A function that gives strings keeps them itself, so that it is called each time."""
    service = Service()

    def provide() -> Any:
        return give_token()

    for given in (give_token, provide):
        send_async(**CALL, azure_ad_token_provider=given, http_client=service)

    assert service.authorizations == ["Bearer made"] * 2


@both_ways
def test_a_provider_that_gives_the_refused_token_again_is_not_heeded(send: Send) -> None:
    """Sending the same once more would change nothing; another one is tried."""
    stale, fresh = Service(accepted=set()), Service(accepted={"second"})
    made = iter(["first", "second"])

    with pytest.raises(AuthenticationError):
        send(**CALL, azure_ad_token_provider=lambda: "same", http_client=stale)
    send(**CALL, azure_ad_token_provider=lambda: next(made), http_client=fresh)

    assert stale.authorizations == ["Bearer same"]
    assert fresh.authorizations == ["Bearer first", "Bearer second"]


def raising(error: Exception) -> Callable[[], str]:
    """A token provider that fails."""

    def provide() -> str:
        raise error

    return provide


@both_ways
@pytest.mark.parametrize(
    ("provider", "kind", "words"),
    [
        (
            raising(ClientAuthenticationError("az login is needed")),
            AuthenticationError,
            "ClientAuthenticationError: az login is needed",
        ),
        (raising(ServiceRequestError("no route")), TransportError, "ServiceRequestError: no route"),
        (raising(OSError("s3cret")), TransportError, "raised OSError"),
        (raising(KeyError("s3cret")), AuthenticationError, "raised KeyError"),
        (raising(ConfigurationError("mine")), ConfigurationError, "mine"),
        (lambda: None, ConfigurationError, "must be a string"),
        (lambda: "broken\n", ConfigurationError, "must be a string"),
        ("broken\n", ConfigurationError, "azure_ad_token_provider must be a string"),
        (42, ConfigurationError, "azure_credential must have get_token"),
    ],
)
def test_a_token_provider_that_fails_says_so(
    provider: Any, kind: type[Exception], words: str, send: Send
) -> None:
    """In azure-identity's own words, in nobody else's: they may hold a secret."""
    service = Service()

    with pytest.raises(kind, match=words) as caught:
        send(**CALL, azure_ad_token_provider=provider, http_client=service)

    assert type(caught.value) is kind
    assert "s3cret" not in str(caught.value)
    assert "broken" not in str(caught.value)
    assert service.requests == []


@pytest.mark.parametrize("way", ["exchange", "credential"])
def test_threads_that_need_a_token_ask_once(way: str) -> None:
    """The others wait for it."""
    service, credential = Service(), Credential()
    identity = APPLICATION if way == "exchange" else {"azure_credential": credential}

    with Reranker(**PLACE | identity, http_client=service) as reranker:
        from_threads(lambda: reranker.rerank("q", ["a", "b"]))

    assert len(service.exchanges) + len(credential.scopes) == 1
    assert len(service.requests) == 8


@pytest.mark.parametrize("way", ["exchange", "credential"])
def test_tasks_that_need_a_token_ask_once(way: str) -> None:
    """In every event loop, one after another."""
    service, credential = Service(), Credential()
    identity = APPLICATION if way == "exchange" else {"azure_credential": credential}
    reranker = Reranker(**PLACE | identity, http_client=slow(service))

    from_tasks(lambda: reranker.arerank("q", ["a", "b"]))

    assert len(service.exchanges) + len(credential.scopes) == 1
    assert len(service.requests) == 16


@both_ways
@pytest.mark.parametrize("authority", [None, "login.test"])
def test_azure_s_default_chain_comes_last(
    authority: str | None, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made once, because that takes long."""
    made: list[dict[str, Any]] = []

    def chain(**options: Any) -> Credential:
        made.append(options)
        return Credential()

    monkeypatch.setattr(azure.identity, "DefaultAzureCredential", chain)
    service = Service()

    for _ in range(2):
        send(**CALL, azure_authority_host=authority, http_client=service)

    assert made == [{"authority": authority} if authority else {}]
    assert service.authorizations == ["Bearer token-1"] * 2


@both_ways
@pytest.mark.parametrize("way", ["rerank", "Reranker"])
@pytest.mark.parametrize(
    "variable",
    [
        "AZURE_USERNAME",
        "AZURE_PASSWORD",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_CERTIFICATE_PATH",
        "AZURE_TOKEN_CREDENTIALS",
        "IDENTITY_HEADER",
        "MSI_SECRET",
    ],
)
def test_what_the_chain_reads_decides_who_calls(
    variable: str, way: str, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of another account is kept, and what was made for one is found again."""
    made: list[str] = []

    def chain() -> SimpleNamespace:
        made.append(os.environ[variable])
        found = AccessToken(f"token-of-{made[-1]}", int(time.time() + 3600))
        return SimpleNamespace(get_token=lambda _: found)

    monkeypatch.setattr(azure.identity, "DefaultAzureCredential", chain)
    service = Service()

    for owner in ("alice", "bob", "alice"):
        monkeypatch.setenv(variable, owner)
        if way == "rerank":
            send(**CALL, http_client=service)
        else:
            Reranker(**PLACE, http_client=service).rerank("q", ["a", "b"])

    assert service.authorizations == [f"Bearer token-of-{who}" for who in ("alice", "bob", "alice")]
    assert made == ["alice", "bob"]


def test_the_environment_of_the_chain_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are among it."""
    monkeypatch.setenv("AZURE_PASSWORD", "the-password")
    facts = rerank_azure_ai.resolve_provider("Cohere-rerank-v4.0-pro", {})

    assert "the-password" not in repr(read_environment(facts))


@both_ways
def test_without_azure_identity_every_way_is_named(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The options, the variables, and what to install."""
    monkeypatch.setitem(sys.modules, "azure.identity", None)

    with pytest.raises(MissingAPIKeyError) as caught:
        send(**CALL, http_client=Service())

    for word in (*ENVIRONMENT, "api_key=", "azure_credential=", "rerank-azure-ai[entra]"):
        assert word in str(caught.value)


def test_no_representation_shows_a_secret() -> None:
    """Neither that of the token nor that of what signs."""
    auth = application_auth("https://login.test", "t", "app", "app-secret", "scope")

    shown = shown_with(auth, token("the-token"))
    assert "app-secret" not in shown
    assert "the-token" not in shown


# Facts


@pytest.mark.parametrize(
    ("model", "base_model", "usd", "tokens"),
    [
        ("Cohere-rerank-v4.0-pro", None, 0.0025, 32768),
        ("cohere-rerank-V4.0-FAST", None, 0.002, 32768),
        ("Cohere-rerank-v3.5", None, 0.002, 4096),
        ("my-deployment", None, None, None),
        ("my-deployment", "Cohere-rerank-v4.0-pro", 0.0025, 32768),
    ],
)
def test_a_deployment_s_price_is_its_model_s(
    model: str, base_model: str | None, usd: float | None, tokens: int | None
) -> None:
    """By its name in any case, or by `base_model`; unknown is not free."""
    facts = rerank_azure_ai.resolve_provider(model, {"base_model": base_model})

    assert (facts.price.usd if facts.price else None) == usd
    assert facts.max_tokens == tokens


@pytest.mark.parametrize("variable", ["AZURE_CONFIG_DIR", "AZURE_FEDERATED_TOKEN_FILE"])
def test_a_variable_that_leads_to_credentials_is_watched(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rerank` would keep asking with those of the old account."""
    check_watched(
        variable, monkeypatch, "azure_ai/cohere-rerank-v4.0-pro", api_base="https://h.test"
    )
