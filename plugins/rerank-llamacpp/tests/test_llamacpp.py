"""llama.cpp's server, as its source has it and as a real one was seen to answer."""

from __future__ import annotations

from typing import Any

import pytest

import rerank_llamacpp
from failures import Failure, failing
from rerank_core import (
    BadRequestError,
    BilledUnits,
    Meta,
    ResponseParseError,
    ServerError,
    Tokens,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import Send, Service, asking, both_ways, without_variables

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
bare_environment = without_variables(of="llamacpp")


def error(status: int, kind: str, message: str) -> dict[str, Any]:
    """An error as the server writes it."""
    return {"error": {"code": status, "message": message, "type": kind}}


TOO_LONG = error(
    500,
    "server_error",
    "input (483 tokens) is too large to process. increase the physical batch size (current batch"
    " size: 128)",
)
ERRORS = [
    Failure(400, error(400, "invalid_request_error", "odd"), "odd"),
    Failure(
        401,
        error(401, "authentication_error", "Invalid API Key"),
        ("Invalid API Key", "LLAMACPP_API_KEY"),
    ),
    Failure(500, TOO_LONG, ("483 tokens", "--ubatch-size"), kind=BadRequestError, retried=False),
    Failure(
        500,
        error(500, "server_error", "input is larger than the max context size. skipping"),
        "larger than",
        kind=BadRequestError,
        retried=False,
    ),
    Failure(500, error(500, "server_error", "odd"), "odd", kind=ServerError, retried=False),
    Failure(501, error(501, "not_supported_error", "no"), "--rerank"),
    Failure(503, error(503, "unavailable_error", "Loading model"), "Loading"),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


def test_documents_are_never_called_texts() -> None:
    """Else the server answers as TEI does."""
    service = Service()

    ask(service, [{"title": "A", "text": "B"}, " "])

    assert service.body == {
        "model": MODEL,
        "query": QUERY,
        "documents": ["title: A\ntext: B", " "],
    }


test_an_error_says_what_to_do = failing(ask, f"llamacpp/{MODEL}", ERRORS)


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
