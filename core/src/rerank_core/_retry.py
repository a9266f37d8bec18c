"""Which failures are worth another attempt, and when."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import TYPE_CHECKING

from attrs import frozen

from rerank_core.errors import (
    APIStatusError,
    RateLimitError,
    RerankError,
    ResponseParseError,
    ServerError,
    TransportError,
)

if TYPE_CHECKING:
    from rerank_core._facts import Provider

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 8.0
LONGEST_RETRY_AFTER = 60.0
_RETRIED = frozenset({408, 425, 429})
_UNIX_TIME_FROM = 1_000_000_000
_MAX_SECONDS = 4e9  # of 126 years; clocks count to it, as Unix time it is long to come


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
    if isinstance(error, APIStatusError) and error.status_code is not None:
        status = error.status_code
        if status in provider.final_statuses:
            return False
        if 200 <= status < 300:  # noqa: PLR2004 - a good one, so that only the plugin knows
            return isinstance(error, (RateLimitError, ServerError))
        return status in _RETRIED or status in provider.retry_statuses or 500 <= status < 600  # noqa: PLR2004 - the 5xx
    return isinstance(error, TransportError)


def read_retry_after(
    headers: Mapping[str, str], reset_headers: tuple[str, ...], now: float
) -> float | None:
    """Seconds that the service asks to wait; `None` where it does not say, or unreadably.

    Args:
        headers: Of the reply, names in lower case.
        reset_headers: The provider's own: seconds, or Unix time.
        now: Seconds since 1970, used where the reply has no `Date` of its own.
    """
    milliseconds = read_seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    stated = headers.get("retry-after")
    if stated is not None:
        seconds = read_seconds(stated)
        if seconds is not None:
            return seconds
        until = _timestamp(stated)
        if until is not None:
            return min(max(0.0, until - _own_time(headers, now)), _MAX_SECONDS)
    for name in reset_headers:
        reset = read_seconds(headers.get(name))
        if reset is not None:
            unix = reset >= _UNIX_TIME_FROM
            return max(0.0, reset - _own_time(headers, now)) if unix else reset
    return None


def choose_wait(retry_after: float | None, attempt: int, clock: Clock) -> float:
    """Seconds before the next attempt.

    What the service asks for, at most 60; else exponential back-off with full jitter, so that
    callers who failed together do not come back together.

    Args:
        retry_after: What the service asks for; 0 or less is no answer.
        attempt: How many attempts were made, from 1.
        clock: For chance.
    """
    if retry_after is not None and retry_after > 0:
        return min(retry_after, LONGEST_RETRY_AFTER)
    # Capped before the power grows past what a float holds.
    most = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempt - 1, 16))
    return clock.random() * most


def _own_time(headers: Mapping[str, str], now: float) -> float:
    """The service's own clock where it states one: ours may be wrong by minutes."""
    stated = _timestamp(headers.get("date", ""))
    return now if stated is None else stated


def read_seconds(text: str | None) -> float | None:
    """Seconds from a plain number, from 0 to 126 years; `nan` and the like are none."""
    if text is None or not text.strip().replace(".", "", 1).isdecimal():
        return None
    return min(float(text), _MAX_SECONDS)


def _timestamp(text: str) -> float | None:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - slow to import, rarely needed

    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return float(aware.timestamp())
