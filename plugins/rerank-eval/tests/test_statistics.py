"""What is called a difference, and what is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rerank_eval._statistics import (
    DRAWS,
    bootstrap_interval,
    compare_pairs,
    holm,
    judge,
    permutation_p,
)


def test_a_copy_is_no_difference() -> None:
    """With p of 1 and an interval of nothing, and no warning on the way."""
    values = [0.1, 0.5, 0.5, 1.0] * 20
    paired = compare_pairs(values, values, seed=0)

    assert (paired.p, paired.low, paired.high) == (1.0, 0.0, 0.0)
    assert (paired.wins, paired.ties, paired.losses) == (0, 80, 0)
    assert judge(paired, 1.0, comparisons=1, alpha=0.05, pool=0.0) == "no difference"


def test_few_queries_are_tried_exactly() -> None:
    """Every sign counts once: the same as going through them all."""
    gaps = [0.3, -0.1, 0.2, 0.05, 0.4, -0.02]
    sums = [
        abs(sum(sign * gap for sign, gap in zip(signs, gaps, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(gaps))
    ]
    exact = sum(each >= abs(sum(gaps)) - 1e-12 for each in sums) / len(sums)

    assert permutation_p(np.array(gaps), seed=0) == exact


def test_many_queries_are_drawn_and_p_is_never_zero() -> None:
    """Even where no draw is as extreme."""
    p = permutation_p(np.full(200, 0.5), seed=0)

    assert p == 1 / (DRAWS + 1)
    chance = np.random.default_rng(5).normal(0.0, 1.0, 200)
    assert permutation_p(chance, seed=1) == pytest.approx(permutation_p(chance, seed=2), abs=0.01)


def test_false_alarms_are_as_rare_as_promised() -> None:
    """Over data sets without a difference, p below 0.05 comes about once in twenty."""
    generator = np.random.default_rng(3)
    low = [permutation_p(generator.normal(size=12), seed=0) <= 0.05 for _ in range(400)]

    assert 0.02 <= sum(low) / len(low) <= 0.09


def test_five_differing_queries_cannot_decide() -> None:
    """However large the difference: two to the fifth has no p below 0.05."""
    paired = compare_pairs([1.0] * 5 + [0.5] * 50, [0.0] * 5 + [0.5] * 50, seed=0)

    assert paired.smallest_p == paired.p == 0.0625
    verdict = judge(paired, paired.p, comparisons=1, alpha=0.05, pool=0.0)
    assert verdict == "cannot be decided with these queries (5 differ)"


def test_holm_is_by_the_book() -> None:
    """Times m, m-1 and so on, rising, never above 1; in the order given."""
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_interval_of_the_mean_is_near_the_normal_one() -> None:
    """For many values; and it is one point where all are the same."""
    values = np.random.default_rng(1).normal(0.3, 0.2, 400)
    low, high = bootstrap_interval(values.tolist(), seed=0)
    half = 1.96 * values.std() / 20

    assert low == pytest.approx(values.mean() - half, abs=0.003)
    assert high == pytest.approx(values.mean() + half, abs=0.003)
    assert bootstrap_interval([0.4, 0.4], seed=0) == (0.4, 0.4)
    assert bootstrap_interval([], seed=0) == (0.0, 0.0)


def test_a_lead_that_the_pool_could_explain_is_not_decided() -> None:
    """Where the leader's top was judged more, by more than its lead."""
    paired = compare_pairs([0.6] * 40, [0.5] * 40, seed=0)

    assert judge(paired, 0.001, comparisons=1, alpha=0.05, pool=0.05) == "better"
    assert "judgements" in judge(paired, 0.001, comparisons=1, alpha=0.05, pool=0.2)
    assert judge(paired, 0.001, comparisons=1, alpha=0.05, pool=-0.2) == "better"
    assert judge(paired, 0.5, comparisons=1, alpha=0.05, pool=0.0) == "no difference shown"
    other = compare_pairs([0.5] * 40, [0.6] * 40, seed=0)
    assert judge(other, 0.001, comparisons=1, alpha=0.05, pool=0.0) == "worse"
