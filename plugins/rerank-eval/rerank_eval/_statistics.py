"""What a difference over queries says: permutation test, bootstrap interval, Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray  # noqa: TC002 - numpy is imported anyway

DRAWS = 100_000
RESAMPLES = 10_000
_BATCH = 1_000
_EXACT = 14  # up to so many differing queries every sign is tried
_SAME = 1e-12  # values of two models that differ by less are equal


@frozen
class Paired:
    """Two models over the queries that both answered.

    Attributes:
        queries: How many there are.
        difference: The mean of the first's value less the second's.
        low: The lower end of the 95 % bootstrap interval of `difference`.
        high: Its upper end.
        p: The two-sided p-value of the paired permutation test; never 0.
        smallest_p: The least that `p` could have been with as many queries that differ.
        wins: Queries in which the first is better.
        ties: Queries without a difference.
        losses: Queries in which the first is worse.
    """

    queries: int
    difference: float
    low: float
    high: float
    p: float
    smallest_p: float
    wins: int
    ties: int
    losses: int


def compare_pairs(first: Sequence[float], second: Sequence[float], *, seed: int) -> Paired:
    """Compare two models' values, query by query.

    Args:
        first: One value for each query.
        second: The other model's, in the same order.
        seed: Of the permutations and of the bootstrap.
    """
    gaps = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    gaps[np.abs(gaps) < _SAME] = 0.0
    differing = gaps[gaps != 0]
    low, high = bootstrap_interval(gaps.tolist(), seed=seed)
    return Paired(
        queries=len(gaps),
        difference=float(gaps.mean()) if len(gaps) else 0.0,
        low=low,
        high=high,
        p=permutation_p(differing, seed=seed),
        smallest_p=max(2.0 ** (1 - len(differing)), 1 / (DRAWS + 1)) if len(differing) else 1.0,
        wins=int((gaps > 0).sum()),
        ties=int((gaps == 0).sum()),
        losses=int((gaps < 0).sum()),
    )


def permutation_p(gaps: NDArray[np.float64], *, seed: int) -> float:
    """The two-sided p-value of the mean under random signs: exact for few, else by 100,000 draws.

    Args:
        gaps: The differences that are not 0; none gives 1.
        seed: Of the draws.
    """
    if not len(gaps):
        return 1.0
    seen = abs(float(gaps.sum())) - _SAME * len(gaps)
    if len(gaps) <= _EXACT:
        numbers = np.arange(2 ** len(gaps))[:, None]
        signs = (numbers >> np.arange(len(gaps))) % 2 * 2.0 - 1
        return float((np.abs(signs @ gaps) >= seen).mean())
    generator = np.random.default_rng(seed)
    hits = 0
    for _ in range(DRAWS // _BATCH):
        signs = generator.integers(0, 2, (_BATCH, len(gaps)), dtype=np.int8) * 2.0 - 1
        hits += int((np.abs(signs @ gaps) >= seen).sum())
    return (1 + hits) / (1 + DRAWS)


def bootstrap_interval(values: Sequence[float], *, seed: int) -> tuple[float, float]:
    """The 95 % percentile interval of the mean, by 10,000 resamples of the queries.

    Without values it is 0 to 0; values that are all the same give that value twice.
    """
    array = np.asarray(values, dtype=float)
    if not len(array):
        return 0.0, 0.0
    if (array == array[0]).all():
        return float(array[0]), float(array[0])
    generator = np.random.default_rng(seed)
    means = [
        array[generator.integers(0, len(array), (_BATCH, len(array)))].mean(axis=1)
        for _ in range(RESAMPLES // _BATCH)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: each can be held against alpha."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for step, at in enumerate(order):
        highest = max(highest, min(1.0, p_values[at] * (len(p_values) - step)))
        adjusted[at] = highest
    return adjusted


def judge(paired: Paired, p_holm: float, *, comparisons: int, alpha: float, pool: float) -> str:
    """What may be said of a difference, in words.

    Args:
        paired: The comparison.
        p_holm: Its adjusted p-value.
        comparisons: How many there are: Holm may multiply the smallest p-value by as many.
        alpha: What `p_holm` is held against.
        pool: How much more of the first's top was judged than of the second's.
    """
    if not paired.wins and not paired.losses:
        return "no difference"
    if p_holm > alpha:
        if paired.smallest_p * comparisons > alpha:
            differing = paired.wins + paired.losses
            return f"cannot be decided with these queries ({differing} differ)"
        return "no difference shown"
    # Unjudged documents count as not relevant, which favours the model whose top was judged more.
    lead = pool if paired.difference > 0 else -pool
    if lead > abs(paired.difference):
        return "cannot be decided with these judgements (the unjudged could explain it)"
    return "better" if paired.difference > 0 else "worse"
