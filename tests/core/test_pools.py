"""Connections: how many there are, how long they live, and that none is left behind."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from unittest import mock

import anyio
import httpcore
import httpx
import pytest
from anyio.lowlevel import current_token

from core.loopback import (
    PROXY_VARIABLES,
    Connection,
    Loopback,
    comes_true,
    rank,
    serving,
    will_come_true,
)
from core.virtual import ScriptedPlugin
from rerank_core import RequestTimeoutError, Reranker, TransportError
from rerank_core._http import channel, open_channels, pool
from rerank_core._http.asyncio_connection import AsyncioConnection
from rerank_core._http.asyncio_pool import AsyncioConnectionPool
from rerank_core._http.open_channels import OpenChannels
from rerank_core._http.pool import AsyncConnectionPool, ConnectionPool
from rerank_core._http.transports import AsyncPoolTransport, PoolTransport

DOCUMENTS = ["a 1", "b 2"]
BACKENDS = ("asyncio", "trio")
OTHER = "another loop of asyncio's"
WAYS = (*BACKENDS, OTHER)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def _run(way: str, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> None:
    """Run it in a new event loop; over httpcore's connections where the loop is another one."""
    with pytest.MonkeyPatch.context() as patch:
        if way == OTHER:
            patch.setattr(channel, "_open_pool", lambda _: AsyncConnectionPool())
        anyio.run(function, *arguments, backend="trio" if way == "trio" else "asyncio")


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A server that ranks."""
    with serving() as server:
        yield server


def _reranker(server: Loopback, **options: Any) -> Reranker:
    return Reranker("m", provider=ScriptedPlugin(), api_base=server.url, max_retries=0, **options)


def _ask(reranker: Reranker) -> list[int]:
    return [result.index for result in reranker.rerank("q", DOCUMENTS).results]


async def _aask(reranker: Reranker) -> list[int]:
    return [result.index for result in (await reranker.arerank("q", DOCUMENTS)).results]


async def _side_by_side(count: int, ask: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(ask)


def _at_the_same_time(count: int) -> Callable[[Connection, Any], None]:
    """Answer only when so many requests are under way."""

    def behave(connection: Connection, body: Any) -> None:
        server = connection.server
        comes_true(lambda: server.most_under_way >= count)
        rank(connection, body)

    return behave


def test_blocking_calls_one_after_another_share_a_connection(server: Loopback) -> None:
    """Twenty calls, one connection."""
    with _reranker(server) as reranker:
        for _ in range(20):
            assert _ask(reranker) == [1, 0]

    assert server.accepted == 1


@pytest.mark.parametrize("way", WAYS)
def test_async_calls_one_after_another_share_a_connection(server: Loopback, way: str) -> None:
    """Twenty calls, one connection."""

    async def main() -> None:
        async with _reranker(server) as reranker:
            for _ in range(20):
                assert await _aask(reranker) == [1, 0]

    _run(way, main)

    assert server.accepted == 1


@pytest.mark.parametrize("way", WAYS)
def test_concurrent_calls_take_a_connection_each_and_give_it_back(
    server: Loopback, way: str
) -> None:
    """Ten at once need ten connections; the next ten need no other."""
    server.behave = _at_the_same_time(10)

    async def main() -> None:
        async with _reranker(server) as reranker:
            for _ in range(3):
                server.most_under_way = 0
                await _side_by_side(10, lambda: _aask(reranker))

    _run(way, main)

    assert server.accepted == 10


def _hang_up_after(connection: Connection, body: Any) -> None:
    rank(connection, body)
    connection.close_connection = True


@pytest.mark.parametrize("backend", ["blocking", "asyncio"])  # trio has kept its `send`
def test_head_and_body_go_out_at_once(
    server: Loopback, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two small packets take twice the work of one, here and at the service."""
    send, sent = socket.socket.send, []

    def record(self: socket.socket, data: Any, *flags: int) -> int:
        sent.append(bytes(data))
        return send(self, data, *flags)

    monkeypatch.setattr(socket.socket, "send", record)
    with _reranker(server) as reranker:
        if backend == "blocking":
            assert _ask(reranker) == [1, 0]
        else:
            assert anyio.run(_aask, reranker, backend=backend) == [1, 0]

    (whole,) = [data for data in sent if len(data) > 1]  # one byte wakes an event loop up
    assert whole.startswith(b"POST ")
    assert whole.endswith(b"}")


@pytest.mark.parametrize("backend", ["blocking", *BACKENDS])
def test_a_large_body_arrives_whole(server: Loopback, backend: str) -> None:
    """Larger than what a socket takes at once."""
    documents = ["x" * 3_000_000 + " 1", "y" * 50_000 + " 2"]
    with _reranker(server) as reranker:
        if backend == "blocking":
            response = reranker.rerank("q", documents)
        else:
            response = anyio.run(reranker.arerank, "q", documents, backend=backend)

    assert [result.index for result in response.results] == [1, 0]
    assert server.seen[0].body["documents"] == documents


def test_a_connection_that_the_server_closed_is_replaced_under_blocking(server: Loopback) -> None:
    """A server that hangs up between calls costs a connection, not an error."""
    server.behave = _hang_up_after
    with _reranker(server) as reranker:
        for _ in range(3):
            assert _ask(reranker) == [1, 0]
            assert comes_true(lambda: not server.open_connections)

    assert server.accepted == 3


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_the_server_closed_is_replaced_under_async(
    server: Loopback, way: str
) -> None:
    """A server that hangs up between calls costs a connection, not an error."""
    server.behave = _hang_up_after

    async def main() -> None:
        async with _reranker(server) as reranker:
            for _ in range(3):
                assert await _aask(reranker) == [1, 0]
                assert comes_true(lambda: not server.open_connections)

    _run(way, main)

    assert server.accepted == 3


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_says_close_is_not_kept(server: Loopback, way: str) -> None:
    """`Connection: close` means that nobody may use it again, nor hold it open."""

    def behave(connection: Connection, body: Any) -> None:
        connection.answer(
            200, {"results": [{"index": 0, "relevance_score": 1}]}, connection="close"
        )
        del body

    server.behave = behave

    async def main() -> None:
        async with _reranker(server) as reranker:
            for _ in range(2):
                await reranker.arerank("q", ["a"])
                assert comes_true(lambda: not server.open_connections)

    _run(way, main)

    assert server.accepted == 2


@pytest.mark.parametrize("way", WAYS)
def test_an_idle_connection_expires(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """After its time a connection is closed and another one opened."""
    monkeypatch.setattr(pool, "KEEPALIVE_SECONDS", 0.05)

    async def main() -> None:
        async with _reranker(server) as reranker:
            await _aask(reranker)
            await anyio.sleep(0.15)
            await _aask(reranker)
            assert await will_come_true(lambda: server.open_connections == 1)

    _run(way, main)

    assert server.accepted == 2


def test_idle_connections_of_a_burst_are_closed_by_later_calls(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a burst leaves idle does not stay open while single calls go on."""
    server.behave = _at_the_same_time(5)

    async def main() -> None:
        async with _reranker(server) as reranker:
            await _side_by_side(5, lambda: _aask(reranker))
            server.behave = rank
            give_up = time.monotonic() + 3
            while server.open_connections > 1 and time.monotonic() < give_up:
                await _aask(reranker)
                await anyio.sleep(0.02)
            assert server.open_connections == 1

    monkeypatch.setattr(pool, "KEEPALIVE_SECONDS", 0.1)
    _run("asyncio", main)


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _stall(connection: Connection, _: Any) -> None:
    connection.pause(3)


def _hang_up(connection: Connection, _: Any) -> None:
    connection.close_connection = True


def _hang_up_midway(connection: Connection, _: Any) -> None:
    connection.begin_reply(200, 100)
    connection.wfile.write(b"{")
    connection.close_connection = True


def _speak_nonsense(connection: Connection, _: Any) -> None:
    connection.wfile.write(b"?\r\n\r\n")
    connection.close_connection = True


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("behave", "kind"),
    [
        (_stall, httpx.ReadTimeout),
        (_hang_up, httpx.RemoteProtocolError),
        (_hang_up_midway, httpx.RemoteProtocolError),
        (_speak_nonsense, httpx.RemoteProtocolError),
    ],
)
def test_a_failure_has_the_name_that_httpx_gives_it(
    server: Loopback, way: str, behave: Any, kind: type[httpx.HTTPError]
) -> None:
    """The pools raise what httpx's own pool raises, and close the connection."""
    server.behave = behave

    async def main() -> None:
        transport = AsyncPoolTransport(
            AsyncioConnectionPool() if way == "asyncio" else AsyncConnectionPool()
        )
        async with httpx.AsyncClient(transport=transport, timeout=0.2) as client:
            with pytest.raises(kind) as caught:
                await client.post(server.url, json={})
            assert caught.value.request.url == server.url

    _run(way, main)

    with httpx.Client(transport=PoolTransport(ConnectionPool()), timeout=0.2) as client:
        with pytest.raises(kind) as caught:
            client.post(server.url, json={})
        assert caught.value.request.url == server.url


@pytest.mark.parametrize("way", WAYS)
def test_no_listener_is_a_connect_error(way: str) -> None:
    """The caller sees our error, with that of the connection as the cause."""
    url = f"http://127.0.0.1:{_unused_port()}"
    reranker = Reranker("m", provider=ScriptedPlugin(), api_base=url, max_retries=0)

    async def main() -> None:
        with pytest.raises(TransportError) as caught:
            await reranker.arerank("q", DOCUMENTS)
        assert isinstance(caught.value.__cause__, httpcore.ConnectError)
        await reranker.aclose()

    _run(way, main)


@pytest.mark.parametrize("way", WAYS)
def test_no_socket_outlives_its_event_loop(server: Loopback, way: str) -> None:
    """The loop's end closes its connections, with nobody closing the reranker."""
    reranker = _reranker(server)
    for _ in range(3):
        _run(way, _aask, reranker)
        assert comes_true(lambda: not server.open_connections)

    gc.collect()  # a socket that was left open warns here, and warnings are errors
    assert server.accepted == 3


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_kept_of_an_event_loop_that_has_ended(server: Loopback, way: str) -> None:
    """A program that runs many loops keeps none of them alive."""
    reranker = _reranker(server)
    for _ in range(5):
        _run(way, _aask, reranker)
    gc.collect()

    assert not reranker._connections.channels()._of_loop  # noqa: SLF001 - seen nowhere else
    assert not open_channels._open  # noqa: SLF001 - likewise


@pytest.mark.parametrize("way", WAYS)
def test_aclose_closes_the_connections_of_both_kinds(server: Loopback, way: str) -> None:
    """After `aclose` the server holds no connection, and the reranker still works."""
    reranker = _reranker(server)

    async def main() -> None:
        await _aask(reranker)
        await anyio.to_thread.run_sync(_ask, reranker)
        assert server.open_connections == 2
        await reranker.aclose()
        assert comes_true(lambda: not server.open_connections)
        assert await _aask(reranker) == [1, 0]
        await reranker.aclose()

    _run(way, main)

    assert server.accepted == 3


def test_close_closes_the_blocking_connections(server: Loopback) -> None:
    """After `close` the server holds no connection, and the reranker still works."""
    reranker = _reranker(server)
    _ask(reranker)
    reranker.close()

    assert comes_true(lambda: not server.open_connections)
    assert _ask(reranker) == [1, 0]
    reranker.close()


def test_a_dropped_reranker_frees_its_blocking_connections(server: Loopback) -> None:
    """Nobody has to close what nobody holds."""
    _ask(_reranker(server))
    gc.collect()

    assert comes_true(lambda: not server.open_connections)


@pytest.mark.parametrize("way", WAYS)
def test_a_dropped_reranker_frees_its_async_connections(server: Loopback, way: str) -> None:
    """While the loop lives on: a program that makes one for each job does not run out of them."""

    async def main() -> None:
        for _ in range(3):
            await _aask(_reranker(server))
        gc.collect()
        assert await will_come_true(lambda: not server.open_connections)

    _run(way, main)


def test_an_abandoned_attempt_leaves_no_connection_open(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that a deadline left behind may connect after `close`; it closes after itself."""
    look_up = socket.getaddrinfo

    def look_up_slowly(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.3)
        return look_up(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_slowly)
    with _reranker(server, deadline=0.1) as reranker, pytest.raises(RequestTimeoutError):
        _ask(reranker)

    # Python lists one for ever whose start a Ctrl-C, in another test, has broken off.
    left = [t for t in threading.enumerate() if t.name == "rerank" and t.is_alive()]
    assert comes_true(lambda: not any(thread.is_alive() for thread in left))
    assert comes_true(lambda: not server.open_connections, seconds=1.0)


def test_a_thread_that_was_left_behind_opens_nothing_again() -> None:
    """It may come to its connection only after `close`, when nobody would close that."""
    channels = OpenChannels()
    opened = channels.blocking(lambda: False)
    assert channels.blocking(lambda: True) is opened
    channels.close()

    with pytest.raises(RequestTimeoutError):
        channels.blocking(lambda: True)
    assert channels.blocking(lambda: False) is not opened
    channels.close()


def _set_cookie(connection: Connection, body: Any) -> None:
    del body
    payload = {"results": [{"index": at, "relevance_score": at} for at in range(2)]}
    connection.answer(200, payload, set_cookie="session=1; Path=/")


@pytest.mark.parametrize("kind", ["own", "transport"])
@pytest.mark.parametrize("way", WAYS)
def test_cookies_are_not_kept(server: Loopback, kind: str, way: str) -> None:
    """What one call is told to keep is not sent with the next, whoever gave the transport."""
    server.behave = _set_cookie
    transport = httpx.HTTPTransport() if kind == "transport" else None
    other = httpx.AsyncHTTPTransport() if kind == "transport" else None
    reranker = _reranker(server, http_client=transport)
    async_reranker = _reranker(server, http_client=other)

    async def main() -> None:
        await _aask(async_reranker)
        await _aask(async_reranker)
        await async_reranker.aclose()
        if other is not None:
            await other.aclose()

    _ask(reranker)
    _ask(reranker)
    reranker.close()
    if transport is not None:
        transport.close()
    _run(way, main)

    assert len(server.seen) == 4
    assert not [seen for seen in server.seen if "cookie" in seen.headers]


def _note_head(heads: list[Any]) -> Callable[[Connection, Any], None]:
    def behave(connection: Connection, body: Any) -> None:
        heads.append((connection.requestline, connection.headers.items()))
        rank(connection, body)

    return behave


@pytest.mark.parametrize("path", ["", "/a%2Fb/c", "/a?b=c%20d"])
@pytest.mark.parametrize("way", WAYS)
def test_the_same_goes_over_the_wire_every_way(server: Loopback, way: str, path: str) -> None:
    """Request line and headers: names in the same case, each as often, nothing added."""
    heads: list[Any] = []
    server.behave = _note_head(heads)
    options: dict[str, Any] = {"api_key": "k", "extra_headers": {"X-Odd_Name": "a  b; c"}}
    reranker = Reranker(
        "m", provider=ScriptedPlugin(), api_base=server.url + path, max_retries=0, **options
    )
    _ask(reranker)
    reranker.close()
    _run(way, _aask, reranker)
    blocking, other = heads

    assert other[0] == blocking[0]
    assert sorted(other[1]) == sorted(blocking[1])
    assert ("x-odd_name", "a  b; c") in other[1]


@pytest.mark.parametrize("way", WAYS)
def test_a_call_under_way_survives_aclose(server: Loopback, way: str) -> None:
    """It ends as if nobody had closed anything, and then closes its connection itself."""

    async def main() -> None:
        reranker = _reranker(server)
        answers: list[list[int]] = []

        async def ask() -> None:
            answers.append(await _aask(reranker))

        async with anyio.create_task_group() as group:
            server.behave = _answer_slowly
            group.start_soon(ask)
            assert await will_come_true(lambda: server.under_way == 1)
            await reranker.aclose()
        assert answers == [[1, 0]]
        assert await will_come_true(lambda: not server.open_connections)

    _run(way, main)


def _answer_slowly(connection: Connection, body: Any) -> None:
    connection.pause(0.2)
    rank(connection, body)


@pytest.mark.parametrize("way", WAYS)
def test_a_service_that_reads_nothing_is_a_timeout(way: str) -> None:
    """A body too large for the buffers on the way is not sent for ever."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        reranker = Reranker(
            "m", provider=ScriptedPlugin(), api_base=url, max_retries=0, timeout=0.2
        )

        async def main() -> None:
            with pytest.raises(RequestTimeoutError) as caught:
                await reranker.arerank("q", ["x" * 20_000_000])
            assert isinstance(caught.value.__cause__, httpcore.WriteTimeout)

        _run(way, main)


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_to_an_idle_connection_is_nobodys(server: Loopback, way: str) -> None:
    """Nor is it while the event loop goes on, and reads it."""

    def behave(connection: Connection, body: Any) -> None:
        rank(connection, body)
        connection.pause(0.02)
        connection.answer(200, {"results": [{"index": 0, "relevance_score": 1}]})

    server.behave = behave

    async def main() -> None:
        async with _reranker(server) as reranker:
            for _ in range(3):
                assert await _aask(reranker) == [1, 0]
                await anyio.sleep(0.1)

    _run(way, main)

    assert server.accepted == 3


def test_a_reply_before_the_whole_request_is_the_reply() -> None:
    """It is not left lying, and the connection with the rest of the request not used again."""
    reply = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 49\r\n\r\n"
        b'{"results": [{"index": 0, "relevance_score": 1}]}'
    )
    accepted: list[socket.socket] = []

    def serve(listener: socket.socket) -> None:
        for _ in range(2):
            accepted.append(listener.accept()[0])
            accepted[-1].recv(1000)
            accepted[-1].sendall(reply)

    async def main(url: str) -> None:
        options: dict[str, Any] = {"api_base": url, "max_retries": 0, "timeout": 3}
        async with Reranker("m", provider=ScriptedPlugin(), **options) as reranker:
            for _ in range(2):
                response = await reranker.arerank("q", ["x" * 20_000_000])
                assert [result.index for result in response.results] == [0]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            anyio.run(main, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            thread.join()
            for connection in accepted:
                connection.close()


def test_each_loop_has_the_connections_that_it_can_carry() -> None:
    """A protocol of our own where the loop is known, else httpcore's; under trio, too."""
    opened: list[type] = []

    async def main() -> None:
        opened.append(type(channel.open_async_channel(current_token().native_token).pool))

    anyio.run(main)
    anyio.run(main, backend="trio")
    opened.append(type(channel.open_async_channel(object()).pool))

    assert opened == [AsyncioConnectionPool, AsyncConnectionPool, AsyncConnectionPool]


@pytest.mark.parametrize("left", [None, mock.Mock(fileno=lambda: -1)])
def test_a_connection_that_is_just_being_closed_is_not_used(left: Any) -> None:
    """TLS forgets its socket a moment before it tells."""

    async def main() -> None:
        connection = AsyncioConnection(asyncio.get_running_loop())
        connection.connection_made(mock.Mock(**{"get_extra_info.return_value": left}))
        with mock.patch("time.monotonic", return_value=0.0):
            assert connection.has_expired()

    asyncio.run(main())


@pytest.mark.parametrize("twin", [pickle.dumps, copy.deepcopy])
def test_a_reranker_refuses_to_be_copied_deeply(twin: Callable[[Any], Any]) -> None:
    """Clearly, and without half of one left behind: sockets and locks stay in their process."""
    with Reranker("local/bm25") as reranker:
        with pytest.raises(TypeError, match="Reranker cannot be pickled or copied deeply"):
            twin(reranker)

        assert copy.copy(reranker).rerank("a", ["a"]).results
