"""Rerankers that stand in for models, and small collections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from attrs import Factory, define

from rerank_core import RerankError, RerankResponse, RerankResult
from rerank_eval import Collection, Topic

Scorer = Callable[[str, Sequence[Any]], Sequence[float]]


@define
class FakeReranker:
    """Scores as it is told, and counts its calls."""

    scorer: Scorer
    provider: str = "fake"
    model: str = "model"
    cost: float | None = None
    facts: Any = None
    fails: Callable[[str], RerankError | None] = lambda _: None
    answered_by: str | None = None
    reranked: bool = True
    calls: list[str] = Factory(list)

    def rerank(
        self, query: str, documents: Iterable[Any], top_n: int | None = None, **_: Any
    ) -> RerankResponse:
        """Order by the scorer, ties as they stand."""
        self.calls.append(query)
        if error := self.fails(query):
            raise error
        listed = [*documents]
        scores = self.scorer(query, listed)
        order = sorted(range(len(listed)), key=lambda at: -scores[at])[:top_n]
        return RerankResponse(
            [RerankResult(at, scores[at]) for at in order],
            provider=self.provider,
            model=self.answered_by or self.model,
            cost=self.cost,
            reranked=self.reranked,
        )

    async def arerank(
        self, query: str, documents: Iterable[Any], top_n: int | None = None, **params: Any
    ) -> RerankResponse:
        """`rerank`, awaited."""
        return self.rerank(query, documents, top_n, **params)

    def close(self) -> None:
        """There is nothing to close."""

    async def aclose(self) -> None:
        """There is nothing to close."""


@pytest.fixture
def make_fake() -> type[FakeReranker]:
    """The class: a scorer, and what else it should do."""
    return FakeReranker


@pytest.fixture
def collection() -> Collection:
    """Forty queries of eight candidates, two of them relevant, at places that vary."""
    return make_collection(40)


def make_collection(queries: int) -> Collection:
    """Queries whose documents say how relevant they are."""
    topics = []
    for at in range(queries):
        ids = [f"d{at}-{place}" for place in range(8)]
        relevant = {(at * 3) % 8: 1, (at * 5 + 4) % 8: 2}
        documents = [f"text {place} grade {relevant.get(place, 0)}" for place in range(8)]
        grades = {ids[place]: relevant.get(place, 0) for place in range(8)}
        topics.append(Topic(f"q{at}", f"query {at}", ids, documents, grades))
    return Collection("small", topics, "as they are made")


def by_grade(_: str, documents: Sequence[Any]) -> list[float]:
    """The perfect scorer: it reads the grade."""
    return [float(str(document).rpartition(" ")[2]) for document in documents]


def reversed_order(_: str, documents: Sequence[Any]) -> list[float]:
    """The last document first."""
    return [float(at) for at in range(len(documents))]


def same_order(_: str, documents: Sequence[Any]) -> list[float]:
    """The order that was given."""
    return [-float(at) for at in range(len(documents))]


@pytest.fixture
def scorers() -> dict[str, Scorer]:
    """Scorers by name."""
    return {"by_grade": by_grade, "reversed": reversed_order, "same": same_order}
