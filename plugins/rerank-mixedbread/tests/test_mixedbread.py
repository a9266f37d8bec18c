"""Mixedbread's reranking API as its specification and its SDK have it."""

from __future__ import annotations

from typing import Any

import pytest

import rerank_mixedbread
from rerank_core import (
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    InvalidRequestError,
    Meta,
    Price,
    RateLimitError,
    ResponseParseError,
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
    facts,
    without_variables,
)

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
VARIABLES = ("MXBAI_API_KEY", "MIXEDBREAD_API_KEY")
BASES = ("MIXEDBREAD_API_BASE", "MIXEDBREAD_BASE_URL")
bare_environment = without_variables(*VARIABLES, *BASES)
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
ERRORS: list[Failure] = [
    (401, {"detail": "its words"}, AuthenticationError, WORDS, False),
    (
        422,
        {"detail": [{"loc": ["body", "query"], "msg": "Field required", "type": "missing"}]},
        BadRequestError,
        ("body.query: Field required",),
        False,
    ),
    (429, {"message": "its words"}, RateLimitError, WORDS, True),
    (503, {"detail": "its words"}, ServerError, WORDS, True),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


@captures("mixedbread", CALLS, DIFFERENCES, by(ask, ranked))
def test_the_same_call_sends_the_same_but_for_the_differences(check: CaptureCheck) -> None:
    """Method, path, query, the headers that matter and every field of the body."""
    check()


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "https://api.mixedbread.com/v1/reranking"),
        ("https://api.mixedbread.com/v1", "https://api.mixedbread.com/v1/reranking"),
        ("https://api.mixedbread.ai/v1/reranking/", "https://api.mixedbread.ai/v1/reranking"),
    ],
)
def test_a_base_url_is_completed(base: str | None, url: str) -> None:
    """The endpoint is called reranking, not rerank."""
    service = Service(ranked)

    ask(service, api_base=base)

    assert service.url == url


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


@both_ways
def test_the_type_of_a_row_is_not_its_document(send: Send) -> None:
    """`object` is `rank_result` in every row."""
    response = ask(Service(REPLY), send=send)

    assert [result["document"]["text"] for result in response.results] == DOCUMENTS[::-1]
    assert response.cost == pytest.approx(120 * 0.15e-6)


@pytest.mark.parametrize(
    "row", [{"index": 0}, {"index": 0, "score": None}, {"index": "0", "score": 0.5}]
)
def test_a_row_without_a_score_or_an_index_is_an_error(row: dict[str, Any]) -> None:
    """And no 0."""
    with pytest.raises(ResponseParseError):
        ask(Service({"data": [row]}), ["a"])


def test_another_model_than_was_asked_for_is_told() -> None:
    """Its scores are others."""
    response = ask(Service({**REPLY, "model": "mixedbread-ai/mxbai-rerank-base-v2"}))

    assert ["mxbai-rerank-base-v2" in warning for warning in response.warnings] == [True]
    assert not ask(Service(REPLY), model="mixedbread/mxbai-rerank-large-v2").warnings


@pytest.mark.parametrize("param", ["max_tokens_per_doc", "max_chunks_per_doc", "instruction"])
def test_what_mixedbread_does_not_document_is_refused(param: str) -> None:
    """Unless allowed, with a warning."""
    check_refused_unless_allowed(ask, Service(ranked), "mixedbread", param)


@both_ways
@pytest.mark.parametrize("failure", ERRORS, ids=lambda row: row[0])
def test_an_error_says_what_to_do(failure: Failure, send: Send) -> None:
    """Of the right kind, in the service's words, retried where that may help."""
    check_failure(ask, failure, f"mixedbread/{MODEL}", send)


def test_lists_are_split_unless_the_model_is_listwise() -> None:
    """At 1,000 documents."""
    service = Service(ranked)

    ask(service, ["x"] * 1001)
    with pytest.raises(InvalidRequestError, match="split_listwise=True"):
        ask(service, ["x"] * 1001, model="mixedbread/mxbai-rerank-v3-listwise")

    assert len(service.requests) == 2


def test_a_model_s_facts_are_known() -> None:
    """Scores of version 2 have no documented range."""
    large, small = facts(f"mixedbread/{MODEL}"), facts("mixedbread/mxbai-rerank-xsmall-v1")

    assert (large.score_kind, large.max_tokens) == ("opaque", 8_192)
    assert (small.score_kind, small.max_tokens, small.price) == ("probability", 512, None)
    assert large.price == Price(0.15e-6, "total_tokens", "2026-11-28")
