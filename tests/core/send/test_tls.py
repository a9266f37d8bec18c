"""Calls over TLS: who is believed, what is kept, and that nothing is left behind."""

from __future__ import annotations

import gc
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

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
from rerank_core import (
    RequestTimeoutError,
    Reranker,
    RerankError,
    TransportError,
)

DOCUMENTS = ["a 1", "b 3", "c 2"]
RIGHT = [1, 2, 0]
ASYNC_WAYS = ("asyncio", "trio")
WAYS = ("blocking", *ASYNC_WAYS)
Outcome = list[int] | RerankError


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(certificate: Path) -> Iterator[Loopback]:
    """A server that ranks, over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as server:
        yield server


def _ask(way: str, url: str, *, calls: int = 1, between: Any = lambda: None) -> list[Outcome]:
    """What calls come to, one after another."""
    outcomes: list[Outcome] = []
    reranker = Reranker("m", provider=ScriptedPlugin(), api_base=url, max_retries=0, timeout=5)

    def note(response: Any) -> None:
        outcomes.append([result.index for result in response.results])

    async def main() -> None:
        async with reranker:
            for _ in range(calls):
                try:
                    note(await reranker.arerank("q", DOCUMENTS))
                except RerankError as error:
                    outcomes.append(error)
                between()

    if way != "blocking":
        anyio.run(main, backend=way)
        return outcomes
    with reranker:
        for _ in range(calls):
            try:
                note(reranker.rerank("q", DOCUMENTS))
            except RerankError as error:
                outcomes.append(error)
            between()
    return outcomes


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("way", WAYS)
def test_calls_share_a_connection(server: Loopback, way: str) -> None:
    """Hands are shaken once."""
    assert _ask(way, server.url, calls=100) == [RIGHT] * 100
    assert server.accepted == 1
    assert comes_true(lambda: not server.open_connections)


@pytest.mark.parametrize("way", WAYS)
def test_an_unknown_certificate_is_not_believed(server: Loopback, way: str) -> None:
    """No request goes out, and the error says why."""
    (outcome,) = _ask(way, server.url)

    assert type(outcome) is TransportError
    assert isinstance(outcome.__cause__, httpx.ConnectError)
    assert "CERTIFICATE_VERIFY_FAILED" in str(outcome)
    assert not server.seen
    assert comes_true(lambda: not server.open_connections)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_is_for_one_name(server: Loopback, way: str) -> None:
    """What is known by its address is not `localhost`."""
    (outcome,) = _ask(way, server.url.replace("127.0.0.1", "localhost"))

    assert type(outcome) is TransportError
    assert "Hostname mismatch" in str(outcome)
    assert not server.seen


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_was_closed_is_replaced(server: Loopback, way: str) -> None:
    """A server that hangs up between calls costs no failure."""

    def hang_up_after(connection: Connection, body: Any) -> None:
        rank(connection, body)
        connection.close_connection = True

    server.behave = hang_up_after

    def closed() -> None:
        assert comes_true(lambda: not server.open_connections)

    assert _ask(way, server.url, calls=3, between=closed) == [RIGHT] * 3
    assert server.accepted == 3


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_service_that_says_nothing_was_sent_the_request(server: Loopback, way: str) -> None:
    """It is the reply that does not come in time, not the request that is not sent."""
    server.behave = lambda connection, _: connection.pause(3)

    async def main() -> None:
        options: dict[str, Any] = {"api_base": server.url, "max_retries": 0}
        options["timeout"] = httpx.Timeout(5, read=0.2)
        async with Reranker("m", provider=ScriptedPlugin(), **options) as reranker:
            with pytest.raises(RequestTimeoutError) as caught:
                await reranker.arerank("q", DOCUMENTS)
            assert isinstance(caught.value.__cause__, httpx.ReadTimeout)

    anyio.run(main, backend=way)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_large_request_arrives_whole(server: Loopback, way: str) -> None:
    """Though it is more than any buffer on the way holds."""
    documents = [f"{'x' * 3_000_000} {score}" for score in (1, 3, 2)]

    async def main() -> None:
        async with Reranker("m", provider=ScriptedPlugin(), api_base=server.url) as reranker:
            for _ in range(2):
                response = await reranker.arerank("q", documents)
                assert [result.index for result in response.results] == RIGHT

    anyio.run(main, backend=way)

    assert server.accepted == 1


@pytest.mark.parametrize("way", WAYS)
def test_hands_that_are_never_shaken_are_a_timeout(way: str) -> None:
    """A server that says nothing at all is left in time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reranker = Reranker(
            "m",
            provider=ScriptedPlugin(),
            api_base=f"https://127.0.0.1:{listener.getsockname()[1]}",
            max_retries=0,
            timeout=0.2,
        )

        async def main() -> None:
            with pytest.raises(RequestTimeoutError) as caught:
                await reranker.arerank("q", DOCUMENTS)
            assert isinstance(caught.value.__cause__, httpx.ConnectTimeout)
            await reranker.aclose()

        if way == "blocking":
            with reranker, pytest.raises(RequestTimeoutError):
                reranker.rerank("q", DOCUMENTS)
        else:
            anyio.run(main, backend=way)
        _was_left(listener)


def _was_left(listener: socket.socket) -> None:
    """The one who came says hello, and leaves."""
    accepted, _ = listener.accept()
    with accepted:
        accepted.settimeout(5)
        try:
            while accepted.recv(65_536):
                pass
        except ConnectionResetError:
            pass


def _collected(server: Loopback) -> int:
    gc.collect()
    return server.open_connections


@pytest.mark.slow
@pytest.mark.usefixtures("trusted")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # as below
@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_call_can_be_cancelled_at_any_moment(server: Loopback, way: str) -> None:
    """While hands are shaken, too: the next call is right, and nothing stays open.

    httpcore leaves what was cancelled while hands were shaken to the garbage collector.
    """
    moments = [0.0005 * at for at in range(30)]

    async def main() -> None:
        for moment in moments:
            async with Reranker("m", provider=ScriptedPlugin(), api_base=server.url) as reranker:
                with anyio.move_on_after(moment):
                    await reranker.arerank("q", DOCUMENTS)
                response = await reranker.arerank("q", DOCUMENTS)
                assert [result.index for result in response.results] == RIGHT
                assert await will_come_true(lambda: _collected(server) <= 1)
            assert await will_come_true(lambda: not _collected(server))

    anyio.run(main, backend=way)
