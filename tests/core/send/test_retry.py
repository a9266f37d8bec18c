"""Which failures are worth another attempt, and when."""

from __future__ import annotations

import pytest

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
    RateLimitError,
    RequestTimeoutError,
    RerankError,
    ResponseParseError,
    ServerError,
    TransportError,
)
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
PROVIDER = Provider(
    name="test", retry_statuses=frozenset({409, 422}), final_statuses=frozenset({501})
)


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
        (BadRequestError("x", response=HTTPResponse(422)), True, True),
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


@pytest.mark.parametrize(
    "kind", [BadRequestError, AuthenticationError, PermissionDeniedError, NotFoundError]
)
@pytest.mark.parametrize("status", [409, 500, 503])
def test_what_is_a_mistake_by_its_words_is_one(kind: type[APIStatusError], status: int) -> None:
    """Of which `error_types` tell; what is always worth another attempt still is."""
    error = kind("x", response=HTTPResponse(status))
    limited = kind("x", response=HTTPResponse(429))

    assert is_retryable(error, PROVIDER) is falls_back(error, PROVIDER) is False
    assert is_retryable(limited, PROVIDER) is falls_back(limited, PROVIDER) is True


@pytest.mark.parametrize("kind", [RateLimitError, ServerError])
@pytest.mark.parametrize("status", [400, 403, 424])
def test_a_4xx_that_may_pass_by_its_words_is_tried_again(
    kind: type[APIStatusError], status: int
) -> None:
    """As AWS throttles: status 400, and a name that tells."""
    error = kind("x", response=HTTPResponse(status))

    assert is_retryable(error, PROVIDER) is falls_back(error, PROVIDER) is True


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
