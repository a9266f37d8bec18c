"""Azure's requests, replies, errors, keys and tokens, against stand-ins for it and Entra ID."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import azure.identity
import httpx
import pytest
import trio
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

import rerank_azure_ai
from rerank_azure_ai._auth import application_auth, chain_auth
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    ConfigurationError,
    InvalidRequestError,
    Meta,
    MissingAPIKeyError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    Reranker,
    RerankResponse,
    ResponseParseError,
    ServerError,
    TransportError,
    UnsupportedParamError,
    arerank,
    list_providers,
    rerank,
)
from rerank_core.testing import Case, Check, Example, Ranking, conformance

CAPTURES = Path(__file__).parents[3] / "tests" / "fixtures" / "captures"
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
# What this project sends otherwise than the capture, on purpose: file, field, ours (None for
# nothing), reason.
RETURNED = "core attaches the caller's own documents"
DIFFERENCES: list[tuple[str, str, Any, str]] = [
    ("litellm-foundry-v2", "return_documents", None, RETURNED),
    ("litellm-foundry-v2", "max_tokens_per_doc", 512, "v2 takes it; litellm loses it"),
    ("litellm-root", "return_documents", None, RETURNED),
]

Send = Callable[..., RerankResponse]


def send_blocking(**call: Any) -> RerankResponse:
    """Make a call with `rerank`."""
    return rerank(**call)


def send_async(**call: Any) -> RerankResponse:
    """Make a call with `arerank`."""
    return asyncio.run(arerank(**call))


def send_trio(**call: Any) -> RerankResponse:
    """Make a call with `arerank` under trio."""

    async def main() -> RerankResponse:
        return await arerank(**call)

    return trio.run(main)


both_ways = pytest.mark.parametrize("send", [send_blocking, send_async])
every_way = pytest.mark.parametrize("send", [send_blocking, send_async, send_trio])


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


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no key of this machine and no token of another test take part."""
    facts = azure_facts()
    tables = [*facts.options.values(), *facts.secret_options.values()]
    for name in (
        *facts.api_key_env,
        *facts.base_url_env,
        *(name for row in tables for name in row),
    ):
        monkeypatch.delenv(name, raising=False)
    application_auth.cache_clear()
    chain_auth.cache_clear()
    yield
    application_auth.cache_clear()
    chain_auth.cache_clear()


def azure_facts() -> Any:
    """The facts as listings see them."""
    (found,) = [found for found in list_providers() if found.name == "azure_ai"]
    assert found.facts is not None, found.error
    return found.facts


def ranking(count: int, **more: Any) -> dict[str, Any]:
    """A reply in the service's shape, the last document first."""
    rows = [{"index": at, "relevance_score": (at + 1) / 1000} for at in reversed(range(count))]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return {"id": "2c7a51e0", "results": rows, "meta": meta, **more}


def copied(reply: httpx.Response) -> httpx.Response:
    """The reply, for one more client: each makes it its own."""
    return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)


def token(value: str, **fields: Any) -> httpx.Response:
    """Entra ID's reply."""
    body = {"access_token": value, "token_type": "Bearer", "expires_in": 3599} | fields
    return httpx.Response(200, json=body)


class Service:
    """Stands in for Azure and for Entra ID, and keeps what each was sent.

    Args:
        reply: What the ranking endpoint answers, else a ranking.
        tokens: What Entra ID answers in turn, the last one again and again.
        accepted: The tokens that the ranking endpoint accepts, else all.
    """

    def __init__(
        self,
        reply: httpx.Response | None = None,
        tokens: list[httpx.Response] | None = None,
        accepted: set[str] | None = None,
    ) -> None:
        self.reply, self.tokens, self.accepted = reply, tokens, accepted
        self.requests: list[httpx.Request] = []
        self.authorizations: list[str] = []  # a request that is sent again is signed anew
        self.exchanges: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self.answer)

    @property
    def sent(self) -> Any:
        """The JSON of the last request for a ranking."""
        return json.loads(self.requests[-1].content)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Reply as the endpoint does."""
        if request.url.path.endswith("/oauth2/v2.0/token"):
            self.exchanges.append(request)
            made = self.tokens or [token(f"token-{len(self.exchanges)}")]
            return copied(made[min(len(self.exchanges), len(made)) - 1])
        self.requests.append(request)
        self.authorizations.append(request.headers.get("authorization", ""))
        bearer = self.authorizations[-1].removeprefix("Bearer ")
        if self.accepted is not None and bearer not in self.accepted:
            return httpx.Response(401, json={"statusCode": 401, "message": "Unauthorized."})
        if self.reply is not None:
            return copied(self.reply)
        return httpx.Response(200, json=ranking(len(json.loads(request.content)["documents"])))


@both_ways
@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("cohere-v1-serverless-base", SERVERLESS),
        ("cohere-v2-foundry-base", f"{GATEWAY}/providers/cohere"),
        ("litellm-foundry-v2", "http://127.0.0.1/providers/cohere/v2"),
        ("litellm-root", "http://127.0.0.1"),
    ],
)
def test_the_same_call_sends_the_same_as_others_but_for_the_differences(
    name: str, base: str, send: Send
) -> None:
    """Method, path, query, headers and the whole body."""
    capture = json.loads((CAPTURES / f"azure_ai-{name}.json").read_bytes())
    call, expected, service = capture["call"]["kwargs"], capture["request"], Service()
    asked = call | {"model": f"azure_ai/{call['model'].removeprefix('azure_ai/')}"}
    changed = {field: ours for file, field, ours, _ in DIFFERENCES if file == name}
    wanted = expected["json"] | changed

    send(**asked | {"api_base": base, "api_key": "test-key"}, http_client=service.transport)

    (request,) = service.requests
    assert request.method == expected["method"]
    assert request.url.path == expected["path"].replace("/providers", "/ai/providers") or (
        request.url.path == expected["path"]
    )
    assert dict(request.url.params) == expected["query"]
    assert service.sent == {field: at for field, at in wanted.items() if at is not None}
    assert request.headers["authorization"] == expected["headers"]["authorization"]
    assert request.headers["content-type"] == expected["headers"]["content-type"]
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

    rerank(**KEYED | {"api_base": base}, http_client=service.transport)

    assert str(service.requests[0].url) == url


def test_a_variable_names_the_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no default host."""
    service = Service()

    with pytest.raises(ConfigurationError, match="AZURE_AI_API_BASE"):
        rerank(**KEYED | {"api_base": None}, http_client=service.transport)
    monkeypatch.setenv("AZURE_AI_API_BASE", SERVERLESS)
    rerank(**KEYED | {"api_base": None}, http_client=service.transport)

    assert str(service.requests[0].url) == f"{SERVERLESS}/v2/rerank"


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

    rerank(**KEYED | {"api_base": base} | params, http_client=service.transport)

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
        rerank(**KEYED | changes, http_client=service.transport)
    response = rerank(**KEYED | changes, drop_params=True, http_client=service.transport)

    assert len(service.requests) == 1
    assert any(param in warning for warning in response.warnings)
    assert not any(name.startswith(param) for name in service.sent)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api_version": "2024-05-01"}, "api_version must be 'v1' or 'v2'"),
        ({"api_version": "v1"}, "contradicts the base URL, which is v2's"),
        ({"api_version": "v2", "api_base": f"{SERVERLESS}/v1"}, "contradicts"),
    ],
)
def test_a_version_that_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match=words):
        rerank(**KEYED | changes, http_client=Service().transport)


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
        http_client=service.transport,
    )

    assert service.sent["documents"] == sent
    assert service.sent.get("rank_fields") == fields
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
    service = Service(httpx.Response(200, json=ranking(3)))

    rerank(**KEYED | params, http_client=service.transport)

    always = {
        "model": "Cohere-rerank-v4.0-pro",
        "query": "capital of France?",
        "documents": DOCUMENTS,
    }
    assert service.sent == always | expected


def test_a_long_list_is_split() -> None:
    """As Cohere advises, at 1,000 documents."""
    service = Service()

    response = rerank(**KEYED | {"documents": ["x"] * 1001}, http_client=service.transport)

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
    service = Service(httpx.Response(200, json=body))

    response = send(**KEYED, top_n=2, http_client=service.transport)

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

    response = rerank(**KEYED, http_client=Service(httpx.Response(200, json=body)).transport)

    assert response.id
    assert response.cost is None


@pytest.mark.parametrize(
    "body",
    [{"id": "x"}, {"results": [{"index": 0}]}, {"results": []}, [], "text", {"results": {}}],
)
def test_a_reply_of_another_shape_is_no_ranking(body: Any) -> None:
    """Never an empty success."""
    with pytest.raises(ResponseParseError):
        rerank(**KEYED, http_client=Service(httpx.Response(200, json=body)).transport)


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
        (401, FOUNDRY_ERROR, AuthenticationError, "No data access. (an API key is sent as"),
        (403, FOUNDRY_ERROR, PermissionDeniedError, "No data access. (a role such as"),
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
        send(**KEYED, http_client=service.transport)

    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert words.lower() in str(caught.value).lower()
    assert "the-secret-key" not in str(caught.value)
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("base", "header", "words"),
    [
        (RESOURCE, None, "sent as 'api-key' here: try auth_header='bearer'"),
        (SERVERLESS, None, "sent as 'bearer' here: try auth_header='api-key'"),
        (SERVERLESS, "api-key", "sent as 'api-key' here: try auth_header='bearer'"),
        (RESOURCE, "bearer", "sent as 'bearer' here: try auth_header='api-key'"),
    ],
)
def test_a_refused_key_s_error_says_how_it_was_sent(
    base: str, header: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And how to send it otherwise: sources disagree about which header it is."""
    monkeypatch.setenv("AZURE_AI_API_BASE", base)
    service = Service(httpx.Response(401, json={"message": "no"}))

    with pytest.raises(AuthenticationError, match=words):
        rerank(**KEYED | {"api_base": None}, auth_header=header, http_client=service.transport)


def test_what_may_pass_is_tried_again_when_the_service_says() -> None:
    """`retry-after-ms` is heeded."""
    reply = httpx.Response(429, headers={"retry-after-ms": "1"}, json={"message": "Rate."})
    service = Service(reply)

    with pytest.raises(RateLimitError) as caught:
        rerank(**KEYED | {"max_retries": 1}, http_client=service.transport)

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

    send(**KEYED | {"api_base": base}, auth_header=choice, http_client=service.transport)

    headers = service.requests[0].headers
    sent = {name: headers[name] for name in ("api-key", "authorization") if name in headers}
    assert sent == {header: value}


def test_a_header_that_there_is_not_is_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match="auth_header must be 'api-key' or 'bearer'"):
        rerank(**KEYED, auth_header="both", http_client=Service().transport)


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

    send(**CALL | {"api_base": SERVERLESS} | given, http_client=service.transport)

    assert service.authorizations == [f"Bearer {expected}"]


def test_the_caller_s_own_header_signs_alone() -> None:
    """No key is needed, and none is sent."""
    service = Service()

    rerank(**CALL, extra_headers={"Authorization": "Basic own"}, http_client=service.transport)

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

    rerank(**CALL | APPLICATION | options, http_client=service.transport)

    (request,) = service.exchanges
    form = {name: value[0] for name, value in parse_qs(request.content.decode()).items()}
    assert str(request.url) == f"{url}/ten%2Fant/oauth2/v2.0/token"
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert form == {
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

    rerank(**CALL | APPLICATION, http_client=service.transport)

    assert service.exchanges[0].url.host == "login.test"
    assert b"scope.test" in service.exchanges[0].content


def test_half_an_application_is_refused() -> None:
    """With what is missing."""
    with pytest.raises(ConfigurationError, match="tenant_id, client_id is missing"):
        rerank(**CALL, client_secret="s3cret", http_client=Service().transport)  # noqa: S106 - a test's


@every_way
def test_a_token_is_kept_between_calls(send: Send) -> None:
    """Also between those that bring a client of their own."""
    service = Service()

    for _ in range(3):
        send(**CALL | APPLICATION, http_client=service.transport)

    assert len(service.exchanges) == 1
    assert service.authorizations == ["Bearer token-1"] * 3


@both_ways
@pytest.mark.parametrize(("seconds", "exchanges"), [(60, 2), ("60", 2), (3599, 1), ("3599", 1)])
def test_a_token_is_replaced_before_its_end(seconds: object, exchanges: int, send: Send) -> None:
    """By 60 seconds; the older token service writes them as a string."""
    service = Service(tokens=[token("first", expires_in=seconds), token("second")])

    for _ in range(2):
        send(**CALL | APPLICATION, http_client=service.transport)

    assert len(service.exchanges) == exchanges


@every_way
def test_a_refused_token_is_replaced_once(send: Send) -> None:
    """The request goes out again, with the new token, unseen by the caller."""
    service = Service(tokens=[token("revoked"), token("fresh")], accepted={"fresh"})

    response = send(**CALL | APPLICATION, http_client=service.transport)

    assert len(response.results) == 3
    assert service.authorizations == ["Bearer revoked", "Bearer fresh"]


@every_way
def test_a_fresh_token_that_is_refused_is_an_error(send: Send) -> None:
    """No third attempt: a role is missing, for example."""
    service = Service(accepted=set())

    with pytest.raises(AuthenticationError, match="role Cognitive Services User"):
        send(**CALL | APPLICATION, http_client=service.transport)

    assert len(service.requests) == len(service.exchanges) == 2


def test_the_exchange_keeps_the_attempt_s_bounds_of_time() -> None:
    """It would wait without end otherwise."""
    service = Service()

    rerank(**CALL | APPLICATION, timeout=7, http_client=service.transport)

    assert service.exchanges[0].extensions["timeout"]["read"] == 7


REFUSED = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."}


@both_ways
@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (
            httpx.Response(401, json=REFUSED),
            AuthenticationError,
            "login.microsoftonline.com gave no token: status 401: AADSTS7000215: Invalid",
        ),
        (httpx.Response(400, json={"error": "bad"}), AuthenticationError, "status 400: bad"),
        (httpx.Response(403, text="<html>no</html>"), AuthenticationError, "status 403: <html>"),
        (httpx.Response(429, json=["slow"]), TransportError, "status 429: slow"),
        (httpx.Response(503), TransportError, "status 503"),
        (httpx.Response(200, text="hello"), ResponseParseError, "no token that can be used"),
        (httpx.Response(200, json={}), ResponseParseError, "no token that can be used"),
        (token("two\nlines"), ResponseParseError, "no token that can be used"),
        (token("ok", expires_in="soon"), ResponseParseError, "no token that can be used"),
    ],
)
def test_a_failed_exchange_says_so_without_secrets(
    reply: httpx.Response, kind: type[Exception], words: str, send: Send
) -> None:
    """And no request for a ranking goes out; the next call tries afresh."""
    service = Service(tokens=[reply, token("good")])

    with pytest.raises(kind) as caught:
        send(**CALL | APPLICATION, http_client=service.transport)

    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert "app-secret" not in repr(caught.value)
    assert "two" not in str(caught.value)
    assert service.requests == []
    assert send(**CALL | APPLICATION, http_client=service.transport).reranked


@both_ways
def test_a_token_service_that_is_busy_is_asked_again(send: Send) -> None:
    """By core, as after any failure that may pass."""
    busy = httpx.Response(503, headers={"retry-after": "0"})
    service = Service(tokens=[busy, token("late")])

    send(**CALL | APPLICATION | {"max_retries": 1}, http_client=service.transport)

    assert service.authorizations == ["Bearer late"]


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
    options = {name: CALL[name] for name in ("model", "api_base")}
    call = {name: CALL[name] for name in ("query", "documents")}
    reranker = Reranker(**options, azure_credential=credential, http_client=service.transport)

    async def main() -> None:
        for _ in range(3):
            await reranker.arerank(**call)

    if send is send_blocking:
        for _ in range(3):
            reranker.rerank(**call)
    elif send is send_async:
        asyncio.run(main())
    else:
        trio.run(main)

    assert credential.scopes == ["https://ai.azure.com/.default"] * asked
    assert service.authorizations[-1] == f"Bearer token-{asked}"
    assert (threading.get_ident() in credential.threads) is (send is send_blocking)


def test_an_async_credential_serves_async_calls() -> None:
    """And only these: a blocking call says so."""
    service = Service()

    send_async(**CALL, azure_credential=AsyncCredential(), http_client=service.transport)

    assert service.authorizations == ["Bearer token-1"]
    with pytest.raises(ConfigurationError, match="is async: use arerank"):
        rerank(**CALL, azure_credential=AsyncCredential(), http_client=service.transport)


async def give_token() -> str:
    """What `azure.identity.aio.get_bearer_token_provider` returns."""
    return "made"


def test_an_async_token_provider_serves_async_calls() -> None:
    """A function that gives strings keeps them itself, so that it is called each time."""
    service = Service()

    def provide() -> Any:
        return give_token()

    for given in (give_token, provide):
        send_async(**CALL, azure_ad_token_provider=given, http_client=service.transport)

    assert service.authorizations == ["Bearer made"] * 2


@both_ways
def test_a_provider_that_gives_the_refused_token_again_is_not_heeded(send: Send) -> None:
    """Sending the same once more would change nothing; another one is tried."""
    stale, fresh = Service(accepted=set()), Service(accepted={"second"})
    made = iter(["first", "second"])

    with pytest.raises(AuthenticationError):
        send(**CALL, azure_ad_token_provider=lambda: "same", http_client=stale.transport)
    send(**CALL, azure_ad_token_provider=lambda: next(made), http_client=fresh.transport)

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
        send(**CALL, azure_ad_token_provider=provider, http_client=service.transport)

    assert type(caught.value) is kind
    assert "s3cret" not in str(caught.value)
    assert "broken" not in str(caught.value)
    assert service.requests == []


@pytest.mark.parametrize("way", ["exchange", "credential"])
def test_threads_that_need_a_token_ask_once(way: str) -> None:
    """The others wait for it."""
    service, credential = Service(), Credential()
    identity = APPLICATION if way == "exchange" else {"azure_credential": credential}
    start = threading.Barrier(8)
    options: dict[str, Any] = {name: CALL[name] for name in ("model", "api_base")}

    def call(reranker: Reranker) -> None:
        start.wait()
        reranker.rerank("q", ["a", "b"])

    with (
        Reranker(**options | identity, http_client=service.transport) as reranker,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(call, [reranker] * 8))

    assert len(service.exchanges) + len(credential.scopes) == 1
    assert len(service.requests) == 8


@pytest.mark.parametrize("way", ["exchange", "credential"])
def test_tasks_that_need_a_token_ask_once(way: str) -> None:
    """In every event loop, one after another."""
    service, credential = Service(), Credential()
    identity = APPLICATION if way == "exchange" else {"azure_credential": credential}
    options: dict[str, Any] = {name: CALL[name] for name in ("model", "api_base")}

    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.01)
        return service.answer(request)

    reranker = Reranker(**options | identity, http_client=httpx.MockTransport(slow))

    async def main() -> None:
        await asyncio.gather(*(reranker.arerank("q", ["a", "b"]) for _ in range(8)))

    asyncio.run(main())
    asyncio.run(main())

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
        send(**CALL, azure_authority_host=authority, http_client=service.transport)

    assert made == [{"authority": authority} if authority else {}]
    assert service.authorizations == ["Bearer token-1"] * 2


@both_ways
def test_without_azure_identity_every_way_is_named(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The options, the variables, and what to install."""
    monkeypatch.setitem(sys.modules, "azure.identity", None)

    with pytest.raises(MissingAPIKeyError) as caught:
        send(**CALL, http_client=Service().transport)

    for word in (*ENVIRONMENT, "api_key=", "azure_credential=", "rerank-azure-ai[entra]"):
        assert word in str(caught.value)


def test_no_representation_shows_a_secret() -> None:
    """Neither that of the token nor that of what signs."""
    auth = application_auth("https://login.test", "t", "app", "app-secret", "scope")
    flow = auth.sync_auth_flow(httpx.Request("POST", RESOURCE))
    next(flow)
    reply = token("the-token")
    reply.request = httpx.Request("POST", "https://login.test")
    flow.send(reply)

    shown = repr(auth) + repr(vars(auth))
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


def test_a_retired_model_is_warned_of() -> None:
    """Its name tells."""
    with pytest.warns(FutureWarning, match="was switched off on 2025-06-30"):
        Reranker("azure_ai/Cohere-rerank-v3-english", api_base=SERVERLESS, api_key="k")


@pytest.mark.parametrize("variable", ["AZURE_CONFIG_DIR", "AZURE_FEDERATED_TOKEN_FILE"])
def test_a_variable_that_leads_to_credentials_is_watched(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rerank` would keep asking with those of the old account."""
    monkeypatch.delenv(variable, raising=False)
    reranker = Reranker("azure_ai/cohere-rerank-v4.0-pro", api_base="https://h.test")
    assert reranker.is_current()

    monkeypatch.setenv(variable, "another")

    assert not reranker.is_current()
