"""Rankings as they come from plugins: checked, and put together."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from sys import float_info
from typing import Any, NoReturn

from attrs import evolve

from rerank_core._messages import shorten
from rerank_core._models import BilledUnits, Meta, RerankResponse, RerankResult, Tokens
from rerank_core.errors import ResponseParseError


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
    indices = {result.index for result in results if type(result.index) is int}
    if (
        len(indices) == len(results)
        and all(0 <= index < sent for index in indices)
        and all(
            type(result.relevance_score) is float and isfinite(result.relevance_score)
            for result in results
        )
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


def merge(responses: Sequence[RerankResponse]) -> RerankResponse:
    """One response from several: results together, usage added up."""
    if len(responses) == 1:
        return responses[0]
    units = [response.meta.billed_units for response in responses]
    tokens = [response.meta.tokens for response in responses]
    return evolve(
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
        payload=[response.payload for response in responses],
        headers=responses[-1].headers,
    )


def _total(counts: Any) -> Any:
    """The sum of what was reported; one missing count makes the sum unknown."""
    listed = list(counts)
    return None if None in listed else sum(listed)
