"""Replies whose status is an error: what is tried again, after how long, and what is not."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

import pytest

from faults.calls import (
    KEY,
    TWO_DRIVERS,
    Fault,
    MakeCalls,
    check_fault,
    check_outcome,
    fault,
    shown,
)
from faults.server import close, head, rank, reply, serving, step
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RerankError,
    ResponseParseError,
    ServerError,
)

pytestmark = [TWO_DRIVERS, pytest.mark.slow]
SOON = "Retry-After-Ms: 1"
SAID = b'{"message": "no such luck"}'
HTML = b"<html><body><h1>no such luck</h1>" + b"<p>nginx</p>" * 5000 + b"</body></html>"
RANK = step(rank)


def _refusal(status: int, body: bytes = SAID, *lines: str) -> Any:
    return step(reply(body, SOON, *lines, status=status))


ONCE = [
    fault(f"{status}", _refusal(status), outcome=kind, says="no such luck")
    for status, kind in (
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, PermissionDeniedError),  # as Cohere states it
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, APIStatusError),
        (410, APIStatusError),
        (413, BadRequestError),
        (415, APIStatusError),
        (422, BadRequestError),
        (451, APIStatusError),
    )
]

AGAIN = [
    fault(f"{status} for ever", _refusal(status), outcome=kind, requests=2, says="no such luck")
    for status, kind in (
        (408, APIStatusError),
        (425, APIStatusError),
        (429, RateLimitError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (529, ServerError),
    )
] + [
    fault(f"{status} once", _refusal(status), RANK, outcome=None, requests=2)
    for status in (408, 425, 429, 500, 502, 503, 504)
]

OTHERS = [
    fault("a storm of 429", _refusal(429), outcome=RateLimitError, requests=6,
          options={"max_retries": 5}),
    fault("a storm of 429 that ends", *[_refusal(429)] * 3, RANK, outcome=None, requests=4,
          options={"max_retries": 3}),
    fault("429, then 400", _refusal(429), _refusal(400), outcome=BadRequestError, requests=2,
          options={"max_retries": 5}),
    fault("429 without retries", _refusal(429), outcome=RateLimitError,
          options={"max_retries": 0}),
    fault("503 that closes the connection", step(reply(SAID, SOON, "Connection: close", status=503),
          close), RANK, outcome=None, requests=2),
    fault("a page of HTML with 502", _refusal(502, HTML, "Content-Type: text/html"),
          outcome=ServerError, requests=2, says="no such luck"),
    fault("a page of HTML with 403", _refusal(403, HTML, "Content-Type: text/html"),
          outcome=PermissionDeniedError, says="no such luck"),
    fault("500 without a body", _refusal(500, b""), outcome=ServerError, requests=2),
    fault("204", step(head(status=204)), outcome=ResponseParseError),
    fault("304", step(head(status=304)), outcome=APIStatusError),
    fault("a redirect without a place", step(reply(b"", status=302)), outcome=APIStatusError),
    fault("a redirect to no URL", step(reply(b"", "Location: http://[", status=302)),
          outcome=APIStatusError),
    fault("a redirect to bytes", step(reply(b"", "Location: \xff\xfe://\x80", status=302)),
          outcome=APIStatusError),
]  # fmt: skip


@pytest.mark.parametrize("found", [*ONCE, *AGAIN, *OTHERS])
def test_a_call_comes_to_what_is_promised(call: MakeCalls, found: Fault) -> None:
    """Tried again where it may help, and only there; the next call is not harmed."""
    check_fault(call, found)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["another host", "the same host"])
def test_a_redirect_is_not_followed(call: MakeCalls, status: int, where: str) -> None:
    """Neither the documents nor the key go where a reply points to."""
    with serving() as other, serving() as server:
        base = other.url if where == "another host" else server.url
        place = f"{base}/elsewhere?key={KEY}"
        server.answer(step(reply(b"", f"Location: {place}", status=status)))
        outcome = call.once(server.url)

        check_outcome(outcome, APIStatusError, says=f"{base}/elsewhere: correct api_base")
        assert len(server.requests) == 1
        assert (other.connections, other.requests) == (0, [])


def test_a_redirect_shows_no_password(call: MakeCalls) -> None:
    """What a reply points to is shown without what stands before an @."""
    with serving(step(reply(b"", "Location: http://u:pass-word@127.0.0.1/", status=302))) as server:
        outcome = call.once(server.url)

        check_outcome(outcome, APIStatusError, says="http://127.0.0.1/")
        assert "pass-word" not in str(outcome)


BACK_OFF = (0.0, 0.001)
"""The bounds of the first wait where the service does not say; see `conftest.py`."""


@pytest.mark.parametrize(
    ("lines", "least", "most"),
    [
        (["Retry-After: 7"], 7, 7),
        (["Retry-After: 1.5"], 1.5, 1.5),
        (["Retry-After: 0"], *BACK_OFF),
        (["Retry-After: -5"], *BACK_OFF),
        (["Retry-After: soon"], *BACK_OFF),
        (["Retry-After: "], *BACK_OFF),
        (["Retry-After: nan"], *BACK_OFF),
        (["Retry-After: inf"], *BACK_OFF),
        (["Retry-After: \xb2\xb3"], *BACK_OFF),
        (["Retry-After: 86400"], 60, 60),
        ([f"Retry-After: {'9' * 5000}"], 60, 60),
        (["Retry-After: 3", "Retry-After: 4"], 0, 60),
        (["Retry-After: Sun, 01 Nov 2026 12:00:09 GMT", "Date: Sun, 01 Nov 2026 12:00:00 GMT"],
         9, 9),
        (["Retry-After: Sun, 01 Nov 2026 12:00:00 GMT", "Date: Sun, 01 Nov 2026 12:00:09 GMT"],
         *BACK_OFF),
        (["Retry-After: Sun, 06 Nov 1994 08:49:37 GMT"], *BACK_OFF),
        (["Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"], 60, 60),
        (["Retry-After: Fri, 31 Dec 99999 23:59:59 GMT"], *BACK_OFF),
        (["Retry-After: Fri, 31 Foo 2026 25:61:61 GMT"], *BACK_OFF),
        (["Retry-After: Mon, 01 Jan 0001 00:00:00 +2359"], *BACK_OFF),
        (["Retry-After-Ms: 1500", "Retry-After: 9"], 1.5, 1.5),
        (["Retry-After-Ms: 99999999"], 60, 60),
        (["Retry-After-Ms: -1", "Retry-After: 2"], 2, 2),
        (["X-RateLimit-Reset: 4"], 4, 4),
        ([], *BACK_OFF),
    ],
)  # fmt: skip
def test_the_service_says_when(
    call: MakeCalls, waits: list[float], lines: list[str], least: float, most: float
) -> None:
    """Seconds, milliseconds or a date; never longer than a minute, and unreadably is not at all."""
    with serving(step(reply(SAID, *lines, status=429)), step(rank)) as server:
        outcome = call.once(server.url)

        check_outcome(outcome, None)
        assert len(server.requests) == 2
        assert len(waits) == 1
        assert least <= waits[0] <= most * 1.25


@pytest.mark.parametrize(
    "line",
    ["Retry-After: 5", "Retry-After: 99999999", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
     "Retry-After-Ms: 30000"],
)  # fmt: skip
def test_a_wait_beyond_the_deadline_is_not_begun(
    call: MakeCalls, waits: list[float], line: str
) -> None:
    """The failure is raised at once, and says so; one request was made and nothing slept."""
    with serving(step(reply(SAID, line, status=429))) as server:
        outcome = call.once(server.url, deadline=4.0, max_retries=5)

        check_outcome(outcome, RateLimitError)
        assert "the deadline would pass" in shown(outcome)
        assert (len(server.requests), waits) == (1, [])


@pytest.mark.parametrize(
    ("stated", "seconds"), [("7", 7.0), ("86400", 86400.0), ("soon", None), ("-1", None)]
)
def test_an_error_says_how_long_to_wait(
    call: MakeCalls, stated: str, seconds: float | None
) -> None:
    """What the service asked for is on the error, for a caller with a queue of their own."""
    with serving(step(reply(SAID, f"Retry-After: {stated}", status=429))) as server:
        outcome = call.once(server.url, max_retries=0)

    check_outcome(outcome, RateLimitError)
    assert isinstance(outcome, RerankError)
    assert outcome.retry_after == seconds


@pytest.mark.parametrize("line", [f"Retry-After: {'9' * 5000}", f"Retry-After-Ms: {'9' * 5000}"])
def test_a_wait_beyond_all_measure_is_a_number_all_the_same(call: MakeCalls, line: str) -> None:
    """Whoever sleeps for so long, or writes it down as JSON, is not struck by an infinity."""
    with serving(step(reply(SAID, line, status=429))) as server:
        outcome = call.once(server.url, max_retries=0)

    assert isinstance(outcome, RateLimitError)
    assert outcome.retry_after is None or isfinite(outcome.retry_after)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"message": "%s"}' % (b"y" * 1_000_000), id="a message"),
        pytest.param(b"y" * 1_000_000, id="a text"),
        pytest.param(b'{"errors": [%s]}' % b",".join([b'"yyyyyyyyy"'] * 90_000), id="a list"),
        pytest.param(b"[" * 100_000, id="brackets"),
        pytest.param(b'{"error": ' * 100_000, id="objects"),
        pytest.param(b"\xff\xfe" * 100_000, id="bytes"),
        pytest.param(b'{"message": "' + b"y " * 236 + KEY.encode() * 5000 + b'"}', id="keys"),
        pytest.param(KEY.encode() * 20_000, id="nothing but keys"),
        pytest.param(b'{"message": "%s"}' % KEY.encode().replace(b"-", b"\\u002d"), id="escaped"),
    ],
)
@pytest.mark.parametrize("status", [400, 500])
def test_the_text_of_an_error_is_short_and_without_the_key(
    call: MakeCalls, status: int, body: bytes
) -> None:
    """However much a service says, and even where it sends the key back."""
    with serving(step(reply(body, status=status))) as server:
        outcome = call.once(server.url, max_retries=0)

    assert isinstance(outcome, APIStatusError)
    assert outcome.status_code == status
    assert len(str(outcome)) <= 600
    assert KEY not in shown(outcome)
    assert not re.search(r"canary-\d", shown(outcome))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(f"HTTP/1.1 {KEY} Said\r\n\r\n".encode(), id="in the status line"),
        pytest.param(f"{KEY}\r\n\r\n".encode(), id="instead of a status line"),
        pytest.param(head(KEY), id="in a header without a colon"),
        pytest.param(head("Transfer-Encoding: chunked") + KEY.encode() + b"\r\n", id="in a chunk"),
        pytest.param(head(f"Content-Length: {KEY}"), id="as a length"),
        pytest.param(head(f"Transfer-Encoding: {KEY}"), id="as a transfer encoding"),
        pytest.param(reply(KEY.encode()), id="as the body"),
        pytest.param(reply(b'{"results": "%s"}' % KEY.encode()), id="as the results"),
        pytest.param(
            reply(b'{"results": [{"index": "%s", "relevance_score": 1}]}' % KEY.encode()),
            id="as an index",
        ),
        pytest.param(reply(b'{"error": "%s"}' % KEY.encode()), id="as an error with 200"),
        pytest.param(
            reply(b"", f"Location: http://{KEY}/{KEY}", status=302), id="as a redirect"
        ),
        pytest.param(
            reply(b"x", f"Content-Encoding: {KEY}"), id="as a content encoding"
        ),
    ],
)  # fmt: skip
def test_a_key_that_comes_back_is_not_shown(call: MakeCalls, raw: bytes) -> None:
    """Wherever in the bytes of a reply a service, or a proxy before it, repeats the key."""
    with serving(step(raw, close)) as server:
        outcome = call.once(server.url, max_retries=0)

    assert isinstance(outcome, RerankError)
    assert KEY not in shown(outcome)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
