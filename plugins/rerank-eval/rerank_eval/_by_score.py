"""What a model's scores say of relevance: by grade, and as probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from rerank_eval._data import Collection
from rerank_eval._rankings import Row

ToProbability = Callable[[float], float]
"""A map from a raw score to the probability that it is said to mean."""

_BINS = 10


def _graded(collection: Collection, row: Row) -> Iterator[tuple[float, int | None]]:
    """Every score with its document's grade; `None` for one that was not judged."""
    for topic, rankings in zip(collection.topics, row.rankings, strict=True):
        ranking = rankings[0]
        pairs = zip(ranking.ids, ranking.scores, strict=True) if ranking else ()
        for name, score in pairs:
            if score is not None:
                yield score, topic.grades.get(name)


def scores_by_grade(collection: Collection, row: Row) -> Mapping[str, list[float]]:
    """Five points of the scores of each grade; `unjudged` for documents without one."""
    scores: dict[str, list[float]] = {}
    for score, grade in _graded(collection, row):
        scores.setdefault("unjudged" if grade is None else str(grade), []).append(score)
    return {
        grade: np.percentile(scores[grade], [5, 25, 50, 75, 95]).tolist()
        for grade in sorted(scores)
    }


def find_reliability(
    collection: Collection, row: Row, to_probability: ToProbability | None
) -> list[tuple[float, float, int]]:
    """How often documents of such a probability are relevant, in ten bins.

    Args:
        collection: What was asked.
        row: A row of the table.
        to_probability: `None` where its scores are not meant as probabilities.

    Returns:
        For each bin with documents in it, from the lowest: the mean probability, the share of
        relevant documents, and how many there are. Unjudged ones count as not relevant.
    """
    if to_probability is None:
        return []
    said = [
        (to_probability(score), grade is not None and grade > 0)
        for score, grade in _graded(collection, row)
    ]
    if any(not 0 <= probability <= 1 for probability, _ in said):  # as with raw_scores=True
        return []
    bins: dict[int, list[tuple[float, bool]]] = {}
    for pair in said:
        bins.setdefault(min(int(pair[0] * _BINS), _BINS - 1), []).append(pair)
    return [
        (
            sum(probability for probability, _ in pairs) / len(pairs),
            sum(hit for _, hit in pairs) / len(pairs),
            len(pairs),
        )
        for _, pairs in sorted(bins.items())
    ]
