"""One model's turn in a call: how far it may go, and whom its errors are about."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from attrs import define, field

from rerank_core import events
from rerank_core._conclude.response import Page, conclude, read_payload
from rerank_core._conclude.status import describe, explain, read_retry_after
from rerank_core._prepare.call import check_encodable
from rerank_core._prepare.requests import Part
from rerank_core._resolve import observers
from rerank_core._resolve.secrets import Hide, client_secrets, named_secrets
from rerank_core._resolve.target import Target
from rerank_core._send.effects import Clock, Flow, Route, Run, Send, guarded, work_on
from rerank_core.errors import RerankError, ResponseParseError
from rerank_core.records import Compute, HTTPResponse


@define(eq=False, repr=False)
class Turn:
    """One model's turn in a call."""

    route: Route
    deadline: float | None
    tally: Tally
    has_next: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def target(self) -> Target:
        """The model."""
        return self.route.target

    def hide(self, error: RerankError | None = None, send: Send | None = None) -> Hide:
        """What takes secrets out of a text, those that only the sender knows among them."""
        own: Any = error._secrets if error is not None else ()  # noqa: SLF001 - of our own class
        sent = () if send is None else named_secrets(send.sent)
        client = client_secrets(self.route.connections.http_client)
        return self.target.hider((*sent, *client, *(secret.value for secret in own)))

    def describe(
        self,
        error: RerankError,
        part: Part | None = None,
        reply: HTTPResponse | None = None,
        send: Send | None = None,
    ) -> RerankError:
        """Say on an error where it happened, without any secret.

        Returns the error, or the one that explains an unreadable reply to this part.
        """
        target, hide, now = self.target, self.hide(error, send), self.tally.clock.time()
        if isinstance(error, ResponseParseError) and part is not None and reply is not None:
            error = explain(error, part, target, reply, now, hide)
        if error.retry_after is None and (found := error.response or reply) is not None:
            resets = target.provider.reset_headers if reply is not None else ()
            error.retry_after = read_retry_after(found.headers, resets, now)
        describe(error, target, hide, reply)
        return error


_calls = itertools.count(1)


@define(eq=False, repr=False)
class Tally:
    """What is known of a call as a whole, and who is told about it."""

    clock: Clock
    started: float
    attempts: int = 0
    # Of little cost, for it is made in every call: log records and fallbacks have it, too.
    call: str = field(factory=lambda: f"{os.getpid():x}-{next(_calls):x}")
    observers: Sequence[Callable[..., Any]] = field(
        factory=lambda: [*observers.registered.values()]
    )

    def seconds(self) -> float:
        """How long the call has taken so far."""
        return self.clock.monotonic() - self.started

    def tell(self, kind: type[events.Event], target: Target, **fields: Any) -> None:
        """Make an event and tell it, where somebody listens."""
        if not self.hears(kind, target):
            return
        event = kind(call=self.call, provider=target.provider.name, model=target.model, **fields)
        own = target.hooks.observe
        for observer in (*self.observers, *((own,) if own else ())):
            observers.tell(observer, event)
        observers.log(event)

    def hears(self, kind: type[events.Event], target: Target) -> bool:
        """Whether anybody listens to such an event; else none is made."""
        return bool(self.observers or target.hooks.observe) or observers.is_logged(kind)

    @contextlib.contextmanager
    def telling(self, kind: type[events.Event], **fields: Any) -> Iterator[dict[str, Any]]:
        """Tell the end of what happens inside, with what is put into the fields meanwhile."""
        began, fields["error"] = self.clock.monotonic(), None
        try:
            yield fields
        except BaseException as error:
            fields["error"] = error
            raise
        finally:
            self.tell(kind, seconds=self.clock.monotonic() - began, **fields)

    def part(self, flow: Flow, target: Target, number: int, documents: int) -> Flow:
        """A flow that is one of several of its call, with its events around it."""
        self.tell(events.PartStarted, target, number=number, documents=documents)
        with self.telling(events.PartEnded, target=target, number=number):
            return (yield from flow)


def compute(part: Part, work: Compute, turn: Turn) -> Flow:
    """The ranking of a provider that runs in this process."""
    check_encodable(part.request.documents, part.indices)
    payload = yield from _take_steps(work, turn)

    def read() -> list[Page]:
        page = read_payload(part, turn.target, payload, HTTPResponse(200))
        if page.following is not None:
            raise turn.target.hooks.source.error("parse_response asked to send after Compute")
        return conclude(part, [page])

    return (yield from work_on(len(part.request.documents), read))


def _take_steps(work: Compute, turn: Turn) -> Flow:
    """The value of a computation: at once, or step by step where it is a generator."""
    outcome = yield Run(guarded(work.function, turn.target, "the computation"), turn.deadline)
    if not isinstance(outcome, Generator):
        return outcome

    def advance() -> tuple[Any] | None:
        try:
            next(outcome)
        except StopIteration as end:
            return (end.value,)
        return None

    try:
        while True:
            step = guarded(advance, turn.target, "the computation")
            if (ended := (yield Run(step, turn.deadline))) is not None:
                return ended[0]
    finally:
        # An abandoned step may still be running in its thread: then it is the last one.
        with contextlib.suppress(ValueError):
            outcome.close()
