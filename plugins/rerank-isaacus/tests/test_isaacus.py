"""Isaacus's reranking API as its reference and its SDK have it."""

from __future__ import annotations

from typing import Any

import rerank_isaacus
from failures import Failure, failing
from rerank_core import BilledUnits, Meta, Tokens
from rerank_core.testing import Case, Check, Example, conformance
from service import asking, by, captures, without_variables

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
bare_environment = without_variables(of="isaacus")
CALLS = {"isaacus-isaacus-full": {"top_n": 2, **OWN}, "isaacus-isaacus-minimal": {}}
WORDS = ("its words",)
ERRORS = [
    Failure(401, {"detail": "its words"}, WORDS),
    Failure(409, {"message": "its words"}, WORDS, retried=True),
    Failure(422, {"error": {"message": "its words"}}, WORDS),
    Failure(429, {"detail": "its words"}, WORDS),
    Failure(500, "its words", WORDS),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


test_what_others_send_is_sent = captures("isaacus", CALLS, (), by(ask, ranked))


test_an_error_says_what_to_do = failing(ask, f"isaacus/{MODEL}", ERRORS)
