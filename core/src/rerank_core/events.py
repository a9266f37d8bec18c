"""What observers are told: frozen records of what happens to a call.

A Started event is told in the context of its work: a context variable that is set then holds until
the matching Ended event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import field, frozen
from attrs.converters import optional

from rerank_core.records._text import without_userinfo
from rerank_core.records.response import RerankResponse


@frozen(kw_only=True, eq=False)
class Event:
    """What all events have.

    Attributes:
        call: Identifies one call of `rerank` or `arerank` in this process.
        provider: The name of the provider that the event is about.
        model: The model's name without its provider.
    """

    call: str
    provider: str
    model: str


@frozen(kw_only=True, eq=False)
class CallStarted(Event):
    """A call begins; provider and model are the first that it will ask.

    Attributes:
        documents: How many documents are to be ranked.
        top_n: As the caller gave it, or `None` for all.
        base_url: Where requests go, without user name and password; `None` for a model in this
            process.
        query: The query, which is the caller's secret: do not write it unless told to.
        inputs: The documents, which are the caller's secret, too.
    """

    documents: int
    top_n: int | None
    base_url: str | None = field(converter=optional(without_userinfo))
    query: str = field(repr=False)
    inputs: Sequence[Any] = field(repr=False)


@frozen(kw_only=True, eq=False)
class CallEnded(Event):
    """A call has ended; provider and model are those that answered, where one did.

    Attributes:
        seconds: How long it took.
        attempts: How many requests were sent to ranking services.
        response: What the caller receives; `None` for an error.
        error: What is raised instead; it may be a cancellation.
    """

    seconds: float
    attempts: int
    response: RerankResponse | None
    error: BaseException | None


@frozen(kw_only=True, eq=False)
class PartStarted(Event):
    """A part of a call begins: one request's share of a split list, or a fallback's turn.

    Told only where a call consists of several.

    Attributes:
        number: From 1, among the parts of one provider's turn; 0 for a fallback's turn as a whole.
        documents: How many documents it ranks.
    """

    number: int
    documents: int


@frozen(kw_only=True, eq=False)
class PartEnded(Event):
    """Part `number` of a call has ended after `seconds`, with `error` where it failed."""

    number: int
    seconds: float
    error: BaseException | None


@frozen(kw_only=True, eq=False)
class AttemptStarted(Event):
    """A request is sent.

    Attributes:
        number: Of attempts at this request, from 1.
        method: The HTTP method.
        url: Where to, without user name, password and query.
        documents: How many documents the request ranks.
    """

    number: int
    documents: int
    method: str
    url: str


@frozen(kw_only=True, eq=False)
class AttemptEnded(Event):
    """A request, of the same `number` and `documents`, was answered or failed.

    Attributes:
        status_code: The reply's HTTP status; `None` where there was no reply.
        seconds: How long it took.
        sent_bytes: The size of the request's body.
        received_bytes: The size of the reply's body, decompressed.
        error: What failed, or `None`.
    """

    number: int
    documents: int
    status_code: int | None
    seconds: float
    sent_bytes: int
    received_bytes: int
    error: BaseException | None


@frozen(kw_only=True, eq=False)
class Waited(Event):
    """Attempt `number` failed with `error`; the next one follows in `seconds`."""

    seconds: float
    number: int
    error: BaseException


@frozen(kw_only=True, eq=False)
class FallbackTaken(Event):
    """Another model is asked after `error` of the last; `provider` and `model` name the new one."""

    error: BaseException


@frozen(kw_only=True, eq=False)
class PassedThrough(Event):
    """All models have failed, with `errors` in that order; the caller's own order is returned."""

    errors: Sequence[BaseException]
