"""Rankings as they come from plugins: checked, and put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from operator import attrgetter, gt
from sys import float_info
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import define, evolve

from rerank_core._messages import shorten
from rerank_core._models import (
    JSON,
    BilledUnits,
    Document,
    HTTPRequest,
    Meta,
    RerankResponse,
    RerankResult,
    Tokens,
)
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
    """

    response: RerankResponse | None
    payload: JSON
    headers: Mapping[str, str]
    following: HTTPRequest | None = None

    @property
    def results(self) -> list[RerankResult]:
        """The ranking's results."""
        return [] if self.response is None else self.response.results


def check_results(results: Sequence[RerankResult], sent: int) -> None:
    """Check every index and score, and make every score a float.

    Args:
        results: What a plugin read.
        sent: How many documents were sent.

    Raises:
        ResponseParseError: An index is no position in the list that was sent, or stands twice; or
            a score is no finite number.
    """
    # All at once: this is the hot path. Only where it fails is the one to name looked for.
    indices = [result.index for result in results]
    scores = [result.relevance_score for result in results]
    if (
        set(map(type, indices)) <= _INT
        and set(map(type, scores)) <= _FLOAT
        and len(set(indices)) == len(indices)
        and (not indices or (min(indices) >= 0 and max(indices) < sent))
        and all(map(isfinite, scores))  # type: ignore[arg-type]  # all are floats by now
    ):
        return
    seen: set[int] = set()
    for at, result in enumerate(results):
        index, score = result.index, result.relevance_score
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
        result.relevance_score = float(score)


def _reject(at: int, name: str, value: object, fault: str) -> NoReturn:
    path = f"results[{at}].{name}"
    message = f"{path} {fault}: {shorten(repr(value), 40)}"
    raise ResponseParseError(message, path=path)


def sort_results(results: list[RerankResult]) -> None:
    """Sort by descending score; equal scores keep the caller's order."""
    scores: list[Any] = [result.relevance_score for result in results]
    if not all(map(gt, scores, scores[1:])):  # most services sort, and then nothing is to be done
        results.sort(key=attrgetter("index"))
        results.sort(key=attrgetter("relevance_score"), reverse=True)


def attach_documents(results: Sequence[RerankResult], call: Call) -> None:
    """Give every result the caller's own document."""
    documents, rank_fields = call.documents, call.rank_fields
    for result in results:
        document = documents[result.index]
        result.document = (
            Document(document) if isinstance(document, str) else to_document(document, rank_fields)
        )


def merge(pages: Sequence[Page]) -> Page:
    """One page from several: results together, usage added up."""
    if len(pages) == 1:
        return pages[0]
    responses = [page.response for page in pages if page.response is not None]
    units = [response.meta.billed_units for response in responses]
    tokens = [response.meta.tokens for response in responses]
    merged = evolve(
        responses[0],
        results=[result for response in responses for result in response.results],
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
    return Page(merged, [page.payload for page in pages], pages[-1].headers)


def _total(counts: Any) -> Any:
    """The sum of what was reported; one missing count makes the sum unknown."""
    listed = list(counts)
    return None if None in listed else sum(listed)
