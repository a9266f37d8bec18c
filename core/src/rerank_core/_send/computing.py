"""A ranking that is computed in this process, at once or in steps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from rerank_core._conclude.reading import read_payload
from rerank_core._conclude.response import conclude
from rerank_core._prepare.fitting import check_encodable
from rerank_core._prepare.requests import Part
from rerank_core._resolve.target import Target
from rerank_core._send.effects import Flow, Run
from rerank_core._send.turn import Turn, run_if_many
from rerank_core.errors import RerankError
from rerank_core.records.exchange import Compute, HTTPResponse


def compute(part: Part, work: Compute, turn: Turn) -> Flow:
    """The ranking of a provider that runs in this process."""
    check_encodable(part.request.documents, part.indices)
    payload = yield from _take_steps(work, turn)
    page = read_payload(part, turn.target, payload, HTTPResponse(200))
    if page.following is not None:
        raise turn.target.hooks.source.error("parse_response asked to send after Compute")
    return (yield from run_if_many(partial(conclude, part, [page]), len(part.request.documents)))


def _take_steps(work: Compute, turn: Turn) -> Flow:
    """The value of a computation: at once, or step by step where it is a generator."""
    outcome = yield Run(_guarded(work.function, turn.target), turn.deadline)
    if not isinstance(outcome, Generator):
        return outcome
    step = _guarded(partial(_advance, outcome), turn.target)
    try:
        while True:
            ended = yield Run(step, turn.deadline)
            if ended is not None:
                return ended[0]
    finally:
        # An abandoned step may still be running in its thread: then it is the last one.
        with contextlib.suppress(ValueError):
            outcome.close()


def _advance(steps: Generator[Any, None, Any]) -> tuple[Any] | None:
    """Take one step; behind the last, return the value."""
    try:
        next(steps)
    except StopIteration as end:
        return (end.value,)
    return None


def _guarded(work: Callable[[], Any], target: Target) -> Callable[[], Any]:
    def function() -> Any:
        try:
            return work()
        except RerankError:
            raise
        except Exception as error:
            message = f"the computation raised {type(error).__name__}: {error}"
            raise target.hooks.source.error(message) from error

    return function
