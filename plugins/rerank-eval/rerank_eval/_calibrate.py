"""`calibrate`: fit a calibration on judged queries, say how good it is, and choose a threshold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen

from rerank_core import ConfigurationError
from rerank_eval._ask import Progress, ask, describe_entrant, open_questions
from rerank_eval._calibration import (
    LEAST_RELEVANT,
    Calibration,
    Method,
    fit_isotonic,
    fit_platt,
    name_data,
)
from rerank_eval._data import Collection, Topic
from rerank_eval._entrants import Entrant, parse_entrant, split_spec
from rerank_eval._read import read_collection
from rerank_eval._responses import Responses
from rerank_eval._threshold import Threshold, choose_threshold

_BINS = 10
_TINY = 1e-15

Pairs = Sequence[tuple[float, bool]]


@frozen
class Quality:
    """How good probabilities are on queries that they were not fitted on.

    Attributes:
        brier: The mean squared error, from 0.
        base_brier: The Brier score of giving every pair the base rate.
        log_loss: In nats, from 0.
        base_log_loss: The log loss of giving every pair the base rate, in nats.
        ece: The expected calibration error in ten bins. A constant gets the best value: never
            judge by it alone.
        bins: For each bin with pairs in it: mean probability, share of relevant, pairs.
    """

    brier: float
    base_brier: float
    log_loss: float
    base_log_loss: float
    ece: float
    bins: Sequence[tuple[float, float, int]] = field(repr=False)

    @property
    def skill(self) -> float:
        """By how much the Brier score is better than the base rate's: 1 at best, 0 for none."""
        return 1 - self.brier / self.base_brier if self.base_brier else 0.0


@frozen
class Calibrated:
    """What `calibrate` found.

    Attributes:
        calibration: Fitted on all queries.
        quality: Measured by fitting on one half of the queries and looking at the other, in turn.
        threshold: The threshold that was asked for, on the probability.
        warnings: What to know before it is used.
    """

    calibration: Calibration
    quality: Quality
    threshold: Threshold | None = None
    warnings: Sequence[str] = ()


def calibrate(  # noqa: PLR0913 - each is one of the user's decisions
    data: Collection | str | os.PathLike[str],
    model: str | Entrant,
    *,
    method: Method = "platt",
    target: str | None = None,
    judged_only: bool = False,
    force: bool = False,
    concurrency: int = 1,
    seed: int = 0,
    responses: str | os.PathLike[str] | None = None,
    progress: Progress = lambda *_: None,
) -> Calibrated:
    """Fit a calibration of one model's scores.

    Args:
        data: A collection, or a path that `read_collection` takes.
        model: A model as `evaluate` takes it.
        method: `"platt"`, a sigmoid, which keeps the order; or `"isotonic"`, steps, which need
            more data and make ties: sort by the raw score then.
        target: What a threshold is to reach: `"precision=0.8"`, `"recall=0.9"`, `"f1"`, `"f2"` and
            so on, or `"cost=1:5"`, what a document that is wrongly kept and one that is wrongly
            left out cost.
        judged_only: Leave out pairs that were not judged, where they count as not relevant
            otherwise.
        force: Calibrate although the data or the model speak against it, with warnings.
        concurrency: The most calls at once, from 1.
        seed: For the bootstrap.
        responses: A file that keeps every answer, and is read first.
        progress: Called after every answer.

    Raises:
        ConfigurationError: The scores depend on the whole list; there are too few relevant
            documents; a higher score means less relevant; or the scores tell no more than the base
            rate ("no clean separation").
    """
    collection = data if isinstance(data, Collection) else read_collection(Path(data))
    entrant = parse_entrant(model) if isinstance(model, str) else model
    listwise = describe_entrant(entrant).get("listwise")
    warnings: list[str] = []
    _object(
        listwise,
        f"the scores of {entrant.label} depend on the other documents: nothing to calibrate",
        force,
        warnings,
    )
    by_topic = _ask_all(collection, entrant, responses, concurrency, progress, judged_only)
    pairs = [pair for found in by_topic.values() for pair in found]
    relevant = sum(hit for _, hit in pairs)
    _object(
        relevant < LEAST_RELEVANT[method],
        f"{method} needs some {LEAST_RELEVANT[method]} relevant documents; there are {relevant}",
        force,
        warnings,
    )
    quality = _cross_check(by_topic, method)
    _object(
        quality.skill <= 0,
        "no clean separation: on queries it has not seen, the calibration is no better than the"
        f" share of relevant documents alone (Brier {quality.brier:.4f}, {quality.base_brier:.4f})",
        force,
        warnings,
    )
    name, params = split_spec(entrant.label)
    calibration = Calibration(
        model=name,
        params=params,
        method=method,
        data=name_data(collection),
        queries=len(by_topic),
        relevant=relevant,
        base_rate=relevant / len(pairs),
        points=_fit(pairs, method),
    )
    threshold = None
    if target is not None:
        probable = [
            [(calibration.apply(score), hit) for score, hit in found] for found in by_topic.values()
        ]
        threshold = choose_threshold(probable, target, seed=seed)
    return Calibrated(calibration, quality, threshold, warnings)


def _object(fault: Any, message: str, force: bool, warnings: list[str]) -> None:  # noqa: FBT001 - the caller's
    """Refuse, or warn where it is forced."""
    if fault and not force:
        raise ConfigurationError(f"{message}; force=True, or --force, does it all the same")
    if fault:
        warnings.append(message)


def _ask_all(
    collection: Collection,
    entrant: Entrant,
    path: str | os.PathLike[str] | None,
    concurrency: int,
    progress: Progress,
    judged_only: bool,  # noqa: FBT001 - the caller's
) -> Mapping[str, Pairs]:
    """For each query its scores, each with whether the document is relevant."""
    with Responses.open(None if path is None else Path(path), collection) as kept:
        questions = open_questions(collection, [entrant], kept)
        ask(questions, kept, concurrency=concurrency, progress=progress)
    found = {}
    for topic in collection.topics:
        answer = kept.answers.get((entrant.label, topic.query_id, 0))
        if answer is not None and not answer.error:
            pairs = zip(answer.order, answer.scores, strict=True)
            found[topic.query_id] = _pairs(topic, [*pairs], judged_only=judged_only)
    return found


def _pairs(topic: Topic, scored: Sequence[tuple[int, float | None]], *, judged_only: bool) -> Pairs:
    return [
        (score, topic.grades.get(topic.ids[index], 0) > 0)
        for index, score in scored
        if score is not None and not (judged_only and topic.ids[index] not in topic.grades)
    ]


def _fit(pairs: Pairs, method: Method) -> Sequence[Sequence[float]]:
    scores, relevant = [score for score, _ in pairs], [hit for _, hit in pairs]
    return [fit_platt(scores, relevant)] if method == "platt" else fit_isotonic(scores, relevant)


def _cross_check(by_topic: Mapping[str, Pairs], method: Method) -> Quality:
    """Fit on one half of the queries, look at the other, in turn; halves by the query's name."""
    halves: tuple[list[tuple[float, bool]], list[tuple[float, bool]]] = ([], [])
    for query_id, pairs in by_topic.items():
        halves[hashlib.blake2b(query_id.encode(), digest_size=1).digest()[0] % 2].extend(pairs)
    seen: list[tuple[float, float, bool]] = []  # probability, base rate of the other half, relevant
    for fitted, held in (halves, halves[::-1]):
        if not any(hit for _, hit in fitted) or not held:
            raise ConfigurationError("too few judged queries to hold half of them back")
        calibration = Calibration(model="", method=method, points=_fit(fitted, method))
        base = sum(hit for _, hit in fitted) / len(fitted)
        seen += [(calibration.apply(score), base, hit) for score, hit in held]
    return _measure(seen)


def _measure(seen: Sequence[tuple[float, float, bool]]) -> Quality:
    probable = np.array([each[0] for each in seen])
    base = np.array([each[1] for each in seen])
    hits = np.array([each[2] for each in seen], dtype=float)
    at = np.minimum((probable * _BINS).astype(int), _BINS - 1)
    bins = [
        (
            float(probable[at == each].mean()),
            float(hits[at == each].mean()),
            int((at == each).sum()),
        )
        for each in range(_BINS)
        if (at == each).any()
    ]
    return Quality(
        brier=float(((probable - hits) ** 2).mean()),
        base_brier=float(((base - hits) ** 2).mean()),
        log_loss=_log_loss(probable.tolist(), hits.tolist()),
        base_log_loss=_log_loss(base.tolist(), hits.tolist()),
        ece=sum(abs(mean - share) * count for mean, share, count in bins) / len(seen),
        bins=bins,
    )


def _log_loss(probable: Sequence[float], hits: Sequence[float]) -> float:
    losses = (-log(max(p if hit else 1 - p, _TINY)) for p, hit in zip(probable, hits, strict=True))
    return sum(losses) / len(probable)
