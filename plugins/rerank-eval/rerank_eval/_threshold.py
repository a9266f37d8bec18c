"""Choosing a threshold from judgements."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from attrs import frozen

from rerank_core import ConfigurationError

_RESAMPLES = 200
_TARGET = re.compile(r"(precision|recall)=(0?\.\d+|1(?:\.0*)?)|f(\d+(?:\.\d+)?)|cost=(\S+):(\S+)")

Scored = Sequence[Sequence[tuple[float, bool]]]
"""For each query, scores with whether the document is relevant."""


@frozen
class Threshold:
    """A threshold, and what comes of it on the queries that it was chosen on.

    Attributes:
        min_score: Keep documents with at least this.
        low: The lower end of the 95 % interval of `min_score`, over resampled queries.
        high: Its upper end.
        precision: The share of relevant documents among those that are kept.
        recall: The share of the relevant documents that is kept.
        kept: The mean number of documents that a query keeps.
        empty: How many queries come back empty.
        queries: How many there are.
    """

    min_score: float
    low: float
    high: float
    precision: float
    recall: float
    kept: float
    empty: int
    queries: int


def choose_threshold(scored: Scored, target: str, *, seed: int = 0) -> Threshold:
    """Choose a threshold.

    Args:
        scored: The judged scores, by query.
        target: `precision=0.8` or `recall=0.9`: the one that reaches it and keeps most, or least;
            `f1`, `f2`: the greatest F-beta; `cost=1:5`: the least cost, of a document that is
            wrongly kept and of one that is wrongly left out.
        seed: Of the resampling of queries.

    Raises:
        ConfigurationError: The target makes no sense, or cannot be reached.
    """
    choose = _chooser(target)
    found = choose(*_columns(scored))
    if found is None:
        raise ConfigurationError(f"no threshold reaches {target} on these queries")
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(_RESAMPLES):
        sample = [scored[at] for at in generator.integers(0, len(scored), len(scored))]
        again = choose(*_columns(sample))
        if again is not None:
            drawn.append(again)
    low, high = np.percentile(drawn or [found], [2.5, 97.5]).tolist()
    kept = [[hit for score, hit in pairs if score >= found] for pairs in scored]
    hits, size = sum(map(sum, kept)), sum(map(len, kept))
    relevant = sum(hit for pairs in scored for _, hit in pairs)
    return Threshold(
        min_score=found,
        low=low,
        high=high,
        precision=hits / size if size else 0.0,
        recall=hits / relevant if relevant else 0.0,
        kept=size / len(scored),
        empty=sum(not each for each in kept),
        queries=len(scored),
    )


_Column = np.ndarray[tuple[int], np.dtype[np.float64]]
_Choose = Callable[[_Column, _Column, _Column], float | None]


def _columns(scored: Scored) -> tuple[_Column, _Column, _Column]:
    """Every threshold there is, descending, with how many documents and hits it keeps."""
    pairs = [pair for found in scored for pair in found]
    scores = np.array([score for score, _ in pairs])
    hits = np.array([hit for _, hit in pairs], dtype=float)
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], hits[order].cumsum()
    last = np.append(scores[1:] != scores[:-1], True) if len(scores) else np.array([], dtype=bool)
    return scores[last], (np.arange(len(scores)) + 1.0)[last], hits[last]


def _chooser(target: str) -> _Choose:
    match = _TARGET.fullmatch(target)
    if not match:
        raise ConfigurationError(
            f"target is precision=0.8, recall=0.9, f1, f2 or cost=1:5, not {target!r}"
        )
    if match[1]:
        least, by_precision = float(match[2]), match[1] == "precision"

        def reach(scores: _Column, size: _Column, hits: _Column) -> float | None:
            value = hits / size if by_precision else hits / max(float(hits[-1]), 1.0)
            good = np.flatnonzero(value >= least)
            if not len(good):
                return None
            return float(scores[good[-1] if by_precision else good[0]])

        return reach
    if match[3]:
        weight = float(match[3]) ** 2
        return lambda scores, size, hits: float(
            scores[np.argmax((1 + weight) * hits / (size + weight * max(float(hits[-1]), 1.0)))]
        )
    try:
        wrong, missed = float(match[4]), float(match[5])
    except ValueError as error:
        raise ConfigurationError(f"write cost=1:5, two numbers, not {target!r}") from error
    return lambda scores, size, hits: float(
        scores[np.argmin(wrong * (size - hits) + missed * (hits[-1] - hits))]
    )
