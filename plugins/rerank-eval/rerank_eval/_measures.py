"""Measures over the order that was returned, by their usual names.

The few that most people ask for are computed here, and equal those of ir-measures; any other
name goes to ir-measures, where the extra is installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import log2
from typing import Any

from attrs import frozen

from rerank_core import ConfigurationError

Grades = Sequence[int | None]
"""The grades of a ranking, best place first; `None` for a document that was not judged."""

_NAME = re.compile(r"(\w+)(?:\((.*)\))?(?:@(\d+))?")
_OPTION = re.compile(r"(rel)=(\d+)|(dcg)=['\"]?(log2|exp-log2)['\"]?|(judged_only)=(True|False)")
_NAMES = {
    name.lower(): own
    for own, names in {
        "nDCG": ["nDCG"],
        "RR": ["RR", "MRR"],
        "AP": ["AP", "MAP"],
        "P": ["P", "Precision"],
        "R": ["R", "Recall"],
        "Success": ["Success"],
        "Judged": ["Judged"],
    }.items()
    for name in names
}


@frozen
class Measure:
    """A measure of one ranking, from 0 to 1.

    Attributes:
        name: As ir-measures writes it.
        kind: What it computes.
        cutoff: How many places count; `None` for all.
        rel: The least grade that counts as relevant; nDCG counts every grade above 0.
        exponential: Whether nDCG's gain is 2 to the power of the grade, less 1.
        judged_only: Whether documents without a judgement are taken out first.
        foreign: The measure of ir-measures, where it is none of ours.
    """

    name: str
    kind: str
    cutoff: int | None = None
    rel: int = 1
    exponential: bool = False
    judged_only: bool = False
    foreign: Any = None


def parse_measure(text: str) -> Measure:
    """Read a measure's name, such as `nDCG@10`, `AP(rel=2)@100` or `nDCG(dcg='exp-log2')@10`.

    Raises:
        ConfigurationError: Neither this module nor ir-measures knows it, or ir-measures is needed
            and not installed.
    """
    found = _NAME.fullmatch(text.strip())
    kind = _NAMES.get(found[1].lower()) if found else None
    if found and found[3] and not int(found[3]):
        raise ConfigurationError(f"{text}: a cut-off is from 1")
    if not found or not kind:
        return _parse_foreign(text)
    options: dict[str, Any] = {}
    for option in filter(None, re.split(r"\s*,\s*", found[2] or "")):
        match = _OPTION.fullmatch(option)
        if not match or (match[1] and kind in {"nDCG", "Judged"}) or (match[3] and kind != "nDCG"):
            return _parse_foreign(text)
        if match[1]:
            options["rel"] = int(match[2])
        elif match[3]:
            options["exponential"] = match[4] == "exp-log2"
        else:
            options["judged_only"] = match[6] == "True"
    cutoff = int(found[3]) if found[3] else None
    if kind in {"P", "Success", "Judged"} and cutoff is None:
        raise ConfigurationError(f"{text} needs a cut-off, such as {kind}@10")
    written = f"({found[2]})" if found[2] else ""
    return Measure(f"{kind}{written}{f'@{cutoff}' if cutoff else ''}", kind, cutoff, **options)


def _parse_foreign(text: str) -> Measure:
    try:
        import ir_measures  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            f"{text!r} is none of {', '.join(sorted({*_NAMES.values()}))} at a cut-off; others need"
            " an extra: pip install 'rerank-eval[measures]' (on Linux on ARM: pip install"
            " ir-measures, which then needs a compiler and the internet)"
        ) from error
    try:
        measure = ir_measures.parse_measure(text)
        name, cutoff = str(measure), measure.params.get("cutoff")
        # Some names need yet another package; some take numbers alone for a query's id.
        [*measure.iter_calc({"0": {"d": 1}}, {"0": {"d": 1.0}})]
    except Exception as error:  # of another library, for what users write
        raise ConfigurationError(f"no measure {text!r}: {error}") from error
    return Measure(name, "foreign", cutoff, foreign=measure)


def score_orders(
    measure: Measure, orders: Sequence[Sequence[str]], judged: Sequence[Mapping[str, int]]
) -> list[float]:
    """The measure of each order.

    Args:
        measure: What to compute.
        orders: Document ids in the order that was returned; an empty one scores 0.
        judged: The judgements that go with each order, by document id.
    """
    if measure.foreign is not None:
        return _score_foreign(measure.foreign, orders, judged)
    return [
        score_grades(measure, [grades.get(name) for name in order], [*grades.values()])
        for order, grades in zip(orders, judged, strict=True)
    ]


def _score_foreign(
    measure: Any, orders: Sequence[Sequence[str]], judged: Sequence[Mapping[str, int]]
) -> list[float]:
    # The score is the number of documents at or below a place: no ties, whole numbers.
    run = {
        str(at): {name: float(len(order) - place) for place, name in enumerate(order)}
        for at, order in enumerate(orders)
    }
    qrels = {str(at): dict(grades) for at, grades in enumerate(judged)}
    values = dict.fromkeys(run, 0.0)
    for metric in measure.iter_calc(qrels, run):
        values[metric.query_id] = float(metric.value)
    return [*values.values()]


def score_grades(measure: Measure, grades: Grades, all_grades: Sequence[int]) -> float:
    """The measure of one ranking.

    Args:
        measure: One of ours.
        grades: Those of the ranking.
        all_grades: Every judgement of the query, whether its document was ranked or not.
    """
    if measure.judged_only:
        # As in trec_eval, where a grade below 0 says "not judged".
        grades = [grade for grade in grades if grade is not None and grade >= 0]
    top = grades[: measure.cutoff]
    if measure.kind == "Judged":
        return sum(grade is not None for grade in top) / len(top) if top else 0.0
    if measure.kind == "nDCG":
        return _ndcg(measure, [_gain(measure, grade) for grade in top], all_grades)
    hits = [grade is not None and grade >= measure.rel for grade in top]
    relevant = sum(grade >= measure.rel for grade in all_grades)
    return _BINARY[measure.kind](hits, relevant, measure.cutoff)


def _ndcg(measure: Measure, gains: Sequence[float], all_grades: Sequence[int]) -> float:
    ideal = sorted((_gain(measure, grade) for grade in all_grades), reverse=True)
    best = _discounted(ideal[: measure.cutoff])
    return _discounted(gains) / best if best else 0.0


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / log2(place + 2) for place, gain in enumerate(gains))


def _reciprocal_rank(hits: Sequence[bool], _: int, __: int | None) -> float:
    return 1 / (hits.index(True) + 1) if True in hits else 0.0


def _average_precision(hits: Sequence[bool], relevant: int, _: int | None) -> float:
    places = [place for place, hit in enumerate(hits, 1) if hit]
    return sum(at / place for at, place in enumerate(places, 1)) / relevant if relevant else 0.0


_BINARY: Mapping[str, Callable[[Sequence[bool], int, int | None], float]] = {
    "RR": _reciprocal_rank,
    "AP": _average_precision,
    "P": lambda hits, _, cutoff: sum(hits) / (cutoff or len(hits)),
    "R": lambda hits, relevant, _: sum(hits) / relevant if relevant else 0.0,
    "Success": lambda hits, _, __: float(True in hits),
}


def expected_over_ties(
    measure: Measure,
    grades: Grades,
    scores: Sequence[float | None],
    all_grades: Sequence[int],
) -> float | None:
    """The mean of the measure over all orders of documents with equal scores.

    McSherry and Najork (ECIR 2008). Known for the measures that are sums over places: nDCG, P and
    R; `None` for others.
    """
    if measure.kind not in {"nDCG", "P", "R"} or measure.judged_only:
        return None
    gains = [_gain(measure, grade) for grade in grades]
    averaged: list[float] = []
    start = 0
    for at in range(1, len(gains) + 1):
        if at == len(gains) or scores[at] != scores[start]:
            mean = sum(gains[start:at]) / (at - start)
            averaged += [mean] * (at - start)
            start = at
    top = averaged[: measure.cutoff]
    if measure.kind == "nDCG":
        return _ndcg(measure, top, all_grades)
    whole = measure.cutoff or len(top)
    if measure.kind == "R":
        whole = sum(grade >= measure.rel for grade in all_grades)
    return sum(top) / whole if whole else 0.0


def _gain(measure: Measure, grade: int | None) -> float:
    if grade is None or grade <= 0:
        return 0.0
    if measure.kind != "nDCG":
        return float(grade >= measure.rel)
    return 2.0**grade - 1 if measure.exponential else float(grade)


def ties_across(scores: Sequence[float | None], cutoff: int | None) -> bool:
    """Whether the documents on both sides of the cut-off have equal scores."""
    return cutoff is not None and len(scores) > cutoff and scores[cutoff - 1] == scores[cutoff]
