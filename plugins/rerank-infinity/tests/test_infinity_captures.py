"""What others were seen to send to Infinity, and what a real server was seen to answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from attrs import frozen

from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InvalidRequestError,
    Meta,
    NotFoundError,
    ResponseParseError,
    UnsupportedParamError,
    rerank,
)
from service import (
    CAPTURES,
    NOTHING,
    Difference,
    Send,
    both_ways,
    captures,
    check_both_functions,
    load,
    on_the_wire,
    record,
    without_variables,
)

NAMES = (
    "infinity-infinity_client-top_n",
    "infinity-litellm-all",
    "infinity-litellm-default",
)
DIFFERENCES: tuple[Difference, ...] = (
    (
        "headers.accept",
        "application/json",
        "nothing else can be read; the SDKs take their client's default",
        ("infinity-infinity_client-top_n",),
    ),
    (
        "json.return_documents",
        NOTHING,
        "core attaches the caller's own documents: asking for them back pays for them twice",
        ("infinity-infinity_client-top_n", "infinity-litellm-all", "infinity-litellm-default"),
    ),
    (
        "json.documents",
        ["title: a", "title: b"],
        "Infinity takes only strings, and answers 422 to mappings: they are rendered",
        ("infinity-litellm-all",),
    ),
    (
        "json.rank_fields",
        NOTHING,
        "honoured by rendering; the service does not know it",
        ("infinity-litellm-all",),
    ),
    (
        "json.raw_scores",
        True,
        "litellm loses parameters that only the provider knows",
        ("infinity-litellm-all",),
    ),
    (
        "json.raw_scores",
        NOTHING,
        "the generated client restates the server's default, which nobody asked for",
        ("infinity-infinity_client-top_n",),
    ),
    (
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
        ("the service answered with the model 'tiny-reranker', not 'nope'",),
    ),
    "whitespace_stripped": Read(
        [(1, 0.9732918739318848), (0, 0.8286623954772949)],
        "infinity-2caaa8c9-d5ba-49c9-91a6-6bb81b2a0855",
    ),
}


def same_call(name: str) -> dict[str, Any]:
    """The captured call, in this project's words."""
    capture = load(name)
    call, sent = capture["call"], capture["request"]["json"]
    if "client" not in call:
        asked = dict(call.get("kwargs", call))
        # litellm sends what the server ignores; here that has to be allowed.
        return {**asked, "drop_params": True}
    return {
        "model": f"infinity/{sent['model']}",
        "api_key": "test-key",
        "api_base": "http://127.0.0.1:PORT",
        **{name: sent[name] for name in ("query", "documents")},
        **{name: call[name] for name in ("top_n", "return_documents")},
    }


CALLS = {name: same_call(name) for name in NAMES}

bare_environment = without_variables(of="infinity")


test_what_others_send_is_sent = captures("infinity", CALLS, DIFFERENCES, on_the_wire)


@pytest.mark.parametrize("name", CALLS)
def test_both_functions_send_the_same_bytes_and_attach_the_caller_s_documents(name: str) -> None:
    """`arerank` differs in nothing but `await`."""
    check_both_functions(CALLS[name])


@both_ways
def test_what_infinity_ignores_is_refused_unless_allowed(send: Send) -> None:
    """And where it is allowed, a warning says what was left out."""
    call = CALLS["infinity-litellm-all"]

    _, response = record(call, send)

    assert any("max_chunks_per_doc" in warning for warning in response.warnings)
    with pytest.raises(UnsupportedParamError, match="'max_chunks_per_doc'"):
        send(**call | {"api_base": "http://127.0.0.1:9", "drop_params": False})


def test_every_reply_is_read() -> None:
    """A file that is added must stand in the table."""
    files = {path.stem for path in CAPTURES.glob("infinity-realserver-*.json")}

    assert files == {f"infinity-realserver-{name}" for name in REPLIES}


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

    response = send(**call, http_client=replay(name))

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
        send(**call, http_client=replay(name, seen))

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
