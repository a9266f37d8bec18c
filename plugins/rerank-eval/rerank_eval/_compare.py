"""`compare`: models side by side on one query, for the eyes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from attrs import field, frozen

from rerank_core import RerankResponse
from rerank_eval._entrants import Entrant, to_entrants

_AGREEMENT_AT = 10


@frozen
class Agreement:
    """How alike two rankings of the same documents are.

    Attributes:
        first: One row.
        second: The other.
        tau: Kendall's tau-b over the documents that both have, from -1 to 1: 1 for the same order,
            0 for no relation; ties counted. `None` where one of them orders nothing.
        overlap: The share of the top `at` documents that both have, from 0 to 1.
        at: How many places `overlap` is about.
    """

    first: str
    second: str
    tau: float | None
    overlap: float
    at: int


@frozen
class Comparison:
    """Rankings of one list by several models.

    Attributes:
        query: What was asked.
        documents: The list.
        responses: What each model said, by its name.
        agreements: For each pair of models, the input's order among them.
    """

    query: str
    documents: Sequence[Any] = field(repr=False)
    responses: Mapping[str, RerankResponse] = field(repr=False)
    agreements: Sequence[Agreement] = ()

    def moves(self, model: str) -> dict[int, int]:
        """For each index, by how many places it rose from its place in the list (minus: fell)."""
        results = self.responses[model].results
        return {result.index: result.index - place for place, result in enumerate(results)}


INPUT = "input"


def compare(
    query: str,
    documents: Iterable[Any],
    models: Iterable[str | Entrant] | Mapping[str, Any],
    *,
    at: int = _AGREEMENT_AT,
) -> Comparison:
    """Rank one list by several models.

    Args:
        query: What is looked for.
        documents: As `rerank` takes them.
        models: As `evaluate` takes them.
        at: How many places the overlap is about, from 1.

    Raises:
        RerankError: A model cannot be used, or failed.
    """
    listed = [*documents]
    responses = {
        entrant.label: entrant.reranker.rerank(query, listed, **entrant.params)
        for entrant in to_entrants(models)
    }
    scores: dict[str, dict[int, float]] = {INPUT: {at: -float(at) for at in range(len(listed))}}
    for label, response in responses.items():
        scores[label] = {
            result.index: _score(result.relevance_score) for result in response.results
        }
    agreements = [
        Agreement(
            first,
            second,
            kendall_tau(scores[first], scores[second]),
            overlap([*scores[first]], [*scores[second]], at),
            min(at, len(listed)),
        )
        for first, second in combinations(scores, 2)
    ]
    return Comparison(query, listed, responses, agreements)


def _score(score: float | None) -> float:
    return float("-inf") if score is None else score


def kendall_tau(first: Mapping[int, float], second: Mapping[int, float]) -> float | None:
    """Kendall's tau-b of two scorings, over what both have; `None` where one is all ties."""
    common = [index for index in first if index in second]
    together = tied_first = tied_second = pairs = 0
    for one, other in combinations(common, 2):
        a = _sign(first[one], first[other])
        b = _sign(second[one], second[other])
        pairs += 1
        together += a * b
        tied_first += not a
        tied_second += not b
    whole = ((pairs - tied_first) * (pairs - tied_second)) ** 0.5
    return together / whole if whole else None


def _sign(one: float, other: float) -> int:
    return (one > other) - (one < other)


def overlap(first: Sequence[int], second: Sequence[int], at: int) -> float:
    """The share of the first `at` places that two orders have in common."""
    places = min(at, max(len(first), len(second)))
    return len({*first[:places]} & {*second[:places]}) / places if places else 0.0
