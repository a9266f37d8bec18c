"""The rankings that are compared: of the first stage, of every model, of fusions, and the ideal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from attrs import field, frozen

from rerank_core import RerankResponse, RerankResult
from rerank_eval._data import Collection, Topic
from rerank_eval._entrants import CEILING, FIRST_STAGE, TUNED, Entrant, Fused
from rerank_eval._fusion import fuse
from rerank_eval._measures import Measure, score_orders
from rerank_eval._responses import Answer, Responses

_FOLDS = 5
_TENTHS = 10


@frozen
class Ranking:
    """One order of a query's candidates.

    Attributes:
        ids: Document ids, best first.
        scores: One for each.
        indices: Their places among the candidates.
    """

    ids: Sequence[str]
    scores: Sequence[float | None]
    indices: Sequence[int]


@frozen
class Row:
    """A row of the table.

    Attributes:
        label: Its name.
        kind: `first stage`, `model`, `fusion` or `ceiling`.
        rankings: For each query, the ranking of each repeat; `None` where it failed or is missing.
        answers: What was said to the calls behind it; none where there were no calls.
        note: What a reader must know of it.
    """

    label: str
    kind: str
    rankings: Sequence[Sequence[Ranking | None]] = field(repr=False)
    answers: Sequence[Answer] = field(default=(), repr=False)
    note: str = ""


def make_rows(
    collection: Collection,
    entrants: Sequence[Entrant],
    fused: Sequence[Fused],
    responses: Responses,
    *,
    repeats: int,
    measure: Measure,
) -> list[Row]:
    """Every row, in the table's order."""
    first = Row(FIRST_STAGE, FIRST_STAGE, [[_first(topic)] for topic in collection.topics])
    rows = [first, *(_asked(collection, entrant, responses, repeats) for entrant in entrants)]
    by_label = {row.label: row for row in rows}
    for each in fused:
        members = [by_label[member] for member in each.members]
        rows.append(_fuse_rows(collection, each, members, repeats, measure))
    rows.append(Row(CEILING, CEILING, [[_ideal(topic)] for topic in collection.topics]))
    return rows


def _rank(topic: Topic, indices: Sequence[int], scores: Sequence[float | None]) -> Ranking:
    return Ranking([topic.ids[at] for at in indices], scores, indices)


def _first(topic: Topic) -> Ranking:
    places = range(len(topic.ids))
    return _rank(topic, places, topic.scores or [-float(at) for at in places])


def _ideal(topic: Topic) -> Ranking:
    grades = [topic.grades.get(name, 0) for name in topic.ids]
    order = sorted(range(len(grades)), key=lambda at: -grades[at])
    return _rank(topic, order, [-float(at) for at in range(len(order))])


def _asked(collection: Collection, entrant: Entrant, responses: Responses, repeats: int) -> Row:
    label = entrant.label
    rankings, answers = [], []
    for topic in collection.topics:
        mine = [*responses.of(label, topic.query_id, repeats)] if topic.ids else []
        answers += [answer for answer in mine if answer]
        rankings.append([_ranking_of(topic, answer) for answer in mine] or [_first(topic)])
    calibration = getattr(entrant.reranker, "calibration", None)
    note = calibration.find_caveat(collection) if calibration else ""
    return Row(label, "model", rankings, answers, note)


def _ranking_of(topic: Topic, answer: Answer | None) -> Ranking | None:
    if answer is None or answer.error is not None:
        return None
    return _rank(topic, answer.order, answer.scores)


def _fuse_rows(
    collection: Collection, fused: Fused, members: Sequence[Row], repeats: int, measure: Measure
) -> Row:
    """A fusion of rows, from what they answered."""
    note = "made of the answers above; latency and cost are its members' together"
    weights: list[Sequence[float]]
    if fused.method != TUNED:
        weights = [fused.weights] * len(collection.topics)
    else:
        weights = _tune(collection, members, measure)
        note += f"; weights chosen on the other queries, in {_FOLDS} parts: {_shown(weights)}"
    method = "rrf" if fused.method == "rrf" else "weighted"
    rankings = [
        [
            _fuse_one(
                topic, [_nth(row.rankings[at], repeat) for row in members], method, weights[at]
            )
            for repeat in range(max(len(row.rankings[at]) for row in members))
        ]
        for at, topic in enumerate(collection.topics)
    ]
    del repeats
    return Row(fused.label, "fusion", rankings, _add_up(members), note)


def _nth(rankings: Sequence[Ranking | None], repeat: int) -> Ranking | None:
    """The ranking of a repeat; the first stage has one for all."""
    return rankings[repeat] if len(rankings) > 1 else rankings[0]


def _fuse_one(
    topic: Topic, rankings: Sequence[Ranking | None], method: str, weights: Sequence[float]
) -> Ranking | None:
    if not topic.ids:
        return _first(topic)
    votes = [ranking for ranking in rankings if ranking is not None]
    if len(votes) < len(rankings):  # fused from less it would be another system
        return None
    response = fuse([_response(vote) for vote in votes], method, weights=weights)  # type: ignore[arg-type]  # one of two
    indices = [result.index for result in response.results]
    return _rank(topic, indices, [result.relevance_score for result in response.results])


def _response(ranking: Ranking) -> RerankResponse:
    scores: Sequence[Any] = ranking.scores  # of a blank document it is `None`
    pairs = zip(ranking.indices, scores, strict=True)
    return RerankResponse([RerankResult(index, score) for index, score in pairs])


def _tune(
    collection: Collection, members: Sequence[Row], measure: Measure
) -> list[Sequence[float]]:
    """For each query the weights that were best on the queries of the other parts."""
    topics = collection.topics
    grid = [
        [step / _TENTHS for step in steps]
        for steps in product(range(_TENTHS + 1), repeat=len(members))
        if sum(steps) == _TENTHS
    ]
    values = []
    for weights in grid:
        fused = [
            _fuse_one(topic, [row.rankings[at][0] for row in members], "weighted", weights)
            for at, topic in enumerate(topics)
        ]
        orders = [ranking.ids if ranking else [] for ranking in fused]
        values.append(score_orders(measure, orders, [topic.grades for topic in topics]))
    parts = [_part(topic) for topic in topics]
    best: dict[int, Sequence[float]] = {}
    for part in {*parts}:
        others = [at for at, other in enumerate(parts) if other != part] or range(len(parts))
        totals = [sum(value[at] for at in others) for value in values]
        best[part] = grid[totals.index(max(totals))]
    return [best[part] for part in parts]


def _part(topic: Topic) -> int:
    """Which part a query belongs to: by its name, so that another data set's order is no matter."""
    return hashlib.blake2b(topic.query_id.encode(), digest_size=4).digest()[0] % _FOLDS


def _shown(weights: Sequence[Sequence[float]]) -> str:
    distinct = dict.fromkeys(" : ".join(f"{each:g}" for each in weight) for weight in weights)
    return ", ".join(distinct)


def _add_up(members: Sequence[Row]) -> list[Answer]:
    """What the members' calls took together, as if made one after the other."""
    by_question: dict[tuple[str, int], list[Answer]] = {}
    asked = [row for row in members if row.answers]
    for answer in (answer for row in asked for answer in row.answers):
        by_question.setdefault((answer.query_id, answer.repeat), []).append(answer)
    return [*_sums(by_question, len(asked))]


def _sums(by_question: Mapping[tuple[str, int], list[Answer]], members: int) -> Iterator[Answer]:
    for (query_id, repeat), answers in by_question.items():
        errors = [answer.error for answer in answers if answer.error]
        seconds = [answer.seconds for answer in answers if answer.seconds is not None]
        costs = [answer.cost for answer in answers if answer.cost is not None]
        yield Answer(
            model="",
            query_id=query_id,
            repeat=repeat,
            seconds=sum(seconds) if len(seconds) == members else None,
            waited=sum(answer.waited for answer in answers),
            cost=sum(costs) if len(costs) == members else None,
            started=min(answer.started for answer in answers),
            error=errors[0] if errors else None,
        )
