"""Replies that httpx's connections bring: through a proxy, or by the caller's own client."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from core.loopback import comes_true
from faults.calls import MakeCalls, check_outcome
from faults.server import FaultServer, Step, chunk, head, rank, repeat, reply, serving, step
from faults.test_reply_size import BOMB, LIMIT
from faults.test_token_size import (
    ENDLESS,
    GIVEN,
    GIVEN_ANEW,
    OVERSHOOT,
    REFUSED,
    check_bounded,
)
from rerank_core import (
    AuthenticationError,
    RerankError,
    ResponseParseError,
)

# They leave their own generators behind where a reply is broken off, and only trio minds.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'http(core|x):ResourceWarning")
GZIP, CHUNKED = "Content-Encoding: gzip", "Transfer-Encoding: chunked"
ALONE = httpx.Limits(max_keepalive_connections=0)


@pytest.fixture(params=["proxy", "client"])
def options(request: pytest.FixtureRequest, call: MakeCalls) -> dict[str, Any]:
    """What makes httpx's connections carry a call."""
    if request.param == "proxy":
        return {}
    blocking = call.driver == "rerank"
    kind: Any = httpx.HTTPTransport if blocking else httpx.AsyncHTTPTransport
    return {"http_client": kind(limits=ALONE)}


@pytest.fixture
def server(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A server that is a proxy as well, where the call is to go through one."""
    with serving() as server:
        if not options:
            monkeypatch.setenv("HTTP_PROXY", server.url)
        yield server


TOO_LARGE = [
    pytest.param(step(head(CHUNKED), repeat(chunk(b" " * 65_536), 100_000_000)), id="chunks"),
    pytest.param(step(reply(BOMB, GZIP)), id="a gzip bomb"),
    pytest.param(step(reply(gzip.compress(b" " * (LIMIT + 1)), GZIP)), id="a byte"),
]


@pytest.mark.parametrize("script", TOO_LARGE)
def test_a_reply_too_large_is_refused_and_not_held(
    call: MakeCalls, server: FaultServer, options: dict[str, Any], script: Step
) -> None:
    """As over connections of our own."""
    server.answer(script)
    tracemalloc.start()
    try:
        outcome = call.once(server.url, max_response_bytes=LIMIT, max_retries=0, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    check_outcome(outcome, ResponseParseError, says=f"{LIMIT:,}")
    assert peak <= OVERSHOOT
    assert server.sent <= LIMIT + OVERSHOOT


@pytest.mark.parametrize("lines", [[], [GZIP]], ids=["plain", "gzip"])
def test_a_reply_within_the_limit_is_taken(
    call: MakeCalls, server: FaultServer, options: dict[str, Any], lines: list[str]
) -> None:
    """Whether it was compressed or not."""
    body = reply().partition(b"\r\n\r\n")[2]
    server.answer(step(reply(gzip.compress(body) if lines else body, *lines)))
    outcome = call.once(server.url, max_response_bytes=len(body), max_retries=0, **options)

    check_outcome(outcome, None)


@pytest.mark.parametrize(
    ("script", "kind", "requests"),
    [
        pytest.param((step(head(CHUNKED), ENDLESS),), ResponseParseError, 1, id="token"),
        pytest.param((step(reply(BOMB, GZIP)),), ResponseParseError, 1, id="a bomb"),
        pytest.param(
            (step(head(CHUNKED, status=401), ENDLESS),), AuthenticationError, 1, id="no token"
        ),
        pytest.param((GIVEN, REFUSED, GIVEN_ANEW, step(reply())), None, 4, id="one refusal"),
    ],
)
def test_neither_tokens_nor_refusals_are_without_end(
    call: MakeCalls,
    server: FaultServer,
    options: dict[str, Any],
    script: tuple[Step, ...],
    kind: type[RerankError] | None,
    requests: int,
) -> None:
    """What is asked for a token has the bound of the ranking's own reply."""
    server.answer(*script)
    check_bounded(call, server, kind, requests, **options)


def test_good_calls_share_one_connection_to_the_proxy(
    call: MakeCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was replaced above is not replaced each time."""
    with serving(step(rank)) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        call("http://service.test", "a", "b", "c")

        assert comes_true(lambda: len(server.requests) == 3)
        assert server.connections == 1
