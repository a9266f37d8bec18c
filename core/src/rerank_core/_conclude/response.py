"""The caller's response, out of what was read from one or more replies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from attrs import define

from rerank_core._conclude.ranking import Ranking, check_results, complete, document_at, join
from rerank_core._conclude.reading import Page
from rerank_core._prepare.call import Call
from rerank_core._prepare.requests import Part, Prepared
from rerank_core._resolve.secrets import Hide
from rerank_core._resolve.target import Target
from rerank_core.errors import ResponseParseError
from rerank_core.facts import Price
from rerank_core.records.response import RerankResponse
from rerank_core.records.results import RerankResult
from rerank_core.records.usage import BilledUnits, Meta, Tokens

_MAX_WARNINGS = 20  # of a service's
_WARNING_CHARS = 500


@define
class Answer:
    """What came of one part of a call: its pages, and their ranking in the caller's list."""

    pages: Sequence[Page]
    ranking: Ranking


def is_complete(part: Part, pages: Sequence[Page]) -> bool:
    """Whether the pages have all the results that the service owes."""
    return sum(len(page.results) for page in pages) >= part.expected


def conclude(part: Part, pages: Sequence[Page]) -> Answer:
    """Put the pages of one exchange together, and check what core promises of every ranking.

    Raises:
        ResponseParseError: An index is no position in the list that was sent, or stands twice; a
            score is no finite number; or documents are missing.
    """
    results = pages[0].results if len(pages) == 1 else [r for page in pages for r in page.results]
    ranking = check_results(results, len(part.request.documents))
    if len(ranking.indices) < part.expected:
        message = (
            f"the reply ranks {len(ranking.indices)} documents where {part.expected} were asked for"
        )
        raise ResponseParseError(message)
    if type(part.indices) is not range or part.indices.start:
        ranking.indices = [part.indices[index] for index in ranking.indices]
    return Answer(pages, ranking)


def finish(
    prepared: Prepared, answers: Sequence[Answer], hide: Hide | None, attempts: int, seconds: float
) -> RerankResponse:
    """Make the caller's response: sorted, cut, with the caller's own documents.

    Args:
        prepared: The call.
        answers: One for each part.
        hide: Takes secrets out of the service's warnings; asked for only where there are some.
        attempts: Requests that were sent.
        seconds: How long it took.
    """
    call, target = prepared.call, prepared.target
    pages = [page for answer in answers for page in answer.pages]
    responses = [page.response for page in pages if page.response is not None]
    ranking = join([answer.ranking for answer in answers]) if answers else Ranking([], [], [])
    meta = _add_up([response.meta for response in responses])
    cost = _total(response.cost for response in responses) if responses else None
    payloads = [page.payload for page in pages]
    said = dict.fromkeys(text for response in responses for text in response.warnings)
    said |= dict.fromkeys(_other_model(target, responses))
    return RerankResponse(
        complete(ranking, call, prepared.held_back),
        id=(responses and responses[0].id) or str(uuid4()),
        model=target.model,
        provider=target.provider.name,
        meta=meta,
        warnings=prepared.warnings + _show_warnings([*said], hide),
        cost=_cost_of(meta, target.provider.price) if cost is None else cost,
        reranked=all(response.reranked for response in responses)
        and bool(responses or not call.documents),
        payload=payloads[0] if len(payloads) == 1 else payloads or None,
        headers=pages[-1].headers if pages else {},
        attempts=attempts,
        seconds=seconds,
    )


def needs_hiding(answers: Sequence[Answer]) -> bool:
    """Whether a service says something that is to be shown."""
    return any(
        page.response is not None and (page.response.warnings or page.response.model)
        for answer in answers
        for page in answer.pages
    )


def pass_through(
    call: Call, target: Target, warnings: Sequence[str], attempts: int, seconds: float
) -> RerankResponse:
    """The caller's own order, which claims nothing about relevance."""
    listed = range(len(call.documents))[: call.top_n]
    missing: Any = None
    results = [
        RerankResult(at, missing, document_at(call, at) if call.return_documents else missing)
        for at in listed
    ]
    return RerankResponse(
        results,
        id=str(uuid4()),
        model=target.model,
        provider=target.provider.name,
        warnings=tuple(warnings),
        reranked=False,
        attempts=attempts,
        seconds=seconds,
    )


def _add_up(metas: Sequence[Meta]) -> Meta:
    """Usage of all replies together."""
    if len(metas) < 2:  # noqa: PLR2004 - nothing to add
        return metas[0] if metas else Meta()
    units, tokens = [meta.billed_units for meta in metas], [meta.tokens for meta in metas]
    return Meta(
        metas[0].api_version,
        BilledUnits(
            _total(unit.search_units for unit in units), _total(unit.total_tokens for unit in units)
        ),
        Tokens(
            _total(token.input_tokens for token in tokens),
            _total(token.output_tokens for token in tokens),
        ),
    )


def _total(counts: Iterable[Any]) -> Any:
    """The sum of what was reported; one missing count makes the sum unknown."""
    listed = list(counts)
    return None if None in listed else sum(listed)


def _cost_of(meta: Meta, price: Price | None) -> float | None:
    """US dollars for what a reply bills, by the list price; `None` where either is unknown."""
    units = getattr(meta.billed_units, price.unit) if price else None
    return units * price.usd if price and units is not None else None


def _other_model(target: Target, responses: Sequence[RerankResponse]) -> list[str]:
    """A warning where another model answered than was asked for, as far as replies say."""
    asked = _bare(target.model)
    return [
        f"the service answered with the model {response.model!r}, not {target.model!r}"
        for response in responses
        if response.model and _bare(response.model) != asked
    ]


def _bare(model: str) -> str:
    """A model's name without whatever a service puts before it."""
    return model.strip().lower().rstrip("/").rpartition("/")[2].partition(":")[0]


def _show_warnings(warnings: Sequence[str], hide: Hide | None) -> tuple[str, ...]:
    """The service's warnings, few, short and without secrets."""
    if not warnings or hide is None:
        return ()
    shown = [hide(text, _WARNING_CHARS) for text in warnings[:_MAX_WARNINGS]]
    if left := len(warnings) - len(shown):
        shown.append(f"the service has {left} more warnings: payload has them all")
    return tuple(shown)
