"""A whole call as a generator of effects: the first model, its fallbacks, the caller's order.

A flow yields an effect, receives its outcome, and knows neither client, clock nor loop: the
drivers carry effects out, a blocking one, an async one, and a scripted one in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from attrs import define, evolve, field

from rerank_core import events
from rerank_core._conclude.response import finish, needs_hiding, pass_through
from rerank_core._prepare.call import Call, make_call
from rerank_core._prepare.documents import list_documents
from rerank_core._prepare.requests import prepare
from rerank_core._send.authorizing import look_up_options
from rerank_core._send.effects import CLOCK, Clock, Flow, Gather, Route
from rerank_core._send.exchange import falls_back, run_exchange
from rerank_core._send.turn import Tally, Turn, run_if_many
from rerank_core.errors import InvalidRequestError, RerankError
from rerank_core.records._text import shorten
from rerank_core.records.response import RerankResponse


@define
class Plan:
    """One call with everything that decides about it."""

    query: Any = field(repr=False)
    documents: Any = field(repr=False)
    arguments: Mapping[str, Any]
    routes: Sequence[Route]
    deadline: float | None
    on_failure: Literal["raise", "passthrough"]
    clock: Clock = CLOCK


def run_plan(plan: Plan) -> Flow:
    """The whole call."""
    clock, first = plan.clock, plan.routes[0]
    began = clock.monotonic()
    tally = Tally.begin(began)
    deadline = None if plan.deadline is None else began + plan.deadline
    try:
        listed = list_documents(plan.documents)
        make = partial(make_call, plan.query, listed, **plan.arguments)
        call = yield from run_if_many(make, len(listed))
    except RerankError as error:
        Turn(first, deadline, tally, clock, has_next=False).describe(error)
        raise
    tally.tell(
        events.CallStarted,
        first.target,
        documents=len(listed),
        top_n=call.top_n,
        base_url=first.target.provider.base_url,
        query=call.query,
        inputs=listed,
    )
    answered, response, failed = first.target, None, None
    try:
        at, response = yield from _ask_in_turn(plan, call, tally, deadline)
        answered = plan.routes[at].target
    except BaseException as error:
        failed = error
        if isinstance(error, RerankError):
            error.attempts, error.seconds = tally.attempts, clock.monotonic() - began
        raise
    finally:
        tally.tell(
            events.CallEnded,
            answered,
            seconds=clock.monotonic() - began,
            attempts=tally.attempts,
            response=response,
            error=failed,
        )
    return response


def _ask_in_turn(plan: Plan, call: Call, tally: Tally, deadline: float | None) -> Flow:
    """The model, its fallbacks, or the caller's own order; which of them, and the response."""
    clock, failures, asked = plan.clock, list[RerankError](), list[Turn]()
    for at, route in enumerate(plan.routes):
        left = len(plan.routes) - at
        turn = Turn(route, _share(deadline, left, clock), tally, clock, has_next=left > 1)
        asked.append(turn)
        asking = _ask(plan, call, turn)
        if failures:
            tally.tell(events.FallbackTaken, route.target, error=failures[-1])
            documents = len(call.documents)
            asking = tally.part(asking, route.target, 0, documents, clock.monotonic)
        try:
            response = yield from asking
        except RerankError as error:
            # What a fallback alone refuses, a document too long for it for example, is no mistake.
            refused = bool(failures) and isinstance(error, InvalidRequestError)
            if not (refused or falls_back(error, route.target.provider)):
                for earlier in failures:
                    error.add_note(f"Asked as a fallback, because of: {earlier}")
                raise
            failures.append(error)
        else:
            return at, _with_history(response, failures) if failures else response
    if plan.on_failure == "passthrough":
        first = plan.routes[0].target
        tally.tell(events.PassedThrough, first, errors=tuple(failures))
        said = [shorten(f"not reranked: {error}") for error in failures]
        warnings = [*said, *asked[0].warnings]
        seconds = clock.monotonic() - tally.started
        return 0, pass_through(call, first, warnings, tally.attempts, seconds)
    for later in failures[1:]:
        failures[0].add_note(f"The fallback failed as well: {later}")
    raise failures[0]


def _share(deadline: float | None, left: int, clock: Clock) -> float | None:
    """When a model's turn is over: each not asked yet has an equal part of what is left."""
    if deadline is None or left == 1:
        return deadline
    now = clock.monotonic()
    return now + (deadline - now) / left


def _ask(plan: Plan, call: Call, turn: Turn) -> Flow:
    """One model: split where the list is too long for one request."""
    route, tally, clock = turn.route, turn.tally, turn.clock
    target, first, count = route.target, plan.routes[0].target, len(call.documents)
    try:
        yield from look_up_options(route, turn.deadline)
        meant = None if target is first else first
        preparing = partial(prepare, call, target, route.found, first=meant)
        prepared = yield from run_if_many(preparing, count)
        held_back = bool(prepared.held_back)  # said last; it is not so in the caller's own order
        turn.warnings = prepared.warnings[: len(prepared.warnings) - held_back]
        flows = [run_exchange(part, turn) for part in prepared.parts]
        if len(flows) == 1:
            answers = [(yield from flows[0])]
        elif flows:
            told = [
                tally.part(flow, target, at, len(part.indices), clock.monotonic)
                for at, (flow, part) in enumerate(zip(flows, prepared.parts, strict=True), 1)
            ]
            answers = yield Gather(told, target.options.max_concurrency)
        else:
            answers = []
        hide = turn.hide() if needs_hiding(answers) else None
        seconds = clock.monotonic() - tally.started
        finishing = partial(finish, prepared, answers, hide, tally.attempts, seconds)
        return (yield from run_if_many(finishing, count))
    except RerankError as error:
        turn.describe(error)
        raise


def _with_history(response: RerankResponse, failures: Sequence[RerankError]) -> RerankResponse:
    """A fallback's answer, with what failed before it among the warnings."""
    said = tuple(shorten(f"a fallback answered: {error}") for error in failures)
    return evolve(response, warnings=(*said, *response.warnings))
