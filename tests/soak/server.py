"""A server in a process of its own that ranks, fails now and then on purpose, and keeps a ledger.

Each POST is entered under the call and the document that its first text names. It ends with its
standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import orjson

from soak.behaviours import (
    BEHAVIOURS,
    EVERY_CALL,
    FAULTY,
    MET,
    PATIENT,
    has_deadline,
    reply,
    score,
)

RESET: Final = struct.pack("ii", 1, 0)
LINGER: Final = 0.05


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
        """Send, unless the client has gone or our side has ended."""
        if not (self.ended or self.transport.is_closing()):
            self.transport.write(content)

    def trickle(self, pieces: Iterator[bytes]) -> None:
        """Send pieces one by one; others are served in between."""
        piece = next(pieces, b"")
        self.write(piece)
        if piece and not self.transport.is_closing():
            asyncio.get_running_loop().call_soon(self.trickle, pieces)

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

    def close(self, content: bytes) -> None:
        """Send this and close."""
        self.write(content)
        self.transport.close()


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
        self.wrong: list[str] = []
        self.ledger: dict[str, list[str]] = {}

    def answer(self, connection: Connection, documents: Sequence[str]) -> None:
        """Answer one request as chance has it, and enter it."""
        call, at, _ = documents[0].split(" ", 2)
        attempts = self.ledger.setdefault(f"{call}/{at}", [])
        chance = score(f"{self.seed} {call} {at} {len(attempts)}")
        name = EVERY_CALL
        if connection.ended:
            name = MET
        elif chance < self.rate:
            chosen = FAULTY if has_deadline(int(call)) else PATIENT
            name = chosen[int(chance / self.rate * len(chosen))]
        attempts.append(name)
        BEHAVIOURS[name](connection, documents)

    def tell(self, asking: Connection, path: str) -> None:
        """Show the ledger, or how many connections there are and what else was asked for."""
        if path not in {"/ledger", "/counts"}:
            self.wrong.append(f"a redirect was followed to {path}")
        told: Any = {
            "open": len(self.open - {asking}),
            "accepted": self.accepted,
            "wrong": self.wrong,
        }
        asking.write(reply(orjson.dumps(self.ledger if path == "/ledger" else told)))


async def _serve(rate: float, seed: str) -> None:
    loop = asyncio.get_running_loop()
    service = Service(rate, seed)
    loop.set_exception_handler(lambda _, found: service.wrong.append(f"the server failed: {found}"))
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    # As a context manager it would wait for the connections that a client left open.
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), sys.argv[2]))
