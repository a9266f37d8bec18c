"""What `mock_server.c` does, for machines without a compiler: slower, and so no limit to rely on.

`python mock_server.py --cpu K` prints its port and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from functools import cache
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.payloads import expected_index, expected_score
from benchmarks.server import pin

IDENTIFIER = "5f2c1a7e-0d34-4e0a-9b6f-7c1d2e3f4a5b"
counts = {"requests": 0, "connections": 0, "open": 0, "bad": 0, "latency_us": 0}


def pack(status: int, payload: object) -> bytes:
    """A whole reply."""
    content = json.dumps(payload, separators=(",", ":")).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


@cache
def rank(count: int, most: int, *, is_voyage: bool) -> bytes:
    """The reply with the fixed ranking of so many documents."""
    results = [
        {"index": expected_index(count, rank), "relevance_score": expected_score(count, rank)}
        for rank in range(min(count, most))
    ]
    if is_voyage:
        usage = {"total_tokens": 1234}
        return pack(200, {"object": "list", "data": results, "model": "mock", "usage": usage})
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return pack(200, {"id": IDENTIFIER, "results": results, "meta": meta})


def reply_to(path: str, content: bytes) -> bytes:
    """The reply to a ranking's request."""
    try:
        body = json.loads(content)
        count = len(body["documents"])
    except (ValueError, KeyError, TypeError):
        counts["bad"] += 1
        return pack(400, {"message": "bad request body"})
    most = body.get("top_n", body.get("top_k", count))
    return rank(count, most, is_voyage=path.startswith("/voyage"))


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.was_used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        counts["open"] += 1

    def connection_lost(self, _: Exception | None) -> None:
        """Count it no more."""
        counts["open"] -= 1

    def data_received(self, data: bytes) -> None:
        """Collect a request, and answer it."""
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.received[:end].decode("latin-1").lower()
        _, _, length = head.partition("\r\ncontent-length:")
        whole = end + 4 + int(length.split("\r\n")[0] or 0)
        if len(self.received) < whole:
            return
        content, path = bytes(self.received[end + 4 : whole]), head.split(" ")[1]
        del self.received[:whole]
        self.answer(path, content)

    def answer(self, path: str, content: bytes) -> None:
        """Answer one request, after the time that was asked for."""
        if path.startswith("/latency/"):
            counts["latency_us"] = int(path.removeprefix("/latency/"))
        if not path.endswith("/rerank"):
            self.transport.write(pack(200, counts))
            return
        counts["requests"] += 1
        counts["connections"] += not self.was_used
        self.was_used = True
        loop = asyncio.get_running_loop()
        loop.call_later(counts["latency_us"] / 1e6, self.transport.write, reply_to(path, content))


async def main(_: str, cpu: str) -> None:
    """Serve until the standard input ends."""
    pin(int(cpu))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print("PORT", server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
