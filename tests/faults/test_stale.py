"""Connections that are kept, and servers that hang up."""

from __future__ import annotations

import pytest

from core.loopback import comes_true
from faults.calls import MakeCalls, check_outcome
from faults.server import Act, close, rank, reset, serving, step
from rerank_core import TransportError


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
