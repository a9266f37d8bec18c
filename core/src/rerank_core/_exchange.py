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
from rerank_core._prices import cost_of
from rerank_core._ranking import Page, check_results, complete, merge, sort_results
from rerank_core._results import Results
from rerank_core._status import error_in_success
from rerank_core._target import unknown_param
from rerank_core.errors import (
    ResponseParseError,
    UnsupportedParamError,
)
from rerank_core.wire import decode_json

if TYPE_CHECKING:
    from rerank_core._call import Call
    from rerank_core._target import Target

# Core honours these itself where the provider does not.
_HONOURED_BY_CORE = frozenset({"top_n", "rank_fields"})


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


def prepare(call: Call, target: Target, *, drop_params: bool = False) -> Prepared:
    """Refuse what cannot be honoured, and build the requests.

    Args:
        call: What the caller asks.
        target: Where it goes.
        drop_params: Leave parameters out with a warning that the target cannot honour.

    Raises:
        ConfigurationError: And its kinds, before anything is sent.
        PluginError: A hook broke its contract.
    """
    drop = drop_params or target.options.drop_params
    warnings = list(target.warnings)
    params = _choose_params(call, target, warnings, drop=drop)
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
    if fitted.held_back:
        blank = f"{len(fitted.held_back)} of {len(call.documents)} documents are blank"
        warnings.append(f"{blank}: not sent, they come last without a score")
    return Prepared(call, target, parts, fitted.held_back, tuple(dict.fromkeys(warnings)))


def left_out(call: Call, target: Target) -> tuple[str, ...]:
    """The warnings about parameters and options that a target that was asked does not take."""
    warnings = list(target.warnings)
    _choose_params(call, target, warnings, drop=True)
    return tuple(dict.fromkeys(warnings))


def _choose_params(
    call: Call, target: Target, warnings: list[str], *, drop: bool
) -> dict[str, Any]:
    """The parameters that the provider takes; what nobody can honour is refused or left out."""
    facts = target.provider
    params = {}
    for name, value in {**target.params, **call.params}.items():
        if name in facts.params or name in facts.extra_params:
            params[name] = value
        elif name not in _HONOURED_BY_CORE:
            message = unknown_param(facts, name)
            _refuse_or_warn(UnsupportedParamError(message, param=name), warnings, drop)
    return params


def _refuse_or_warn(error: UnsupportedParamError, warnings: list[str], drop: bool) -> None:  # noqa: FBT001 - a policy handed on
    if not drop:
        raise error
    warnings.append(f"{error.message}: left out")


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
            _refuse_or_warn(error, warnings, drop)
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
    cost = response.cost
    return RerankResponse(
        complete(sort_results(page.results), call, prepared.held_back),
        id=response.id or str(uuid4()),
        model=target.model,
        provider=target.provider.name,
        meta=response.meta,
        warnings=prepared.warnings + _shown(response.warnings, target),
        cost=cost_of(response.meta, target.provider.price) if cost is None else cost,
        reranked=response.reranked,
        payload=page.payload,
        headers=page.headers,
    )


def _shown(warnings: Sequence[str], target: Target) -> tuple[str, ...]:
    """The service's warnings, short and without secrets."""
    return tuple([shorten(target.redact(warning)) for warning in warnings]) if warnings else ()
