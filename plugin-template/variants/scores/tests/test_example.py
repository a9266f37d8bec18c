"""The plugin keeps what every plugin must, and does what the API's documentation says."""

from __future__ import annotations

from typing import Any

import rerank_example
from rerank_core.testing import CANARY, Case, Check, Example, Ranking, conformance


def encode(ranking: Ranking, *_: object) -> Any:
    """Write a ranking as the service does."""
    return {"scores": [score for _, score in ranking]}


CASE = Case(
    plugin=rerank_example,
    model="rerank-1",
    encode=encode,
    positional=True,
    example=Example(
        call={
            "query": "capital of France",
            "documents": ["Berlin", "Paris"],
            "max_tokens_per_doc": 256,
        },
        url="https://api.example.com/v1/score",
        headers={"Authorization": f"Bearer {CANARY}"},
        json={
            "model": "rerank-1",
            "query": "capital of France",
            "documents": ["Berlin", "Paris"],
            "max_length": 256,
        },
        reply={"scores": [0.02, 0.98]},
        ranking=[(1, 0.98), (0, 0.02)],
    ),
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """Every check of rerank-core's kit."""
    check()
