"""The plugin keeps what every plugin must, and does what the API's documentation says."""

from __future__ import annotations

from typing import Any

import rerank_example
from rerank_core import BilledUnits, Meta, Tokens
from rerank_core.testing import CANARY, Case, Check, Example, Ranking, conformance


def encode(ranking: Ranking, *_: object) -> Any:
    """Write a ranking as the service does."""
    results = [{"index": index, "relevance_score": score} for index, score in ranking]
    return {"id": "an-id", "results": results}


CASE = Case(
    plugin=rerank_example,
    model="rerank-1",
    encode=encode,
    example=Example(
        call={"query": "capital of France", "documents": ["Berlin", "Paris"], "top_n": 1},
        url="https://api.example.com/v1/rerank",
        headers={"Authorization": f"Bearer {CANARY}"},
        json={
            "model": "rerank-1",
            "query": "capital of France",
            "documents": ["Berlin", "Paris"],
            "top_n": 1,
        },
        reply={
            "id": "b7c1",
            "results": [{"index": 1, "relevance_score": 0.98}],
            "usage": {"prompt_tokens": 12, "total_tokens": 12},
        },
        ranking=[(1, 0.98)],
        id="b7c1",
        meta=Meta(billed_units=BilledUnits(total_tokens=12), tokens=Tokens(input_tokens=12)),
    ),
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """Every check of rerank-core's kit."""
    check()
