"""Xinference's rerank route, as the source of its server has it."""

from __future__ import annotations

from typing import Any

import pytest

import rerank_xinference
from rerank_core import (
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    InvalidRequestError,
    Meta,
    RateLimitError,
    ServerError,
    Tokens,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    NOTHING,
    CaptureCheck,
    Difference,
    Failure,
    Send,
    Service,
    asking,
    both_ways,
    by,
    captures,
    check_failure,
    check_refused_unless_allowed,
    without_variables,
)

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
THREE = [*DOCUMENTS, "Madrid is in Spain."]
REPLY = {
    "id": "480dca92-8910-11ee-b76a-c2c8e4cad3f5",
    "results": [
        {"index": 1, "relevance_score": 0.9999, "document": {"text": DOCUMENTS[1]}},
        {"index": 0, "relevance_score": 0.0374, "document": None},
    ],
    "meta": {
        "api_version": None,
        "billed_units": None,
        "tokens": {"input_tokens": 41, "output_tokens": 41},
        "warnings": None,
    },
}
COUNTED = Meta(billed_units=BilledUnits(total_tokens=41), tokens=Tokens(input_tokens=41))
CASE = Case(
    plugin=rerank_xinference,
    model="my-reranker",
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2, "return_len": True},
        url="http://127.0.0.1:9997/v1/rerank",
        json={
            "model": "my-reranker",
            "query": QUERY,
            "documents": DOCUMENTS,
            "top_n": 2,
            "return_len": True,
        },
        reply=REPLY,
        ranking=[(1, 0.9999), (0, 0.0374)],
        id="480dca92-8910-11ee-b76a-c2c8e4cad3f5",
        meta=COUNTED,
    ),
    encode=lambda ranking, documents, _: {
        "results": [
            {"index": at, "relevance_score": score, "document": documents[0]}
            for at, score in ranking
        ],
        "meta": {"tokens": None},
    },
    encode_error=lambda message: {"detail": message},
    params={"return_len": True, "kwargs": '{"doc_type": "image"}'},
)
ask = asking("xinference/my-reranker", query=QUERY, documents=DOCUMENTS)
VARIABLES = ("XINFERENCE_API_BASE", "XINFERENCE_SERVER_URL")
bare_environment = without_variables("XINFERENCE_API_KEY", *VARIABLES)
CALLS: dict[str, dict[str, Any]] = {
    "xinference-xinference_client-full": {
        "documents": THREE,
        "top_n": 2,
        "return_documents": True,
        "return_len": True,
    },
    "xinference-xinference_client-minimal": {"documents": THREE},
}
DIFFERENCES: tuple[Difference, ...] = (
    *(
        (f"json.{field}", NOTHING, "the client writes out what it leaves unsaid", names)
        for field, names in (
            ("max_chunks_per_doc", tuple(CALLS)),
            ("kwargs", tuple(CALLS)),
            ("top_n", ("xinference-xinference_client-minimal",)),
            ("return_len", ("xinference-xinference_client-minimal",)),
        )
    ),
    (
        "json.return_documents",
        NOTHING,
        "core attaches the caller's own documents",
        tuple(CALLS),
    ),
    (
        "headers.accept",
        "application/json",
        "the reply is always read as JSON",
        tuple(CALLS),
    ),
    (
        "headers.authorization",
        "Bearer test-key",
        "the capture was made of a server without authentication",
        tuple(CALLS),
    ),
)
WORDS = ("its words",)
ERRORS: list[Failure] = [
    (400, {"detail": "its words"}, BadRequestError, ("its words", "GET /v1/models"), False),
    (401, {"detail": "its words"}, AuthenticationError, WORDS, False),
    (
        422,
        {"detail": [{"loc": ["body", "query"], "msg": "Field required", "type": "missing"}]},
        BadRequestError,
        ("body.query: Field required",),
        False,
    ),
    (429, {"detail": "Rate limit reached"}, RateLimitError, ("Rate limit reached",), True),
    (500, {"detail": "its words"}, ServerError, ("its words", "cut it"), False),
    (503, {"detail": "its words"}, ServerError, WORDS, True),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


@captures("xinference", CALLS, DIFFERENCES, by(ask))
def test_captured_requests_are_sent(check: CaptureCheck) -> None:
    """Those of the official client, field by field."""
    check()


@both_ways
def test_options_of_the_engine_travel_as_json_in_a_string(send: Send) -> None:
    """As a mapping or written already; as plain fields the server would ignore them."""
    service = Service()

    ask(service, send=send, kwargs={"doc_type": "image", "n": [1]})
    encoded = service.body["kwargs"]
    ask(service, send=send, kwargs='{"doc_type": "image"}')

    assert encoded == '{"doc_type":"image","n":[1]}'
    assert service.body["kwargs"] == '{"doc_type": "image"}'


@pytest.mark.parametrize("param", ["max_chunks_per_doc", "max_tokens_per_doc", "instruction"])
def test_what_the_server_ignores_is_refused_unless_allowed(param: str) -> None:
    """`max_chunks_per_doc` is accepted, and ignored or rejected by the engine."""
    check_refused_unless_allowed(ask, Service(), "xinference", param)


@both_ways
@pytest.mark.parametrize("meta", [None, {}, {"tokens": None}, {"tokens": 5}])
def test_usage_is_unknown_unless_asked_for(meta: object, send: Send) -> None:
    """Without `return_len` the server counts nothing."""
    assert ask(Service({**REPLY, "meta": meta}), send=send).meta == Meta()


@both_ways
def test_a_document_of_an_older_server_is_a_string(send: Send) -> None:
    """The caller's own stands in its place."""
    rows = [{"index": at, "relevance_score": 0.5, "document": "x"} for at in (1, 0)]

    response = ask(Service({"results": rows}), send=send)

    assert [result["document"]["text"] for result in response.results] == DOCUMENTS


@both_ways
@pytest.mark.parametrize("failure", ERRORS, ids=lambda row: row[0])
def test_an_error_says_what_to_do(failure: Failure, send: Send) -> None:
    """500 is any fault of a model, and bad input above all: it is not repeated."""
    check_failure(ask, failure, "xinference/my-reranker", send)


def test_a_listwise_model_s_list_is_not_split_unless_allowed() -> None:
    """Where the uid tells, which is the model's name unless the operator chose another."""
    with pytest.raises(InvalidRequestError, match="split_listwise=True"):
        ask(Service(), ["a"] * 5, model="xinference/Jina-Reranker-v3.5", max_documents=3)
