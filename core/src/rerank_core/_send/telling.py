"""What observers and the log are told of a call: made only where somebody listens."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any
from uuid import uuid4

from attrs import define

from rerank_core import events
from rerank_core._resolve import observers
from rerank_core._resolve.target import Target
from rerank_core._send.effects import Flow

Observe = Callable[..., Any]


@define
class Tally:
    """What is known of a call as a whole, and who is told about it.

    Attributes:
        observers: Of all calls, and of the first provider's plugin.
        call: The call's identifier; empty where nobody listens.
        attempts: Requests sent to ranking services.
        started: When it began, by the clock's `monotonic`.
    """

    observers: tuple[Observe, ...]
    call: str
    started: float
    attempts: int = 0

    @classmethod
    def begin(cls, target: Target, now: float) -> Tally:
        """The tally of a call that begins now."""
        listening = (*observers.registered.values(),)
        if listening or target.hooks.observe:
            return cls(listening, str(uuid4()), now)
        return cls((), "", now)

    def tell(self, kind: type[events.Event], target: Target, **fields: Any) -> None:
        """Make an event and tell it, where somebody listens."""
        own = target.hooks.observe
        level = observers.level_of(kind)
        logged = level is not None and observers.LOGGER.isEnabledFor(level)
        if not (self.observers or own or logged):
            return
        event = kind(
            call=self.call, provider=target.provider.name, model=target.model, **fields
        )
        for observer in self.observers:
            observers.tell(observer, event)
        if own is not None and own not in self.observers:
            observers.tell(own, event)
        if logged:
            observers.log(event)

    def part(
        self, flow: Flow, target: Target, number: int, documents: int, clock: Callable[[], float]
    ) -> Generator[Any, Any, Any]:
        """A flow that is one of several of its call, with its events around it."""
        began = clock()
        self.tell(events.PartStarted, target, number=number, documents=documents)
        failed: BaseException | None = None
        try:
            return (yield from flow)
        except BaseException as error:
            failed = error
            raise
        finally:
            seconds = clock() - began
            self.tell(events.PartEnded, target, number=number, seconds=seconds, error=failed)
