"""What a flow may ask of its driver."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from math import inf
from typing import Any

from attrs import define, field, frozen

from rerank_core._resolve.target import Target
from rerank_core._send.connections import Connections
from rerank_core.errors import RequestTimeoutError, RerankError

Flow = Generator[Any, Any, Any]
DEADLINE_PASSED = "the deadline has passed"
MANY = 1000  # documents; work on more than so many does not run in an event loop


@frozen(eq=False, repr=False)
class Clock:
    """What time it is, and chance; tests bring their own."""

    monotonic: Callable[[], float]
    time: Callable[[], float]
    random: Callable[[], float]


CLOCK = Clock(time.monotonic, time.time, random.random)


@define(eq=False, repr=False)
class Route:
    """A target with the connections to it, and what is looked up or made for it on first use."""

    target: Target
    connections: Connections
    found: dict[str, Any] = field(factory=dict)
    auth: Any = None


@define(eq=False, repr=False)
class Send:
    """The effect of one HTTP request; its outcome is an `HTTPResponse`, or a `TransportError`."""

    route: Route
    method: str
    url: str
    headers: Mapping[str, str]  # all but authentication
    content: bytes
    timeout: Mapping[str, float | None]
    deadline: float | None
    auth: Any = None
    direct: bool = False  # by no proxy, and no client of the caller's
    sent: Mapping[str, str] | None = None  # the headers with authentication, once they are known
    is_over: bool = False  # nobody waits for it any longer, so that it is not to be sent


@define(eq=False, repr=False)
class Run:
    """The effect of work in this process; its outcome is what the function returns."""

    function: Callable[[], Any]
    deadline: float | None = None


def work_on(documents: int, function: Callable[[], Any], deadline: float | None = None) -> Flow:
    """The value of core's own work on so many documents."""
    return (yield Run(function, deadline)) if documents > MANY else function()


def guarded(function: Callable[[], Any], target: Target, what: str) -> Callable[[], Any]:
    """The function, with whatever else it raises as the plugin's error."""

    def call() -> Any:
        try:
            return function()
        except RerankError:
            raise
        except (Exception, SystemExit) as error:
            if type(error) is SystemExit and threading.current_thread() is threading.main_thread():
                raise  # by a handler of SIGTERM perhaps, which works there alone
            message = f"{what} raised {type(error).__name__}: {error}"
            raise target.hooks.source.error(message) from error

    return call


@define(eq=False, repr=False)
class Await:
    """The effect of waiting for what another flow does, in that thread or in its event loop.

    Its outcome is the future's result; nothing, where that flow waits for this one to go on.
    """

    future: Future[Any]
    thread: int
    deadline: float | None = None


@define(eq=False, repr=False)
class Sleep:
    """The effect of waiting."""

    seconds: float


@define(eq=False, repr=False)
class Gather:
    """The effect of running flows side by side; its outcome is the list of what they return.

    The first failure ends the others, and is the outcome.
    """

    flows: Sequence[Flow]
    limit: int


def in_time(step: Run | Await, send: Send, clock: Clock) -> Flow:
    """Carry out a step without bounds of its own: those of the attempt hold for it."""
    step.deadline, seconds = send.deadline, send.timeout["read"]
    until = clock.monotonic() + (inf if seconds is None else seconds)
    if until >= (inf if send.deadline is None else send.deadline):
        return (yield step)
    step.deadline = until
    try:
        return (yield step)
    except RequestTimeoutError:
        if clock.monotonic() < until:  # it is the step's own
            raise
        message = f"no token within {seconds} s; raise timeout= if its source is slow"
        raise RequestTimeoutError(message) from None
