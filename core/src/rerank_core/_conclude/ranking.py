"""Rankings as they come from plugins: checked, put together, and made the caller's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from operator import gt
from sys import float_info
from typing import Any, NoReturn

from attrs import define

from rerank_core._prepare.call import Call
from rerank_core._text import shorten
from rerank_core.errors import ResponseParseError
from rerank_core.records.results import Document, RerankResult
from rerank_core.wire import render_document

_INT, _FLOAT = {int}, {float}


@define
class Ranking:
    """Checked results as columns, with positions in the caller's list."""

    indices: list[int]
    scores: list[float | None]
    extras: list[Mapping[str, Any] | None]


def check_results(results: Sequence[RerankResult], sent: int) -> Ranking:
    """Check every index and score, and make every score a float.

    Args:
        results: What a plugin read.
        sent: How many documents were sent.

    Raises:
        ResponseParseError: An index is no position in the list that was sent, or stands twice; or
            a score is no finite number.
    """
    indices = [result.index for result in results]
    scores = [result.relevance_score for result in results]
    extras = [result.extra for result in results]
    # All at once: this is the hot path. Only where it fails is the one to name looked for.
    if not (
        set(map(type, indices)) <= _INT
        and set(map(type, scores)) <= _FLOAT
        and len(set(indices)) == len(indices)
        and (not indices or (min(indices) >= 0 and max(indices) < sent))
        and isfinite(sum(scores))  # of finite numbers, unless it is too large: then see below
    ):
        _check_each(indices, scores, sent)
        scores = list(map(float, scores))
    return Ranking(indices, list(scores), extras)


def _check_each(indices: Sequence[Any], scores: Sequence[Any], sent: int) -> None:
    seen: set[int] = set()
    for at, (index, score) in enumerate(zip(indices, scores, strict=True)):
        if type(index) is not int:
            _reject(at, "index", index, "is not an integer")
        if not 0 <= index < sent:
            _reject(at, "index", index, f"is outside the {sent} documents sent")
        if index in seen:
            _reject(at, "index", index, "stands twice")
        seen.add(index)
        if isinstance(score, bool) or not isinstance(score, (int, float)):
            _reject(at, "relevance_score", score, "is not a number")
        # Compared, not converted: an integer may be too large for a float, and NaN is never less.
        if not abs(score) <= float_info.max:
            _reject(at, "relevance_score", score, "is not finite")


def _reject(at: int, name: str, value: object, fault: str) -> NoReturn:
    path = f"results[{at}].{name}"
    # What is nested may be so deep that it has no repr.
    shown = type(value).__name__ if isinstance(value, (dict, list)) else shorten(repr(value), 40)
    message = f"{path} {fault}: {shown}"
    raise ResponseParseError(message, path=path)


def join(rankings: Sequence[Ranking]) -> Ranking:
    """One ranking from those of the parts of a list."""
    if len(rankings) == 1:
        return rankings[0]
    return Ranking(
        [index for each in rankings for index in each.indices],
        [score for each in rankings for score in each.scores],
        [extra for each in rankings for extra in each.extras],
    )


def complete(ranking: Ranking, call: Call, held_back: Sequence[int]) -> list[RerankResult]:
    """Sort, put those held back behind the others, cut to `top_n`, and attach the documents."""
    order: Iterable[int] = range(len(ranking.indices))
    scores: Any = ranking.scores
    if not all(map(gt, scores, scores[1:])):  # most services sort, and then nothing is to be done
        by_place = sorted(order, key=ranking.indices.__getitem__)
        order = sorted(by_place, key=scores.__getitem__, reverse=True)
    rows: Any = [(ranking.indices[at], scores[at], ranking.extras[at]) for at in order]
    rows += [(at, None, None) for at in held_back]
    rows = rows[: call.top_n]
    if not call.return_documents:
        return [RerankResult(index, score, extra=extra) for index, score, extra in rows]  # type: ignore[call-arg]
    if not call.has_mappings and call.given is call.documents:
        given: Any = call.given
        return [
            RerankResult(index, score, Document(given[index]), extra)
            for index, score, extra in rows
        ]
    return [
        RerankResult(index, score, document_at(call, index), extra) for index, score, extra in rows
    ]


def document_at(call: Call, at: int) -> Document:
    """One of the caller's documents as a record, with the caller's own object."""
    given, read = call.given[at], call.documents[at]
    if isinstance(read, str):
        return Document(read, None, given)
    text = read.get("text")
    if not isinstance(text, str):
        text = render_document(read, call.rank_fields)
    return Document(text, given if isinstance(given, Mapping) else read, given)
