"""Calibration: equal to scikit-learn, bound to its model, refused where it makes no sense."""

from __future__ import annotations

import asyncio
import json
import random
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from rerank_core import ConfigurationError
from rerank_eval import (
    Calibration,
    Collection,
    Cutoff,
    Entrant,
    Topic,
    calibrate,
    evaluate,
    keep_above,
)
from rerank_eval._calibration import fit_isotonic, fit_platt
from rerank_eval._threshold import choose_threshold


def _peers() -> tuple[Any, dict[str, Any]]:
    spec = spec_from_file_location("record_peers", Path(__file__).with_name("record_peers.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, json.loads(module.TARGET.read_text(encoding="utf-8"))["calibration"]


def test_isotonic_steps_equal_those_of_scikit_learn() -> None:
    """Between the steps and outside of them, too."""
    module, expected = _peers()
    points = fit_isotonic(*module.make_pairs(expected["seed"]))
    calibration = Calibration(model="m", method="isotonic", points=points)

    ours = [calibration.apply(point) for point in expected["points"]]
    assert ours == pytest.approx(expected["isotonic"], abs=1e-9)


def test_platt_equals_scikit_learn() -> None:
    """To nine places, with his smoothed targets."""
    module, expected = _peers()
    points = [fit_platt(*module.make_pairs(expected["seed"]))]
    calibration = Calibration(model="m", method="platt", points=points)

    ours = [calibration.apply(point) for point in expected["points"]]
    assert ours == pytest.approx(expected["platt"], abs=1e-9)


def test_platt_is_at_the_minimum() -> None:
    """The gradient of the loss is nothing: the sums of targets and of probabilities agree."""
    scores, relevant = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [False, True, False, True, True, False]
    slope, intercept = fit_platt([*scores, 9.0], [*relevant, True])
    calibration = Calibration(model="m", method="platt", points=[(slope, intercept)])
    hits, misses = 4, 3
    targets = [(hits + 1) / (hits + 2) if hit else 1 / (misses + 2) for hit in [*relevant, True]]
    gaps = [
        calibration.apply(score) - target
        for score, target in zip([*scores, 9.0], targets, strict=True)
    ]

    assert sum(gaps) == pytest.approx(0, abs=1e-9)
    assert sum(g * s for g, s in zip(gaps, [*scores, 9.0], strict=True)) == pytest.approx(
        0, abs=1e-9
    )


def test_separable_scores_stay_finite() -> None:
    """Where a plain logistic regression runs away."""
    slope, _ = fit_platt([0.0, 1.0, 2.0, 3.0], [False, False, True, True])

    assert 0 < slope < 100


@pytest.mark.parametrize(
    ("scores", "relevant", "message"),
    [
        ([1.0, 1.0], [True, False], "equal"),
        ([0.0, 1.0], [True, False], "less relevant"),
        ([0.0, 1.0], [True, True], "both needed"),
        ([float("nan"), 1.0], [True, False], "finite"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    scores: list[float], relevant: list[bool], message: str
) -> None:
    """Each with its reason."""
    with pytest.raises(ConfigurationError, match=message):
        fit_platt(scores, relevant)


def _collection(queries: int, noise: float) -> tuple[Collection, dict[str, float]]:
    """Queries of twenty documents, five relevant, and scores that tell them apart or do not."""
    chance = random.Random(4)  # noqa: S311 - no secret
    scores: dict[str, float] = {}
    topics = []
    for at in range(queries):
        ids = [f"{at}-{place}" for place in range(20)]
        grades = {name: int(place % 4 == 0) for place, name in enumerate(ids)}
        scores |= {name: 2 * grades[name] + noise * chance.gauss(0, 1) for name in ids}
        topics.append(Topic(f"q{at}", "query", ids, ids, grades))
    return Collection("made", topics, "made"), scores


def _entrant(make_fake: Any, scores: dict[str, float], **named: Any) -> Entrant:
    fake = make_fake(lambda _, documents: [scores[each] for each in documents], **named)
    return Entrant("fake/model", fake)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_good_model_is_calibrated(make_fake: Any, method: Any) -> None:
    """Better than the share of relevant documents, on queries that it was not fitted on."""
    collection, scores = _collection(260, 0.7)
    found = calibrate(collection, _entrant(make_fake, scores), method=method, target="f1")

    assert found.quality.skill > 0.4
    assert found.quality.log_loss < found.quality.base_log_loss
    assert found.quality.ece < 0.05
    assert found.calibration.base_rate == pytest.approx(0.25)
    assert found.calibration.relevant == 1300
    assert found.threshold is not None
    assert found.threshold.low <= found.threshold.min_score <= found.threshold.high
    assert found.threshold.precision > 0.8
    assert found.warnings == []


def test_scores_without_meaning_are_no_clean_separation(make_fake: Any) -> None:
    """And forcing it says so."""
    collection, scores = _collection(60, 0.0)
    chance = random.Random(1)  # noqa: S311 - no secret
    scores = dict.fromkeys(scores, 0.0) | {name: chance.random() for name in scores}
    entrant = _entrant(make_fake, scores)

    with pytest.raises(ConfigurationError, match=r"no clean separation|less relevant"):
        calibrate(collection, entrant)


def test_too_few_relevant_documents_are_refused(make_fake: Any) -> None:
    """Unless it is forced; then the warning says it."""
    collection, scores = _collection(12, 0.7)
    entrant = _entrant(make_fake, scores)

    with pytest.raises(ConfigurationError, match="some 200 relevant documents; there are 60"):
        calibrate(collection, entrant)
    assert "60" in calibrate(collection, entrant, force=True).warnings[0]


def test_listwise_scores_are_refused(make_fake: Any) -> None:
    """They are of the list, not of the document."""
    collection, scores = _collection(60, 0.7)
    facts = SimpleNamespace(listwise=True, score_kind="opaque")

    with pytest.raises(ConfigurationError, match="depend on the other documents"):
        calibrate(collection, _entrant(make_fake, scores, facts=facts))


def test_a_calibration_of_another_model_is_refused(make_fake: Any, tmp_path: Path) -> None:
    """So are other params; what was saved reads back as it was."""
    path = tmp_path / "calibration.json"
    made = Calibration(model="fake/model", params={"a": 1}, method="platt", points=[[2.0, 0.0]])
    made.save(path)
    loaded = Calibration.load(path)

    assert loaded.apply(0.0) == 0.5
    assert loaded.apply(-1e9) == 0.0
    loaded.check_model("fake/model", {"a": 1})
    with pytest.raises(ConfigurationError, match="means nothing for fake/other"):
        Cutoff(make_fake(_ten, model="other"), 0.5, calibration=loaded)
    with pytest.raises(ConfigurationError, match=r"with \{'a': 1\}"):
        loaded.check_model("fake/model", {})
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="holds no calibration"):
        Calibration.load(path)


def _ten(_: str, documents: Any) -> list[float]:
    return [float(at) for at in range(len(documents))]


def test_a_cutoff_returns_what_reaches_it(make_fake: Any) -> None:
    """In the raw order, with as many as asked in any case."""
    facts = SimpleNamespace(listwise=False, score_kind="logit")
    fake = make_fake(_ten, facts=facts)
    calibration = Calibration(model="fake/model", method="platt", points=[[1.0, -3.0]])

    def indices(cutoff: Cutoff) -> list[int]:
        return [each.index for each in cutoff.rerank("q", list("abcde")).results]

    assert indices(Cutoff(fake, 3.0)) == [4, 3]
    assert indices(Cutoff(fake, 99.0)) == []
    assert indices(Cutoff(fake, 99.0, min_results=2)) == [4, 3]
    assert indices(Cutoff(fake, 0.5, calibration=calibration)) == [4, 3]


@pytest.mark.parametrize(
    ("listwise", "kind", "message"),
    [(True, "logit", "whole list"), (False, "opaque", "no fixed meaning")],
)
def test_a_threshold_on_scores_without_meaning_is_refused(
    make_fake: Any,
    listwise: bool,  # noqa: FBT001 - a case's value
    kind: str,
    message: str,
) -> None:
    """Unless it is forced."""
    fake = make_fake(_ten, facts=SimpleNamespace(listwise=listwise, score_kind=kind))

    with pytest.raises(ConfigurationError, match=message):
        Cutoff(fake, 0.5)
    assert Cutoff(fake, 0.5, force=True).rerank("q", ["a", "b"]).results[0].index == 1


SCORED = [[(0.9, True), (0.8, False), (0.3, True)], [(0.7, True), (0.6, False), (0.1, False)]]


@pytest.mark.parametrize(
    ("target", "least"),
    [
        ("precision=0.65", 0.7),
        ("recall=1", 0.3),
        ("f1", 0.3),
        ("cost=10:1", 0.9),
        ("cost=1:10", 0.3),
    ],
)
def test_thresholds_reach_their_target(target: str, least: float) -> None:
    """The one that keeps most, or least; worked out by hand."""
    assert choose_threshold(SCORED, target).min_score == least


def test_a_threshold_says_what_comes_of_it() -> None:
    """Precision, recall, and the queries that come back empty."""
    found = choose_threshold(SCORED, "cost=10:1")

    assert (found.precision, found.recall, found.kept, found.empty) == (1.0, 1 / 3, 0.5, 1)
    with pytest.raises(ConfigurationError, match="no threshold reaches"):
        choose_threshold([[(0.9, False), (0.1, True)]], "precision=0.9")
    with pytest.raises(ConfigurationError, match="target is"):
        choose_threshold(SCORED, "best")


def test_a_cutoff_is_used_as_a_reranker(make_fake: Any) -> None:
    """Awaited, closed, and by a model's name; what was not reranked is left whole."""

    async def run() -> list[int]:
        async with Cutoff(make_fake(_ten), 2.0) as cutoff:
            return [each.index for each in (await cutoff.arerank("q", list("abcd"))).results]

    assert asyncio.run(run()) == [3, 2]
    with Cutoff("local/bm25", 0.1, force=True) as cutoff:
        assert [each.index for each in cutoff.rerank("fox", ["sky", "a fox"]).results] == [1]
    passed = make_fake(_ten, reranked=False).rerank("q", ["a", "b"])
    assert keep_above(passed, 99.0) is passed


def test_judged_only_leaves_out_what_nobody_looked_at(make_fake: Any) -> None:
    """So the share of relevant documents is another."""
    collection, scores = _collection(60, 0.7)
    topics = [
        evolve(
            topic,
            grades={
                name: grade for name, grade in topic.grades.items() if grade or name[-1] == "1"
            },
        )
        for topic in collection.topics
    ]
    unjudged = evolve(collection, topics=topics)
    entrant = _entrant(make_fake, scores)
    whole = calibrate(unjudged, entrant, target="f1").calibration
    judged = calibrate(unjudged, entrant, judged_only=True).calibration

    assert whole.base_rate == pytest.approx(0.25)
    assert judged.base_rate > 0.6


def test_two_queries_cannot_be_held_back(make_fake: Any) -> None:
    """There is nothing to measure on."""
    collection, scores = _collection(1, 0.7)

    with pytest.raises(ConfigurationError, match="too few judged queries"):
        calibrate(collection, _entrant(make_fake, scores), force=True)
    with pytest.raises(ConfigurationError, match="two numbers"):
        choose_threshold(SCORED, "cost=a:b")


def test_a_calibration_says_where_it_does_not_hold(make_fake: Any) -> None:
    """In the report: fitted on these very queries, or on other candidates; else nothing."""
    collection, scores = _collection(60, 0.7)
    calibration = calibrate(collection, _entrant(make_fake, scores)).calibration
    cutoff = Cutoff(_entrant(make_fake, scores).reranker, 0.5, calibration=calibration)
    held_back = evolve(collection, topics=collection.topics[:30])
    deeper = evolve(collection, candidates="made, deeper")

    assert "on these very queries" in evaluate(collection, {"m": cutoff}).markdown()
    assert "fitted on other candidates" in evaluate(deeper, {"m": cutoff}).markdown()
    assert "calibration was fitted" not in evaluate(held_back, {"m": cutoff}).markdown()
