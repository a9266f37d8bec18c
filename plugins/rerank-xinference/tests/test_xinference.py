"""Xinference's rerank route, as the source of its server has it."""

from __future__ import annotations

from typing import Any

import rerank_xinference
from failures import Failure, failing
from rerank_core import BilledUnits, Meta, NotFoundError, Tokens
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    NOTHING,
    Difference,
    Send,
    Service,
    asking,
    both_ways,
    by,
    captures,
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
bare_environment = without_variables(of="xinference")
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
ERRORS = [
    Failure(400, {"detail": "its words"}, ("its words", "GET /v1/models")),
    Failure(
        400,
        {"detail": "Model not found in the model list, uid: my-reranker"},
        ("my-reranker", "GET /v1/models"),
        kind=NotFoundError,
    ),
    Failure(401, {"detail": "its words"}, WORDS),
    Failure(
        422,
        {"detail": [{"loc": ["body", "query"], "msg": "Field required", "type": "missing"}]},
        "body.query: Field required",
    ),
    Failure(429, {"detail": "Rate limit reached"}, "Rate limit reached"),
    Failure(500, {"detail": "its words"}, ("its words", "cut it"), retried=False),
    Failure(503, {"detail": "its words"}, WORDS),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


test_what_the_official_client_sends_is_sent = captures("xinference", CALLS, DIFFERENCES, by(ask))


@both_ways
def test_options_of_the_engine_travel_as_json_in_a_string(send: Send) -> None:
    """As a mapping or written already; as plain fields the server would ignore them."""
    service = Service()

    ask(service, send=send, kwargs={"doc_type": "image", "n": [1]})
    encoded = service.body["kwargs"]
    ask(service, send=send, kwargs='{"doc_type": "image"}')

    assert encoded == '{"doc_type":"image","n":[1]}'
    assert service.body["kwargs"] == '{"doc_type": "image"}'


def test_what_the_server_warns_of_is_told() -> None:
    """It stands where Cohere has it."""
    service = Service(
        {"results": [{"index": 0, "relevance_score": 1}], "meta": {"warnings": ["w"]}}
    )

    assert ask(service, documents=["a"]).warnings == ("w",)


test_an_error_says_what_to_do = failing(ask, "xinference/my-reranker", ERRORS)
