"""Rankings as they come from plugins: checked, and put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from operator import gt
from sys import float_info
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import define, evolve, field

from rerank_core._messages import shorten
from rerank_core._models import (
    JSON,
    BilledUnits,
    HTTPRequest,
    Meta,
    RerankResponse,
    Tokens,
    columns_of,
)
from rerank_core._results import Results
from rerank_core.errors import ResponseParseError
from rerank_core.wire import to_document

if TYPE_CHECKING:
    from rerank_core._call import Call

_INT, _FLOAT = {int}, {float}


@define
class Page:
    """What a plugin read from one reply, with the reply.

    Attributes:
        response: The ranking, as far as the plugin took it; `None` for "not yet".
        payload: The decoded reply.
        headers: Of the reply.
        following: What to send next, where this is not the end.
        results: The ranking's results; once concluded, checked and in the caller's list.
    """

    response: RerankResponse | None
    payload: JSON
    headers: Mapping[str, str]
    following: HTTPRequest | None = None
    results: Results = field()

    @results.default
    def _read_results(self) -> Results:
        return Results([], []) if self.response is None else columns_of(self.response)


def check_results(results: Results, sent: int) -> Results:
    """Check every index and score, and make every score a float.

    Args:
        results: What a plugin read.
        sent: How many documents were sent.

    Raises:
        ResponseParseError: An index is no position in the list that was sent, or stands twice; or
            a score is no finite number.
    """
    # All at once: this is the hot path. Only where it fails is the one to name looked for.
    indices, scores = results.indices, results.scores
    if (
        set(map(type, indices)) <= _INT
        and set(map(type, scores)) <= _FLOAT
        and len(set(indices)) == len(indices)
        and (not indices or (min(indices) >= 0 and max(indices) < sent))
        and isfinite(sum(scores))  # of finite numbers, unless it is too large: then see below
    ):
        return results
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
    return Results(indices, list(map(float, scores)), extras=results.extras)


def _reject(at: int, name: str, value: object, fault: str) -> NoReturn:
    path = f"results[{at}].{name}"
    # What is nested may be so deep that it has no repr.
    shown = type(value).__name__ if isinstance(value, (dict, list)) else shorten(repr(value), 40)
    message = f"{path} {fault}: {shown}"
    raise ResponseParseError(message, path=path)


def sort_results(results: Results) -> Results:
    """Sort by descending score; equal scores keep the caller's order."""
    scores = results.scores
    if all(map(gt, scores, scores[1:])):  # most services sort, and then nothing is to be done
        return results
    indices, extras = results.indices, results.extras
    order = sorted(range(len(indices)), key=indices.__getitem__)
    order.sort(key=scores.__getitem__, reverse=True)
    return Results(
        [indices[at] for at in order],
        [scores[at] for at in order],
        extras=extras and [extras[at] for at in order],
    )


def complete(results: Results, call: Call, held_back: Sequence[int]) -> Results:
    """Put those held back behind the others, cut to `top_n`, and add the caller's own documents."""
    documents, fields, most = call.documents, call.rank_fields, call.top_n
    indices, scores, extras = results.indices, results.scores, results.extras
    if held_back:
        nothing = [None] * len(held_back)
        indices, scores = [*indices, *held_back], [*scores, *nothing]
        extras = extras and [*extras, *nothing]
    if most is not None and len(indices) > most:
        indices, scores, extras = indices[:most], scores[:most], extras and extras[:most]
    found: list[Any] | None = None
    if call.has_mappings and call.return_documents:
        found = [to_document(documents[at], fields) for at in indices]
    elif call.return_documents:
        found = [documents[at] for at in indices]
    return Results(indices, scores, found, extras)


def merge(pages: Sequence[Page]) -> Page:
    """One page from several: results together, usage added up."""
    if len(pages) == 1:
        return pages[0]
    responses = [page.response for page in pages if page.response is not None]
    units = [response.meta.billed_units for response in responses]
    tokens = [response.meta.tokens for response in responses]
    merged = evolve(
        responses[0],
        meta=Meta(
            api_version=responses[0].meta.api_version,
            billed_units=BilledUnits(
                search_units=_total(unit.search_units for unit in units),
                total_tokens=_total(unit.total_tokens for unit in units),
            ),
            tokens=Tokens(
                input_tokens=_total(token.input_tokens for token in tokens),
                output_tokens=_total(token.output_tokens for token in tokens),
            ),
        ),
        cost=_total(response.cost for response in responses),
        warnings=tuple(dict.fromkeys(w for response in responses for w in response.warnings)),
    )
    return Page(
        merged,
        [page.payload for page in pages],
        pages[-1].headers,
        results=_concatenate([page.results for page in pages]),
    )


def _total(counts: Any) -> Any:
    """The sum of what was reported; one missing count makes the sum unknown."""
    listed = list(counts)
    return None if None in listed else sum(listed)


def _concatenate(parts: Sequence[Results]) -> Results:
    extras = None
    if any(part.extras for part in parts):
        extras = [extra for part in parts for extra in part.extras or [None] * len(part)]
    return Results(
        [index for part in parts for index in part.indices],
        [score for part in parts for score in part.scores],
        extras=extras,
    )
