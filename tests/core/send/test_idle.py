"""Connections that nobody uses: taken again while they are young, closed when they are old."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import orjson
import pytest

from core.loopback import Connection, Loopback, comes_true, rank, ranking, serving, will_come_true
from rerank_core import Reranker, RerankResponse, ResponseParseError, ServerError, arerank
from rerank_core._send import connections

CALLS = 4


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock whose `later` can be put forward."""
    clock = SimpleNamespace(later=0.0)
    clock.monotonic = lambda: time.monotonic() + clock.later
    monkeypatch.setattr(connections, "time", clock)
    return clock


def _meeting() -> Any:
    """An answer that waits until all calls are there, so that each has its own connection."""
    barrier = threading.Barrier(CALLS)

    def answer(connection: Connection, body: Any) -> None:
        barrier.wait(10)
        rank(connection, body)

    return answer


def _reranker(server: Loopback) -> Reranker:
    options: dict[str, Any] = {"max_documents": 1, "max_concurrency": CALLS}
    return Reranker("cohere/rerank-v3.5", api_key="k" * 20, api_base=server.url, **options)


def test_a_blocking_burst_leaves_one_connection(clock: SimpleNamespace) -> None:
    """The one that the next call uses; the others go when they have been idle for too long."""
    with serving() as server, _reranker(server) as reranker:
        server.behave = _meeting()
        reranker.rerank("q", ["document 1"] * CALLS)
        server.behave = rank
        reranker.rerank("q", ["document 1"])
        before = server.open_connections
        clock.later = connections.KEEPALIVE_SECONDS + 1
        reranker.rerank("q", ["document 1"])

        assert before == CALLS
        assert comes_true(lambda: server.open_connections == 1)
        assert server.accepted == CALLS


def test_an_awaited_burst_leaves_one_connection(clock: SimpleNamespace) -> None:
    """Under an event loop, too."""

    async def main(server: Loopback) -> int:
        async with _reranker(server) as reranker:
            server.behave = _meeting()
            await reranker.arerank("q", ["document 1"] * CALLS)
            server.behave = rank
            await reranker.arerank("q", ["document 1"])
            before = server.open_connections
            clock.later = connections.KEEPALIVE_SECONDS + 1
            await reranker.arerank("q", ["document 1"])
            assert await will_come_true(lambda: server.open_connections == 1)
            return before

    with serving() as server:
        before = asyncio.run(main(server))

        assert before == CALLS
        assert server.accepted == CALLS


def test_a_call_closes_what_other_servers_connections_are_too_old(clock: SimpleNamespace) -> None:
    """Whoever asks a hundred servers in turn does not hold a hundred connections."""
    held = connections.Connections()
    with serving() as first, serving() as second:
        for server in (first, second):
            options: Any = {"api_base": server.url, "_connections": held}
            Reranker("cohere/rerank-v3.5", api_key="k" * 20, **options).rerank("q", ["document 1"])
        before = first.open_connections
        clock.later = connections.KEEPALIVE_SECONDS + 1
        Reranker("cohere/rerank-v3.5", api_key="k" * 20, **options).rerank("q", ["document 1"])

        assert before == 1
        assert comes_true(lambda: first.open_connections == 0)
    held.close()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_dropped_reranker_s_connections_close_while_the_loop_goes_on(backend: str) -> None:
    """A service that makes one for each tenant keeps none of those that are gone."""

    async def main(server: Loopback) -> tuple[int, bool]:
        await _reranker(server).arerank("q", ["document 1"])
        before = server.accepted
        gc.collect()
        return before, await will_come_true(lambda: server.open_connections == 0)

    with serving() as server:
        before, closed = anyio.run(main, server, backend=backend)

        assert before == 1
        assert closed


@pytest.mark.parametrize("way", ["rerank", "arerank"])
def test_the_rest_of_a_reply_is_no_next_reply(way: str) -> None:
    """What a length that is too short left out is not read; the next call connects anew."""

    def answer(connection: Connection, body: Any) -> None:
        content = orjson.dumps(ranking(body))
        if len(server.seen) == 1:
            connection.begin_reply(200, len(content) - 9)
        else:
            connection.begin_reply(200, len(content))
        connection.wfile.write(content)

    async def main() -> RerankResponse:
        async with _reranker(server) as reranker:
            with pytest.raises(ResponseParseError):
                await reranker.arerank("q", ["document 1"])
            return await reranker.arerank("q", ["document 1"])

    def ask() -> RerankResponse:
        with _reranker(server) as reranker:
            with pytest.raises(ResponseParseError):
                reranker.rerank("q", ["document 1"])
            return reranker.rerank("q", ["document 1"])

    with serving() as server:
        server.behave = answer
        response = ask() if way == "rerank" else asyncio.run(main())

        assert response[0].relevance_score == 1.0
        assert response.attempts == 1
        assert server.accepted == 2


@pytest.mark.parametrize("way", ["rerank", "arerank"])
def test_what_is_under_way_when_a_reranker_is_closed_is_closed_afterwards(way: str) -> None:
    """The call is answered, and its connection not kept."""

    def answer(connection: Connection, body: Any) -> None:
        reranker.close()
        rank(connection, body)

    async def main() -> bool:
        await reranker.arerank("q", ["document 1"])
        await reranker.aclose()
        return await will_come_true(lambda: server.open_connections == 0)

    def ask() -> bool:
        reranker.rerank("q", ["document 1"])
        return comes_true(lambda: server.open_connections == 0)

    with serving() as server:
        server.behave = answer
        reranker = _reranker(server)

        assert ask() if way == "rerank" else asyncio.run(main())


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_reply_that_is_too_long_leaves_nothing_for_the_collector(
    backend: str, status: int
) -> None:
    """Trio warns of each generator that nobody has brought to its end."""

    def answer(connection: Connection, _: Any) -> None:
        connection.begin_reply(status, 5_000_000)
        connection.wfile.write(b"x" * 5_000_000)

    async def main(server: Loopback) -> None:
        options: dict[str, Any] = {"max_response_bytes": 1000, "max_retries": 0, "api_key": "k"}
        with pytest.raises((ResponseParseError, ServerError)):
            await arerank("cohere/m", "q", ["document 1"], api_base=server.url, **options)
        gc.collect()
        await anyio.lowlevel.checkpoint()  # where a loop says so

    with serving() as server:
        server.behave = answer
        anyio.run(main, server, backend=backend)

        assert comes_true(lambda: server.open_connections == 0)
