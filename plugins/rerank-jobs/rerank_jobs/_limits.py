"""How fast and how many at once: rates per minute, a gate for all, concurrency that adapts."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field, frozen

from rerank_core import RerankError

_MINUTE = 60.0
_BURST = 0.01  # of a minute's amount: no minute holds more than its amount and this
_JITTER = 0.1
_LEAST_GATE = 1.0  # seconds that a 429 without Retry-After holds everyone back
LONGEST_GATE = 3_600.0  # what is longer nobody waits for: the job pauses


class EndedError(RerankError):
    """The job stops, and this row has sent nothing yet: it stays pending."""


@frozen
class Clock:
    """What time it is, how to wait, and chance; tests bring their own.

    Attributes:
        now: Seconds that never go back.
        sleep: Waits for so many seconds.
        random: A number from 0 to 1.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


class Rate:
    """A token bucket: an amount per minute, evenly.

    What is larger than the bucket goes when the bucket is full, and leaves it in debt.

    Args:
        per_minute: The amount, from 1.
        now: The clock.
    """

    def __init__(self, per_minute: float, now: Callable[[], float]) -> None:
        self._now = now
        self._capacity = max(1.0, per_minute * _BURST)
        # With what the bucket holds at the start, any 60 s hold at most `per_minute`.
        self._per_second = (per_minute - self._capacity + 1) / _MINUTE
        self._full_at = now()

    def wait(self, amount: float) -> float:
        """Seconds until so much may be taken; 0 for now."""
        missing = self._capacity - min(amount, self._capacity)
        return max(0.0, self._full_at - missing / self._per_second - self._now())

    def take(self, amount: float) -> None:
        """Take it, whether or not it is there; a negative amount is given back."""
        self._full_at = max(self._full_at, self._now()) + amount / self._per_second


class Throttle:
    """What every request passes before it is sent: both rates, and the gate.

    Args:
        requests_per_minute: Requests, retries among them; `None` for no limit.
        tokens_per_minute: Tokens; likewise.
        clock: What time it is.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        now = self._clock.now
        self._requests = Rate(requests_per_minute, now) if requests_per_minute else None
        self._tokens = Rate(tokens_per_minute, now) if tokens_per_minute else None
        self._open_at = now()
        self._turn = asyncio.Lock()
        self._ended = asyncio.Event()

    async def enter(self, tokens: float, *, is_first: bool = False) -> None:
        """Wait until one request with so many tokens may be sent; first come, first served.

        Raises:
            EndedError: The job stops, and this is the first request of its row.
        """
        async with self._turn:
            while not (is_first and self._ended.is_set()) and (wait := self._wait(tokens)) > 0:
                await self._sleep(wait, is_first=is_first)
            if is_first and self._ended.is_set():
                raise EndedError("the job stops")
            if self._requests:
                self._requests.take(1)
            if self._tokens:
                self._tokens.take(tokens)

    def settle(self, tokens: float) -> None:
        """Take as many more tokens as were used than estimated; negative where it was fewer."""
        if self._tokens:
            self._tokens.take(tokens)

    def close(self, seconds: float | None) -> None:
        """Let nobody through for so long: the service said that it is too much."""
        asked = seconds if seconds and seconds <= LONGEST_GATE else 0.0
        wait = max(_LEAST_GATE, asked) * (1 + _JITTER * self._clock.random())
        self._open_at = max(self._open_at, self._clock.now() + wait)

    def end(self) -> None:
        """Let no row begin any more: those that wait are told at once."""
        self._ended.set()

    async def _sleep(self, seconds: float, *, is_first: bool) -> None:
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._clock.sleep(seconds))]
        if is_first:
            waits.append(asyncio.ensure_future(self._ended.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    def _wait(self, tokens: float) -> float:
        waits = [self._open_at - self._clock.now()]
        if self._requests:
            waits.append(self._requests.wait(1))
        if self._tokens:
            waits.append(self._tokens.wait(tokens))
        return max(waits)


@define
class Window:
    """How many rows may be under way: one until a first answer, then all; halved by a 429.

    Attributes:
        most: The most at once.
        now: The clock.
    """

    most: int
    now: Callable[[], float] = time.monotonic
    _size: float = 1.0
    _is_open: bool = False
    _halved_at: float = field(default=-_MINUTE)

    @property
    def size(self) -> int:
        """How many now."""
        return max(1, int(self._size))

    def answered(self) -> None:
        """A row was ranked: the first opens the window, each further one widens it."""
        if self._is_open:
            self._size = min(float(self.most), self._size + 1 / self._size)
        else:
            self._is_open, self._size = True, float(self.most)

    def refused(self) -> None:
        """A request got a 429: half as many, once for all that were under way."""
        if self.now() - self._halved_at >= _LEAST_GATE:
            self._halved_at = self.now()
            self._size = max(1.0, self._size / 2)
