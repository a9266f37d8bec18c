"""Mixedbread's reranking API as its specification and its SDK have it."""

from __future__ import annotations

from typing import Any

import pytest

import rerank_mixedbread
from failures import Failure, failing
from rerank_core import BilledUnits, Meta, Tokens
from rerank_core.testing import Case, Check, Example, conformance
from service import NOTHING, Difference, Service, asking, by, captures, facts, without_variables

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
MAPPINGS = [
    {"title": "DE", "text": "Berlin is in Germany."},
    {"title": "FR", "text": "Paris is the capital of France."},
]
MODEL = "mixedbread-ai/mxbai-rerank-large-v2"
REPLY = {
    "object": "list",
    "model": MODEL,
    "top_k": 2,
    "return_input": False,
    "data": [
        {"index": 1, "score": 0.9812, "input": None, "object": "rank_result"},
        {"index": 0, "score": 0.0411, "input": None, "object": "rank_result"},
    ],
    "usage": {"prompt_tokens": 120, "completion_tokens": 0, "total_tokens": 120},
}


def ranked(asked: Any) -> Any:
    """Rank as sent."""
    return {"data": [{"index": at, "score": 1 - at / 10_000} for at in range(len(asked["input"]))]}


CASE = Case(
    plugin=rerank_mixedbread,
    model=MODEL,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2, "rewrite_query": True},
        url="https://api.mixedbread.com/v1/reranking",
        json={
            "model": MODEL,
            "query": QUERY,
            "input": DOCUMENTS,
            "top_k": 2,
            "rewrite_query": True,
        },
        reply=REPLY,
        ranking=[(1, 0.9812), (0, 0.0411)],
        meta=Meta(
            billed_units=BilledUnits(total_tokens=120),
            tokens=Tokens(input_tokens=120, output_tokens=0),
        ),
    ),
    encode=lambda ranking, documents, top_n: {
        "data": [
            {"index": at, "score": score, "input": documents[0], "object": "rank_result"}
            for at, score in ranking
        ],
        "top_k": top_n,
    },
    encode_error=lambda message: {"detail": message},
    params={"rewrite_query": True},
)
ask = asking(f"mixedbread/{MODEL}", api_key="mxb_0123", query=QUERY, documents=DOCUMENTS)
bare_environment = without_variables(of="mixedbread")
THREE = [*DOCUMENTS, "Madrid is in Spain."]
CALLS: dict[str, dict[str, Any]] = {
    "mixedbread-mixedbread-dicts": {
        "documents": MAPPINGS,
        "rank_fields": ["title", "text"],
        "top_n": 1,
        "return_documents": True,
    },
    "mixedbread-mixedbread-minimal": {"documents": THREE},
    "mixedbread-mixedbread-strings": {
        "documents": THREE,
        "top_n": 2,
        "return_documents": True,
        "rewrite_query": False,
    },
}
DIFFERENCES: tuple[Difference, ...] = (
    (
        "json.return_input",
        NOTHING,
        "core attaches the caller's own documents: asking for them back pays for them twice",
        ("mixedbread-mixedbread-dicts", "mixedbread-mixedbread-strings"),
    ),
    (
        "json.model",
        MODEL,
        "the SDK may leave the model to the service; here it is always named",
        ("mixedbread-mixedbread-minimal",),
    ),
)
WORDS = ("its words",)
ERRORS = [
    Failure(401, {"detail": "its words"}, WORDS),
    Failure(
        422,
        {"detail": [{"loc": ["body", "query"], "msg": "Field required", "type": "missing"}]},
        "body.query: Field required",
    ),
    Failure(429, {"message": "its words"}, WORDS),
    Failure(503, {"detail": "its words"}, WORDS),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


test_what_others_send_is_sent = captures("mixedbread", CALLS, DIFFERENCES, by(ask, ranked))


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("mxbai-rerank-large-v2", MODEL),
        (MODEL, MODEL),
        ("somebody/else", "somebody/else"),
    ],
)
def test_the_owner_of_a_model_may_be_left_out(model: str, sent: str) -> None:
    """The API wants it, and the price is found either way."""
    service = Service(ranked)

    ask(service, model=f"mixedbread/{model}")

    assert service.body["model"] == sent
    assert (facts(f"mixedbread/{model}").price is not None) is (sent == MODEL)


def test_mappings_travel_with_their_fields_or_as_text() -> None:
    """How the API reads a mapping without `rank_fields` is not documented."""
    service = Service(ranked)

    ask(service, MAPPINGS, rank_fields=["title"])
    native = service.body
    ask(service, MAPPINGS)
    rendered = service.body
    ask(service, [MAPPINGS[0], "Plain."], rank_fields=["title"])

    assert (native["input"], native["rank_fields"]) == (MAPPINGS, ["title"])
    assert rendered["input"][0] == "title: DE\ntext: Berlin is in Germany."
    assert "rank_fields" not in rendered
    assert service.body["input"] == ["title: DE", "Plain."]
    assert "rank_fields" not in service.body


def test_a_name_with_a_dot_is_no_path() -> None:
    """The API would take it for one: the field is sent as text."""
    service = Service(ranked)

    ask(service, [{"meta.title": "DE"}, {"meta.title": "FR"}], rank_fields=["meta.title"])

    assert service.body["input"] == ["meta.title: DE", "meta.title: FR"]
    assert "rank_fields" not in service.body


test_an_error_says_what_to_do = failing(ask, f"mixedbread/{MODEL}", ERRORS)
