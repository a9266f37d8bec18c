"""What happens around an exchange - retry, page, split, fall back - as generators of effects.

A flow yields an effect, receives its outcome, and knows neither client, clock nor loop: the
drivers carry effects out, a blocking one, an async one, and a scripted one in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from attrs import define, evolve

from rerank_core._documents import check_encodable
from rerank_core._effects import JSON_HEADERS, Flow, Gather, Send, Sleep
from rerank_core._exchange import (
    Part,
    conclude,
    finish,
    is_complete,
    prepare,
    read_payload,
    read_reply,
)
from rerank_core._extras import follow
from rerank_core._keys import Secret
from rerank_core._messages import shorten
from rerank_core._models import (
    Compute,
    HTTPRequest,
    HTTPResponse,
    RerankResponse,
    RerankResult,
)
from rerank_core._ranking import Page
from rerank_core._retry import CLOCK, choose_wait, falls_back, is_retryable
from rerank_core._status import add_wait, describe, status_error
from rerank_core._steps import compute
from rerank_core.errors import (
    InvalidRequestError,
    RequestTimeoutError,
    RerankError,
    ResponseParseError,
)
from rerank_core.wire import encode_json, to_document

if TYPE_CHECKING:
    from rerank_core._call import Call
    from rerank_core._retry import Clock
    from rerank_core._target import Target

# More replies than this to one question is a service that will not come to an end.
MAX_REPLIES = 1000


@define
class Plan:
    """One call with everything that decides about it.

    Attributes:
        call: What the caller asks.
        targets: The provider, then its fallbacks.
        deadline: Seconds for everything, or `None`.
        on_failure: What to do when all have failed.
        clock: What time it is.
    """

    call: Call
    targets: Sequence[Target]
    deadline: float | None
    on_failure: Literal["raise", "passthrough"]
    clock: Clock = CLOCK


def run_plan(plan: Plan) -> Flow:
    """The whole call: the provider, its fallbacks, or the caller's own order."""
    now = plan.clock.monotonic()
    deadline = None if plan.deadline is None else now + plan.deadline
    failures: list[RerankError] = []
    for target in plan.targets:
        try:
            response = yield from _ask(plan, target, deadline)
        except RerankError as error:
            # What a fallback alone refuses, a document too long for it for example, is no mistake.
            refused = bool(failures) and isinstance(error, InvalidRequestError)
            if not (refused or falls_back(error, target.provider)):
                for earlier in failures:
                    error.add_note(f"Asked as a fallback, because of: {earlier}")
                raise
            failures.append(error)
        else:
            return _with_history(response, failures) if failures else response
    if plan.on_failure == "passthrough":
        return _pass_through(plan, failures)
    for later in failures[1:]:
        failures[0].add_note(f"The fallback failed as well: {later}")
    raise failures[0]


def _ask(plan: Plan, target: Target, deadline: float | None) -> Flow:
    """One provider: split where the list is too long for one request."""
    try:
        first = plan.targets[0]
        prepared = prepare(plan.call, target, first=None if target is first else first)
        flows = [_run_exchange(part, target, deadline, plan.clock) for part in prepared.parts]
        if len(flows) == 1:
            pages = [(yield from flows[0])]
        elif flows:
            pages = yield Gather(flows, target.options.max_concurrency)
        else:
            pages = []
        return finish(prepared, pages)
    except RerankError as error:
        describe(error, target)
        raise


def _run_exchange(part: Part, target: Target, deadline: float | None, clock: Clock) -> Flow:
    """One part: asked, and asked on for as long as the service says that there is more."""
    if isinstance(part.work, Compute):
        check_encodable(part.request.documents, part.indices)
        payload = yield from compute(part.work, target, deadline)
        page = read_payload(part, target, payload, HTTPResponse(200))
        if page.following is not None:
            raise target.hooks.source.error("parse_response asked to send after Compute")
        return conclude(part, [page])
    request = part.work
    pages: list[Page] = []
    asked: set[Secret] = set()
    reply: HTTPResponse | None = None
    try:
        for _ in range(MAX_REPLIES):
            effect = _attempt(target, request, part, deadline)
            if request.delay > 0:
                yield from _wait(request.delay, deadline, clock, None)
            elif asked and Secret((request.url, effect.content)) in asked:
                break
            reply = None  # an error on the way to this page has none
            reply, page = yield from _send(part, effect, clock)
            if page.response is not None:
                pages.append(page)
            # A service may point to one page more than there is.
            if page.following is None or is_complete(part, pages):
                return conclude(part, pages)
            asked.add(Secret((request.url, effect.content)))
            request = follow(page.following, target, request)
        message = "the service says without end that there is more"
        raise ResponseParseError(message)
    except RerankError as error:
        describe(error, target, reply)
        raise


def _encode(request: HTTPRequest, part: Part) -> bytes:
    """The body; what cannot be encoded is named by its place in the caller's list."""
    if request.body is None:
        return b""
    try:
        return encode_json(request.body)
    except InvalidRequestError:
        check_encodable(part.request.documents, part.indices)
        raise


def _attempt(target: Target, request: HTTPRequest, part: Part, deadline: float | None) -> Send:
    """The effect of sending a request; what is secret of it is in no frame that goes on."""
    content = _encode(request, part)
    headers: Mapping[str, str] = JSON_HEADERS
    if request.headers or request.body is None:
        headers = _headers_of(request)
    return Send(target, request, content, headers, target.options.timeout, deadline)


def _send(part: Part, effect: Send, clock: Clock) -> Flow:
    """One request: sent and its reply read, and sent again after failures that may pass."""
    target, deadline = effect.target, effect.deadline
    options, provider = target.options, target.provider
    attempt = 1
    while True:
        failure: RerankError | None
        reply: HTTPResponse | None = None
        try:
            reply = yield effect
            failure = status_error(target, reply, clock.time())
            if failure is None:
                return reply, read_reply(part, target, reply)
        except RerankError as error:  # of the way there, authentication included, or in the reply
            failure = error
        if reply is not None:
            add_wait(failure, target, reply, clock.time())
        describe(failure, target, reply)
        if attempt > options.max_retries or not is_retryable(failure, provider):
            raise failure
        wait = choose_wait(failure.retry_after, attempt, clock)
        yield from _wait(wait, deadline, clock, failure)
        attempt += 1


def _headers_of(request: HTTPRequest) -> dict[str, str]:
    headers = dict(JSON_HEADERS)
    if request.body is None:
        del headers["content-type"]
    return headers | {name.lower(): value for name, value in request.headers.items()}


def _wait(
    seconds: float, deadline: float | None, clock: Clock, failure: RerankError | None
) -> Flow:
    """Sleep, unless the deadline would pass meanwhile: then fail now, with what is known."""
    if deadline is None or clock.monotonic() + seconds < deadline:
        yield Sleep(seconds)
    elif failure is not None:
        failure.add_note("Not tried again: the deadline would pass while waiting.")
        raise failure
    else:
        message = "the deadline would pass while waiting for the service"
        raise RequestTimeoutError(message)


def _with_history(response: RerankResponse, failures: Sequence[RerankError]) -> RerankResponse:
    """A fallback's answer, with what failed before it among the warnings."""
    said = tuple(shorten(f"a fallback answered: {error}") for error in failures)
    return evolve(response, warnings=(*said, *response.warnings))


def _pass_through(plan: Plan, failures: Sequence[RerankError]) -> RerankResponse:
    """The caller's own order, which claims nothing about relevance."""
    call, target = plan.call, plan.targets[0]
    results = [
        RerankResult(
            at,
            None,
            to_document(document, call.rank_fields) if call.return_documents else None,
        )
        for at, document in enumerate(call.documents[: call.top_n])
    ]
    return RerankResponse(
        results,
        id=str(uuid4()),
        model=target.model,
        provider=target.provider.name,
        warnings=(
            *(shorten(f"not reranked: {error}") for error in failures),
            *prepare(call, target).warnings,
        ),
        reranked=False,
    )
