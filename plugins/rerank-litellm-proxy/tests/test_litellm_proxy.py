"""The LiteLLM proxy as a real one, 1.106.2, was seen to behave; its replies are captures."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from attrs import frozen

import rerank_litellm_proxy
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    ConfigurationError,
    Meta,
    NotFoundError,
    RateLimitError,
    ServerError,
    rerank,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    CAPTURES,
    NOTHING,
    Difference,
    Send,
    Service,
    asking,
    both_ways,
    differing,
    in_turn,
    load,
    noting_waits,
    stated,
    without_variables,
)

QUERY = "What is the capital of France?"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
BASE = "http://proxy:4000"
STUB = "07734bd2-2473-4f07-94e1-0d9f0e6843cf"  # what the stub behind the real proxy always said


@frozen
class Read:
    """What a good reply of the real proxy is read as."""

    ranking: list[tuple[int, float]]
    id: str = STUB
    cost: float | None = 0.002
    search_units: float | None = 1
    tokens: int | None = None


@frozen
class Refused:
    """What any other reply is read as: the error, what it must say, and whether it may pass."""

    kind: type[Exception]
    status: int
    words: tuple[str, ...]
    passes: bool = False


BOTH = [(0, 0.99), (1, 0.89)]
REPLIES: dict[str, Read | Refused] = {
    "bad-json": Refused(BadRequestError, 400, ("Invalid JSON payload",)),
    "body-api-base-prisma": Refused(
        AuthenticationError, 401, ("api_base is not allowed in request body", "in the body")
    ),
    "infinity-chain": Read(
        [(1, 0.9949761629104614)], "infinity-770c376f-a27d-4a05-aa19-9b138caa3f81", None, None, 112
    ),
    "infinity-chain-no-return": Read(
        [(1, 0.9949761629104614), (0, 0.955765426158905)],
        "infinity-e3212b5c-9c0f-4c73-9644-36ef529be5c7",
        None,
        None,
        112,
    ),
    "no-documents": Refused(BadRequestError, 400, ("Missing required parameter: 'documents'",)),
    "no-model": Refused(BadRequestError, 400, ("Missing required parameter: 'model'",)),
    "no-query": Refused(BadRequestError, 400, ("Missing required parameter: 'query'",)),
    "root-default": Read(BOTH),
    "timeout-header": Refused(
        APIStatusError, 408, ("Connection timed out", "model group 'my-rerank'"), passes=True
    ),
    "unauthorized-no-key": Refused(
        ServerError, 500, ("Internal Server Error", "if the key is missing or wrong"), passes=True
    ),
    "unauthorized-no-key-prisma": Refused(
        AuthenticationError, 401, ("No api key passed in", "check api_key=")
    ),
    "unauthorized-not-sk": Refused(
        AuthenticationError, 400, ("No connected db", "the key is not the proxy's master key")
    ),
    "unauthorized-wrong-key": Refused(
        AuthenticationError, 400, ("No connected db", "the key is not the proxy's master key")
    ),
    "unauthorized-wrong-key-prisma": Refused(
        AuthenticationError, 400, ("No connected db", "the key is not the proxy's master key")
    ),
    "unknown-model": Refused(
        BadRequestError, 400, ("Invalid model name passed in model=nope", "no such model group")
    ),
    "upstream-400": Refused(BadRequestError, 400, ("invalid request: bad documents",)),
    "upstream-401": Refused(
        AuthenticationError, 401, ("invalid api token", "refuses the proxy's key, not yours")
    ),
    "upstream-429": Refused(RateLimitError, 429, ("trial rate limit",), passes=True),
    "upstream-500": Refused(
        ServerError, 500, ("internal server error", "behind the proxy that failed"), passes=True
    ),
    "upstream-503": Refused(ServerError, 503, ("overloaded",), passes=True),
    "upstream-down": Refused(ServerError, 500, ("Cannot connect to host",), passes=True),
    "v1-default": Read(BOTH),
    "v2-all": Read(BOTH[:1]),
    "v2-default": Read(BOTH),
    "v2-max_chunks": Read(BOTH),
    "vllm-chain": Read(BOTH, cost=None, search_units=None, tokens=0),
}
# Requests that cannot be made here at all.
NOT_MADE = {"bad-json", "no-documents", "no-model", "no-query"}


ask = asking("litellm_proxy/my-rerank", query=QUERY, documents=DOCUMENTS, api_base=BASE)
bare_environment = without_variables("COHERE_API_KEY", "COHERE_API_BASE", of="litellm_proxy")
waits = noting_waits()


def ranking(*scores: float, headers: Any = None, **fields: Any) -> httpx.Response:
    """A reply with these scores."""
    rows = [{"index": at, "relevance_score": score} for at, score in enumerate(scores)]
    body = {"id": "made-up", "results": rows, "meta": None, **fields}
    return httpx.Response(200, json=body, headers=headers)


def failure(status: int, code: str, message: str = "no") -> httpx.Response:
    """An error as the proxy writes it."""
    error = {"message": message, "type": code, "param": "None", "code": str(status)}
    return httpx.Response(status, json={"error": error})


CASE = Case(
    plugin=rerank_litellm_proxy,
    model="my-rerank",
    options={"api_base": BASE},
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS},
        url=f"{BASE}/v1/rerank",
        json={"model": "my-rerank", "query": QUERY, "documents": DOCUMENTS},
        reply=load("litellm_proxy-realserver-v2-default")["response"]["json"],
        ranking=BOTH,
        id=STUB,
        meta=Meta(api_version="2", billed_units=BilledUnits(search_units=1)),
    ),
    encode=lambda ranking, _, __: {
        "id": STUB,
        "results": [{"index": at, "relevance_score": score} for at, score in ranking],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    },
    encode_error=lambda message: {
        "error": {"message": message, "type": "None", "param": None, "code": "400"}
    },
    params={
        "instruction": "find it",
        "truncate_prompt_tokens": 8,
        "truncation_side": "left",
        "max_tokens_per_query": 16,
        "user": "me",
        "metadata": {"a": "b"},
        "tags": ["search"],
    },
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


def test_without_a_base_url_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Least of all to the service whose shape the proxy has taken."""
    monkeypatch.setenv("COHERE_API_BASE", "http://cohere.test")
    monkeypatch.setenv("LITELLM_PROXY_API_KEY", "sk-proxy")
    service = Service()

    with pytest.raises(ConfigurationError, match="LITELLM_PROXY_API_BASE"):
        ask(service, api_base=None)

    assert service.requests == []


def test_the_key_is_the_proxy_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, then its variable, then none; never Cohere's."""
    monkeypatch.setenv("COHERE_API_KEY", "of-another")
    service = Service()

    ask(service)
    monkeypatch.setenv("LITELLM_PROXY_API_KEY", "sk-second")
    ask(service)
    ask(service, api_key="sk-first")

    sent = [request.headers.get("authorization") for request in service.requests]
    assert sent == [None, "Bearer sk-second", "Bearer sk-first"]


def test_headers_of_the_proxy_are_sent() -> None:
    """A key under another name, and how often the proxy itself tries."""
    service = Service()
    headers = {"x-api-key": "sk-1", "x-litellm-num-retries": "0"}

    ask(service, extra_headers=headers)

    assert {name: service.requests[0].headers[name] for name in headers} == headers


def test_a_model_s_name_is_taken_whole() -> None:
    """It is the administrator's, and may look like another provider's."""
    service = Service()

    response = ask(service, model="litellm_proxy/cohere/rerank-v3.5")

    assert service.body["model"] == "cohere/rerank-v3.5"
    assert (response.provider, response.model) == ("litellm_proxy", "cohere/rerank-v3.5")


@pytest.mark.parametrize(
    "params",
    [
        {"top_n": 2},
        {"max_chunks_per_doc": 3},
        {"max_tokens_per_doc": 64},
        {"instruction": "find it"},
        {"truncate_prompt_tokens": 9, "truncation_side": "left"},
        {"max_tokens_per_query": 5},
        {"user": "u1", "metadata": {"a": 1}, "tags": ["b"]},
    ],
    ids=" ".join,
)
def test_parameters_of_the_proxy_are_sent_by_name(params: dict[str, Any]) -> None:
    """Those of the call and those that only the proxy knows."""
    service = Service()

    ask(service, **params)

    sent = service.body
    assert sent.keys() == {"model", "query", "documents", *params}
    assert {name: sent[name] for name in params} == params


IMAGE = {"image": "data:image/png;base64,AA", "text": "a"}
PARTS = {"content": [{"type": "text", "text": "a"}]}


@pytest.mark.parametrize(
    ("documents", "rank_fields", "sent"),
    [
        (["a", {"text": "b"}], None, ["a", "b"]),
        ([{"text": "b", "title": "t"}], ["title"], ["title: t"]),
        ([{"content": "words", "year": 1}], None, ["content: words\nyear: 1"]),
        ([IMAGE, PARTS, {"text": "b"}], None, [IMAGE, PARTS, "b"]),
        ([IMAGE, PARTS | {"text": "b"}], ["text"], ["a", "b"]),
        ([IMAGE, PARTS], ["image", "content"], [IMAGE, PARTS]),
    ],
)
def test_mappings_are_text_unless_they_hold_more(
    documents: Any, rank_fields: list[str] | None, sent: Any
) -> None:
    """Whatever stands behind the proxy; it hands mappings on, and most services refuse them."""
    service = Service()

    ask(service, documents, rank_fields=rank_fields)

    assert service.body["documents"] == sent
    assert "rank_fields" not in service.body


@pytest.mark.parametrize(
    ("stated", "cost"),
    [
        ("0.002", 0.002),
        ("4e-07", 4e-07),
        ("0.0", None),
        ("0", None),
        ("", None),
        ("None", None),
        ("nan", None),
        ("inf", None),
        ("-1", None),
    ],
)
def test_the_cost_is_what_the_proxy_states(stated: str, cost: float | None) -> None:
    """It says 0.0 where it knows no price, which is not the same as free."""
    service = Service(ranking(0.1, 0.9, headers={"x-litellm-response-cost": stated}))

    assert ask(service).cost == cost


def test_the_cost_of_a_split_list_is_added_up() -> None:
    """As usage is."""
    service = Service(ranking(0.1, headers={"x-litellm-response-cost": "0.002"}))

    assert ask(service, max_documents=1).cost == 0.004


def test_headers_of_the_reply_are_kept() -> None:
    """They name the deployment that answered."""
    service = Service(ranking(0.1, 0.9, headers={"x-litellm-model-group": "my-rerank"}))

    assert ask(service).headers["x-litellm-model-group"] == "my-rerank"


def test_warnings_of_the_service_are_passed_on() -> None:
    """Where the proxy lets them through."""
    response = ask(Service(ranking(0.1, 0.9, meta={"warnings": ["trial key"]})))

    assert list(response.warnings) == ["trial key"]


@pytest.mark.parametrize(
    ("message", "wait"),
    [
        ("No deployments available for selected model, Try again in 5 seconds. Passed", 5.0),
        ("No deployments available. try again in 2.5 seconds", 2.5),
        ("rate limited", None),
    ],
)
def test_a_cooldown_is_waited_for(message: str, wait: float | None, waits: list[float]) -> None:
    """No header says how long; the message does."""
    service = Service(
        in_turn(failure(429, "all_deployments_in_cooldown", message), ranking(0.1, 0.9))
    )

    response = ask(service, max_retries=1)

    assert len(response.results) == 2
    assert len(service.requests) == 2
    assert wait is None or wait <= waits[0] <= 1.5 * wait  # later, so that not all come at once


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (failure(429, "all_deployments_in_cooldown"), RateLimitError, "nobody exceeded a rate"),
        (failure(400, "budget_exceeded"), BadRequestError, "is used up"),
        (failure(429, "budget_exceeded"), RateLimitError, "is used up"),
        (failure(404, "not_found"), APIStatusError, "status 404: no"),
        (
            failure(404, "invalid_request_error", "litellm.NotFoundError: CohereException - no"),
            NotFoundError,
            "- no [(]the service behind the proxy does not know the model",
        ),
        (httpx.Response(405, json={"detail": "Method Not Allowed"}), APIStatusError, "Method"),
        (httpx.Response(307), APIStatusError, "status 307"),
    ],
)
def test_errors_say_what_they_mean(
    reply: httpx.Response, kind: type[APIStatusError], words: str
) -> None:
    """The proxy's word for it decides."""
    with pytest.raises(kind, match=words):
        ask(Service(reply))


DIRECT = ("litellm_proxy-litellm-chunks", "litellm_proxy-litellm-default")
REPLAYED = tuple(f"litellm_proxy-realserver-{name}" for name in sorted(REPLIES.keys() - NOT_MADE))
CHAIN = "litellm_proxy-realserver-infinity-chain"
ALL = "litellm_proxy-realserver-v2-all"
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    ("headers.accept", "application/json", "nothing else can be read", REPLAYED),
    (
        "json.return_documents",
        NOTHING,
        "the caller has the documents",
        (*DIRECT, CHAIN, ALL),
    ),
    ("json.return_documents", NOTHING, "it is the default", (f"{CHAIN}-no-return",)),
    ("json.rank_fields", NOTHING, "honoured by rendering", (ALL,)),
    ("json.documents", DOCUMENTS, "most services take only strings", (ALL,)),
)


@both_ways
@pytest.mark.parametrize("name", DIRECT)
def test_litellm_s_call_sends_the_same_but_for_the_differences(name: str, send: Send) -> None:
    """Method, path, query, headers and every field of the body."""
    service = Service()

    ask(service, send=send, **load(name)["call"] | {"api_base": BASE})

    assert differing(name, service) == stated(name, DIFFERENCES)


def replay(name: str) -> tuple[Service, dict[str, Any]]:
    """A stand-in that answers as the real one did, and the call that this belongs to."""
    capture = load(f"litellm_proxy-realserver-{name}")
    request, response = capture["request"], capture["response"]
    asked = {} if name in NOT_MADE else dict(request["json"])
    body = {name: asked.pop(name) for name in ("api_base", "api_key") if name in asked}
    timeout = request["headers"].get("x-litellm-timeout")
    call = {
        "query": QUERY,
        "documents": DOCUMENTS,
        **asked,
        "model": f"litellm_proxy/{asked.get('model', 'my-rerank')}",
        "api_base": BASE + request["path"],
        "api_key": request["headers"].get("authorization", "").removeprefix("Bearer "),
        "extra_body": body,
        "extra_headers": {"x-litellm-timeout": timeout} if timeout else {},
        "max_retries": 0,
    }
    content = response["json"]
    text = content["_text"] if "_text" in content else json.dumps(content)
    return Service(text, response["status"], response["headers"]), call


@pytest.mark.parametrize("name", [name for name in REPLIES if isinstance(REPLIES[name], Read)])
@both_ways
def test_a_ranking_of_the_real_proxy_is_read(name: str, send: Send) -> None:
    """Its results, its id, its usage and its cost."""
    expected, (service, call) = REPLIES[name], replay(name)
    assert isinstance(expected, Read)

    response = send(**call, http_client=service)

    ranked = [(result.index, result.relevance_score) for result in response.results]
    assert ranked == expected.ranking
    assert response.id == expected.id
    assert response.cost == expected.cost
    assert response.meta.billed_units.search_units == expected.search_units
    assert response.meta.billed_units.total_tokens == expected.tokens
    assert response.meta.tokens.input_tokens == expected.tokens


@pytest.mark.parametrize("name", [name for name in REPLIES if isinstance(REPLIES[name], Refused)])
def test_any_other_reply_of_the_real_proxy_is_an_error(name: str, waits: list[float]) -> None:
    """Of the right kind, with the words that a person needs, retried where it may pass."""
    expected, (service, call) = REPLIES[name], replay(name)
    assert isinstance(expected, Refused)

    with pytest.raises(expected.kind) as caught:
        rerank(**call | {"max_retries": 1}, http_client=service)

    assert type(caught.value) is expected.kind
    assert getattr(caught.value, "status_code", None) == expected.status
    assert all(word in str(caught.value) for word in expected.words)
    assert len(str(caught.value)) < 700
    assert len(service.requests) == 1 + expected.passes == 1 + len(waits)


@pytest.mark.parametrize("name", sorted(REPLIES.keys() - NOT_MADE))
def test_the_same_request_is_made_as_of_the_real_proxy(name: str) -> None:
    """Where the call can be made here: the same path, headers and body, but for the differences."""
    service, call = replay(name)

    try:
        rerank(**call, http_client=service)
    except APIStatusError as error:
        assert error.status_code != 200  # noqa: PT017 - what is sent matters here, not the reply

    captured = f"litellm_proxy-realserver-{name}"
    assert differing(captured, service) == stated(captured, DIFFERENCES)


def test_every_difference_has_a_reason() -> None:
    """And names captures that are compared, so that it must change something in them."""
    for _, _, reason, names in DIFFERENCES:
        assert reason
        assert set(names) <= {*DIRECT, *REPLAYED}


def test_every_capture_is_covered() -> None:
    """A file that is added must be made the same call of, or stand among the replies."""
    files = {path.stem.removeprefix("litellm_proxy-") for path in CAPTURES.glob("litellm_proxy-*")}
    replies = {f"realserver-{name}" for name in (*REPLIES, "empty-documents")}

    assert files == {*replies, "litellm-chunks", "litellm-default"}
