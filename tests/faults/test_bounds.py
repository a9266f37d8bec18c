"""`timeout`, `max_retries` and `deadline` hold, whatever the other side does."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from faults.calls import MODEL, MakeCalls, Outcome, check_outcome, shown
from faults.server import (
    Act,
    Peer,
    Step,
    after_head,
    at_once,
    chunk,
    close,
    head,
    pause,
    rank,
    ranking,
    read_body,
    read_slowly,
    reply,
    reset,
    serving,
    stall,
    step,
    trickle,
)
from rerank_core import (
    BadRequestError,
    ConfigurationError,
    RateLimitError,
    RequestTimeoutError,
    Reranker,
    RerankError,
    ServerError,
    TransportError,
)

SOON_ENOUGH = 5.0
"""Seconds that mean "did not hang" on a busy machine; what is bounded takes a tenth of this."""
BROAD = ["y" * 1_000_000] * 8
"""More than the buffers of a connection take."""


@contextmanager
def _bounded() -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < SOON_ENOUGH


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses to which connections were tried, of IP and by whichever driver."""
    tried: list[Any] = []
    connect = socket.socket.connect

    def note(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            tried.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", note)
    return tried


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize("retries", [0, 1, 3])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        pytest.param(step(reset), TransportError, id="reset"),
        pytest.param(step(reply(b"{}", "Retry-After-Ms: 1", status=429)), RateLimitError, id="429"),
        pytest.param(step(reply(b"{}", status=503)), ServerError, id="503"),
    ],
)
def test_there_are_so_many_retries_and_no_more(
    call: MakeCalls, fault: Step, kind: type[RerankError], retries: int
) -> None:
    """`max_retries` further requests, and then the error."""
    with serving(fault) as server:
        outcome = call.once(server.url, max_retries=retries)

        check_outcome(outcome, kind)
        assert len(server.requests) == 1 + retries


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_refused_connection_is_an_error(
    call: MakeCalls, retries: int, connects: list[Any]
) -> None:
    """Nobody listens: that is said at once, after the retries and no more."""
    port = _unused_port()
    with _bounded():
        outcome = call.once(f"http://127.0.0.1:{port}", max_retries=retries)

    check_outcome(outcome, TransportError, says="ConnectError")
    assert connects == [("127.0.0.1", port)] * (1 + retries)


@pytest.mark.parametrize("host", ["a..b", "user:password@a..b", f"{'x' * 64}.example"])
def test_a_name_that_no_host_can_have_is_an_error(call: MakeCalls, host: str) -> None:
    """The same under each driver."""
    outcome = call.once(f"http://{host}", max_retries=0)

    check_outcome(outcome, TransportError, says="a..b" if "a..b" in host else "example")
    assert "password" not in shown(outcome)


def test_a_service_that_comes_up_late_is_reached(call: MakeCalls) -> None:
    """A connection broken off before the request is tried again as any other."""
    with serving(at_once(reset), at_once(close), step(rank)) as server:
        outcome = call.once(server.url, max_retries=2)

        check_outcome(outcome, None)
        assert (len(server.requests), server.connections) == (1, 3)


ENDLESS = [
    pytest.param(step(stall), id="never a byte"),
    pytest.param(at_once(stall), id="a request that is never read"),
    pytest.param(step(reply()[:40], stall), id="a stall in the head"),
    pytest.param(step(reply()[:-5], stall), id="a stall in the body"),
    pytest.param(step(trickle(reply(), 0.05)), id="a byte now and then"),
    pytest.param(
        step(head("Content-Length: 9000"), trickle(b" " * 9000, 0.01)), id="a body of blanks"
    ),
    pytest.param(
        step(head("Transfer-Encoding: chunked"), trickle(chunk(b" ") * 900, 0.01)), id="chunks"
    ),
    pytest.param(
        step(trickle(head(status=100) * 900, 0.005)), id="100 Continue for ever"
    ),
    pytest.param(step(trickle(head(*["X: y"] * 900), 0.005)), id="headers for ever"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", ENDLESS)
def test_a_deadline_bounds_what_a_timeout_does_not(call: MakeCalls, fault: Step) -> None:
    """A service that never ends, but always says something soon, is left at the deadline."""
    with serving(fault) as server, _bounded():
        outcome = call.once(server.url, deadline=0.25, timeout=60.0, max_retries=5)

        check_outcome(outcome, RequestTimeoutError)
        assert len(server.requests) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", [step(stall), step(reply()[:-5], stall), at_once(stall)])
def test_a_timeout_bounds_each_attempt(call: MakeCalls, fault: Step) -> None:
    """Without a deadline, time is bounded by attempts that each are."""
    with serving(fault) as server, _bounded():
        outcome = call.once(server.url, timeout=0.1, max_retries=2)

        check_outcome(outcome, RequestTimeoutError)
        assert server.connections == 3


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest) -> ssl.SSLContext | None:
    """What a server speaks, plain or TLS that is believed."""
    if request.param == "http":
        return None
    request.getfixturevalue("trusted")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(request.getfixturevalue("certificate"))
    return context


def test_a_request_that_nobody_reads_is_bounded(
    call: MakeCalls, tls: ssl.SSLContext | None
) -> None:
    """The time to write is bounded as well."""
    with serving(at_once(pause(3.0)), tls=tls) as server, _bounded():
        outcome = call.once(server.url, documents=BROAD, timeout=0.2, max_retries=0)

        check_outcome(outcome, RequestTimeoutError)


@pytest.mark.slow
@pytest.mark.parametrize("first", [b"", head(status=100)], ids=["at once", "after a 100"])
def test_a_timeout_to_write_is_not_for_all_of_a_request(
    call: MakeCalls, first: bytes, tls: ssl.SSLContext | None
) -> None:
    """As long as somebody reads on, it takes what it takes, under each driver."""
    documents = ["x" * 20_000_000, "b"]
    with serving(after_head(first, read_slowly, reply()), tls=tls) as server:
        begin = time.monotonic()
        bounds = httpx.Timeout(1.5, connect=15.0, read=60.0)
        outcome = call.once(server.url, documents=documents, timeout=bounds, max_retries=0)

        check_outcome(outcome, None)
        assert time.monotonic() - begin > 1.5  # so the bound was passed


def test_a_deadline_bounds_retries(call: MakeCalls) -> None:
    """A storm is not sat out: the last failure is raised when the time is over."""
    storm = step(pause(0.02), reply(b"{}", "Retry-After-Ms: 20", status=429))
    with serving(storm) as server, _bounded():
        outcome = call.once(server.url, deadline=0.3, max_retries=1000)

        assert isinstance(outcome, (RateLimitError, RequestTimeoutError))
        assert 1 <= len(server.requests) <= 15


def test_a_deadline_bounds_fallbacks(call: MakeCalls) -> None:
    """It is one deadline for all of them, not one for each."""
    with serving(step(stall)) as server, _bounded():
        options: dict[str, Any] = {"api_key": "k-0123456789", "api_base": server.url}
        fallbacks = [Reranker(MODEL, **options) for _ in range(3)]
        outcome = call.once(server.url, deadline=0.25, fallbacks=fallbacks)
        for fallback in fallbacks:
            fallback.close()

        check_outcome(outcome, RequestTimeoutError)
        assert len(server.requests) <= 4


def test_a_deadline_bounds_a_split_list(call: MakeCalls) -> None:
    """It is one deadline for all parts as well."""
    with serving(step(stall)) as server, _bounded():
        outcome = call.once(
            server.url, documents=["a", "b", "c", "d"], max_documents=1, max_concurrency=2,
            deadline=0.25,
        )  # fmt: skip

        check_outcome(outcome, RequestTimeoutError)
        assert len(server.requests) <= 2


def test_a_late_answer_is_not_taken_for_the_next_one(call: MakeCalls) -> None:
    """What an attempt left behind says goes to nobody."""
    late = step(pause(0.3), reply(ranking("stale")))
    with serving(late, step(rank)) as server:
        first, second, third = call(server.url, "a", "b", "c", timeout=0.1, max_retries=0)

        check_outcome(first, RequestTimeoutError)
        check_outcome(second, None, query="b")
        check_outcome(third, None, query="c")


def test_a_late_answer_after_a_deadline_is_nobodys(call: MakeCalls) -> None:
    """The same where the deadline left the attempt behind."""
    late = step(pause(0.3), reply(ranking("stale")))
    with serving(late, step(rank)) as server:
        first = call.once(server.url, deadline=0.1)
        server.answer(step(rank))
        second = call.once(server.url, "b")

        check_outcome(first, RequestTimeoutError)
        check_outcome(second, None, query="b")


def test_a_refusal_before_a_large_request_was_read(call: MakeCalls) -> None:
    """The reply counts, not that nobody wanted to read all of the request."""
    refusal = reply(b"too much", "Connection: close", status=413)
    with serving(after_head(refusal, read_body, close)) as server:
        outcome = call.once(server.url, documents=BROAD)

        check_outcome(outcome, BadRequestError, says="too much")
        assert len(server.requests) == 1


def test_a_large_request_that_is_broken_off_is_bounded(call: MakeCalls) -> None:
    """With the reset a reply may be lost, which TCP allows: then the connection is what failed."""
    refusal = reply(b"too much", "Connection: close", status=413)
    with serving(after_head(refusal, pause(0.1), reset)) as server, _bounded():
        outcome = call.once(server.url, documents=BROAD)

        check_outcome(
            outcome, BadRequestError if isinstance(outcome, BadRequestError) else TransportError
        )
        assert len(server.requests) == (1 if isinstance(outcome, BadRequestError) else 2)


def test_https_asked_of_a_plain_server_is_an_error(call: MakeCalls) -> None:
    """No request, and so no key, goes out in the open."""
    with serving(at_once(pause(0.02), b"HTTP/1.1 400 Bad Request\r\n\r\n", close)) as server:
        outcome = call.once(server.url.replace("http:", "https:"))

        check_outcome(outcome, TransportError, says="ConnectError")
        assert (server.requests, server.connections) == ([], 2)


def test_a_proxy_that_speaks_tls_is_named(call: MakeCalls) -> None:
    """What nginx says to plain HTTP on its TLS port reaches the caller."""
    page = b"<html><body>The plain HTTP request was sent to HTTPS port</body></html>"
    with serving(step(reply(page, "Connection: close", status=400), close)) as server:
        outcome = call.once(server.url)

        check_outcome(outcome, BadRequestError, says="plain HTTP request was sent to HTTPS port")
        assert len(server.requests) == 1


@pytest.mark.parametrize("scheme", ["ftp", "ws", "file", "", "htp"])
def test_another_scheme_is_refused_before_anything_is_sent(call: MakeCalls, scheme: str) -> None:
    """What is no HTTP URL is a mistake in the configuration."""
    with serving() as server:
        outcome: Outcome | None = None
        try:
            outcome = call.once(server.url.replace("http:", f"{scheme}:"))
        except RerankError as error:  # as early as that
            outcome = error

        assert isinstance(outcome, ConfigurationError)
        assert server.connections == 0


def test_calls_side_by_side_share_no_fault(call: MakeCalls) -> None:
    """All are under way before one is answered; then each comes to its own outcome."""
    faults: dict[str, tuple[bytes | Act, ...]] = {
        "a": (reset,),
        "c": (reply()[:30], close),
        "e": (b"?\r\n\r\n", close),
    }
    all_here = threading.Barrier(6)

    def answer(peer: Peer) -> None:
        assert peer.request is not None
        all_here.wait(SOON_ENOUGH)
        peer.act(*faults.get(peer.request.json["query"], (rank,)))

    with serving(step(answer)) as server:
        outcomes = call.side_by_side(server.url, *"abcdef", max_retries=0)

        assert (len(server.requests), server.connections) == (6, 6)
    for query, outcome in zip("abcdef", outcomes, strict=True):
        check_outcome(outcome, TransportError if query in faults else None, query=query)
