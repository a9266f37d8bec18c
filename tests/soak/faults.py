"""What the soak's server does to a request, and what a call may say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    RateLimitError,
    RequestTimeoutError,
    RerankError,
    ResponseParseError,
    ServerError,
    TransportError,
)


@frozen
class Fault:
    """One way of answering.

    Attributes:
        errors: What a call may end in whose last attempt met it.
        answers: Whether the right answer may come of it.
        retried: Whether another attempt may follow.
    """

    errors: tuple[type[RerankError], ...] = ()
    answers: bool = False
    retried: bool = False


_ANSWERED = Fault(answers=True)
_BROKEN = Fault((TransportError,), retried=True)
_STALLED = Fault((RequestTimeoutError,), retried=True)
_FAILING = Fault((ServerError,), retried=True)
_STORM = Fault((RateLimitError,), retried=True)
_UNREADABLE = Fault((ResponseParseError,))
_REDIRECTED = Fault((APIStatusError,))
FAULTS: Final[Mapping[str, Fault]] = {
    "right": _ANSWERED,
    "slow": _ANSWERED,
    "byte by byte": _ANSWERED,
    "chunked": _ANSWERED,
    "no length": _ANSWERED,
    "gzip": _ANSWERED,
    "closed": _ANSWERED,
    "says close": _ANSWERED,
    "stray 408": _ANSWERED,
    "reset before": _BROKEN,
    "reset in head": _BROKEN,
    "reset in body": _BROKEN,
    "reset after": Fault((TransportError,), answers=True, retried=True),
    "truncated": _BROKEN,
    "chunked, cut": _BROKEN,
    "no length, cut": _UNREADABLE,
    "length too long": _BROKEN,
    "length too short": _UNREADABLE,
    "gzip, cut": _UNREADABLE,
    "gzip bomb": _UNREADABLE,
    "too large": _UNREADABLE,
    "500": _FAILING,
    "502 in HTML": _FAILING,
    "503": _FAILING,
    "503 until a date": _FAILING,
    "429": _STORM,
    "429 for a moment": _STORM,
    "429 until a date in the past": _STORM,
    "429 until nobody knows": _STORM,
    # Only where a deadline would pass meanwhile: then the call fails at once.
    "429 for a day": Fault((RateLimitError,)),
    "400": Fault((BadRequestError,)),
    "401": Fault((AuthenticationError,)),
    "302": _REDIRECTED,
    "307": _REDIRECTED,
    "garbage": _UNREADABLE,
    "html": _UNREADABLE,
    "duplicate index": _UNREADABLE,
    "index out of range": _UNREADABLE,
    "stall": _STALLED,
    "stall in body": _STALLED,
    # A request on a connection that the server had half closed; never chosen, only met.
    "swallowed": Fault((TransportError, APIStatusError), retried=True),
}
