"""Work in this process: at once, or in steps between which a call can be given up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from rerank_core._effects import Flow, Run
from rerank_core._models import Compute
from rerank_core.errors import RerankError

if TYPE_CHECKING:
    from rerank_core._target import Target


def compute(work: Compute, target: Target, deadline: float | None) -> Flow:
    """What the work comes to: its value, or what its generator returns behind the last step."""
    outcome = yield Run(_guarded(work.function, target), deadline)
    if not isinstance(outcome, Generator):
        return outcome
    step = _guarded(partial(_advance, outcome), target)
    try:
        while True:
            ended = yield Run(step, deadline)
            if ended is not None:
                return ended[0]
    finally:
        # An abandoned step may still be running in its thread: then it is the last one.
        with contextlib.suppress(ValueError):
            outcome.close()


def _advance(steps: Generator[Any, None, Any]) -> tuple[Any] | None:
    """Take one step; behind the last, return what they come to."""
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
