"""How long a service asks to wait, in all the forms that services use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC

_UNIX_TIME_FROM = 1_000_000_000
_MAX_SECONDS = 4e9  # of 126 years; clocks count to it, as Unix time it is long to come


def read_retry_after(
    headers: Mapping[str, str], reset_headers: tuple[str, ...], now: float
) -> float | None:
    """Seconds that the service asks to wait; `None` where it does not say, or unreadably."""
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
