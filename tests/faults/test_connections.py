"""Connections that break, stall or trickle, and replies that are not whole."""

from __future__ import annotations

import pytest

from faults.calls import QUICK, Fault, MakeCalls, check_fault, check_outcome, fault
from faults.server import (
    after_head,
    at_once,
    chunk,
    close,
    head,
    pause,
    rank,
    ranking,
    read_body,
    reply,
    reset,
    serving,
    stall,
    step,
    trickle,
)
from rerank_core import (
    APIStatusError,
    BadRequestError,
    RequestTimeoutError,
    ResponseParseError,
    TransportError,
)

BODY = ranking()
WHOLE = reply()
HALF = WHOLE[: len(WHOLE) // 2]
JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
RANK = step(rank)
TLS_ALERT = bytes.fromhex("15030100020246")
"""What a TLS server answers to who speaks plain HTTP: protocol version."""


def _longer_by(difference: int) -> bytes:
    return head(f"Content-Length: {len(BODY) + difference}", JSON) + BODY


BREAKS = [
    fault(
        "reset before the request",
        at_once(reset),
        outcome=TransportError,
        requests=0,
        connections=2,
    ),
    fault("reset before the reply", step(reset), outcome=TransportError, requests=2),
    fault("reset inside the headers", step(WHOLE[:20], reset), outcome=TransportError, requests=2),
    fault("reset inside the body", step(HALF, reset), outcome=TransportError, requests=2),
    fault("reset once", step(HALF, reset), RANK, outcome=None, requests=2),
    fault("reset after the reply", step(WHOLE, pause(0.05), reset), outcome=None),
    fault(
        "closed before the request",
        at_once(close),
        outcome=TransportError,
        requests=0,
        connections=2,
    ),
    fault("closed before the reply", step(close), outcome=TransportError, requests=2),
    fault(
        "closed inside the status line", step(WHOLE[:5], close), outcome=TransportError, requests=2
    ),
    fault("closed inside the headers", step(WHOLE[:20], close), outcome=TransportError, requests=2),
    fault("closed inside the body", step(HALF, close), outcome=TransportError, requests=2),
    fault("closed once", step(close), RANK, outcome=None, requests=2),
    fault("closed after the reply", step(WHOLE, close), outcome=None),
    fault(
        "closed twice with three retries",
        step(close),
        step(reset),
        RANK,
        outcome=None,
        requests=3,
        options={"max_retries": 3},
    ),
    fault(
        "closed without retries", step(close), outcome=TransportError, options={"max_retries": 0}
    ),
]

SLOWNESS = [
    fault("never a byte", step(stall), outcome=RequestTimeoutError, requests=2, options=QUICK),
    fault("a stall inside the headers", step(WHOLE[:20], stall), outcome=RequestTimeoutError,
          requests=2, options=QUICK),
    fault("a stall inside the body", step(HALF, stall), outcome=RequestTimeoutError, requests=2,
          options=QUICK),
    fault("a stall once", step(HALF, stall), RANK, outcome=None, requests=2, options=QUICK),
    fault("a slow first byte within the timeout", step(pause(0.1), rank), outcome=None),
    fault("one byte at a time", step(trickle(WHOLE)), outcome=None),
]  # fmt: skip

FRAMING = [
    fault("Content-Length too long, and closed", step(_longer_by(9), close),
          outcome=TransportError, requests=2),
    fault("Content-Length too long, and open", step(_longer_by(9), stall),
          outcome=RequestTimeoutError, requests=2, options=QUICK),
    # What is left over is in the way of the next call, with httpx as with many others.
    fault("Content-Length too short", step(_longer_by(-9), close), outcome=ResponseParseError),
    fault("Content-Length 0 before a body", step(_longer_by(-len(BODY)), close),
          outcome=ResponseParseError),
    fault("no Content-Length, and closed", step(head(JSON), BODY, close), outcome=None),
    fault("no Content-Length, cut and closed", step(head(JSON), BODY[:-9], close),
          outcome=ResponseParseError),
    fault("no Content-Length, and open", step(head(JSON), BODY, stall),
          outcome=RequestTimeoutError, requests=2, options=QUICK),
    fault("two Content-Lengths that differ",
          step(head(f"Content-Length: {len(BODY)}", "Content-Length: 5"), BODY),
          outcome=TransportError, requests=2),
    fault("a Content-Length that is none", step(head("Content-Length: many"), BODY),
          outcome=TransportError, requests=2),
    fault("a negative Content-Length", step(head("Content-Length: -1"), BODY),
          outcome=TransportError, requests=2),
    fault("chunked", step(head(CHUNKED), *map(chunk, (BODY[:7], BODY[7:9], BODY[9:], b""))),
          outcome=None),
    fault("chunked with a trailer", step(head(CHUNKED), chunk(BODY), b"0\r\nX-After: 1\r\n\r\n"),
          outcome=None),
    fault("chunked and cut", step(head(CHUNKED), chunk(BODY), close), outcome=TransportError,
          requests=2),
    fault("a chunk's length that is none", step(head(CHUNKED), b"zz\r\n", BODY),
          outcome=TransportError, requests=2),
    fault("a chunk longer than said", step(head(CHUNKED), b"5\r\n", BODY, chunk(b"")),
          outcome=TransportError, requests=2),
    fault("a negative chunk", step(head(CHUNKED), b"-5\r\n", BODY, chunk(b"")),
          outcome=TransportError, requests=2),
    fault("HTTP/1.0", step(head(JSON, version="1.0"), BODY, close), outcome=None),
    fault("HTTP/1.0 that keeps the connection",
          step(head(f"Content-Length: {len(BODY)}", "Connection: keep-alive", version="1.0"), BODY),
          outcome=None),
]  # fmt: skip

HEADS = [
    fault("a status line of garbage", step(b"?" * 40 + b"\r\n\r\n"), outcome=TransportError,
          requests=2),
    fault("an endless status line", step(b"HTTP/1.1 200 " + b"y" * 200_000, close),
          outcome=TransportError, requests=2),
    fault("a status that is no number", step(b"HTTP/1.1 two Fine\r\n\r\n"), outcome=TransportError,
          requests=2),
    fault("a status of 999", step(reply(b"{}", status=999)), outcome=APIStatusError),
    fault("the reply of another protocol", step(b"SSH-2.0-OpenSSH_9.9\r\n", close),
          outcome=TransportError, requests=2),
    fault("a greeting before the request", at_once(b"220 mail ESMTP\r\n", pause(0.05), close),
          outcome=TransportError, requests=0, connections=2),
    fault("a status line of 60 kB of garbage", step(b"y" * 60_000 + b"\r\n\r\n"),
          outcome=TransportError, requests=2),
    fault("60 kB without a colon among the headers", step(reply(None, "y" * 60_000)),
          outcome=TransportError, requests=2),
    fault("60 kB as a chunk's length", step(head(CHUNKED), b"y" * 60_000 + b"\r\n"),
          outcome=TransportError, requests=2),
    fault("60 kB as a length", step(head(f"Content-Length: {'y' * 60_000}")),
          outcome=TransportError, requests=2),
    fault("60 kB as a transfer encoding", step(head(f"Transfer-Encoding: {'y' * 60_000}")),
          outcome=TransportError, requests=2),
    fault("a TLS server asked in plain HTTP", step(TLS_ALERT, close), outcome=TransportError,
          requests=2),
    fault("a thousand headers", step(reply(None, *(f"X-{at}: {at}" for at in range(1000)))),
          outcome=None),
    fault("headers without end", step(head(*(f"X-{at}: {'y' * 90}" for at in range(2000))), close),
          outcome=TransportError, requests=2),
    fault("a header of 60 kB", step(reply(None, f"X-Long: {'y' * 60_000}")), outcome=None),
    fault("a header of 200 kB", step(reply(None, f"X-Long: {'y' * 200_000}"), close),
          outcome=TransportError, requests=2),
    fault("a header of bytes that are no text", step(reply(None, "X-Odd: \xff\xfe\x80")),
          outcome=None),
    fault("a header with a zero byte", step(reply(None, "X-Odd: a\x00b")), outcome=TransportError,
          requests=2),
    fault("a header without a colon", step(reply(None, "odd")), outcome=TransportError, requests=2),
    fault("a header folded over two lines", step(reply(None, "X-Odd: a\r\n b")), outcome=None),
    fault("100 before the reply", step(head(status=100), WHOLE), outcome=None),
    fault("103 with headers before the reply",
          step(head("Link: </a.css>; rel=preload", status=103), WHOLE), outcome=None),
    fault("fifty 102 before the reply", step(*[head(status=102)] * 50, WHOLE), outcome=None),
    fault("100 and nothing after it", step(head(status=100), stall), outcome=RequestTimeoutError,
          requests=2, options=QUICK),
    fault("an upgrade nobody asked for", step(head("Upgrade: h2c", status=101), close),
          outcome=TransportError, requests=2),
    fault("an upgrade the caller asked for", step(head("Upgrade: h2c", status=101), close),
          outcome=APIStatusError, options={"extra_headers": {"upgrade": "h2c"}}),
]  # fmt: skip

EARLY = [
    fault("a good reply before the body was read", after_head(WHOLE, read_body), outcome=None),
    fault("413 before the body was read",
          after_head(reply(b"too much", "Connection: close", status=413), read_body, close),
          outcome=BadRequestError, says="too much"),
    fault("503 before the body was read, once",
          after_head(reply(b"", "Connection: close", status=503), read_body, close), RANK,
          outcome=None, requests=2),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("found", [*BREAKS, *SLOWNESS, *FRAMING, *HEADS, *EARLY])
def test_a_call_comes_to_what_is_promised(call: MakeCalls, found: Fault) -> None:
    """Whatever the connection does; and the next call gets its own answer in one request."""
    check_fault(call, found)


@pytest.mark.parametrize("line", ["X-Odd: \xe9", "X-Odd: \xc3\xa9", "X-Odd: \xff\xfe\x80"])
@pytest.mark.parametrize("account", ["", "user:password@"])
def test_a_header_beyond_ascii_does_no_harm(call: MakeCalls, line: str, account: str) -> None:
    """Whichever way the request goes: one with an account is httpx's to read."""
    with serving(step(reply(None, line))) as server:
        outcome = call.once(server.url.replace("//", f"//{account}"), max_retries=0)

    check_outcome(outcome, None)
