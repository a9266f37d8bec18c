"""watsonx.ai's requests, replies, errors and tokens, against stand-ins for it and for IAM."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import httpx
import pytest

import rerank_watsonx
from failures import Failure, failing
from recorder import Reply, recording
from rerank_core import (
    AuthenticationError,
    BilledUnits,
    ConfigurationError,
    Meta,
    MissingAPIKeyError,
    Reranker,
    RerankResponse,
    ResponseParseError,
    Tokens,
    TransportError,
    rerank,
)
from rerank_core.testing import CANARY, Case, Check, Example, Ranking, conformance
from rerank_watsonx._auth import iam_auth
from service import Difference, Send, both_ways, captures, differing, load
from token_service import (
    FAILED_ANYWHERE,
    FailedExchange,
    TokenCheck,
    TokenService,
    form_of,
    shown_with,
    token,
    token_checks,
    without_state,
)

MODEL = "cross-encoder/ms-marco-minilm-l-12-v2"
BASE = "https://us-south.ml.cloud.ibm.com"
DOCUMENTS = [
    "Berlin is in Germany.",
    "Paris is the capital of France.",
    "Madrid is in Spain.",
]
CALL: dict[str, Any] = {
    "model": f"watsonx/{MODEL}",
    "query": "capital of France",
    "documents": DOCUMENTS,
    "api_base": BASE,
    "token": "ready-made",
    "project_id": "proj-1",
    "max_retries": 0,
}


def encode(ranking: Ranking, documents: Sequence[str], top_n: int | None) -> dict[str, Any]:
    """Write the service's reply for a ranking."""
    del documents, top_n
    rows = [{"index": index, "score": score} for index, score in ranking]
    return {"model_id": MODEL, "results": rows, "input_token_count": 318}


def answer_auth(request: httpx.Request) -> httpx.Response | None:
    """Exchange the kit's key for a token, which the kit takes for the key."""
    return token(CANARY) if request.url.path == "/identity/token" else None


CASE = Case(
    plugin=rerank_watsonx,
    model=MODEL,
    options={"api_base": BASE, "project_id": "proj-1"},
    params={"return_query": True, "crypto": {"key_ref": "crn:v1"}},
    encode=encode,
    encode_error=lambda message: {"errors": [{"code": "x", "message": message}], "trace": "ab"},
    answer_auth=answer_auth,
    example=Example(
        call={"query": "capital of France", "documents": DOCUMENTS, "top_n": 2},
        url=f"{BASE}/ml/v1/text/rerank?version=2026-10-14",
        json={
            "model_id": MODEL,
            "query": "capital of France",
            "inputs": [{"text": text} for text in DOCUMENTS],
            "parameters": {"return_options": {"top_n": 2}},
            "project_id": "proj-1",
        },
        reply=encode([(1, 7.1023), (0, -2.6143)], DOCUMENTS, 2),
        ranking=[(1, 7.1023), (0, -2.6143)],
        meta=Meta(billed_units=BilledUnits(total_tokens=318), tokens=Tokens(input_tokens=318)),
    ),
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The plugin keeps what every plugin must."""
    check()


bare_environment = without_state("watsonx", iam_auth)


def ranking(count: int, **more: Any) -> dict[str, Any]:
    """A reply in the service's shape, the last document first."""
    rows = [{"index": at, "score": float(at) - 1} for at in reversed(range(count))]
    return {"model_id": MODEL, "results": rows, "input_token_count": 318, **more}


def error(status: int, code: str, message: str) -> httpx.Response:
    """An error of the ranking endpoint."""
    errors = [{"code": code, "message": message, "more_info": "https://cloud.ibm.com/apidocs"}]
    return httpx.Response(status, json={"errors": errors, "trace": "ab12", "status_code": status})


Service = partial(
    TokenService,
    ranking=lambda asked: ranking(len(asked["inputs"])),
    refusal=error(401, "authentication_token_expired", "Token is expired."),
    path="/identity/token",
)


def ask(service: Any, *, send: Send = rerank, **changes: Any) -> RerankResponse:
    """Ask for a ranking, with a ready token."""
    return send(**CALL | changes, http_client=service)


def with_key(**changes: Any) -> dict[str, Any]:
    """A call with a key in place of the ready token."""
    return CALL | {"token": None, "api_key": "the-secret-key"} | changes


def captured_call(call: dict[str, Any]) -> dict[str, Any]:
    """A captured call in this project's words."""
    params = call.get("params", {})
    options = params.get("return_options", {})
    asked = {
        "query": call["query"],
        "documents": [
            item["text"] if isinstance(item, dict) else item
            for item in call.get("documents") or call["inputs"]
        ],
        "top_n": call.get("top_n") or options.get("top_n"),
        "max_tokens_per_doc": call.get("max_tokens_per_doc") or params.get("truncate_input_tokens"),
        "model": call.get("model") or f"watsonx/{call['model_id']}",
    }
    named = ("project_id", "space_id", "return_documents", "rank_fields")
    return asked | {name: call[name] for name in named if name in call}


SDK = ("watsonx-ibm_watsonx_ai-full", "watsonx-ibm_watsonx_ai-minimal")
LITELLM = ("watsonx-litellm-full", "watsonx-litellm-space")
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
RETURNED = "core attaches the caller's documents, and the service's own default is not restated"
DIFFERENCES: tuple[Difference, ...] = (
    ("headers.accept", "application/json", "nothing else can be read", SDK),
    (
        "json.parameters",
        {"truncate_input_tokens": 512, "return_options": {"top_n": 2}},
        RETURNED,
        ("watsonx-ibm_watsonx_ai-full", "watsonx-litellm-full"),
    ),
    (
        "json.parameters",
        {"return_options": {"top_n": 2}},
        RETURNED,
        ("watsonx-litellm-space",),
    ),
)


def compare(name: str, call: Mapping[str, Any], send: Send) -> dict[str, Any]:
    """What is sent otherwise than in a capture."""
    service = Service()
    version = load(name)["request"]["query"]["version"] if name in LITELLM else None
    given = {"project_id": None, **call, "token": "test-key", "api_version": version}
    ask(service, send=send, **given)
    return differing(name, service)


CALLS = {name: captured_call(load(name)["call"]) for name in (*SDK, *LITELLM)}
test_what_others_send_is_sent = captures(
    "watsonx", CALLS, DIFFERENCES, compare, others=("watsonx-ibm_watsonx_ai-iam_token",)
)


@both_ways
def test_a_key_is_exchanged_as_ibm_s_own_sdk_does(send: Send) -> None:
    """The same form to the same place; the SDK's `Basic` header is not needed, and not sent."""
    capture = load("watsonx-ibm_watsonx_ai-iam_token")
    expected, service = capture["request"], Service()

    send(**with_key(api_key="test-key"), http_client=service)

    (request,) = service.exchanges
    assert request.method == expected["method"]
    assert request.url == f"https://{capture['call']['host']}{expected['path']}"
    assert form_of(request) == expected["form"]
    assert request.headers["content-type"] == expected["headers"]["content-type"]
    assert request.headers["accept"] == "application/json"
    assert "authorization" not in request.headers
    assert service.authorizations == ["Bearer token-1"]


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-south", "us-south.ml.cloud.ibm.com"),
        ("ca-tor", "ca-tor.ml.cloud.ibm.com"),
        ("ap-south-1", "ap-south-1.aws.wxai.ibm.com"),
        ("us-gov", "wxai.ibmforusgov.com"),
    ],
)
def test_a_region_names_the_host(region: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the environment's base URL, which was not given for this call."""
    monkeypatch.setenv("WATSONX_URL", "https://elsewhere.test")
    service = Service()

    rerank(**CALL | {"api_base": None, "region": region}, http_client=service)
    rerank(**CALL | {"api_base": f"https://{host}/ml/v1", "region": region}, http_client=service)

    assert [request.url.host for request in service.requests] == [host, host]


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-south", "private.us-south.ml.cloud.ibm.com"),
        ("ap-south-1", "private.ap-south-1.aws.wxai.ibm.com"),
    ],
)
def test_a_private_endpoint_is_of_its_region(region: str, host: str) -> None:
    """Its name ends in the name of the region's host."""
    service = Service()

    rerank(**CALL | {"api_base": f"https://{host}", "region": region}, http_client=service)

    assert service.requests[0].url.host == host


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"region": "mars"}, "region must be one of us-south"),
        ({"region": ["eu-de"]}, "region must be one of us-south"),
        ({"region": "eu-de", "api_base": BASE}, "region='eu-de' contradicts api_base="),
        (
            {"region": "eu-de", "api_base": "https://private.us-south.ml.cloud.ibm.com"},
            "contradicts",
        ),
        (
            {"region": "us-south", "api_base": "https://not-us-south.ml.cloud.ibm.com"},
            "contradicts",
        ),
        ({"project_id": None}, "give project_id= or space_id=, or set WATSONX_PROJECT_ID"),
        (
            {"api_base": f"{BASE}?version=2024-01-02", "api_version": "2025-01-01"},
            "contradicts the base URL's version=2024-01-02",
        ),
        ({"token": "broken\n"}, "token must be a string with no space"),
        ({"zen_api_key": "caf\xe9", "token": None}, "zen_api_key must be a string"),
        (
            {"token": None, "api_key": "the-secret-key", "api_base": None, "region": "us-east-1"},
            "give token=, or iam_url=",
        ),
        ({"token": None, "api_key": "k-1234567", "region": "us-gov", "api_base": None}, "iam_url="),
        *(
            ({"token": None, "api_key": "k-1234567", "iam_url": url}, "iam_url must be an absolute")
            for url in ("iam.example.com", ["https://iam.example.com"])
        ),
        ({"transaction_id": 5}, "transaction_id must be a string, not int"),
    ],
)
def test_what_cannot_work_is_refused_before_it_is_sent(changes: dict[str, Any], words: str) -> None:
    """With what to do, and without any secret."""
    service = Service()

    with pytest.raises(ConfigurationError, match=words) as caught:
        rerank(**CALL | changes, http_client=service)

    assert type(caught.value) is ConfigurationError
    assert service.requests == service.exchanges == []
    assert caught.value.provider == "watsonx"
    assert "broken" not in str(caught.value)
    assert "the-secret-key" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"region": "eu-de"},
        {"api_base": f"{BASE}?version=2024-01-02", "api_version": "2025-01-01"},
    ],
)
def test_a_fallback_that_contradicts_itself_is_not_passed_over(changes: dict[str, Any]) -> None:
    """The next one would hide the mistake."""
    service = Service(httpx.Response(503))
    connection = {name: CALL[name] for name in ("api_base", "token", "project_id")}
    fallback = Reranker(CALL["model"], **connection | changes, http_client=service)

    with pytest.raises(ConfigurationError, match="contradicts"):
        rerank(**CALL, fallbacks=[fallback, "local/bm25"], http_client=service)

    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("given", "environment", "expected", "warned"),
    [
        ({"project_id": "p"}, {}, {"project_id": "p"}, False),
        ({"space_id": "s"}, {}, {"space_id": "s"}, False),
        ({"space_id": "s"}, {"WATSONX_PROJECT_ID": "p"}, {"space_id": "s"}, False),
        ({}, {"PROJECT_ID": "p", "WX_PROJECT_ID": "wx"}, {"project_id": "wx"}, False),
        ({}, {"SPACE_ID": "s", "WATSONX_DEPLOYMENT_SPACE_ID": "d"}, {"space_id": "d"}, False),
        ({}, {"WATSONX_SPACE_ID": "s", "PROJECT_ID": "p"}, {"project_id": "p"}, False),
        ({"project_id": "p", "space_id": "s"}, {}, {"project_id": "p"}, True),
    ],
)
def test_exactly_one_place_is_sent(
    given: dict[str, str],
    environment: dict[str, str],
    expected: dict[str, str],
    warned: bool,  # noqa: FBT001 - a row of a table
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller's before the environment's, a project before a space, nothing in silence."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    service = Service()

    response = rerank(**CALL | {"project_id": None} | given, http_client=service)

    sent = {name: service.body[name] for name in ("project_id", "space_id") if name in service.body}
    assert sent == expected
    assert any("space_id was left out" in warning for warning in response.warnings) is warned


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, {}),
        ({"top_n": 2}, {"parameters": {"return_options": {"top_n": 2}}}),
        ({"max_tokens_per_doc": 99}, {"parameters": {"truncate_input_tokens": 99}}),
        (
            {"top_n": 9, "return_query": True, "max_tokens_per_doc": 99},
            {
                "parameters": {
                    "truncate_input_tokens": 99,
                    "return_options": {"top_n": 3, "query": True},
                }
            },
        ),
        ({"crypto": {"key_ref": "crn:v1"}}, {"crypto": {"key_ref": "crn:v1"}}),
        ({"return_documents": False}, {}),
    ],
)
def test_params_go_where_the_service_wants_them(
    params: dict[str, Any], expected: dict[str, Any]
) -> None:
    """And nothing is sent that was not asked for."""
    service = Service(ranking(3))

    rerank(**CALL, **params, http_client=service)

    always = {
        "model_id": MODEL,
        "query": "capital of France",
        "inputs": [{"text": text} for text in DOCUMENTS],
        "project_id": "proj-1",
    }
    assert service.body == always | expected


def test_a_transaction_id_travels_as_a_header() -> None:
    """And not in the body."""
    service = Service()

    rerank(**CALL, transaction_id="trace-7", http_client=service)

    assert service.requests[0].headers["x-global-transaction-id"] == "trace-7"
    assert "transaction_id" not in service.body


@pytest.mark.parametrize(
    ("documents", "rank_fields", "texts"),
    [
        ([{"text": "a"}, "b"], None, ["a", "b"]),
        ([{"title": "t", "text": "a", "year": 1}], None, ["title: t\ntext: a\nyear: 1"]),
        ([{"title": "t", "text": "a"}], ["text", "title"], ["text: a\ntitle: t"]),
        (["a", "  ", ""], None, ["a"]),
    ],
)
def test_documents_travel_as_objects_with_text_only(
    documents: list[Any], rank_fields: list[str] | None, texts: list[str]
) -> None:
    """A mapping is rendered: its fields would be refused."""
    service = Service()

    response = rerank(
        **CALL | {"documents": documents}, rank_fields=rank_fields, http_client=service
    )

    assert service.body["inputs"] == [{"text": text} for text in texts]
    assert len(response.results) == len(documents)


@both_ways
def test_a_reply_is_read(send: Send) -> None:
    """Logits, tokens, warnings and the only id there is, in a header."""
    body = {
        "model_id": MODEL,
        "created_at": "2026-11-22T09:15:09.622Z",
        "results": [
            {"index": 1, "score": 7.1023, "input": {"text": "not the caller's"}},
            {"index": 2, "score": -1},
            {"index": 0, "score": -2.6143},
        ],
        "query": "capital of France",
        "input_token_count": 318,
        "system": {"warnings": [{"message": "This model is deprecated.", "id": "w"}, "odd"]},
    }
    reply = httpx.Response(200, json=body, headers={"X-Global-Transaction-Id": "trace-1"})

    response = send(**CALL, http_client=Service(reply))

    rows = [(result.index, result.relevance_score) for result in response.results]
    assert rows == [(1, 7.1023), (2, -1), (0, -2.6143)]
    assert response.results[0]["document"]["text"] == DOCUMENTS[1]
    assert response.id == "trace-1"
    assert response.model == MODEL
    assert response.meta.billed_units.total_tokens == 318
    assert response.meta.tokens.input_tokens == 318
    assert response.warnings == ("This model is deprecated.",)
    assert response.cost is None


@pytest.mark.parametrize("count", [None, -1, "many", 2**60])
def test_a_reply_without_id_and_tokens_is_read(count: object) -> None:
    """An id is made, and unknown usage stays unknown."""
    reply = httpx.Response(200, json=ranking(3, input_token_count=count))

    response = rerank(**CALL, http_client=Service(reply))

    assert response.id
    assert response.meta == Meta()


def failed(status: int, code: str, *words: str) -> Failure:
    """An error in IBM's form, and what may be done."""
    body = {"errors": [{"code": code, "message": "No project."}], "trace": "ab12"}
    return Failure(status, body, ("No project.", *words))


ERRORS = [
    failed(400, "invalid_request_entity"),
    failed(400, "invalid_input_argument", "No project. (if an input is too long"),
    failed(401, "authentication_token_not_valid", "(if the token is"),
    failed(403, "token_quota_reached", "the plan's tokens are used up"),
    failed(404, "model_not_supported"),
    failed(418, "teapot"),
    failed(429, "too_many"),
    failed(500, "downstream_request_failed"),
    failed(520, "unknown"),
]
test_an_error_is_of_its_kind = failing(
    ask, CALL["model"], ERRORS, make=Service, hidden="ready-made"
)


# Who calls


ENVIRONMENT = {
    "WATSONX_TOKEN": "env-token",
    "WATSONX_ZENAPIKEY": "ZW52OmtleQ==",
    "WATSONX_APIKEY": "env-key-1",
    "WATSONX_API_KEY": "env-key-2",
    "WX_API_KEY": "env-key-3",
}


@both_ways
@pytest.mark.parametrize(
    ("given", "variables", "authorization", "key"),
    [
        ({"token": "t"}, ENVIRONMENT, "Bearer t", None),
        ({"token": "t", "zen_api_key": "z", "api_key": "k"}, {}, "Bearer t", None),
        ({"zen_api_key": "dTprZXk="}, ENVIRONMENT, "ZenApiKey dTprZXk=", None),
        ({"zen_api_key": "u:key"}, {}, "ZenApiKey dTprZXk=", None),
        ({"api_key": "the-key"}, ENVIRONMENT, "Bearer token-1", "the-key"),
        ({"api_key": "the-key", "username": "u"}, {}, "ZenApiKey dTp0aGUta2V5", None),
        ({}, ENVIRONMENT, "Bearer env-token", None),
        ({}, dict(list(ENVIRONMENT.items())[1:]), "ZenApiKey ZW52OmtleQ==", None),
        ({}, dict(list(ENVIRONMENT.items())[2:]), "Bearer token-1", "env-key-1"),
        ({}, dict(list(ENVIRONMENT.items())[3:]), "Bearer token-1", "env-key-2"),
        ({}, dict(list(ENVIRONMENT.items())[4:]), "Bearer token-1", "env-key-3"),
    ],
)
def test_the_first_of_what_is_known_signs_the_request(
    given: dict[str, str],
    variables: dict[str, str],
    authorization: str,
    key: str | None,
    send: Send,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller's before the environment's; a token, then a Zen key, then a key."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    service = Service()

    send(**CALL | {"token": None} | given, http_client=service)

    assert service.authorizations == [authorization]
    sent = [form_of(request)["apikey"] for request in service.exchanges]
    assert sent == ([key] if key else [])


@both_ways
def test_without_a_key_every_way_is_named(send: Send) -> None:
    """The options and the variables that were looked at."""
    service = Service()

    with pytest.raises(MissingAPIKeyError) as caught:
        send(**CALL | {"token": None}, http_client=service)

    for word in (*ENVIRONMENT, "api_key=", "token=", "zen_api_key="):
        assert word in str(caught.value)
    assert service.requests == []


@pytest.mark.parametrize(
    "url", ["https://iam.test", "https://iam.test/identity", "https://iam.test/identity/token/"]
)
def test_another_token_service_may_be_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a variable as by the option, even for a region whose own service is not supported."""
    monkeypatch.setenv("WATSONX_IAM_URL", url)
    service = Service()

    rerank(**with_key(api_base=None, region="us-east-1"), http_client=service)

    assert [str(r.url) for r in service.exchanges] == ["https://iam.test/identity/token"]


def test_a_token_serves_one_key_at_one_token_service() -> None:
    """Another key, or another service, gets another token."""
    service = Service()

    for changes in ({}, {"api_key": "other-key"}, {"iam_url": "https://iam.test"}, {}):
        rerank(**with_key(**changes), http_client=service)

    assert service.authorizations == [f"Bearer token-{at}" for at in (1, 2, 3, 1)]


@both_ways
def test_a_ready_token_is_not_tried_again(send: Send) -> None:
    """There is nothing to replace it with."""
    service = Service(accepted=set())

    with pytest.raises(AuthenticationError):
        send(**CALL, http_client=service)

    assert len(service.requests) == 1


@both_ways
@pytest.mark.parametrize("deadline", [None, 30.0])
def test_exchange_and_ranking_go_over_real_connections(
    deadline: float | None, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of core's own clients, with whole bodies."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    fresh = Reply({"access_token": "over-the-wire", "expires_in": 3600})
    with recording(fresh, Reply(ranking(3))) as server:
        place = {"api_base": server.base_url, "iam_url": server.base_url, "deadline": deadline}
        responses = [send(**with_key(**place)) for _ in range(2)]
        exchange, *rankings = server.requests

    signed = [request.headers["authorization"] for request in rankings]
    assert [len(response.results) for response in responses] == [3, 3]
    assert exchange.path == "/identity/token"
    assert exchange.headers["content-length"] == str(len(exchange.body))
    assert signed == ["Bearer over-the-wire"] * 2


FAILED_EXCHANGES: list[FailedExchange] = [
    (
        httpx.Response(
            400,
            json={
                "errorCode": "BXNIM0415E",
                "errorMessage": "Provided API key could not be found.",
                "context": {"requestId": "r"},
            },
        ),
        AuthenticationError,
        "iam.cloud.ibm.com gave no token for the API key: status 400: Provided API key",
    ),
    (httpx.Response(403, text="<html>no</html>"), AuthenticationError, "status 403: <html>"),
    (httpx.Response(302, headers={"location": "x"}), AuthenticationError, "status 302"),
    (httpx.Response(429, json={"errorMessage": "slow"}), TransportError, "status 429: slow"),
    (httpx.Response(200, json=["x"]), ResponseParseError, "no token that can be used"),
    (token("ok", expires_in="soon"), ResponseParseError, "no token that can be used"),
    (token("ok", expires_in=None), ResponseParseError, "no token that can be used"),
    *FAILED_ANYWHERE,
]


# Counted from its arrival, so that a wrong clock does no harm.
LASTING: list[tuple[dict[str, Any], int]] = [
    ({"expires_in": 59}, 2),
    ({"expires_in": 60}, 2),
    ({"expires_in": 3600}, 1),
    ({"expires_in": None, "expiration": int(time.time()) + 30}, 2),
    ({"expires_in": None, "expiration": int(time.time()) + 3600}, 1),
    ({"expires_in": 3600, "expiration": 1}, 1),
]


@token_checks(
    with_key(),
    Service,
    lasting=LASTING,
    refused=r"Token is expired\.",
    failed=FAILED_EXCHANGES,
    hidden="the-secret-key",
)
def test_tokens_are_used_as_wherever_there_are_any(check: TokenCheck) -> None:
    """Kept, replaced 60 seconds before their end, and where refused; a failure hides secrets."""
    check()


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("Fri, 31 Dec 1999", None)])
def test_a_busy_token_service_s_wait_is_known(header: str, seconds: float | None) -> None:
    """Where it is given in seconds."""
    service = Service(tokens=[httpx.Response(429, headers={"retry-after": header})])

    with pytest.raises(TransportError) as caught:
        rerank(**with_key(), http_client=service)

    assert caught.value.retry_after == seconds
    assert caught.value.status_code == 429


def test_no_representation_shows_a_secret() -> None:
    """Neither that of the token nor that of what signs."""
    auth = iam_auth("https://iam.test", "the-secret-key")

    shown = shown_with(auth, token("the-token")) + repr(Reranker(**reranker_options()))
    assert "the-secret-key" not in shown
    assert "the-token" not in shown


def reranker_options() -> dict[str, Any]:
    """What a `Reranker` takes."""
    options = {name: CALL[name] for name in ("model", "api_base", "project_id")}
    return options | {"api_key": "the-secret-key"}
