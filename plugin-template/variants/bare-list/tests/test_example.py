"""The plugin keeps what every plugin must, and does what the API's documentation says."""

from __future__ import annotations

from typing import Any

import rerank_example
from rerank_core.testing import CANARY, Case, Check, Example, Ranking, conformance


def encode(ranking: Ranking, *_: object) -> Any:
    """Write a ranking as the service does."""
    return [{"index": index, "score": score} for index, score in ranking]


CASE = Case(
    plugin=rerank_example,
    model="rerank-1",
    encode=encode,
    params={"truncate": True},
    example=Example(
        call={
            "query": "capital of France",
            "documents": ["Berlin", "Paris"],
            "truncate": True,
        },
        url="https://api.example.com/rerank",
        headers={"Authorization": f"Bearer {CANARY}"},
        json={
            "query": "capital of France",
            "texts": ["Berlin", "Paris"],
            "truncate": True,
        },
        reply=[{"index": 1, "score": 0.98}, {"index": 0, "score": 0.02}],
        ranking=[(1, 0.98), (0, 0.02)],
    ),
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """Every check of rerank-core's kit."""
    check()
