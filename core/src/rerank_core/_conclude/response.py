"""The caller's response, out of what the plugin reads from one or more replies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from operator import attrgetter, countOf, gt
from sys import float_info
from typing import Any
from uuid import uuid4

from attrs import astuple, define

from rerank_core._prepare.call import Call
from rerank_core._prepare.requests import Part, Prepared
from rerank_core._resolve.secrets import Hide
from rerank_core._resolve.target import Target
from rerank_core.errors import ResponseParseError
from rerank_core.facts import Price
from rerank_core.records import JSON, HTTPRequest, HTTPResponse, NextRequest
from rerank_core.records._text import shown
from rerank_core.records.response import RerankResponse
from rerank_core.records.results import BilledUnits, Document, Fresh, Meta, RerankResult, Tokens
from rerank_core.wire import decode_json, render_document

_MAX_WARNINGS = 20  # of a service's
_WARNING_CHARS = 500


@define(eq=False, repr=False)
class Page:
    """What a plugin read from one reply, with the reply."""

    response: RerankResponse | None
    results: Sequence[RerankResult]
    following: HTTPRequest | None
    payload: JSON
    headers: Mapping[str, str]
    size: int


def read_reply(part: Part, target: Target, reply: HTTPResponse) -> Page:
    """Read the ranking from a reply with a good status."""
    payload = decode_json(reply.content)
    if isinstance(payload, dict) and (payload.get("error") or payload.get("success") is False):
        raise ResponseParseError("the reply has an error", path="error")
    return read_payload(part, target, payload, reply)


def read_payload(part: Part, target: Target, payload: Any, reply: HTTPResponse) -> Page:
    """Have the plugin read a decoded reply, and keep the reply beside what it read."""
    answer = target.hooks.parse_response(
        target.provider, part.request, payload, reply.headers, reply.status_code
    )
    response, following = (
        (answer.response, answer.request) if isinstance(answer, NextRequest) else (answer, None)
    )
    results = [] if response is None else response.results
    if not isinstance(results, Fresh):  # somebody else may hold them
        results = [RerankResult(r.index, r.relevance_score, extra=r.extra) for r in results]
    return Page(response, results, following, payload, reply.headers, len(reply.content))


def conclude(part: Part, pages: list[Page]) -> list[Page]:
    """Check what core promises of every ranking, and count in the caller's list."""
    results = [result for page in pages for result in page.results]
    check_results(results, len(part.request.documents))
    if len(results) < part.expected:
        message = f"the reply ranks {len(results)} documents where {part.expected} were asked for"
        raise ResponseParseError(message)
    if type(part.indices) is not range or part.indices.start:
        for result in results:
            result.index = part.indices[result.index]
    return pages


def finish(
    prepared: Prepared,
    answers: Sequence[Sequence[Page]],
    make_hider: Callable[[], Hide],
    attempts: int,
    seconds: float,
) -> RerankResponse:
    """Make the caller's response: sorted, cut, with the caller's own documents."""
    call, target = prepared.call, prepared.target
    pages = [page for answer in answers for page in answer]
    responses = [page.response for page in pages if page.response is not None]
    results = [result for page in pages for result in page.results]
    meta = _add_up([response.meta for response in responses])
    cost = _total(response.cost for response in responses) if responses else None
    payloads = [page.payload for page in pages]
    said = _find_warnings(target.model, responses, make_hider)
    return RerankResponse(
        complete(results, call, prepared.held_back),
        id=(responses and responses[0].id) or str(uuid4()),
        model=target.model,
        provider=target.provider.name,
        meta=meta,
        warnings=(*prepared.warnings, *said),
        cost=_cost_of(meta, target.provider.price) if cost is None else cost,
        reranked=all(response.reranked for response in responses)
        and bool(responses or not call.documents),
        payload=payloads[0] if len(payloads) == 1 else payloads or None,
        headers=pages[-1].headers if pages else {},
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


def _find_warnings(
    asked: str, responses: Sequence[RerankResponse], make_hider: Callable[[], Hide]
) -> Sequence[str]:
    """What services say beside their rankings: few, short and without secrets."""
    said = [text for response in responses for text in response.warnings]
    said += [
        f"the service answered with the model {response.model!r}, not {asked!r}"
        for response in responses
        if response.model and _bare(response.model) != _bare(asked)
    ]
    if not said:
        return ()
    hide, said = make_hider(), list(dict.fromkeys(said))
    few = [hide(text, _WARNING_CHARS) for text in said[:_MAX_WARNINGS]]
    if left := len(said) - len(few):
        few.append(f"the service has {left} more warnings: payload has them all")
    return few


def _bare(model: str) -> str:
    """A model's name without whatever a service puts around it."""
    return model.strip().lower().rstrip("/").rpartition("/")[2].partition(":")[0]


_index_of, _score_of = attrgetter("index"), attrgetter("relevance_score")


def check_results(results: Sequence[RerankResult], sent: int) -> None:
    """Check every index and score, and make every score a float."""
    indices = [result.index for result in results]
    scores = [result.relevance_score for result in results]
    # All at once: this is the hot path. Only where it fails is the one to name looked for.
    if not (
        countOf(map(type, indices), int) == len(indices)
        and countOf(map(type, scores), float) == len(scores)
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
            raise _fault(at, "index", "is not an integer", index)
        if not 0 <= index < sent:
            raise _fault(at, "index", f"is outside the {sent} documents sent", index)
        if index in seen:
            raise _fault(at, "index", "stands twice", index)
        seen.add(index)
        if isinstance(score, bool) or not isinstance(score, (int, float)):
            raise _fault(at, "relevance_score", "is not a number", score)
        # Compared, not converted: an integer may be too large for a float, and NaN is never less.
        if not abs(score) <= float_info.max:
            raise _fault(at, "relevance_score", "is not finite", score)


def _fault(at: int, name: str, fault: str, value: object) -> ResponseParseError:
    path = f"results[{at}].{name}"
    return ResponseParseError(f"{path} {fault}: {shown(value)}", path=path)


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
        for result in ranked:
            result._given = call.given[result.index]  # noqa: SLF001 - of our own class
    else:
        for result in ranked:
            result.document = _document_at(call, result.index)
    return ranked


def _document_at(call: Call, at: int) -> Document:
    """One of the caller's documents as a record, with the caller's own object."""
    given, read = call.given[at], call.documents[at]
    if isinstance(read, str):
        return Document(read, None, given)
    text = read.get("text")
    if not isinstance(text, str):
        text = render_document(read, call.rank_fields)
    return Document(text, given if isinstance(given, Mapping) else read, given)
