"""Which failures are worth another attempt or another model, and when."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from attrs import frozen

from rerank_core.errors import (
    APIStatusError,
    RateLimitError,
    RerankError,
    ResponseParseError,
    ServerError,
    TransportError,
)
from rerank_core.facts import Provider

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 8.0
LONGEST_RETRY_AFTER = 60.0
JITTER = 0.25  # of an announced wait, added so that those who failed together spread
LONGEST_WAIT_BEFORE_FALLBACK = 1.0
_RETRIED = frozenset({408, 425, 429})


@frozen
class Clock:
    """What time it is, and chance; tests bring their own.

    Attributes:
        monotonic: Seconds that never go back.
        time: Seconds since 1970, for dates in headers.
        random: A number from 0 to 1.
    """

    monotonic: Callable[[], float]
    time: Callable[[], float]
    random: Callable[[], float]


CLOCK = Clock(time.monotonic, time.time, random.random)


def is_retryable(error: RerankError, provider: Provider) -> bool:
    """Whether the same request may succeed later; `x-should-retry` of the reply decides first."""
    if isinstance(error, APIStatusError) and error.response is not None:
        advice = error.response.headers.get("x-should-retry")
        if advice in {"true", "false"}:  # what several services say, and their SDKs heed
            return advice == "true"
    return _may_pass(error, provider)


def falls_back(error: RerankError, provider: Provider) -> bool:
    """Whether another provider may be asked instead.

    Never after an authentication, permission or configuration error, or a request that the
    service finds wrong: that would hide a mistake.
    """
    return _may_pass(error, provider) or isinstance(error, ResponseParseError)


def _may_pass(error: RerankError, provider: Provider) -> bool:
    if not isinstance(error, APIStatusError):
        return isinstance(error, TransportError)
    status = error.code or error.status_code
    if status is None or status < 300:  # noqa: PLR2004 - good, so that only its kind says
        return isinstance(error, (RateLimitError, ServerError))
    if status in provider.final_statuses:
        return False
    return status in _RETRIED or status in provider.retry_statuses or 500 <= status < 600  # noqa: PLR2004 - the 5xx


def choose_wait(retry_after: float | None, attempt: int, clock: Clock) -> float:
    """Seconds before the next attempt.

    What the service asks for, at most 60, and up to a quarter more; else exponential back-off with
    full jitter: callers who failed together do not come back together.

    Args:
        retry_after: What the service asks for; 0 or less is no answer.
        attempt: How many attempts were made, from 1.
        clock: For chance.
    """
    if retry_after is not None and retry_after > 0:
        return min(retry_after, LONGEST_RETRY_AFTER) * (1 + JITTER * clock.random())
    # Capped before the power grows past what a float holds.
    most = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempt - 1, 16))
    return clock.random() * most
