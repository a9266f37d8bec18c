"""A whole call as a generator of effects: the first model, its fallbacks, the caller's order.

A flow yields an effect, receives its outcome, and knows neither client, clock nor loop: the
drivers carry effects out, a blocking one, an async one, and a scripted one in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from attrs import evolve

from rerank_core import events
from rerank_core._conclude.response import finish
from rerank_core._prepare.call import Call, make_call
from rerank_core._prepare.documents import list_documents
from rerank_core._prepare.requests import Prepared, prepare
from rerank_core._resolve.target import Target
from rerank_core._send.authorizing import look_up_options
from rerank_core._send.effects import CLOCK, Clock, Flow, Gather, Route, work_on
from rerank_core._send.exchange import falls_back, run_exchange
from rerank_core._send.turn import Tally, Turn
from rerank_core.errors import InvalidRequestError, RerankError
from rerank_core.records._text import shorten


def run_call(
    query: Any,
    documents: Any,
    arguments: Mapping[str, Any],
    routes: Sequence[Route],
    clock: Clock = CLOCK,
) -> Flow:
    """The whole call; the first model's options say how long it may take, and how it may end."""
    tally, first = Tally(clock, clock.monotonic()), routes[0].target
    bound = first.options.deadline
    deadline = None if bound is None else tally.started + bound
    try:
        listed = list_documents(documents)
        call = yield from work_on(len(listed), partial(make_call, query, listed, **arguments))
    except RerankError as error:
        Turn(routes[0], deadline, tally).describe(error)
        raise
    tally.tell(
        events.CallStarted,
        first,
        documents=len(listed),
        top_n=call.top_n,
        base_url=first.provider.base_url,
        query=call.query,
        inputs=listed,
    )
    with tally.telling(events.CallEnded, target=first, response=None) as end:
        try:
            end["target"], response = yield from _ask_in_turn(call, routes, tally, deadline)
            end["response"] = response
        except RerankError as error:
            error.attempts, error.seconds = tally.attempts, tally.seconds()
            raise
        finally:
            end["attempts"] = tally.attempts
    return response


def _ask_in_turn(call: Call, routes: Sequence[Route], tally: Tally, deadline: float | None) -> Flow:
    """The model, its fallbacks, or the caller's own order; which of them, and the response."""
    first, failures, asked = routes[0].target, list[RerankError](), list[Turn]()
    for left, route in zip(range(len(routes), 0, -1), routes, strict=True):
        until = deadline
        if deadline is not None:  # each that was not asked yet has an equal part of what is left
            until = deadline - (deadline - tally.clock.monotonic()) * (left - 1) / left
        turn = Turn(route, until, tally, has_next=left > 1)
        asked.append(turn)
        asking = _ask(call, turn, first)
        if failures:
            tally.tell(events.FallbackTaken, route.target, error=failures[-1])
            asking = tally.part(asking, route.target, 0, len(call.documents))
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
            said = [shorten(f"a fallback answered: {error}") for error in failures]
            warnings = (*said, *response.warnings)
            return route.target, evolve(response, warnings=warnings) if said else response
    if first.options.on_failure == "passthrough":
        tally.tell(events.PassedThrough, first, errors=tuple(failures))
        said = [shorten(f"not reranked: {error}") for error in failures]
        warnings = (*said, *asked[0].warnings)
        unranked = Prepared(call, first, (), range(len(call.documents)), warnings)
        response = finish(unranked, (), asked[0].hide, tally.attempts, tally.seconds())
        return first, evolve(response, reranked=False)
    for later in failures[1:]:
        failures[0].add_note(f"The fallback failed as well: {later}")
    raise failures[0]


def _ask(call: Call, turn: Turn, first: Target) -> Flow:
    """One model: split where the list is too long for one request."""
    route, target, tally = turn.route, turn.target, turn.tally
    count = len(call.documents)
    try:
        yield from look_up_options(route, turn.deadline)
        preparing = partial(prepare, call, target, route.found, first=first)
        prepared = yield from work_on(count, preparing, turn.deadline)
        held_back = bool(prepared.held_back)  # said last; it is not so in the caller's own order
        turn.warnings = prepared.warnings[: len(prepared.warnings) - held_back]
        flows = [run_exchange(part, turn) for part in prepared.parts]
        if len(flows) > 1:
            told = [
                tally.part(flow, target, number, len(part.indices))
                for number, (flow, part) in enumerate(zip(flows, prepared.parts, strict=True), 1)
            ]
            answers = yield Gather(told, target.options.max_concurrency)
        else:
            answers = [(yield from flows[0])] if flows else []
        finishing = partial(finish, prepared, answers, turn.hide, tally.attempts, tally.seconds())
        return (yield from work_on(count, finishing))
    except RerankError as error:
        turn.describe(error)
        raise
