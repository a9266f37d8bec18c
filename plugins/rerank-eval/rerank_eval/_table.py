"""The figures of the report, from the rankings: plain values, ready for JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from rerank_eval._by_score import ToProbability, find_reliability, scores_by_grade
from rerank_eval._data import Collection
from rerank_eval._measures import (
    Measure,
    expected_over_ties,
    parse_measure,
    score_orders,
    ties_across,
)
from rerank_eval._rankings import Ranking, Row
from rerank_eval._responses import Answer
from rerank_eval._statistics import bootstrap_interval

_PLACES = (1, 2, 3, 5, 10, 20, 50, 100)


def describe_row(
    collection: Collection,
    row: Row,
    measures: Sequence[Measure],
    *,
    seed: int,
    to_probability: ToProbability | None = None,
) -> dict[str, Any]:
    """Everything that the report says of one row."""
    answered = [all(rankings) for rankings in row.rankings]
    described: dict[str, Any] = {
        "label": row.label,
        "kind": row.kind,
        "note": row.note,
        "measures": {
            measure.name: _describe_values(collection, row, measure, seed) for measure in measures
        },
        "judged": _judged(collection, row, measures),
        "answered": answered,
        "failed": [
            {"query_id": answer.query_id, "repeat": answer.repeat, "error": answer.error}
            for answer in row.answers
            if answer.error
        ],
        "missing": sum(ranking is None for rankings in row.rankings for ranking in rankings)
        - sum(bool(answer.error) for answer in row.answers),
        **_ties(collection, row, measures[0]),
        **_returned(row),
        "latency": _latency(row.answers),
        "cost": _cost(row.answers),
        "warnings": dict(Counter(text for answer in row.answers for text in answer.warnings)),
        "over_places": _over_places(collection, row),
        "over_depth": _over_depth(collection, row, measures[0]),
        "scores_by_grade": scores_by_grade(collection, row) if row.kind == "model" else {},
        "reliability": find_reliability(collection, row, to_probability),
    }
    return described


def _describe_values(
    collection: Collection, row: Row, measure: Measure, seed: int
) -> dict[str, Any]:
    repeats = max(len(rankings) for rankings in row.rankings)
    by_repeat = [
        _score(collection, measure, [_nth(rankings, at) for rankings in row.rankings])
        for at in range(repeats)
    ]
    values = [sum(each) / repeats for each in zip(*by_repeat, strict=True)]
    means = [sum(each) / len(each) for each in by_repeat]
    return {
        "mean": sum(values) / len(values),
        "interval": bootstrap_interval(values, seed=seed),
        "spread": [min(means), max(means)] if repeats > 1 else None,
        "per_query": values,
    }


def _nth(rankings: Sequence[Ranking | None], at: int) -> Ranking | None:
    return rankings[at] if at < len(rankings) else rankings[0]


def _score(
    collection: Collection, measure: Measure, rankings: Sequence[Ranking | None]
) -> list[float]:
    orders = [ranking.ids if ranking else [] for ranking in rankings]
    return score_orders(measure, orders, [topic.grades for topic in collection.topics])


def _firsts(row: Row) -> list[Ranking | None]:
    return [rankings[0] for rankings in row.rankings]


def _judged(collection: Collection, row: Row, measures: Sequence[Measure]) -> dict[str, float]:
    """The share of judged documents above each cut-off, over the queries that were answered."""
    shares = {}
    for cutoff in dict.fromkeys(measure.cutoff for measure in measures):
        measure = Measure("Judged", "Judged", cutoff)
        pairs = [
            (ranking.ids, topic.grades)
            for ranking, topic in zip(_firsts(row), collection.topics, strict=True)
            if ranking and ranking.ids
        ]
        values = score_orders(measure, [ids for ids, _ in pairs], [each for _, each in pairs])
        shares["all" if cutoff is None else str(cutoff)] = _mean(values)
    return shares


def _ties(collection: Collection, row: Row, measure: Measure) -> dict[str, Any]:
    """How often equal scores stand on both sides of the cut-off, and what chance would give."""
    pairs = [
        (ranking, topic)
        for ranking, topic in zip(_firsts(row), collection.topics, strict=True)
        if ranking
    ]
    expected = [
        expected_over_ties(
            measure,
            [topic.grades.get(name) for name in ranking.ids],
            ranking.scores,
            [*topic.grades.values()],
        )
        for ranking, topic in pairs
    ]
    known = [value for value in expected if value is not None]
    return {
        "tied": _mean([float(ties_across(each.scores, measure.cutoff)) for each, _ in pairs]),
        # Over all queries, a failed one as 0, as in the mean beside it.
        "expected": sum(known) / len(row.rankings) if len(known) == len(pairs) and pairs else None,
    }


def _returned(row: Row) -> dict[str, Any]:
    counts = [len(ranking.ids) for ranking in _firsts(row) if ranking]
    return {"returned": _mean(counts), "empty": sum(not count for count in counts)}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _latency(answers: Sequence[Answer]) -> dict[str, Any] | None:
    """Percentiles of the calls that were answered; the first of each run apart."""
    good = [answer for answer in answers if answer.seconds is not None and not answer.error]
    if not good:
        return None
    seconds = [answer.seconds for answer in good if answer.started and answer.seconds is not None]
    first = [answer.seconds for answer in good if not answer.started]
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99]).tolist() if seconds else (None,) * 3
    return {
        "n": len(seconds),
        "first": first[0] if first else None,
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "waited": sum(answer.waited for answer in good),
        "attempts": sum(answer.attempts or 0 for answer in good)
        if all(answer.attempts is not None for answer in good)
        else None,
    }


def _cost(answers: Sequence[Answer]) -> dict[str, Any] | None:
    """Dollars for 1,000 queries; not known where it is not known of every answer."""
    good = [answer.cost for answer in answers if not answer.error]
    if not good:
        return None
    known = [cost for cost in good if cost is not None]
    whole = len(known) == len(good)
    return {
        "known": len(known),
        "unknown": len(good) - len(known),
        "total": sum(known) if known else None,
        "per_1000": 1000 * sum(known) / len(known) if whole else None,
    }


def _over_places(collection: Collection, row: Row) -> dict[str, Any]:
    """NDCG and recall at more and more places."""
    deepest = max((len(topic.ids) for topic in collection.topics), default=0)
    places = [place for place in _PLACES if place <= max(deepest, 1)]
    curves: dict[str, Any] = {"k": places}
    for name in ("nDCG", "R"):
        curves[name] = [
            _mean(_score(collection, parse_measure(f"{name}@{place}"), _firsts(row)))
            for place in places
        ]
    return curves


def _over_depth(collection: Collection, row: Row, measure: Measure) -> dict[str, Any]:
    """The measure, had only the first candidates been reranked, the others staying below.

    Of a listwise model that is an approximation: it saw the whole list.
    """
    deepest = max((len(topic.ids) for topic in collection.topics), default=0)
    depths = [place for place in (*_PLACES, deepest) if 1 < place <= deepest]
    values = []
    for depth in dict.fromkeys(depths):
        cut = [
            _cut(topic.ids, ranking, depth) if ranking else None
            for topic, ranking in zip(collection.topics, _firsts(row), strict=True)
        ]
        values.append(_mean(_score(collection, measure, cut)))
    return {"depth": [*dict.fromkeys(depths)], "value": values}


def _cut(ids: Sequence[str], ranking: Ranking, depth: int) -> Ranking:
    head = [at for at in ranking.indices if at < depth]
    order = [*head, *range(depth, len(ids))]
    return Ranking([ids[at] for at in order], [None] * len(order), order)
