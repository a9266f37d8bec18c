"""Which of a name's addresses is connected to, and that no other socket stays open."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from rerank_core._http import happy_eyeballs

Address = tuple[Any, ...]


def _named(*ports: int, families: tuple[int, ...] = ()) -> list[Address]:
    every = families or (socket.AF_INET,) * len(ports)
    return [
        (family, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        for family, port in zip(every, ports, strict=True)
    ]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Address]], None]:
    """Give the name `service` these addresses."""

    def set_up(addresses: list[Address]) -> None:
        def look_up(*_: Any, flags: int = 0, **__: Any) -> list[Address]:
            if flags & socket.AI_NUMERICHOST:
                raise socket.gaierror
            return addresses

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return set_up


def _connect_by(monkeypatch: pytest.MonkeyPatch, attempts: dict[int, Any]) -> None:
    """Attempts on these ports do as is said."""

    async def attempt(address: Address) -> socket.socket:
        made: Awaitable[socket.socket] = attempts[address[-1][1]]()
        return await made

    monkeypatch.setattr(happy_eyeballs, "_try", attempt)


def test_an_address_that_refuses_is_passed_over(
    resolve: Callable[[list[Address]], None],
) -> None:
    """The next one is tried at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        resolve(_named(unused.getsockname()[1], port))
        connected = asyncio.run(happy_eyeballs.connect(b"service", 80))

        assert connected.getpeername() == ("127.0.0.1", port)
        connected.close()


def test_an_address_that_says_nothing_gets_a_rival(
    resolve: Callable[[list[Address]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers first wins, and the other attempt ends."""
    ended = []

    async def hang() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(1)

    async def answer() -> socket.socket:
        return socket.socket()

    monkeypatch.setattr(happy_eyeballs, "HEAD_START_SECONDS", 0.01)
    _connect_by(monkeypatch, {1: hang, 2: answer})
    resolve(_named(1, 2))
    with asyncio.run(happy_eyeballs.connect(b"service", 80)) as connected:
        assert connected.fileno() >= 0
    assert ended == [1]


def test_the_first_failure_is_raised_where_nobody_answers(
    resolve: Callable[[list[Address]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a group of them."""

    async def refuse() -> socket.socket:
        raise ConnectionRefusedError

    async def lose() -> socket.socket:
        raise OSError

    _connect_by(monkeypatch, {1: refuse, 2: lose})
    resolve(_named(1, 2))
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(happy_eyeballs.connect(b"service", 80))


def test_of_two_that_connect_one_is_closed(
    resolve: Callable[[list[Address]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the slower one can no longer be called back."""
    made = [socket.socket(), socket.socket()]

    async def be_slow() -> socket.socket:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.05)
        return made[1]

    async def answer() -> socket.socket:
        return made[0]

    monkeypatch.setattr(happy_eyeballs, "HEAD_START_SECONDS", 0.001)
    _connect_by(monkeypatch, {1: be_slow, 2: answer})
    resolve(_named(1, 2))
    with asyncio.run(happy_eyeballs.connect(b"service", 80)) as connected:
        assert connected is made[0]
    assert made[1].fileno() < 0


def test_a_connection_that_comes_with_the_cancellation_is_closed(
    resolve: Callable[[list[Address]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is there any more to take it."""
    made = socket.socket()

    async def main() -> None:
        with anyio.CancelScope() as scope:

            async def answer() -> socket.socket:
                scope.cancel()
                return made

            _connect_by(monkeypatch, {1: answer, 2: anyio.sleep_forever})
            await happy_eyeballs.connect(b"service", 80)
        assert scope.cancelled_caught

    resolve(_named(1, 2))
    asyncio.run(main())

    assert made.fileno() < 0


def test_families_take_turns(
    resolve: Callable[[list[Address]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where IPv6 is broken, the second attempt is IPv4."""
    tried = []

    async def refuse(address: Address) -> socket.socket:
        tried.append(address[-1][1])
        raise OSError

    six, four = socket.AF_INET6, socket.AF_INET
    resolve(_named(1, 2, 3, 4, families=(six, six, four, four)))
    monkeypatch.setattr(happy_eyeballs, "_try", refuse)
    with pytest.raises(OSError, match=r"^$"):
        asyncio.run(happy_eyeballs.connect(b"service", 80))

    assert tried == [1, 3, 2, 4]
