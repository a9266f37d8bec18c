"""Prepare and conclude: one request and its reply, without I/O. The promises are kept here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from attrs import define

from rerank_core._documents import fit_documents, split_documents
from rerank_core._extras import add_extras
from rerank_core._messages import shorten
from rerank_core._models import (
    Compute,
    HTTPRequest,
    HTTPResponse,
    NextRequest,
    RerankRequest,
    RerankResponse,
)
from rerank_core._params import choose_params, refuse_or_warn
from rerank_core._prices import cost_of
from rerank_core._ranking import Page, check_results, complete, merge, sort_results
from rerank_core._redaction import hider
from rerank_core._results import Results
from rerank_core._status import error_in_success
from rerank_core.errors import ResponseParseError, UnsupportedParamError
from rerank_core.wire import decode_json

if TYPE_CHECKING:
    from rerank_core._call import Call
    from rerank_core._target import Target

_MAX_WARNINGS = 20  # of a service's
_MAX_READ = 20_000  # characters of one of them


@define
class Part:
    """One request's share of a call.

    Attributes:
        request: What was asked, as hooks see it.
        indices: The position of each of its documents in the caller's list.
        expected: How many results the service owes.
        work: What to send, or to compute.
    """

    request: RerankRequest
    indices: Sequence[int]
    expected: int
    work: HTTPRequest | Compute


@define
class Prepared:
    """A call made ready for one target."""

    call: Call
    target: Target
    parts: Sequence[Part]
    held_back: Sequence[int] = ()
    warnings: tuple[str, ...] = ()


def prepare(call: Call, target: Target, *, first: Target | None = None) -> Prepared:
    """Refuse what cannot be honoured, and build the requests.

    Args:
        call: What the caller asks.
        target: Where it goes.
        first: Whom the call was meant for, where the target is a fallback: it leaves out, with a
            warning, what it cannot honour.

    Raises:
        ConfigurationError: And its kinds, before anything is sent.
        PluginError: A hook broke its contract.
    """
    drop = first is not None or target.options.drop_params
    warnings = list(target.warnings)
    params = choose_params(call, target, first, warnings, drop=drop)
    fitted = fit_documents(call, target.provider)
    if call.rank_fields and fitted.rank_fields is None and call.documents:
        warnings.append("rank_fields has no effect: no document is a mapping")
        params.pop("rank_fields", None)
    count, parts = len(fitted.sent), []
    for span in split_documents(call.query, fitted, target.provider, target.options):
        top_n = None if call.top_n is None else min(call.top_n, len(span))
        whole = len(span) == count
        request = RerankRequest(
            model=target.model,
            query=call.query,
            documents=fitted.sent if whole else fitted.sent[span.start : span.stop],
            top_n=top_n,
            rank_fields=fitted.rank_fields,
            options=target.provider_options,
        )
        own = params if "top_n" not in params else {**params, "top_n": top_n}
        work = _translate(target, request, own, warnings, drop=drop)
        indices = fitted.indices if whole else fitted.indices[span.start : span.stop]
        expected = top_n if top_n and "top_n" in params else len(span)
        parts.append(Part(request, indices, expected, work))
    return Prepared(call, target, parts, fitted.held_back, tuple(dict.fromkeys(warnings)))


def _translate(
    target: Target,
    request: RerankRequest,
    params: dict[str, Any],
    warnings: list[str],
    *,
    drop: bool,
) -> HTTPRequest | Compute:
    """Run the two hooks that build a request, again without each parameter that they refuse."""
    hooks, provider = target.hooks, target.provider
    while True:
        try:
            work = hooks.build_request(provider, request, hooks.map_params(provider, params))
        except UnsupportedParamError as error:
            if error.param not in params:
                raise
            refuse_or_warn(error, warnings, drop=drop)
            params = {name: value for name, value in params.items() if name != error.param}
        else:
            return add_extras(work, target) if isinstance(work, HTTPRequest) else work


def read_reply(part: Part, target: Target, reply: HTTPResponse) -> Page:
    """Read the ranking from a reply with a good status.

    Raises:
        APIStatusError: The reply carries an error in spite of its status.
        ResponseParseError: It is no ranking.
    """
    payload = decode_json(reply.content)
    if type(payload) is dict and payload.get("error"):
        raise error_in_success(target, reply)
    return read_payload(part, target, payload, reply)


def read_payload(part: Part, target: Target, payload: Any, reply: HTTPResponse) -> Page:
    """Have the plugin read a decoded reply, and keep the reply beside what it read."""
    answer = target.hooks.parse_response(
        target.provider, part.request, payload, reply.headers, reply.status_code
    )
    if isinstance(answer, NextRequest):
        return Page(answer.response, payload, reply.headers, answer.request)
    return Page(answer, payload, reply.headers)


def is_complete(part: Part, pages: Sequence[Page]) -> bool:
    """Whether the pages have all the results that the service owes."""
    return sum(len(page.results) for page in pages) >= part.expected


def conclude(part: Part, pages: Sequence[Page]) -> Page:
    """Put the pages of one exchange together, and check what core promises of every ranking.

    Raises:
        ResponseParseError: An index is no position in the list that was sent, or stands twice; a
            score is no finite number; or documents are missing.
    """
    page = merge(pages)
    results = check_results(page.results, len(part.request.documents))
    if len(results) < part.expected:
        message = f"the reply ranks {len(results)} documents where {part.expected} were asked for"
        raise ResponseParseError(message)
    if type(part.indices) is not range or part.indices.start:
        indices = [part.indices[index] for index in results.indices]
        results = Results(indices, results.scores, extras=results.extras)
    page.results = results
    return page


def finish(prepared: Prepared, pages: Sequence[Page]) -> RerankResponse:
    """Make the caller's response: sorted, cut, with the caller's own documents.

    Args:
        prepared: The call.
        pages: One for each part, indices already in the caller's list.
    """
    call, target = prepared.call, prepared.target
    page = (
        merge(pages) if pages else Page(RerankResponse([], reranked=not call.documents), None, {})
    )
    response = page.response or RerankResponse([])
    cost, warnings = response.cost, prepared.warnings
    if prepared.held_back:
        blank = f"{len(prepared.held_back)} of {len(call.documents)} documents are blank"
        warnings += (f"{blank}: not sent, they come last without a score",)
    return RerankResponse(
        complete(sort_results(page.results), call, prepared.held_back),
        id=response.id or str(uuid4()),
        model=target.model,
        provider=target.provider.name,
        meta=response.meta,
        warnings=warnings + _show_warnings(response.warnings, target),
        cost=cost_of(response.meta, target.provider.price) if cost is None else cost,
        reranked=response.reranked,
        payload=page.payload,
        headers=page.headers,
    )


def _show_warnings(warnings: Sequence[str], target: Target) -> tuple[str, ...]:
    """The service's warnings, few, short and without secrets."""
    if not warnings:
        return ()
    redact = hider(target.find_secrets())
    # Cut before as well: to look for secrets in megabytes takes seconds.
    shown = [shorten(redact(shorten(text, _MAX_READ))) for text in warnings[:_MAX_WARNINGS]]
    if left := len(warnings) - len(shown):
        shown.append(f"the service has {left} more warnings: payload has them all")
    return tuple(shown)
