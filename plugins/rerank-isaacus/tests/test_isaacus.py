"""Isaacus's reranking API as its reference and its SDK have it."""

from __future__ import annotations

from typing import Any

import pytest

import rerank_isaacus
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    Meta,
    RateLimitError,
    ResponseParseError,
    ServerError,
    Tokens,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    CaptureCheck,
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
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France.", "Madrid is in Spain."]
MODEL = "kanon-2-reranker"
REPLY = {
    "results": [{"index": 1, "score": 0.7727372}, {"index": 0, "score": 0.0692919}],
    "usage": {"input_tokens": 170},
}
OWN: dict[str, Any] = {
    "is_iql": False,
    "scoring_method": "chunk_max",
    "chunking_options": {"size": 512, "overlap_ratio": 0.1, "overlap_tokens": None},
}


def ranked(asked: Any) -> Any:
    """Rank as sent."""
    count = asked.get("top_n", len(asked["texts"]))
    return {"results": [{"index": at, "score": 1 - at / 10_000} for at in range(count)]}


CASE = Case(
    plugin=rerank_isaacus,
    model=MODEL,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        url="https://api.isaacus.com/v1/rerankings",
        json={"model": MODEL, "query": QUERY, "texts": DOCUMENTS, "top_n": 2},
        reply=REPLY,
        ranking=[(1, 0.7727372), (0, 0.0692919)],
        meta=Meta(billed_units=BilledUnits(total_tokens=170), tokens=Tokens(input_tokens=170)),
    ),
    encode=lambda ranking, _, __: {
        "results": [{"index": at, "score": score} for at, score in ranking],
        "usage": {"input_tokens": 7},
    },
    encode_error=lambda message: {"detail": message},
    params=OWN,
)
ask = asking(f"isaacus/{MODEL}", api_key="iuak_v1_0123", query=QUERY, documents=DOCUMENTS)
BASES = ("ISAACUS_API_BASE", "ISAACUS_BASE_URL")
bare_environment = without_variables("ISAACUS_API_KEY", *BASES)
CALLS = {"isaacus-isaacus-full": {"top_n": 2, **OWN}, "isaacus-isaacus-minimal": {}}
WORDS = ("its words",)
ERRORS: list[Failure] = [
    (401, {"detail": "its words"}, AuthenticationError, WORDS, False),
    (409, {"message": "its words"}, APIStatusError, WORDS, True),
    (422, {"error": {"message": "its words"}}, BadRequestError, WORDS, False),
    (429, {"detail": "its words"}, RateLimitError, WORDS, True),
    (500, "its words", ServerError, WORDS, True),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


@captures("isaacus", CALLS, (), by(ask, ranked))
def test_the_same_call_sends_the_same(check: CaptureCheck) -> None:
    """Method, path, query, the headers that matter and every field of the body."""
    check()


@pytest.mark.parametrize(
    "base",
    ["https://gateway.test", "https://gateway.test/v1", "https://gateway.test/v1/rerankings/"],
)
def test_a_base_url_is_completed(base: str) -> None:
    """The path is in the plural."""
    service = Service(ranked)

    ask(service, api_base=base)

    assert service.url == "https://gateway.test/v1/rerankings"


def test_blank_documents_are_held_back() -> None:
    """One alone makes the service refuse the whole call."""
    service = Service(ranked)

    response = ask(service, ["", "a", " \n", "b"])

    assert service.body["texts"] == ["a", "b"]
    assert [result.index for result in response.results] == [1, 3, 0, 2]


@pytest.mark.parametrize("usage", [None, {}, 7, {"input_tokens": None}])
def test_usage_may_be_missing(usage: Any) -> None:
    """The ranking stands without it."""
    response = ask(Service({**REPLY, "usage": usage}), top_n=2)

    assert response.meta == Meta()
    assert [result.index for result in response.results] == [1, 0]


@pytest.mark.parametrize("row", [{"index": 0}, {"index": 0, "score": None}])
def test_a_row_without_a_score_is_an_error(row: dict[str, Any]) -> None:
    """And no 0."""
    with pytest.raises(ResponseParseError):
        ask(Service({"results": [row]}), ["a"])


@pytest.mark.parametrize("param", ["max_tokens_per_doc", "max_chunks_per_doc", "instruction"])
def test_what_isaacus_does_not_document_is_refused(param: str) -> None:
    """The size of a chunk is no limit to a document: nothing is cut."""
    check_refused_unless_allowed(ask, Service(ranked), "isaacus", param)


@both_ways
@pytest.mark.parametrize("failure", ERRORS, ids=lambda row: row[0])
def test_an_error_says_what_to_do(failure: Failure, send: Send) -> None:
    """Whatever shape it has, which is not documented."""
    check_failure(ask, failure, f"isaacus/{MODEL}", send)


def test_no_price_is_known() -> None:
    """The one on the price list is of another model."""
    known = facts(f"isaacus/{MODEL}")

    assert (known.price, known.score_kind, known.max_tokens) == (None, "probability", 16_384)
