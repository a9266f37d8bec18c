"""Sockets that asyncio connects: to whichever of a name's addresses answers first."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import anyio

HEAD_START_SECONDS = 0.25
"""How long an address is tried before the next one is tried beside it: RFC 8305."""


async def connect(host: bytes, port: int) -> socket.socket:
    """Connect.

    Raises:
        OSError: No address answers, or there is none.
    """
    addresses = await _look_up(host, port)
    if len(addresses) == 1:
        return await _try(addresses[0])
    first = _First()
    try:
        async with anyio.create_task_group() as group:
            for left, address in enumerate(addresses, 1 - len(addresses)):
                ended = anyio.Event()
                group.start_soon(first.compete, address, group.cancel_scope, ended)
                with anyio.move_on_after(HEAD_START_SECONDS if left else None):
                    await ended.wait()
    except BaseException:  # cancelled, it may be just when one was there
        first.close()
        raise
    return first.result()


class _First:
    """The first connection among several attempts, or why there is none."""

    def __init__(self) -> None:
        self.connected: socket.socket | None = None
        self._error: OSError | None = None

    async def compete(self, address: Any, others: anyio.CancelScope, ended: anyio.Event) -> None:
        try:
            connected = await _try(address)
        except OSError as error:
            self._error = self._error or error
        else:
            if self.connected is not None:
                connected.close()
                return
            self.connected = connected
            others.cancel()
        finally:
            ended.set()

    def close(self) -> None:
        if self.connected is not None:
            self.connected.close()

    def result(self) -> socket.socket:
        if self.connected is None:
            raise self._error or OSError("no address")
        return self.connected


async def _look_up(host: bytes, port: int) -> list[Any]:
    """The addresses in the order in which to try them, families taking turns."""
    try:  # an address as it stands needs no thread
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    turns: dict[Any, int] = {}
    ordered = []
    for address in dict.fromkeys(found):
        turns[address[0]] = turns.get(address[0], -1) + 1
        ordered.append((turns[address[0]], address))
    return [address for _, address in sorted(ordered, key=lambda pair: pair[0])]


async def _try(address: Any) -> socket.socket:
    family, kind, protocol, _, where = address
    made = socket.socket(family, kind, protocol)
    try:
        made.settimeout(0)
        await asyncio.get_running_loop().sock_connect(made, where)
    except BaseException:
        made.close()
        raise
    return made
