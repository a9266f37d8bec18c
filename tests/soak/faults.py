"""What the soak's server does to a request, and what a call may say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from rerank_core import (
    APIStatusError,
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
_UNREADABLE = Fault((ResponseParseError,))
FAULTS: Final[Mapping[str, Fault]] = {
    "right": _ANSWERED,
    "slow": _ANSWERED,
    "closed": _ANSWERED,
    "says close": _ANSWERED,
    "stray 408": _ANSWERED,
    "stale bytes": _ANSWERED,
    "reset before": _BROKEN,
    "reset in head": _BROKEN,
    "reset in body": _BROKEN,
    "reset after": Fault((TransportError,), answers=True, retried=True),
    "truncated": _BROKEN,
    "length too long": _BROKEN,
    "length too short": _UNREADABLE,
    "500": Fault((ServerError,), retried=True),
    "503": Fault((ServerError,), retried=True),
    "429": Fault((RateLimitError,), retried=True),
    "garbage": _UNREADABLE,
    "html": _UNREADABLE,
    "duplicate index": _UNREADABLE,
    "index out of range": _UNREADABLE,
    "stall": Fault((RequestTimeoutError,), retried=True),
    # A request on a connection that the server had half closed; never chosen, only met.
    "swallowed": Fault((TransportError, APIStatusError), retried=True),
}
