"""The caller's response, out of what was read from one or more replies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from operator import attrgetter, gt
from sys import float_info
from typing import Any, NoReturn
from uuid import uuid4

from attrs import astuple, define

from rerank_core._conclude.reading import Page
from rerank_core._prepare.call import Call
from rerank_core._prepare.requests import Part, Prepared
from rerank_core._resolve.secrets import Hide
from rerank_core._resolve.target import Target
from rerank_core.errors import ResponseParseError
from rerank_core.facts import Price
from rerank_core.records._text import shorten
from rerank_core.records.response import RerankResponse
from rerank_core.records.results import BilledUnits, Document, Fresh, Meta, RerankResult, Tokens
from rerank_core.wire import render_document

_MAX_WARNINGS = 20  # of a service's
_WARNING_CHARS = 500
_MAX_SHOWN = 40  # characters of a wrong value


@define(eq=False, repr=False)
class Answer:
    """What came of one part of a call: its pages, and their results in the caller's list."""

    pages: Sequence[Page]
    results: list[RerankResult]


def conclude(part: Part, pages: Sequence[Page]) -> Answer:
    """Put the pages of one exchange together, and check what core promises of every ranking."""
    results = [result for page in pages for result in page.results]
    if len(pages) > 1 or not isinstance(pages[0].results, Fresh):
        results = [RerankResult(r.index, r.relevance_score, extra=r.extra) for r in results]
    check_results(results, len(part.request.documents))
    if len(results) < part.expected:
        message = f"the reply ranks {len(results)} documents where {part.expected} were asked for"
        raise ResponseParseError(message)
    if type(part.indices) is not range or part.indices.start:
        for result in results:
            result.index = part.indices[result.index]
    return Answer(pages, results)


def finish(
    prepared: Prepared, answers: Sequence[Answer], hide: Hide | None, attempts: int, seconds: float
) -> RerankResponse:
    """Make the caller's response: sorted, cut, with the caller's own documents."""
    call, target = prepared.call, prepared.target
    pages = [page for answer in answers for page in answer.pages]
    responses = [page.response for page in pages if page.response is not None]
    results = [result for answer in answers for result in answer.results]
    meta = _add_up([response.meta for response in responses])
    cost = _total(response.cost for response in responses) if responses else None
    payloads = [page.payload for page in pages]
    said = dict.fromkeys(text for response in responses for text in response.warnings)
    said |= dict.fromkeys(_other_model(target, responses))
    return RerankResponse(
        complete(results, call, prepared.held_back),
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
    units = zip(*(astuple(meta.billed_units) for meta in metas), strict=True)
    tokens = zip(*(astuple(meta.tokens) for meta in metas), strict=True)
    return Meta(
        metas[0].api_version, BilledUnits(*map(_total, units)), Tokens(*map(_total, tokens))
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


_INT, _FLOAT = {int}, {float}
_index_of, _score_of = attrgetter("index"), attrgetter("relevance_score")


def check_results(results: Sequence[RerankResult], sent: int) -> None:
    """Check every index and score, and make every score a float."""
    indices = [result.index for result in results]
    scores = [result.relevance_score for result in results]
    # All at once: this is the hot path. Only where it fails is the one to name looked for.
    if not (
        set(map(type, indices)) <= _INT
        and set(map(type, scores)) <= _FLOAT
        and len(set(indices)) == len(indices)
        and (not indices or (min(indices) >= 0 and max(indices) < sent))
        and isfinite(sum(scores))  # of finite numbers, unless it is too large: then see below
    ):
        _check_each(indices, scores, sent)
        for result in results:
            result.relevance_score = float(result.relevance_score)


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
    # What is nested may be too deep for a repr; of a text, a piece may be that of a secret.
    hidden = isinstance(value, (dict, list)) or (isinstance(value, str) and len(value) > _MAX_SHOWN)
    shown = type(value).__name__ if hidden else shorten(repr(value), _MAX_SHOWN)
    raise ResponseParseError(f"{path} {fault}: {shown}", path=path)


def complete(
    results: list[RerankResult], call: Call, held_back: Sequence[int]
) -> list[RerankResult]:
    """Sort, put those held back behind the others, cut to `top_n`, and attach the documents."""
    scores = [result.relevance_score for result in results]
    if not all(map(gt, scores, scores[1:])):  # most services sort, and then nothing is to be done
        results.sort(key=_index_of)
        results.sort(key=_score_of, reverse=True)
    missing: Any = None
    ranked = [*results, *(RerankResult(at, missing) for at in held_back)][: call.top_n]
    if not call.return_documents:
        return ranked
    if call.given is call.documents:
        chosen = [call.given[result.index] for result in ranked]
        for result, document in zip(ranked, map(Document, chosen), strict=True):
            result.document = document
    else:
        for result in ranked:
            result.document = document_at(call, result.index)
    return ranked


def document_at(call: Call, at: int) -> Document:
    """One of the caller's documents as a record, with the caller's own object."""
    given, read = call.given[at], call.documents[at]
    if isinstance(read, str):
        return Document(read, None, given)
    text = read.get("text")
    if not isinstance(text, str):
        text = render_document(read, call.rank_fields)
    return Document(text, given if isinstance(given, Mapping) else read, given)
