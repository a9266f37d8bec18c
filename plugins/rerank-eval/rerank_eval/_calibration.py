"""Calibration: from a model's scores to the share of relevant documents with such a score."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from math import exp, isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
from attrs import asdict, field, frozen

from rerank_core import ConfigurationError
from rerank_eval._data import Collection

Method = Literal["platt", "isotonic"]
LEAST_RELEVANT = {"platt": 200, "isotonic": 1_000}
"""How many relevant documents a method needs before its curve means something."""

_STEPS = 100
_CHECKSUM = ", checksum "


@frozen(kw_only=True)
class Calibration:
    """A map from the raw scores of one model to probabilities of relevance.

    It holds for this model with these params, on such data, at such a depth; elsewhere the share
    of relevant documents is another.

    Attributes:
        model: `provider/model`, as it was evaluated.
        params: Its params.
        method: `"platt"` or `"isotonic"`.
        data: Which collection, candidates and depth it was fitted on, in words.
        queries: How many queries that were.
        relevant: How many relevant documents.
        base_rate: The share of relevant documents among all pairs.
        points: For `platt` the slope and the intercept; for `isotonic` the steps, as pairs of a
            score and a probability, by ascending score.
    """

    model: str
    params: Mapping[str, Any] = field(factory=dict)
    method: Method
    data: str = ""
    queries: int = 0
    relevant: int = 0
    base_rate: float = 0.0
    points: Sequence[Sequence[float]]

    def apply(self, score: float) -> float:
        """The probability, from 0 to 1, that goes with a raw score.

        Isotonic steps are joined by straight lines; outside of them the nearest counts.
        """
        if self.method == "platt":
            slope, intercept = self.points[0]
            return _sigmoid(slope * score + intercept)
        scores, values = zip(*self.points, strict=True)
        return float(np.interp(score, scores, values))

    def check_model(self, model: str, params: Mapping[str, Any]) -> None:
        """Refuse another model, or the same one with other params.

        Raises:
            ConfigurationError: They differ.
        """
        if model != self.model or dict(params) != dict(self.params):
            raise ConfigurationError(
                f"this calibration is for {_shown(self.model, self.params)}, and means nothing for"
                f" {_shown(model, params)}: make one with `rerank calibrate`"
            )

    def find_caveat(self, collection: Collection) -> str:
        """What is to be known where it is used on these queries; empty where nothing is."""
        here = name_data(collection)
        if self.data == here:
            return "its calibration was fitted on these very queries, which flatters it"
        if self.data and self.data.rpartition(_CHECKSUM)[0] != here.rpartition(_CHECKSUM)[0]:
            return (
                f"its calibration was fitted on other candidates ({self.data}), of which another"
                " share is relevant: probabilities and thresholds may be off"
            )
        return ""

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what `save` wrote.

        Raises:
            ConfigurationError: It is not there, or holds something else.
        """
        try:
            return cls(**json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise ConfigurationError(f"{path} holds no calibration: {error}") from error


def find_probability(reranker: Any) -> Callable[[float], float] | None:
    """What makes a probability of a reranker's score; `None` where it is not meant as one."""
    if (calibration := getattr(reranker, "calibration", None)) is not None:
        return calibration.apply  # type: ignore[no-any-return]  # of a `Calibration`
    facts = getattr(reranker, "facts", None)
    return float if facts is not None and facts.score_kind == "probability" else None


def name_data(collection: Collection) -> str:
    """What a calibration holds for, in words: collection, first stage, depth, and a checksum."""
    return f"{collection.name}: {collection.candidates}{_CHECKSUM}{collection.checksum}"


def _shown(model: str, params: Mapping[str, Any]) -> str:
    return f"{model} with {dict(params)}" if params else model


def _sigmoid(value: float) -> float:
    return 1 / (1 + exp(-value)) if value >= 0 else exp(value) / (1 + exp(value))


def fit_platt(scores: Sequence[float], relevant: Sequence[bool]) -> tuple[float, float]:
    """Slope and intercept of the sigmoid that makes the judgements likeliest.

    Platt (1999), with his smoothed targets, so that it stays finite where the scores separate the
    classes; by Newton's method, on standardised scores.

    Raises:
        ConfigurationError: There are not both kinds, all scores are equal, or a higher score means
            less relevant.
    """
    x, y = _checked(scores, relevant)
    hits = float(y.sum())
    misses = len(y) - hits
    targets = np.where(y > 0, (hits + 1) / (hits + 2), 1 / (misses + 2))
    mean, spread = x.mean(), x.std()
    if spread == 0:
        raise ConfigurationError("all scores are equal: there is nothing to calibrate")
    z = np.column_stack([(x - mean) / spread, np.ones_like(x)])
    weights = np.array([0.0, np.log((hits + 1) / (misses + 1))])
    for _ in range(_STEPS):
        values = _likely(z, weights)
        gradient = z.T @ (values - targets)
        curvature = (z * (values * (1 - values))[:, None]).T @ z + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        size, before = 1.0, _loss(z, weights, targets)
        while _loss(z, weights - size * step, targets) > before and size > 1e-10:  # noqa: PLR2004 - to nothing
            size /= 2
        weights = weights - size * step
        if np.abs(step).max() < 1e-12:  # noqa: PLR2004 - what floats can tell
            break
    slope = float(weights[0] / spread)
    if slope <= 0:
        raise ConfigurationError("a higher score means less relevant here: nothing to calibrate")
    return slope, float(weights[1] - weights[0] * mean / spread)


def _likely(z: Any, weights: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(z @ weights, -500, 500)))


def _loss(z: Any, weights: Any, targets: Any) -> float:
    logits = z @ weights
    return float((np.logaddexp(0, logits) - targets * logits).sum())


def fit_isotonic(scores: Sequence[float], relevant: Sequence[bool]) -> list[tuple[float, float]]:
    """The rising steps nearest to the judgements, by pooling adjacent violators.

    Returns:
        For each step its lowest and its highest score with the probability, as scikit-learn has
        its thresholds. Equal scores are one point.

    Raises:
        ConfigurationError: There are not both kinds.
    """
    x, y = _checked(scores, relevant)
    unique, at = np.unique(x, return_inverse=True)
    counts, sums = np.bincount(at), np.bincount(at, weights=y)
    blocks: list[list[float]] = []  # lowest score, highest score, sum, count
    for score, total, count in zip(unique, sums, counts, strict=True):
        blocks.append([float(score), float(score), float(total), float(count)])
        while len(blocks) > 1 and blocks[-2][2] * blocks[-1][3] >= blocks[-1][2] * blocks[-2][3]:
            _, high, total_above, count_above = blocks.pop()
            blocks[-1][1:] = [high, blocks[-1][2] + total_above, blocks[-1][3] + count_above]
    return [
        (score, total / count)
        for low, high, total, count in blocks
        for score in ((low,) if low == high else (low, high))
    ]


def _checked(scores: Sequence[float], relevant: Sequence[bool]) -> tuple[Any, Any]:
    x, y = np.asarray(scores, dtype=float), np.asarray(relevant, dtype=float)
    if not all(map(isfinite, scores)):
        raise ConfigurationError("a score is not a finite number")
    if not 0 < y.sum() < len(y):
        raise ConfigurationError("relevant and other documents are both needed to calibrate")
    return x, y
