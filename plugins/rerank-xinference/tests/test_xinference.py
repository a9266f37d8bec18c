"""Xinference's rerank route, as the source of its server has it."""

from __future__ import annotations

import rerank_xinference
from failures import Failure, failing
from rerank_core import BilledUnits, Meta, Tokens
from rerank_core.testing import Case, Check, Example, conformance
from service import Send, Service, asking, both_ways, without_variables

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
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
WORDS = ("its words",)
ERRORS = [
    Failure(400, {"detail": "its words"}, ("its words", "GET /v1/models")),
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


@both_ways
def test_options_of_the_engine_travel_as_json_in_a_string(send: Send) -> None:
    """As a mapping or written already; as plain fields the server would ignore them."""
    service = Service()

    ask(service, send=send, kwargs={"doc_type": "image", "n": [1]})
    encoded = service.body["kwargs"]
    ask(service, send=send, kwargs='{"doc_type": "image"}')

    assert encoded == '{"doc_type":"image","n":[1]}'
    assert service.body["kwargs"] == '{"doc_type": "image"}'


test_an_error_says_what_to_do = failing(ask, "xinference/my-reranker", ERRORS)
