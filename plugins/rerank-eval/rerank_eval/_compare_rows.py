"""The comparisons between rows: which, with what result, and the queries that differ most."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from attrs import asdict

from rerank_eval._entrants import CEILING
from rerank_eval._measures import Measure
from rerank_eval._statistics import Paired, compare_pairs, holm, judge

_SHOWN = 5


def compare_rows(
    rows: Sequence[dict[str, Any]],
    measure: Measure,
    baseline: str | None,
    *,
    seed: int,
    alpha: float,
) -> list[dict[str, Any]]:
    """Test rows against each other, or against one, over the queries that both answered.

    Args:
        rows: As `describe_row` has them.
        measure: The one that is tested, named beforehand.
        baseline: A row's label; `None` for every pair.
        seed: Of permutations and bootstrap.
        alpha: What adjusted p-values are held against.
    """
    runners = [row for row in rows if row["label"] != CEILING]
    labels = [row["label"] for row in runners]
    if baseline is None:
        pairs = [(second, first) for first, second in combinations(runners, 2)]
    else:
        against = runners[labels.index(baseline)]
        pairs = [(row, against) for row in runners if row is not against]
    common = [all(flags) for flags in zip(*(row["answered"] for row in runners), strict=True)]
    results = [
        compare_pairs(_values(first, measure, common), _values(second, measure, common), seed=seed)
        for first, second in pairs
    ]
    adjusted = holm([paired.p for paired in results])
    return [
        _describe(first, second, paired, p_holm, measure, len(pairs), alpha)
        for (first, second), paired, p_holm in zip(pairs, results, adjusted, strict=True)
    ]


def _values(row: dict[str, Any], measure: Measure, common: Sequence[bool]) -> list[float]:
    values = row["measures"][measure.name]["per_query"]
    return [value for value, used in zip(values, common, strict=True) if used]


def _describe(
    first: dict[str, Any],
    second: dict[str, Any],
    paired: Paired,
    p_holm: float,
    measure: Measure,
    comparisons: int,
    alpha: float,
) -> dict[str, Any]:
    cutoff = "all" if measure.cutoff is None else str(measure.cutoff)
    pool = first["judged"][cutoff] - second["judged"][cutoff]
    verdict = judge(paired, p_holm, comparisons=comparisons, alpha=alpha, pool=pool)
    return {
        "model": first["label"],
        "against": second["label"],
        **asdict(paired),
        "p_holm": p_holm,
        "pool": pool,
        "verdict": verdict,
    }


def find_extremes(
    queries: Sequence[dict[str, Any]],
    row: dict[str, Any],
    against: dict[str, Any],
    measure: Measure,
) -> dict[str, Any]:
    """The queries in which a row loses and gains most against another, with their texts."""
    mine = row["measures"][measure.name]["per_query"]
    theirs = against["measures"][measure.name]["per_query"]
    gaps = [
        (value - other, at)
        for at, (value, other) in enumerate(zip(mine, theirs, strict=True))
        if row["answered"][at] and against["answered"][at]
    ]

    def shown(chosen: Sequence[tuple[float, int]]) -> list[dict[str, Any]]:
        return [
            {**queries[at], "value": mine[at], "against": theirs[at], "difference": gap}
            for gap, at in chosen
        ]

    gaps.sort()
    return {
        "worst": shown([pair for pair in gaps[:_SHOWN] if pair[0] < 0]),
        "best": shown([pair for pair in gaps[::-1][:_SHOWN] if pair[0] > 0]),
    }
