"""Connections that are kept: bytes nobody asked for, and servers that hang up."""

from __future__ import annotations

import pytest

from core.loopback import comes_true
from faults.calls import MakeCalls, check_next_calls, check_outcome
from faults.server import Act, Step, close, head, pause, rank, ranking, reply, reset, serving, step
from rerank_core import TransportError

STALE = reply(ranking("stale"))
FILLED = reply(ranking(), f"X-Fill: {'y' * (65_536 - len(reply()) - len('X-Fill: ') - 2)}")
"""Fills what one read of 64 KiB takes, to the byte."""


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(step(reply() + STALE), id="with the reply"),
        pytest.param(step(FILLED + STALE), id="behind the last read of the reply"),
        pytest.param(step(reply(), pause(0.03), STALE), id="a moment after the reply"),
        pytest.param(step(reply(), STALE, close), id="and closed"),
        pytest.param(step(reply() + STALE * 3), id="three at once"),
        pytest.param(
            step(reply(None, "Connection: close") + STALE), id="where the connection ends"
        ),
        pytest.param(step(reply() + STALE[:-5]), id="a part of one"),
        pytest.param(
            step(head("Transfer-Encoding: chunked"), b"%x\r\n" % len(ranking()), ranking(),
                 b"\r\n0\r\n\r\n" + STALE),
            id="behind the last chunk",
        ),
        pytest.param(step(reply() + head(status=100)), id="a 100 that comes too late"),
        pytest.param(
            step(reply(b"{}", status=400) + STALE), id="with an error"
        ),
    ],
)  # fmt: skip
def test_a_second_reply_is_nobodys(call: MakeCalls, first: Step) -> None:
    """What a service sends unasked is never the answer to the next call, nor harms it."""
    with serving(first) as server:
        check_next_calls(call, server, server.url)
        assert len(server.requests) == 3


def test_a_stale_error_is_nobodys(call: MakeCalls) -> None:
    """Nor does the next call fail with the error of another."""
    stale = reply(b'{"message": "stale"}', status=401)
    with serving(step(reply() + stale)) as server:
        second = call(
            server.url,
            "first",
            "second",
            between=lambda: server.answer(step(rank)),
            max_retries=0,
        )[1]

        check_outcome(second, None, query="second")


@pytest.mark.parametrize("hang_up", [close, reset])
def test_a_connection_closed_while_idle_costs_nothing(call: MakeCalls, hang_up: Act) -> None:
    """The next call opens another: no failure, no retry."""
    with serving(step(rank, hang_up)) as server:
        outcomes = call(
            server.url,
            "a",
            "b",
            "c",
            between=lambda: server.answer(step(rank, hang_up)),
            max_retries=0,
        )

        for outcome, query in zip(outcomes, "abc", strict=True):
            check_outcome(outcome, None, query=query)
        assert (len(server.requests), server.connections) == (3, 3)


@pytest.mark.parametrize("hang_up", [close, reset])
def test_a_connection_closed_under_a_request_is_replaced(call: MakeCalls, hang_up: Act) -> None:
    """A kept connection may end as the next request comes: that is retried on another."""
    with serving(step(rank)) as server:
        second = call(
            server.url,
            "first",
            "second",
            between=lambda: server.answer(step(hang_up), step(rank)),
            max_retries=1,
        )[1]

        check_outcome(second, None, query="second")
        assert [seen.json["query"] for seen in server.requests] == ["first", "second", "second"]
        assert server.connections == 2


def test_a_closed_connection_is_a_failure_where_nothing_is_retried(call: MakeCalls) -> None:
    """With `max_retries=0` there is one request and no more."""
    with serving(step(rank)) as server:
        second = call(
            server.url,
            "first",
            "second",
            between=lambda: server.answer(step(close)),
            max_retries=0,
        )[1]

        check_outcome(second, TransportError)
        assert len(server.requests) == 2


def test_good_calls_share_one_connection(call: MakeCalls) -> None:
    """What these tests say of replaced connections is not because none is ever kept."""
    with serving(step(rank)) as server:
        call(server.url, "a", "b", "c")

        assert comes_true(lambda: len(server.requests) == 3)
        assert server.connections == 1
