"""llama.cpp's server, as its source has it and as a real one was seen to answer."""

from __future__ import annotations

from typing import Any

import pytest

import rerank_llamacpp
from rerank_core import (
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    Meta,
    ResponseParseError,
    ServerError,
    Tokens,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    Failure,
    Send,
    Service,
    asking,
    both_ways,
    check_failure,
    check_refused_unless_allowed,
    without_variables,
)

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
MODEL = "bge-reranker-v2-m3"
REPLY: dict[str, Any] = {
    "model": MODEL,
    "object": "list",
    "usage": {"prompt_tokens": 41, "total_tokens": 41},
    "results": [
        {"index": 1, "relevance_score": 5.8127},
        {"index": 0, "relevance_score": -8.4403},
    ],
}
CASE = Case(
    plugin=rerank_llamacpp,
    model=MODEL,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        url="http://127.0.0.1:8080/v1/rerank",
        json={"model": MODEL, "query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        reply=REPLY,
        ranking=[(1, 5.8127), (0, -8.4403)],
        meta=Meta(billed_units=BilledUnits(total_tokens=41), tokens=Tokens(input_tokens=41)),
    ),
    encode=lambda ranking, _, __: {
        "results": [{"index": at, "relevance_score": score} for at, score in ranking]
    },
)
ask = asking(f"llamacpp/{MODEL}", query=QUERY, documents=DOCUMENTS)
bare_environment = without_variables("LLAMACPP_API_KEY", "LLAMA_API_KEY", "LLAMACPP_API_BASE")


def error(status: int, kind: str, message: str) -> dict[str, Any]:
    """An error as the server writes it."""
    return {"error": {"code": status, "message": message, "type": kind}}


TOO_LONG = error(
    500,
    "server_error",
    "input (483 tokens) is too large to process. increase the physical batch size (current batch"
    " size: 128)",
)
ERRORS: list[Failure] = [
    (400, error(400, "invalid_request_error", "odd"), BadRequestError, ("odd",), False),
    (
        401,
        error(401, "authentication_error", "Invalid API Key"),
        AuthenticationError,
        ("Invalid API Key", "LLAMACPP_API_KEY"),
        False,
    ),
    (500, TOO_LONG, BadRequestError, ("483 tokens", "--ubatch-size"), False),
    (501, error(501, "not_supported_error", "no"), ServerError, ("--rerank",), False),
    (503, error(503, "unavailable_error", "Loading model"), ServerError, ("Loading",), True),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://gpu:8080", "http://gpu:8080/v1/rerank"),
        ("http://gpu:8080/v1/", "http://gpu:8080/v1/rerank"),
        ("http://gpu:8080/rerank", "http://gpu:8080/rerank"),
        ("http://gpu:8080/reranking", "http://gpu:8080/reranking"),
        ("http://gpu:8080/v1/reranking", "http://gpu:8080/v1/reranking"),
        ("http://gateway/llama", "http://gateway/llama/v1/rerank"),
    ],
)
def test_a_base_url_is_completed(base: str, url: str) -> None:
    """The server has two names for the endpoint, each with and without `/v1`."""
    service = Service()

    ask(service, api_base=base)

    assert service.url == url


def test_documents_are_never_called_texts() -> None:
    """Else the server answers as TEI does."""
    service = Service()

    ask(service, [{"title": "A", "text": "B"}, " "])

    assert service.body == {
        "model": MODEL,
        "query": QUERY,
        "documents": ["title: A\ntext: B", " "],
    }


@both_ways
@pytest.mark.parametrize("failure", ERRORS, ids=lambda row: row[0])
def test_an_error_says_what_to_do(failure: Failure, send: Send) -> None:
    """A pair that is too long is a bad request, although its status is 500."""
    check_failure(ask, failure, f"llamacpp/{MODEL}", send)


@both_ways
def test_a_pair_that_is_too_long_is_not_handed_on(send: Send) -> None:
    """Neither to a fallback nor to the caller's own order: both would hide the mistake."""
    service = Service(TOO_LONG, 500)

    with pytest.raises(BadRequestError, match="too large to process"):
        ask(
            service,
            send=send,
            max_retries=3,
            fallbacks=["local/bm25"],
            on_failure="passthrough",
        )

    assert len(service.requests) == 1


def test_a_document_that_the_server_failed_on_is_an_error() -> None:
    """It is ranked all the same, with a score that is none."""
    reply = {"results": [REPLY["results"][0], {"index": 0, "relevance_score": -1000000.0}]}

    with pytest.raises(ResponseParseError, match=r"could not score documents\[0\]") as caught:
        ask(Service(reply))

    assert caught.value.path == "results[1]"


def test_another_model_than_was_asked_for_is_told() -> None:
    """A proxy in front may route to another; the server itself repeats the name."""
    same, other = ask(Service(REPLY)), ask(Service({**REPLY, "model": "another"}))

    assert tuple(same.warnings) == ()
    assert tuple(other.warnings) == (
        f"the service answered with the model 'another', not '{MODEL}'",
    )


def test_older_servers_do_not_sort() -> None:
    """Before the middle of 2025 the reply was in the order of the documents."""
    rows = [{"index": at, "relevance_score": score} for at, score in enumerate([-3.0, 2.0, 2.0])]

    response = ask(Service({"results": rows}), ["a", "b", "c"])

    assert [result.index for result in response.results] == [1, 2, 0]


@pytest.mark.parametrize("param", ["max_tokens_per_doc", "max_chunks_per_doc", "instruction"])
def test_what_the_server_would_ignore_is_refused(param: str) -> None:
    """It says nothing about fields that it does not know."""
    check_refused_unless_allowed(ask, Service(), "llamacpp", param)


def test_the_key_of_the_client_comes_before_that_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No key is needed."""
    service = Service()
    ask(service)
    for name in ("LLAMA_API_KEY", "LLAMACPP_API_KEY"):
        monkeypatch.setenv(name, f"key-of-{name}")
        ask(service)

    assert [request.headers.get("authorization") for request in service.requests] == [
        None,
        "Bearer key-of-LLAMA_API_KEY",
        "Bearer key-of-LLAMACPP_API_KEY",
    ]
