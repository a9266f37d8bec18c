"""A server in a process of its own that ranks, fails now and then on purpose, and keeps a ledger.

A document's score is a checksum of its text, so that an answer to another request is noticed.
Each POST is entered under the call and the document that its first text names. It ends with its
standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from zlib import crc32

import orjson

RESET: Final = struct.pack("ii", 1, 0)
LINGER: Final = 0.05
HTML: Final = b"<!doctype html><title>Sign in</title>"


def score(text: str) -> float:
    """The one truth: what a document deserves."""
    return crc32(text.encode()) / 2**32


def _rows(documents: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"index": at, "relevance_score": score(document)} for at, document in enumerate(documents)
    ]


def _encode(rows: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"id": "reply", "results": rows})


def _reply(
    content: bytes, status: str = "200 OK", length: int | None = None, more: str = ""
) -> bytes:
    size = len(content) if length is None else length
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n"
    return f"{head}{more}\r\n".encode() + content


class Connection(asyncio.Protocol):
    """One connection; behaviours answer through it."""

    transport: asyncio.Transport

    def __init__(self, service: Service) -> None:
        self.service = service
        self.ended = False
        self._read = bytearray()
        self._later: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.service.accepted += 1
        self.service.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out, whoever closed it."""
        del exc
        self._forget_later()
        self.service.open.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._read += data
        while (head := self._read.find(b"\r\n\r\n") + 4) >= 4:
            lines = bytes(self._read[:head]).lower().split(b"\r\n")
            named = [line for line in lines if line.startswith(b"content-length:")]
            end = head + (int(named[0].partition(b":")[2]) if named else 0)
            if len(self._read) < end:
                return
            content = bytes(self._read[head:end])
            del self._read[:end]
            self._forget_later()
            if lines[0].startswith(b"get"):
                self.service.tell(self, lines[0].split()[1].decode())
            else:
                self.service.answer(self, orjson.loads(content)["documents"])

    def write(self, content: bytes) -> None:
        """Send, unless the client has gone."""
        if not self.transport.is_closing():
            self.transport.write(content)

    def later(self, action: Callable[[], None]) -> None:
        """Do it in a moment, unless a request or the end comes first."""
        self._later = asyncio.get_running_loop().call_later(LINGER, action)

    def _forget_later(self) -> None:
        if self._later is not None:
            self._later.cancel()

    def reset(self, content: bytes = b"") -> None:
        """Send this much, and end the connection with a reset."""
        self.write(content)
        sock: socket.socket = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def end(self, content: bytes) -> None:
        """Send this and end our side; what the client still sends is seen."""
        self.write(content)
        self.ended = True
        if not self.transport.is_closing():
            self.transport.write_eof()


Behaviour = Callable[[Connection, Sequence[str]], None]


def _right(documents: Sequence[str]) -> bytes:
    return _reply(_encode(_rows(documents)))


def _half(documents: Sequence[str]) -> bytes:
    return _right(documents)[:-20]


def _stale(connection: Connection, documents: Sequence[str]) -> None:
    stray = [{"index": at, "relevance_score": float(at)} for at in range(3)]
    connection.write(_right(documents) + _reply(_encode(stray)))


def _stray_408(connection: Connection, documents: Sequence[str]) -> None:
    connection.write(_right(documents))
    connection.later(lambda: connection.end(_reply(b"{}", "408 Request Timeout")))


def _send(make: Callable[[Sequence[str]], bytes]) -> Behaviour:
    return lambda connection, documents: connection.write(make(documents))


def _failing(status: str) -> Behaviour:
    reply = _reply(b'{"message": "no"}', status, more="retry-after: 0\r\n")
    return lambda connection, _: connection.write(reply)


def _slow(connection: Connection, documents: Sequence[str]) -> None:
    connection.later(lambda: connection.write(_right(documents)))


def _says_close(connection: Connection, documents: Sequence[str]) -> None:
    connection.write(_reply(_encode(_rows(documents)), more="connection: close\r\n"))
    connection.transport.close()


BEHAVIOURS: Final[Mapping[str, Behaviour]] = {
    "right": _send(_right),
    "slow": _slow,
    "closed": lambda connection, documents: connection.end(_right(documents)),
    "says close": _says_close,
    "stray 408": _stray_408,
    "stale bytes": _stale,
    "reset before": lambda connection, _: connection.reset(),
    "reset in head": lambda connection, _: connection.reset(b"HTTP/1.1 200 OK\r\ncontent-"),
    "reset in body": lambda connection, documents: connection.reset(_half(documents)),
    "reset after": lambda connection, documents: connection.reset(_right(documents)),
    "truncated": lambda connection, documents: connection.end(_half(documents)),
    "length too long": lambda connection, documents: connection.end(
        _reply(_encode(_rows(documents)), length=10_000)
    ),
    "length too short": _send(lambda documents: _reply(_encode(_rows(documents)), length=30)),
    "500": _failing("500 Internal Server Error"),
    "503": _failing("503 Service Unavailable"),
    "429": _failing("429 Too Many Requests"),
    "garbage": _send(lambda documents: _reply(b"\x00" + _encode(_rows(documents)))),
    "html": _send(lambda _: _reply(HTML)),
    "duplicate index": _send(lambda documents: _reply(_encode(_rows(documents) * 2))),
    "index out of range": _send(
        lambda documents: _reply(_encode([{"index": len(documents), "relevance_score": 1.0}]))
    ),
    "stall": lambda *_: None,
    "swallowed": lambda connection, _: connection.transport.abort(),
}
CHOSEN: Final = [name for name in BEHAVIOURS if name not in {"right", "swallowed"}]


class Service:
    """What all connections share.

    Args:
        rate: How many of all requests meet a fault.
        seed: Which do.
    """

    def __init__(self, rate: float, seed: str) -> None:
        self.rate, self.seed = rate, seed
        self.open: set[Connection] = set()
        self.accepted = 0
        self.ledger: dict[str, list[str]] = {}

    def answer(self, connection: Connection, documents: Sequence[str]) -> None:
        """Answer one request as chance has it, and enter it."""
        call, at, _ = documents[0].split(" ", 2)
        attempts = self.ledger.setdefault(f"{call}/{at}", [])
        chance = score(f"{self.seed} {call} {at} {len(attempts)}")
        name = "right"
        if connection.ended:
            name = "swallowed"
        elif chance < self.rate:
            name = CHOSEN[int(chance / self.rate * len(CHOSEN))]
        attempts.append(name)
        BEHAVIOURS[name](connection, documents)

    def tell(self, asking: Connection, path: str) -> None:
        """Show the ledger, or how many connections there are."""
        told: Any = {"open": len(self.open - {asking}), "accepted": self.accepted}
        asking.write(_reply(orjson.dumps(self.ledger if path == "/ledger" else told)))


async def _serve(rate: float, seed: str) -> None:
    loop = asyncio.get_running_loop()
    service = Service(rate, seed)
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=512)
    async with server:
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), sys.argv[2]))
