"""What `observe` tells of the calls behind one answer: seconds, attempts, waits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from attrs import Factory, define

import rerank_core
from rerank_core import hookimpl
from rerank_core.events import CallEnded, CallStarted, Event, Waited


@define
class Heard:
    """What was told while one question was answered.

    Attributes:
        seconds: Of each call that ended, retries and waits included.
        attempts: Requests that were sent.
        waited: Seconds of waits before retries.
    """

    seconds: list[float] = Factory(list)
    attempts: int = 0
    waited: float = 0.0


_asking: ContextVar[Heard | None] = ContextVar("rerank_eval_asking", default=None)
_by_call: dict[str, Heard] = {}


class _Observer:
    """Sorts events by the question that is asked in the context that they begin in."""

    @hookimpl
    def observe(self, event: Event) -> None:
        if isinstance(event, CallStarted) and (heard := _asking.get()):
            _by_call[event.call] = heard
        elif heard := _by_call.get(event.call):
            if isinstance(event, CallEnded):
                heard.seconds.append(event.seconds)
                heard.attempts += event.attempts
                del _by_call[event.call]
            elif isinstance(event, Waited):
                heard.waited += event.seconds


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Hear of every call that this process makes meanwhile."""
    name = rerank_core.register(_Observer())
    try:
        yield
    finally:
        rerank_core.unregister(name)


@contextlib.contextmanager
def asking() -> Iterator[Heard]:
    """What is heard of the calls made within, in this thread."""
    heard = Heard()
    token = _asking.set(heard)
    try:
        yield heard
    finally:
        _asking.reset(token)
