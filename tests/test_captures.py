"""What others were seen to send, and what a real server was seen to answer; see the captures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from attrs import frozen

from recorder import Recorded, Reply, recording
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InvalidRequestError,
    Meta,
    NotFoundError,
    Reranker,
    RerankResponse,
    ResponseParseError,
    UnsupportedParamError,
    arerank,
    rerank,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

CAPTURES = Path(__file__).parent / "fixtures" / "captures"
COMPARED_HEADERS = ("accept", "authorization", "content-type", "x-client-name")
NOTHING = object()


@frozen
class Difference:
    """One thing that this project sends otherwise, on purpose.

    Attributes:
        where: The part and the name: `headers.accept`, `json.top_n`.
        ours: What is sent instead; `NOTHING` where it is left out.
        reason: Why.
        captures: The files it holds for, without their ending.
    """

    where: str
    ours: Any
    reason: str
    captures: tuple[str, ...]


DIFFERENCES = (
    Difference(
        "headers.accept",
        "application/json",
        "nothing else can be read; the SDKs take their client's default",
        (
            "cohere-cohere-v1-full",
            "cohere-cohere-v1-minimal",
            "cohere-cohere-v2-extra-body",
            "cohere-cohere-v2-full",
            "cohere-cohere-v2-minimal",
            "cohere-cohere-v2-none-values",
            "cohere-cohere-v2-relevant-spans-minimal",
            "infinity-infinity_client-top_n",
        ),
    ),
    Difference(
        "json.return_documents",
        NOTHING,
        "core attaches the caller's own documents: asking for them back pays for them twice",
        (
            "cohere-cohere-v1-full",
            "cohere-litellm-default",
            "cohere-litellm-full-v2",
            "cohere-litellm-v1-by-chunks",
            "infinity-infinity_client-top_n",
            "infinity-litellm-all",
            "infinity-litellm-default",
        ),
    ),
    Difference(
        "json.model",
        "rerank-v3.5",
        "a model is always named, so that the service's default cannot change the ranking",
        ("cohere-cohere-v1-minimal",),
    ),
    Difference(
        "json.top_n",
        NOTHING,
        "None is the same as not given, and what was not asked for is not sent",
        ("cohere-cohere-v2-none-values",),
    ),
    Difference(
        "json.documents",
        [
            "title: Paris\ntext: Paris is the capital of France.",
            "title: Berlin\ntext: Berlin is in Germany.",
        ],
        "v2 takes only strings: mappings are rendered, by rank_fields",
        ("cohere-litellm-full-v2",),
    ),
    Difference(
        "json.documents",
        ["title: a", "title: b"],
        "Infinity takes only strings, and answers 422 to mappings: they are rendered",
        ("infinity-litellm-all",),
    ),
    Difference(
        "json.rank_fields",
        NOTHING,
        "honoured by rendering; the service does not know it",
        ("cohere-litellm-full-v2", "infinity-litellm-all"),
    ),
    Difference(
        "json.priority",
        5,
        "litellm loses parameters that only the provider knows",
        ("cohere-litellm-full-v2",),
    ),
    Difference(
        "json.raw_scores",
        ours=True,
        reason="litellm loses parameters that only the provider knows",
        captures=("infinity-litellm-all",),
    ),
    Difference(
        "json.raw_scores",
        NOTHING,
        "the generated client restates the server's default, which nobody asked for",
        ("infinity-infinity_client-top_n",),
    ),
    Difference(
        "json.max_chunks_per_doc",
        NOTHING,
        "Infinity ignores it: refused, or left out with a warning where drop_params allows",
        ("infinity-litellm-all",),
    ),
)

DEFAULT_CALL: dict[str, Any] = {
    "model": "infinity/tiny-reranker",
    "query": "What is the capital of France?",
    "documents": ["Berlin is in Germany.", "Paris is the capital of France."],
}


@frozen
class Read:
    """What a good reply of the real server is read as."""

    ranking: Sequence[tuple[int, float]]
    id: str
    warnings: tuple[str, ...] = ()


@frozen
class Refused:
    """What any other reply is read as: the error, and what its message must say."""

    kind: type[Exception]
    status: int
    words: tuple[str, ...]


BOTH = [(1, 0.9949761629104614), (0, 0.955765426158905)]
REPLIES: dict[str, Read | Refused] = {
    "bad_json": Refused(BadRequestError, 422, ("body.10", "JSON decode error")),
    "default": Read(BOTH, "infinity-3207ea3f-af3f-492f-8aaf-16421d66d566"),
    "dict_documents": Refused(
        BadRequestError, 422, ("body.documents.0: Input should be a valid string",)
    ),
    "empty_documents": Refused(
        BadRequestError, 422, ("body.documents: List should have at least 1 item",)
    ),
    "long_string": Refused(
        BadRequestError, 422, ("documents", "String should have at most 122880 characters")
    ),
    "method_not_allowed": Refused(APIStatusError, 405, ("Method Not Allowed",)),
    "models": Refused(ResponseParseError, 200, ("results",)),
    "no_model": Read(BOTH, "infinity-280024af-fd55-45e9-9888-502b4075dd1f"),
    "not_found_v1": Refused(NotFoundError, 404, ("Not Found", "--url-prefix", "api_base=")),
    "raw_scores": Read(
        [(1, 5.288524627685547), (0, 3.073007106781006)],
        "infinity-c5e10259-6eb9-40f3-acb4-966b5108bca0",
    ),
    "too_many_documents": Refused(
        BadRequestError, 422, ("documents", "at most 2048 items after validation, not 2049")
    ),
    "top_n-return_documents": Read(BOTH[:1], "infinity-bf89972f-80e0-4791-91ac-f5773b857b02"),
    "top_n_zero": Refused(BadRequestError, 422, ("body.top_n: Input should be greater than 0",)),
    "unauthorized_no_key": Refused(AuthenticationError, 401, ("Unauthorized",)),
    "unauthorized_wrong_key": Refused(AuthenticationError, 401, ("Unauthorized",)),
    "unknown_fields_ok": Read(BOTH, "infinity-ccb3f04e-cb35-4b07-8927-37c95a932876"),
    "unknown_model": Read(
        BOTH,
        "infinity-db8e9d42-33df-4b1e-a533-ab18debb7624",
        ("the server answered with the model 'tiny-reranker', not 'nope'",),
    ),
    "whitespace_stripped": Read(
        [(1, 0.9732918739318848), (0, 0.8286623954772949)],
        "infinity-2caaa8c9-d5ba-49c9-91a6-6bb81b2a0855",
    ),
}

# Captures of other providers stand here as well; those plugins' own tests compare them.
PROVIDERS = ("cohere-", "infinity-")
FILES = sorted(path.stem for path in CAPTURES.glob("*.json") if path.stem.startswith(PROVIDERS))
SENT_BY_OTHERS = [name for name in FILES if "-realserver-" not in name]
Send = Callable[[dict[str, Any]], RerankResponse]


def load(name: str) -> Any:
    """One capture."""
    return json.loads((CAPTURES / f"{name}.json").read_bytes())


def send_blocking(call: dict[str, Any]) -> RerankResponse:
    """Make a call with `rerank`."""
    return rerank(**call)


def send_async(call: dict[str, Any]) -> RerankResponse:
    """Make a call with `arerank`."""
    return asyncio.run(arerank(**call))


both_ways = pytest.mark.parametrize("send", [send_blocking, send_async])


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no key, base URL or proxy of this machine take part."""
    for name in (
        "COHERE_API_KEY",
        "CO_API_KEY",
        "COHERE_API_BASE",
        "CO_API_URL",
        "INFINITY_API_KEY",
        "INFINITY_API_BASE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def same_call(capture: Any, base_url: str) -> dict[str, Any]:
    """The captured call, in this project's words."""
    call, sent = capture["call"], capture["request"]["json"]
    client = call.get("client", "")
    if client.startswith("infinity_client"):
        asked = {name: sent[name] for name in ("query", "documents")}
        asked |= {name: call[name] for name in ("top_n", "return_documents")}
        return {
            "model": f"infinity/{sent['model']}",
            "api_key": "test-key",
            "api_base": base_url,
        } | asked
    asked = dict(call.get("kwargs", call))
    if not client:
        path = asked["api_base"].partition("PORT")[2]
        # litellm sends what the server ignores; here that has to be allowed.
        allowed = {"drop_params": True} if asked["model"].startswith("infinity/") else {}
        return {**asked, "api_base": base_url + path, **allowed}
    options = asked.pop("request_options", {})
    return {
        **asked,
        "model": f"cohere/{asked.get('model', 'rerank-v3.5')}",
        "api_key": "test-key",
        "api_base": base_url,
        "api_version": "v2" if "V2" in client else "v1",
        "client_name": "my-project" if "client_name='my-project'" in client else None,
        "extra_body": options.get("additional_body_parameters"),
        "extra_headers": options.get("additional_headers"),
    }


def make_reply(call: dict[str, Any]) -> Reply:
    """A ranking of as many documents as were asked for."""
    count = call.get("top_n") or len(call["documents"])
    results = [{"index": at, "relevance_score": 1 / (at + 1)} for at in range(count)]
    model = call["model"].partition("/")[2]
    return Reply({"id": "made-up", "model": model, "results": results})


def record(capture: Any, send: Send, **changes: Any) -> tuple[Recorded, RerankResponse]:
    """Make the captured call against a recorder: what arrived, and what came back."""
    reply = make_reply(same_call(capture, ""))
    with recording(reply) as recorder:
        response = send(same_call(capture, recorder.base_url) | changes)
        (request,) = recorder.requests
    return request, response


def captured_parts(capture: Any) -> dict[str, Any]:
    """The captured request, flat: each header that matters and each field by its path."""
    request = capture["request"]
    headers = {name: request["headers"].get(name) for name in COMPARED_HEADERS}
    parts = {f"headers.{name}": value for name, value in headers.items() if value is not None}
    parts |= {f"json.{name}": value for name, value in request["json"].items()}
    line = {"method": request["method"], "path": request["path"], "query": request["query"] or ""}
    return parts | line


def recorded_parts(request: Recorded) -> dict[str, Any]:
    """The same of what we sent."""
    headers = {name: request.headers.get(name) for name in COMPARED_HEADERS}
    parts = {f"headers.{name}": value for name, value in headers.items() if value is not None}
    parts |= {f"json.{name}": value for name, value in request.json.items()}
    return parts | {"method": request.method, "path": request.path, "query": request.query}


def with_differences(name: str, parts: dict[str, Any]) -> dict[str, Any]:
    """The captured parts as the table says that ours are."""
    ours = {row.where: row.ours for row in DIFFERENCES if name in row.captures}
    return {where: value for where, value in (parts | ours).items() if value is not NOTHING}


@both_ways
@pytest.mark.parametrize("name", SENT_BY_OTHERS)
def test_the_same_call_sends_the_same_but_for_the_differences(name: str, send: Send) -> None:
    """Method, path, query, the headers that matter and every field of the body."""
    capture = load(name)

    request, _ = record(capture, send)

    assert recorded_parts(request) == with_differences(name, captured_parts(capture))


@both_ways
@pytest.mark.parametrize("name", SENT_BY_OTHERS)
def test_the_body_is_sent_whole(name: str, send: Send) -> None:
    """With its length, never as a stream."""
    request, _ = record(load(name), send)

    assert request.headers["content-length"] == str(len(request.body))
    assert "transfer-encoding" not in request.headers


@both_ways
@pytest.mark.parametrize("name", SENT_BY_OTHERS)
def test_the_same_call_attaches_the_caller_s_documents(name: str, send: Send) -> None:
    """As asked for by return_documents, which stays between caller and core."""
    capture = load(name)
    call = same_call(capture, "")

    _, response = record(capture, send)

    for result in response.results:
        given = call["documents"][result.index]
        if call.get("return_documents", True) is False:
            assert result.document is None
        else:
            assert result.document is not None
            assert result.document.text == (given if isinstance(given, str) else given["text"])


def test_both_functions_send_the_same_bytes() -> None:
    """`arerank` differs in nothing but `await`."""
    for name in SENT_BY_OTHERS:
        capture = load(name)

        blocking, _ = record(capture, send_blocking)
        awaited, _ = record(capture, send_async)

        assert blocking.body == awaited.body
        assert blocking.headers.keys() == awaited.headers.keys()


@both_ways
def test_what_infinity_ignores_is_refused_unless_allowed(send: Send) -> None:
    """And where it is allowed, a warning says what was left out."""
    capture = load("infinity-litellm-all")

    _, response = record(capture, send)

    assert any("max_chunks_per_doc" in warning for warning in response.warnings)
    with pytest.raises(UnsupportedParamError, match="'max_chunks_per_doc'"):
        send(same_call(capture, "http://127.0.0.1:9") | {"drop_params": False})


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: f"{row.where}-{row.captures[0]}")
def test_every_difference_is_needed(row: Difference) -> None:
    """It has a reason, and changes something in each capture that it names."""
    for name in row.captures:
        captured = captured_parts(load(name)).get(row.where, NOTHING)

        assert captured != row.ours
    assert row.reason


def test_every_capture_is_covered() -> None:
    """A file that is added is made the same call of, or must stand among the replies."""
    replies = {f"infinity-realserver-{name}" for name in REPLIES}

    assert set(FILES) == {*SENT_BY_OTHERS, *replies}
    assert {name for row in DIFFERENCES for name in row.captures} <= set(SENT_BY_OTHERS)
    assert len(SENT_BY_OTHERS) >= 13


def replayed_call(request: Any) -> dict[str, Any]:
    """The call that the server's reply belongs to, as far as it can be made here at all."""
    asked = request["json"] or {}
    documents = asked.get("documents") or DEFAULT_CALL["documents"]
    call = DEFAULT_CALL | {"model": f"infinity/{asked.get('model', 'tiny-reranker')}"}
    call |= {"documents": documents}
    call |= {name: asked[name] for name in ("top_n", "raw_scores") if asked.get(name)}
    key = request["headers"].get("authorization", "").removeprefix("Bearer ")
    return call | {"api_key": key}


def replay(name: str, seen: list[httpx.Request] | None = None) -> httpx.MockTransport:
    """A transport that answers as the real server did."""
    response = load(f"infinity-realserver-{name}")["response"]
    body = response["json"]
    text = body.get("_truncated") or json.dumps(body)

    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        return httpx.Response(response["status"], headers=response["headers"], text=text)

    return httpx.MockTransport(answer)


@both_ways
@pytest.mark.parametrize("name", [name for name in REPLIES if isinstance(REPLIES[name], Read)])
def test_a_ranking_of_the_real_server_is_read(name: str, send: Send) -> None:
    """Its results, its id, and nothing of a usage that counts characters."""
    expected = REPLIES[name]
    assert isinstance(expected, Read)
    capture = load(f"infinity-realserver-{name}")
    call = replayed_call(capture["request"])

    response = send(call | {"http_client": replay(name)})

    ranking = [(result.index, result.relevance_score) for result in response.results]
    texts = [result.document.text for result in response.results if result.document]
    assert ranking == expected.ranking
    assert texts == [call["documents"][index] for index, _ in expected.ranking]
    assert response.id == expected.id
    assert response.meta == Meta()
    assert tuple(response.warnings) == expected.warnings
    assert response.payload == capture["response"]["json"]


@both_ways
@pytest.mark.parametrize("name", [name for name in REPLIES if isinstance(REPLIES[name], Refused)])
def test_any_other_reply_of_the_real_server_is_an_error(name: str, send: Send) -> None:
    """Of the right kind, with the words that a person needs, and short."""
    expected = REPLIES[name]
    assert isinstance(expected, Refused)
    seen: list[httpx.Request] = []
    call = replayed_call(load(f"infinity-realserver-{name}")["request"])

    with pytest.raises(expected.kind) as caught:
        send(call | {"http_client": replay(name, seen)})

    assert type(caught.value) is expected.kind
    assert getattr(caught.value, "status_code", None) == expected.status
    assert all(word in str(caught.value) for word in expected.words)
    assert str(caught.value).startswith("infinity/tiny-reranker: ")
    assert len(str(caught.value)) < 700
    assert len(seen) == 1  # none of them is worth a retry


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"top_n": 0}, "top_n must be an integer from 1"),
        ({"documents": ["a " * 61441]}, "at most 122,880 are taken"),
        ({"documents": "one string"}, "documents must be a list"),
    ],
)
def test_what_the_real_server_refuses_is_not_sent(changes: dict[str, Any], words: str) -> None:
    """Where it can be known beforehand."""
    seen: list[httpx.Request] = []
    call = DEFAULT_CALL | {"http_client": replay("default", seen)} | changes

    with pytest.raises(InvalidRequestError, match=words):
        rerank(**call)

    assert seen == []


def test_no_documents_are_no_request() -> None:
    """The real server answers 422 to an empty list; here it is an empty ranking."""
    seen: list[httpx.Request] = []
    reranker = Reranker("infinity/tiny-reranker", http_client=replay("empty_documents", seen))

    response = reranker.rerank("query", [])

    assert response.results == []
    assert seen == []


def test_more_documents_than_the_real_server_takes_are_split() -> None:
    """2,049 go in two requests, which it would refuse in one."""
    seen: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        count = len(json.loads(request.content)["documents"])
        seen.append(count)
        results = [{"index": at, "relevance_score": 0.5, "document": None} for at in range(count)]
        return httpx.Response(200, json={"model": "tiny-reranker", "results": results})

    call = DEFAULT_CALL | {"documents": ["x"] * 2049}
    response = rerank(**call, http_client=httpx.MockTransport(answer))

    assert sorted(seen) == [1024, 1025]
    assert [result.index for result in response.results] == list(range(2049))
