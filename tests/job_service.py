"""A rerank service on loopback that counts, for what runs in processes of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any, Self

Answer = Callable[[dict[str, Any]], tuple[int, dict[str, str], Any]]
"""From a decoded body to status, headers and payload."""


def score(query: str, document: str) -> float:
    """A score that depends on the pair alone."""
    digest = hashlib.blake2b(f"{len(query)}:{query}{document}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) / 2**32


def rank(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    """Reply as Cohere and as Voyage do, both at once; a character of a document is a token."""
    documents, query = body["documents"], body["query"]
    scores = [(at, score(query, each)) for at, each in enumerate(documents)]
    most = body.get("top_n") or body.get("top_k") or len(scores)
    best = sorted(scores, key=lambda one: -one[1])[:most]
    results = [{"index": at, "relevance_score": one} for at, one in best]
    payload = {
        "id": "one",
        "results": results,
        "data": results,
        "meta": {"billed_units": {"search_units": 1}},
        "usage": {"total_tokens": sum(map(len, documents))},
    }
    return 200, {}, payload


class JobService:
    """Serves from a thread of its own, as a context manager.

    Args:
        answer: What it replies.
        delay: Seconds that it takes.
    """

    def __init__(self, answer: Answer = rank, delay: float = 0.0) -> None:
        self.answer, self.delay = answer, delay
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.most_at_once = self._at_once = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def queries(self) -> list[str]:
        """What was asked, in order."""
        return [body["query"] for body in self.bodies]

    def wait_for(self, requests: int) -> None:
        """Wait until so many requests have come."""
        while len(self.bodies) < requests:  # a test that waits in vain is ended by its timeout
            time.sleep(0.002)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._ended.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                await self._reply(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()
        finally:
            self._tasks.discard(task)

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        body = json.loads(await reader.readexactly(length))
        self.times.append(time.monotonic())
        self.bodies.append(body)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            status, headers, payload = self.answer(body)
            await asyncio.sleep(self.delay)
        finally:
            self._at_once -= 1
        content = json.dumps(payload).encode()
        headers = {"content-type": "application/json", **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(
            f"HTTP/1.1 {status} X\r\n{lines}content-length: {len(content)}\r\n\r\n".encode()
        )
        writer.write(content)
        await writer.drain()
