"""The plugin keeps what every plugin must, and scores as its documentation says."""

from __future__ import annotations

from typing import Any

import rerank_example
from rerank_core.testing import Case, Check, Example, Ranking, conformance


def encode(ranking: Ranking, *_: object) -> Any:
    """Write a ranking as the function that scores does."""
    return [score for _, score in ranking]


CASE = Case(
    plugin=rerank_example,
    model="words",
    encode=encode,
    positional=True,
    example=Example(
        call={"query": "Capital France", "documents": ["berlin", "paris, a capital"]},
        reply=[0.0, 0.5],
        ranking=[(1, 0.5), (0, 0.0)],
    ),
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """Every check of rerank-core's kit."""
    check()
