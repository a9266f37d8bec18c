"""Which failures are worth another attempt, and when."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    HTTPResponse,
    NotFoundError,
    PermissionDeniedError,
    PluginError,
    Provider,
    RequestTimeoutError,
    RerankError,
    ResponseParseError,
    TransportError,
)
from rerank_core._conclude.waits import read_retry_after
from rerank_core._send.effects import Clock
from rerank_core._send.exchange import (
    FIRST_BACKOFF,
    JITTER,
    LONGEST_BACKOFF,
    LONGEST_RETRY_AFTER,
    choose_wait,
    falls_back,
    is_retryable,
)

NOW = 1_793_534_400.0  # Sun, 01 Nov 2026 12:00:00 GMT
PROVIDER = Provider(name="test", retry_statuses=frozenset({409}), final_statuses=frozenset({501}))


def clock(chance: float) -> Clock:
    """A clock of which only chance matters."""
    return Clock(lambda: 0.0, lambda: NOW, lambda: chance)


def status_error(status: int, **headers: str) -> APIStatusError:
    """The error that stands for this status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return APIStatusError("x", response=HTTPResponse(status, named))


@pytest.mark.parametrize(
    ("error", "again", "other"),
    [
        (TransportError("x"), True, True),
        (RequestTimeoutError("x"), True, True),
        (ResponseParseError("x"), False, True),
        (ConfigurationError("x"), False, False),
        (PluginError("x"), False, False),
        (RerankError("x"), False, False),
        (APIStatusError("without a reply"), False, False),
        *((status_error(status), True, True) for status in (408, 409, 425, 429, 500, 503, 599)),
        *((status_error(status), False, False) for status in (200, 302, 400, 401, 403, 404, 501)),
        (status_error(429, x_should_retry="false"), False, True),
        (status_error(503, x_should_retry="perhaps"), True, True),
    ],
)
def test_a_failure_decides_about_retry_and_fallback(
    error: RerankError,
    again: bool,  # noqa: FBT001 - what is decided
    other: bool,  # noqa: FBT001 - what is decided
) -> None:
    """What may pass is tried again; an unreadable reply, or a retry advised against, elsewhere."""
    assert is_retryable(error, PROVIDER) is again
    assert falls_back(error, PROVIDER) is other


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (BadRequestError, 400),
        (AuthenticationError, 401),
        (PermissionDeniedError, 403),
        (NotFoundError, 404),
    ],
)
def test_a_mistake_never_falls_back(kind: type[APIStatusError], status: int) -> None:
    """Even where the service advises to try again: that is about itself."""
    error = kind("x", response=HTTPResponse(status, {"x-should-retry": "true"}))

    assert is_retryable(error, PROVIDER) is True
    assert falls_back(error, PROVIDER) is False


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
@pytest.mark.parametrize("attempt", [1, 2, 3, 4, 5, 6, 100, 100_000])
@pytest.mark.parametrize("retry_after", [None, 0.0, -5.0])
def test_back_off_is_a_share_of_a_bound_that_doubles(
    chance: float, attempt: int, retry_after: float | None
) -> None:
    """Up to a longest one; 0 and less are no answer of the service."""
    bound = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(attempt - 1, 50))

    assert choose_wait(retry_after, attempt, clock(chance)) == pytest.approx(chance * bound)


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [(0.001, 0.001), (7.0, 7.0), (60.0, 60.0), (61.0, 60.0), (1e30, 60.0), (float("inf"), 60.0)],
)
def test_the_service_decides_up_to_a_bound(retry_after: float, wait: float) -> None:
    """And chance adds up to a quarter, so that those who failed together spread."""
    assert (LONGEST_RETRY_AFTER, JITTER) == (60.0, 0.25)
    assert choose_wait(retry_after, 5, clock(0.0)) == wait
    assert choose_wait(retry_after, 5, clock(1.0)) == pytest.approx(wait * 1.25)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": " 5.5 "}, 5.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": ".5"}, 0.5),
        ({"retry-after": "."}, None),
        ({"retry-after": "1.2.3"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "+1"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "5, 7"}, None),
        ({"retry-after": "5s"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after": "Sun, 01 Nov 2026 12:00:09 GMT"}, 9.0),
        ({"retry-after": "01 Nov 2026 12:00:09 -0000"}, 9.0),
        ({"retry-after": "Sun, 01 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 4e9),
        ({"retry-after": "Sun, 01 Nov 99999 12:00:09 GMT"}, None),
        ({"retry-after": "Sun, 32 Nov 2026 12:00:09 GMT"}, None),
        (
            {
                "retry-after": "Sun, 01 Nov 2026 12:00:09 GMT",
                "date": "Sun, 01 Nov 2026 12:00:04 GMT",
            },
            5.0,
        ),
        ({"retry-after": "Sun, 01 Nov 2026 12:00:09 GMT", "date": "today"}, 9.0),
        ({"x-reset": "3"}, 3.0),
        ({"x-reset": f"{NOW + 3:.0f}"}, 3.0),
        ({"x-reset": f"{NOW - 3:.0f}"}, 0.0),
        ({"x-reset": f"{NOW:.0f}", "date": "Sun, 01 Nov 2026 11:59:56 GMT"}, 4.0),
        ({"x-reset": "3", "retry-after": "5"}, 5.0),
        ({"x-reset": "3", "retry-after": "soon"}, 3.0),
        ({"x-other-reset": "3"}, 3.0),
        ({"x-reset": "soon", "x-other-reset": "3"}, 3.0),
        ({"x-unknown": "3"}, None),
    ],
)
def test_the_wait_that_a_service_asks_for_is_read(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Seconds, milliseconds, a date, or the provider's own headers; by the service's clock."""
    assert read_retry_after(headers, ("x-reset", "x-other-reset"), NOW) == seconds


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-reset", "date"]),
        st.text() | st.from_regex(r"\w{3}, \d+ (Nov|Jan) \d+ \d+:\d+:\d+ ([+-]\d+|GMT|)"),
    )
)
def test_no_header_breaks_the_reading(headers: dict[str, str]) -> None:
    """Whatever a service writes, the answer is a number from 0 or none."""
    seconds = read_retry_after(headers, ("x-reset",), NOW)

    assert seconds is None or seconds >= 0
