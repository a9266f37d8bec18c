"""Together's rerank API as its documentation and its official SDK have it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

import rerank_together
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    InvalidRequestError,
    Meta,
    MissingAPIKeyError,
    NotFoundError,
    PermissionDeniedError,
    Provider,
    RateLimitError,
    Reranker,
    RerankResponse,
    ResponseParseError,
    ServerError,
    Tokens,
    UnsupportedParamError,
    arerank,
    rerank,
)
from rerank_core.testing import Case, Check, Example, conformance

KEY = "tgp-0123456789abcdef"
QUERY = "What animals can I find near Peru?"
DOCUMENTS = [
    "The llama is a domesticated South American camelid.",
    "The giant panda is a bear species endemic to China.",
]
OBJECTS = [
    {"title": "Llama", "text": "The llama is a domesticated South American camelid."},
    {"title": "Panda", "text": "The giant panda is a bear species endemic to China."},
]
RENDERED = [f"title: {each['title']}\ntext: {each['text']}" for each in OBJECTS]
LLAMA_RANK = "together/Salesforce/Llama-Rank-V1"
VARIABLES = ("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN")
BASES = ("TOGETHER_AI_API_BASE", "TOGETHER_BASE_URL")
REPLY = {
    "object": "rerank",
    "id": "oC3pV1a-6Yjz4e-9a1b2c3d4e5f",
    "model": "salesforce/turboranker-0.8-3778-6328",
    "results": [
        {
            "index": 0,
            "relevance_score": 0.2998,
            "document": {"text": '{"title":"Llama","text":"The llama is a camelid."}'},
        },
        {"index": 1, "relevance_score": 0.2752, "document": None},
    ],
    "usage": {"prompt_tokens": 1837, "completion_tokens": 0, "total_tokens": 1837},
}
Send = Callable[..., RerankResponse]


class Service(httpx.MockTransport):
    """Stands in for Together: keeps requests, and gives one reply for ever.

    Without a reply it ranks the documents in the order they were sent.
    """

    def __init__(self, reply: Any = None, status: int = 200, headers: Any = None) -> None:
        super().__init__(self._answer)
        self.requests: list[httpx.Request] = []
        self._reply, self._status, self._headers = reply, status, headers

    @property
    def body(self) -> Any:
        """The latest body, decoded."""
        return json.loads(self.requests[-1].content)

    @property
    def url(self) -> str:
        """The latest URL."""
        return str(self.requests[-1].url)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self._reply
        if reply is None:
            asked = json.loads(request.content)
            count = asked.get("top_n", len(asked["documents"]))
            rows = [{"index": at, "relevance_score": 0.9 - at / 10_000} for at in range(count)]
            reply = {"results": rows, "usage": {"total_tokens": 10 * count}}
        text = reply if isinstance(reply, str) else json.dumps(reply)
        return httpx.Response(self._status, headers=self._headers, text=text)


def send_async(*args: Any, **keywords: Any) -> RerankResponse:
    """Make a call with `arerank`."""
    return asyncio.run(arerank(*args, **keywords))


both_ways = pytest.mark.parametrize("send", [rerank, send_async], ids=["rerank", "arerank"])


def ask(
    service: Service,
    documents: Any = DOCUMENTS,
    *,
    query: str = QUERY,
    send: Send = rerank,
    model: str = "together/mixedbread-ai/Mxbai-Rerank-Large-V2",
    **keywords: Any,
) -> RerankResponse:
    """Ask for a ranking."""
    given = {"api_key": KEY, "max_retries": 0, "http_client": service, **keywords}
    return send(model, query, documents, **given)


def facts(model: str) -> Provider:
    """What the plugin states about a model."""
    with Reranker(f"together/{model}", api_key=KEY) as reranker:
        return reranker._targets[0].provider  # noqa: SLF001 - facts as core has them


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no key or base URL of this machine take part."""
    for name in (*VARIABLES, *BASES):
        monkeypatch.delenv(name, raising=False)


# --- What others were seen to send ------------------------------------------------------------

CAPTURES = Path(__file__).parents[3] / "tests" / "fixtures" / "captures"
COMPARED_HEADERS = ("accept", "authorization", "content-type")
NOTHING = object()
FULL = {"rank_fields": ["title", "text"], "return_documents": True, "top_n": 1}
# The captured call in this project's words, beside query, documents and model.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "together_ai-litellm-full": FULL
    | {
        "model": "together_ai/Salesforce/Llama-Rank-V1",
        "api_base": "https://together.test/v1",
        "query": "capital of France?",
        "documents": [
            {"title": "Paris", "text": "Paris is the capital of France."},
            {"title": "Berlin", "text": "Berlin is in Germany."},
        ],
    },
    "together_ai-together-full": FULL | {"model": LLAMA_RANK, "documents": OBJECTS},
    "together_ai-together-minimal": {},
}
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[tuple[str, Any, str, tuple[str, ...]], ...] = (
    (
        "json.return_documents",
        NOTHING,
        "core attaches the caller's own documents: asking for them back pays for them twice",
        ("together_ai-litellm-full", "together_ai-together-full"),
    ),
)


def captured_parts(name: str) -> dict[str, Any]:
    """The captured request, flat: each header that matters and each field of the body."""
    request = json.loads((CAPTURES / f"{name}.json").read_bytes())["request"]
    return {"method": request["method"], "path": request["path"], "query": ""} | flat(
        request["headers"], request["json"]
    )


def flat(headers: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, Any]:
    """Headers and fields by their paths."""
    parts = {f"headers.{name}": headers[name] for name in COMPARED_HEADERS if name in headers}
    return parts | {f"json.{name}": value for name, value in body.items()}


@both_ways
@pytest.mark.parametrize("name", CALLS)
def test_the_same_call_sends_the_same_but_for_the_differences(name: str, send: Send) -> None:
    """Method, path, query, the headers that matter and every field of the body."""
    service = Service()
    ours = {where: value for where, value, _, names in DIFFERENCES if name in names}
    expected = captured_parts(name) | ours

    ask(service, **{"send": send, **CALLS[name], "api_key": "test-key"})

    (request,) = service.requests
    line = {"method": request.method, "path": request.url.path, "query": request.url.query.decode()}
    assert line | flat(request.headers, service.body) == {
        where: value for where, value in expected.items() if value is not NOTHING
    }


def test_every_difference_is_needed_and_every_capture_is_covered() -> None:
    """Each row changes something in each capture that it names."""
    assert {path.stem for path in CAPTURES.glob("together_ai-*.json")} == set(CALLS)
    for where, ours, reason, names in DIFFERENCES:
        assert reason
        assert all(captured_parts(name).get(where, NOTHING) != ours for name in names)


# --- Where requests go ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "https://api.together.ai/v1/rerank"),
        # Users of the official SDK give a base without /v1, all others one with it.
        ("https://api.together.ai", "https://api.together.ai/v1/rerank"),
        ("https://api.together.ai/", "https://api.together.ai/v1/rerank"),
        ("https://api.together.xyz/v1", "https://api.together.xyz/v1/rerank"),
        ("https://api.together.xyz/v1/", "https://api.together.xyz/v1/rerank"),
        ("https://api.together.ai/v1/rerank", "https://api.together.ai/v1/rerank"),
        ("https://api.together.ai/v1/rerank//", "https://api.together.ai/v1/rerank"),
        ("http://gateway:8080/together?t=a", "http://gateway:8080/together/v1/rerank?t=a"),
        ("http://gateway:8080/together/v1?t=a", "http://gateway:8080/together/v1/rerank?t=a"),
    ],
)
def test_a_base_url_is_completed(base: str | None, url: str) -> None:
    """However much of the path it has already; prefix and query stay."""
    service = Service()

    ask(service, api_base=base)

    assert service.url == url


def test_a_base_url_is_found_in_the_documented_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argument, then litellm's variable, then the official SDK's."""
    service = Service()
    for variable, host in zip(reversed(BASES), ("second", "first"), strict=True):
        monkeypatch.setenv(variable, f"https://{host}.test")
        ask(service)
    ask(service, api_base="https://argument.test")

    hosts = [request.url.host for request in service.requests]
    assert hosts == ["second.test", "first.test", "argument.test"]


def test_the_first_variable_with_a_key_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the documented order, after the argument; an empty one counts as not set."""
    sent = []
    monkeypatch.setenv(VARIABLES[0], "")
    for variable in reversed(VARIABLES):
        monkeypatch.setenv(variable, f"key-of-{variable}")
        service = Service()
        ask(service, api_key=None)
        sent.append(service.requests[0].headers["authorization"])
    ask(service)

    assert sent == [f"Bearer key-of-{variable}" for variable in reversed(VARIABLES)]
    assert service.requests[-1].headers["authorization"] == f"Bearer {KEY}"


@both_ways
def test_without_a_key_nothing_is_sent(send: Send) -> None:
    """The error names every variable that was looked at."""
    service = Service()

    with pytest.raises(MissingAPIKeyError) as caught:
        ask(service, send=send, api_key=None)

    assert all(variable in str(caught.value) for variable in VARIABLES)
    assert service.requests == []


# --- What is sent -----------------------------------------------------------------------------


@both_ways
def test_nothing_is_sent_that_was_not_asked_for(send: Send) -> None:
    """No default is restated, nothing is null, and documents are not asked back."""
    service = Service()

    ask(service, send=send)

    assert service.body == {
        "model": "mixedbread-ai/Mxbai-Rerank-Large-V2",
        "query": QUERY,
        "documents": DOCUMENTS,
    }


@both_ways
@pytest.mark.parametrize("model", ["my-account/my-reranker", "Salesforce/Llama-Rank-v1"])
def test_a_model_keeps_its_slashes_and_its_spelling(model: str, send: Send) -> None:
    """An endpoint's name is a model's name."""
    service = Service()

    response = ask(service, send=send, model=f"together/{model}")

    assert service.body["model"] == response.model == model


def test_top_n_is_sent() -> None:
    """At most the number of documents."""
    service = Service()

    response = ask(service, top_n=5)

    assert service.body["top_n"] == 2
    assert len(response.results) == 2


LLAMA_ENDPOINT = {"model": "together/me/x", "structured_documents": True}
PLAIN_LLAMA = {"model": LLAMA_RANK, "structured_documents": False}


@both_ways
@pytest.mark.parametrize(
    "call",
    [{"model": LLAMA_RANK}, {"model": "together/me/my-LLAMA-rank-2"}, LLAMA_ENDPOINT],
)
def test_objects_go_to_llama_rank_as_they_are(call: dict[str, Any], send: Send) -> None:
    """By its name, or where the caller says so, since an endpoint's name hides its model."""
    service = Service()

    response = ask(service, OBJECTS, send=send, rank_fields=["text"], **call)

    assert service.body["documents"] == OBJECTS
    assert service.body["rank_fields"] == ["text"]
    assert response.results[0].document is not None
    assert response.results[0].document.fields is OBJECTS[0]


@pytest.mark.parametrize("call", [{}, {"model": "together/me/my-endpoint"}, PLAIN_LLAMA])
def test_mappings_go_to_any_other_model_as_text(call: dict[str, Any]) -> None:
    """In the order of `rank_fields`, which are not sent."""
    service = Service()

    ask(service, OBJECTS, **call)
    whole = service.body["documents"]
    ask(service, OBJECTS, rank_fields=["text"], **call)

    assert whole == RENDERED
    assert service.body["documents"] == DOCUMENTS
    assert "rank_fields" not in service.body


@pytest.mark.parametrize("rank_fields", [None, ["title", "text"]])
def test_strings_and_objects_are_never_mixed(rank_fields: list[str] | None) -> None:
    """Beside a string, all are sent as text."""
    service = Service()

    ask(service, [OBJECTS[0], DOCUMENTS[1]], model=LLAMA_RANK, rank_fields=rank_fields)

    assert service.body == {
        "model": "Salesforce/Llama-Rank-V1",
        "query": QUERY,
        "documents": [RENDERED[0], DOCUMENTS[1]],
    }


def test_rank_fields_are_not_sent_with_strings() -> None:
    """They would have no effect, and a warning says so."""
    service = Service()

    response = ask(service, model=LLAMA_RANK, rank_fields=["title"])

    assert "rank_fields" not in service.body
    assert [warning for warning in response.warnings if "rank_fields" in warning]


@pytest.mark.parametrize("chosen", ["yes", 1])
def test_structured_documents_is_a_yes_or_no(chosen: object) -> None:
    """Nothing is sent otherwise."""
    service = Service()

    with pytest.raises(InvalidRequestError, match="structured_documents must be True or False"):
        ask(service, structured_documents=chosen)

    assert service.requests == []


def test_blank_documents_are_held_back() -> None:
    """An object without any of the fields to rank by is blank as well."""
    service = Service()
    documents = [{"title": None, "text": "a"}, {"title": "A"}, {"text": "b"}]

    response = ask(service, documents, model=LLAMA_RANK, rank_fields=["title"])

    assert service.body["documents"] == [{"title": "A"}]
    assert [result.index for result in response.results] == [1, 0, 2]


@pytest.mark.parametrize(
    "param", ["max_chunks_per_doc", "max_tokens_per_doc", "truncation", "instruction"]
)
def test_what_together_does_not_know_is_refused_unless_allowed(param: str) -> None:
    """Its schema is closed; the error names parameter and provider."""
    service = Service()
    given: dict[str, Any] = {param: 1}

    with pytest.raises(UnsupportedParamError, match=f"together does not take '{param}'"):
        ask(service, **given)
    response = ask(service, **given, drop_params=True)

    assert len(service.requests) == 1
    assert param not in service.body
    assert [warning for warning in response.warnings if param in warning]


# --- What comes back --------------------------------------------------------------------------


@both_ways
def test_the_documented_reply_is_read(send: Send) -> None:
    """Its document is the object as JSON text, which is not what the caller gave."""
    response = ask(Service(REPLY), OBJECTS, send=send, model=LLAMA_RANK)

    ranking = [(result.index, result.relevance_score) for result in response.results]
    assert ranking == [(0, 0.2998), (1, 0.2752)]
    assert [result["document"]["text"] for result in response.results] == DOCUMENTS
    assert response.id == "oC3pV1a-6Yjz4e-9a1b2c3d4e5f"
    assert response.meta == Meta(
        billed_units=BilledUnits(total_tokens=1837),
        tokens=Tokens(input_tokens=1837, output_tokens=0),
    )
    assert response.cost is None
    assert (response.provider, response.model) == ("together", "Salesforce/Llama-Rank-V1")


@pytest.mark.parametrize("name", ["usage", "id", "object", "model"])
def test_what_a_reply_may_lack_is_no_fault(name: str) -> None:
    """Absent or null."""
    absent = ask(Service({key: value for key, value in REPLY.items() if key != name}))
    null = ask(Service(REPLY | {name: None}))

    assert [result.index for result in absent.results] == [0, 1]
    assert absent.meta == null.meta
    assert absent.id
    assert null.id
    assert (absent.meta == Meta()) is (name == "usage")


def test_litellm_s_name_leads_here() -> None:
    """And the response says who answered."""
    response = ask(Service(), model="together_ai/me/my-endpoint")

    assert (response.provider, response.model) == ("together", "me/my-endpoint")


@both_ways
@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ({"data": REPLY["results"]}, ResponseParseError, "KeyError"),
        (REPLY | {"results": None}, ResponseParseError, "results is null, not a list"),
        (REPLY | {"results": []}, ResponseParseError, "ranks 0 documents where 2"),
        ({"results": [{"index": 0}]}, ResponseParseError, r"results\[0\]"),
        ([], ResponseParseError, "not what the service documents"),
        ("upstream error", ResponseParseError, "not JSON"),
        ({"error": {"message": "went wrong"}}, APIStatusError, "went wrong"),
    ],
)
def test_what_is_no_ranking_is_an_error(
    reply: Any, kind: type[Exception], words: str, send: Send
) -> None:
    """And never an empty success."""
    with pytest.raises(kind, match=words):
        ask(Service(reply), send=send)


def error(message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    """An error reply as documented."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


ENDPOINT = "need a dedicated endpoint; use its name"
UNKNOWN = error("The model xyz does not exist or is not available")
ERRORS: list[tuple[int, Any, type[APIStatusError], tuple[str, ...], bool]] = [
    (400, error("not serverless"), BadRequestError, ("not serverless", ENDPOINT), False),
    (401, error("bad key"), AuthenticationError, ("bad key",), False),
    (401, {"error": "bad key"}, AuthenticationError, ("bad key",), False),
    (402, error("no"), PermissionDeniedError, ("no", "spending limit"), False),
    (403, error("no"), PermissionDeniedError, ("no", "too large for the model"), False),
    (404, UNKNOWN, NotFoundError, ("model xyz does not exist", ENDPOINT), False),
    (409, error("busy"), APIStatusError, ("busy",), True),
    (413, "too large", BadRequestError, ("too large",), False),
    (422, error("odd"), BadRequestError, ("odd",), False),
    (429, error("slow down", "rate_limit"), RateLimitError, ("slow down",), True),
    (500, error("oops", "server_error"), ServerError, ("oops",), True),
    (503, "<html>overloaded</html>", ServerError, ("overloaded",), True),
    (504, "", ServerError, ("status 504",), True),
]


@both_ways
@pytest.mark.parametrize(("status", "reply", "kind", "words", "retried"), ERRORS)
def test_an_error_says_what_to_do(
    status: int,
    reply: Any,
    kind: type[APIStatusError],
    words: tuple[str, ...],
    retried: bool,  # noqa: FBT001 - one of them
    send: Send,
) -> None:
    """Of the right kind, in the service's words, retried where that may help."""
    service = Service(reply, status, {"retry-after-ms": "1"})

    with pytest.raises(kind) as caught:
        ask(service, send=send, max_retries=1)

    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert all(word in str(caught.value) for word in words)
    assert str(caught.value).startswith("together/mixedbread-ai/Mxbai-Rerank-Large-V2: ")
    assert len(service.requests) == 1 + retried


@both_ways
@pytest.mark.parametrize(
    ("headers", "requests", "retry_after"),
    [
        ({"x-should-retry": "false"}, 1, None),
        ({"retry-after": "0.001"}, 2, 0.001),
        ({"x-ratelimit-reset": "0.001"}, 2, 0.001),
        ({"retry-after": "0.001", "x-ratelimit-reset": "30"}, 2, 0.001),
    ],
)
def test_what_the_service_says_of_retrying_is_heeded(
    headers: dict[str, str], requests: int, retry_after: float | None, send: Send
) -> None:
    """As the official SDK does."""
    service = Service(error("slow down"), 429, headers)

    with pytest.raises(RateLimitError) as caught:
        ask(service, send=send, max_retries=1)

    assert len(service.requests) == requests
    assert caught.value.retry_after == retry_after


# --- What every plugin must keep --------------------------------------------------------------

CASE = Case(
    plugin=rerank_together,
    model="Salesforce/Llama-Rank-V1",
    example=Example(
        call={"query": QUERY, "documents": OBJECTS, "rank_fields": ["title", "text"]},
        url="https://api.together.ai/v1/rerank",
        json={
            "model": "Salesforce/Llama-Rank-V1",
            "query": QUERY,
            "documents": OBJECTS,
            "rank_fields": ["title", "text"],
        },
        reply=REPLY,
        ranking=[(0, 0.2998), (1, 0.2752)],
    ),
    encode=lambda ranking, _, __: {
        "results": [
            {"index": at, "relevance_score": score, "document": None} for at, score in ranking
        ],
        "usage": None,
    },
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


# --- Facts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "score_kind", "takes_mappings"),
    [
        ("Salesforce/Llama-Rank-V1", "probability", True),
        ("mixedbread-ai/Mxbai-Rerank-Large-V2", "opaque", False),
        ("me/my-endpoint", "opaque", False),
    ],
)
def test_a_model_s_facts_are_known(model: str, score_kind: str, *, takes_mappings: bool) -> None:
    """No price: an endpoint is billed by the minute."""
    stated = facts(model)

    assert (stated.score_kind, stated.takes_mappings) == (score_kind, takes_mappings)
    assert stated.max_tokens == 8192
    assert stated.price is None
    assert stated.retires is None
    assert not stated.listwise
