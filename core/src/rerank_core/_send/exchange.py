"""One part of a call: sent, sent again after failures that may pass, asked on for further pages."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

from rerank_core import errors, events
from rerank_core._conclude.response import Page, conclude, read_reply
from rerank_core._conclude.status import TYPES, status_error
from rerank_core._prepare.requests import Part, encode, follow
from rerank_core._resolve.secrets import Secret
from rerank_core._send.authorizing import authorized
from rerank_core._send.effects import Clock, Flow, Send, Sleep, work_on
from rerank_core._send.turn import Turn, compute
from rerank_core.facts import Provider
from rerank_core.records import Compute, HTTPRequest, HTTPResponse
from rerank_core.records._text import without_userinfo

MAX_REPLIES = 1000  # to one question; more is a service that will not come to an end
MAX_POLLING_SECONDS = 600.0  # of waits that the service asks for, where there is no deadline
JSON_HEADERS = {"accept": "application/json", "content-type": "application/json"}


def run_exchange(part: Part, turn: Turn) -> Flow:
    """One part: asked, and asked on for as long as the service says that there is more."""
    if isinstance(part.work, Compute):
        return (yield from compute(part, part.work, turn))
    request, target, count = part.work, turn.target, len(part.request.documents)
    most = target.options.max_response_bytes
    pages: list[Page] = []
    asked: set[int] = set()  # by their hashes: bodies may be large
    polled, reply, about = 0.0, None, None
    try:
        for _ in range(MAX_REPLIES):
            encoding = partial(encode, request, part, target)
            # No local name for the body: frames are shown.
            question = Secret((request.url, (yield from work_on(count, encoding, turn.deadline))))
            if request.delay > 0:
                polled += request.delay
                yield from _poll(request.delay, polled, turn)
            elif asked and hash(question) in asked:
                break
            reply, page = yield from _send(part, request, question, turn)
            if page.response is not None:
                pages.append(page)
            if len(pages) > 1 and most is not None and sum(page.size for page in pages) > most:
                message = f"the reply's pages have more than {most:,} bytes"
                raise errors.ResponseParseError(f"{message}: raise max_response_bytes")  # noqa: TRY301 - described below
            # A service may point to one page more than there is.
            if page.following is None or sum(len(p.results) for p in pages) >= part.expected:
                about = part  # an error says what it is instead, where these are no ranking
                return (yield from work_on(count, partial(conclude, part, pages)))
            asked.add(hash(question))
            request = follow(page.following, target, request)
        raise errors.ResponseParseError("the service keeps saying that there are more pages")  # noqa: TRY301 - likewise
    except (errors.ResponseParseError, errors.RequestTimeoutError) as error:
        better = turn.describe(error, about, reply)
        raise better from better.__cause__


def _poll(delay: float, polled: float, turn: Turn) -> Flow:
    """Wait because the service says "come back later"."""
    if turn.deadline is None and polled > MAX_POLLING_SECONDS:
        message = f"after {MAX_POLLING_SECONDS:.0f} s the service is still not ready"
        raise errors.RequestTimeoutError(f"{message}: give deadline= to wait longer")
    if not is_in_time(delay, turn):
        raise errors.RequestTimeoutError("the deadline would pass while waiting for the service")
    yield Sleep(delay)


def _send(part: Part, request: HTTPRequest, question: Secret, turn: Turn) -> Flow:
    """One request: sent and its reply read, and sent again after failures that may pass."""
    target, clock, count = turn.target, turn.tally.clock, len(part.request.documents)
    usual = JSON_HEADERS if request.body is not None else {"accept": JSON_HEADERS["accept"]}
    for attempt in itertools.count(1):
        send = Send(
            turn.route,
            request.method,
            request.url,
            # No local name: frames are shown.
            {**usual, **{name.lower(): value for name, value in request.headers.items()}},
            question.value[1],
            target.options.timeout,
            turn.deadline,
        )
        reply: HTTPResponse | None = None
        try:
            transmit = partial(_transmit, turn=turn, number=attempt, documents=count)
            reply = yield from authorized(send, clock, transmit)
            if not 200 <= reply.status_code < 300:  # noqa: PLR2004 - the good ones
                raise status_error(target, reply, clock.time(), turn.hide(send=send))
            return reply, (yield from work_on(count, partial(read_reply, part, target, reply)))
        except errors.RerankError as error:  # of authentication, of the way there, or in the reply
            failure = turn.describe(error, part, reply, send)
        if attempt > target.options.max_retries or not is_retryable(failure, target.provider):
            break
        if turn.has_next and (failure.retry_after or 0) > LONGEST_WAIT_BEFORE_FALLBACK:
            failure.add_note("Not tried again: another model is asked instead of a long wait.")
            break
        wait = choose_wait(failure.retry_after, attempt, clock)
        if not is_in_time(wait, turn):
            failure.add_note("Not tried again: the deadline would pass while waiting.")
            break
        turn.tally.tell(events.Waited, target, seconds=wait, number=attempt, error=failure)
        yield Sleep(wait)
    raise failure from failure.__cause__


def _transmit(send: Send, turn: Turn, number: int, documents: int) -> Flow:
    """Send once, and tell so."""
    tally = turn.tally
    about: dict[str, Any] = {"target": turn.target, "number": number, "documents": documents}
    tally.attempts += 1
    if not tally.hears(events.AttemptEnded, turn.target):
        return (yield send)
    tally.tell(events.AttemptStarted, **about, method=send.method, url=without_userinfo(send.url))
    sent = {"sent_bytes": len(send.content), "status_code": None, "received_bytes": 0}
    with tally.telling(events.AttemptEnded, **about, **sent) as end:
        try:
            reply: HTTPResponse = yield send
        except errors.RerankError as error:
            turn.describe(error, send=send)  # no observer is told a secret
            raise
        end |= {"status_code": reply.status_code, "received_bytes": len(reply.content)}
    return reply


def is_in_time(seconds: float, turn: Turn) -> bool:
    """Whether something can still be sent after a wait."""
    return turn.deadline is None or turn.tally.clock.monotonic() + seconds < turn.deadline


FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 8.0
LONGEST_RETRY_AFTER = 60.0
JITTER = 0.25  # of an announced wait, added so that those who failed together spread
LONGEST_WAIT_BEFORE_FALLBACK = 1.0
_RETRIED = frozenset({408, 425, 429})


def is_retryable(error: errors.RerankError, provider: Provider) -> bool:
    """Whether the same request may succeed later; `x-should-retry` of the reply decides first."""
    if isinstance(error, errors.APIStatusError) and error.response is not None:
        advice = error.response.headers.get("x-should-retry")
        if advice in {"true", "false"}:  # what several services say, and their SDKs heed
            return advice == "true"
    return _may_pass(error, provider)


def falls_back(error: errors.RerankError, provider: Provider) -> bool:
    """Whether another provider may be asked; never where that would hide the caller's mistake."""
    return _may_pass(error, provider) or isinstance(error, errors.ResponseParseError)


def _may_pass(error: errors.RerankError, provider: Provider) -> bool:
    if not isinstance(error, errors.APIStatusError):
        return isinstance(error, errors.TransportError)
    status = error.code or error.status_code or 0
    if status in provider.final_statuses:
        return False
    passing = isinstance(error, (errors.RateLimitError, errors.ServerError)) or status in _RETRIED
    # By its words, a 5xx or a status that the provider retries may be a mistake in the request.
    retried = 500 <= status < 600 or status in provider.retry_statuses  # noqa: PLR2004
    return passing or (retried and type(error) in {errors.APIStatusError, TYPES.get(status)})


def choose_wait(retry_after: float | None, attempt: int, clock: Clock) -> float:
    """What the service asks for, in bounds, else exponential back-off; both with jitter."""
    if retry_after is not None and retry_after > 0:
        return min(retry_after, LONGEST_RETRY_AFTER) * (1 + JITTER * clock.random())
    # Capped before the power grows past what a float holds.
    most = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempt - 1, 16))
    return clock.random() * most
