"""What a flow may ask of its driver."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from attrs import define, field, frozen

from rerank_core._resolve.target import Target
from rerank_core._send.connections import Connections

Flow = Generator[Any, Any, Any]


@frozen(eq=False, repr=False)
class Clock:
    """What time it is, and chance; tests bring their own."""

    monotonic: Callable[[], float]
    time: Callable[[], float]
    random: Callable[[], float]


CLOCK = Clock(time.monotonic, time.time, random.random)


@define(eq=False, repr=False)
class Route:
    """A target with the connections to it, and what is looked up for it on first use."""

    target: Target
    connections: Connections
    found: dict[str, Any] = field(factory=dict)


@define(eq=False, repr=False)
class Send:
    """The effect of one HTTP request; its outcome is an `HTTPResponse`, or a `TransportError`.

    Attributes:
        route: Where to, and what to send with.
        method: The HTTP method.
        url: Absolute.
        headers: All headers but authentication.
        content: The encoded body.
        auth: An `httpx.Auth`, or `None`.
        timeout: Bounds of this attempt's steps in seconds, by httpx's names.
        deadline: When everything must be over, by the clock's `monotonic`; `None` for never.
        direct: Whether no proxy and no client of the caller's is to be used.
        sent: The headers as they were sent, once they were.
        is_over: Whether nobody waits for it any longer; then it is not sent.
    """

    route: Route
    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes
    auth: Any
    timeout: Mapping[str, float | None]
    deadline: float | None
    direct: bool = False
    sent: Mapping[str, str] | None = None
    is_over: bool = False


@define(eq=False, repr=False)
class Run:
    """The effect of work in this process; its outcome is what the function returns."""

    function: Callable[[], Any]
    deadline: float | None = None


@define(eq=False, repr=False)
class Await:
    """The effect of waiting for what another flow does; its outcome is the future's result."""

    future: Future[Any]
    deadline: float | None


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
