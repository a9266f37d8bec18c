"""A server on loopback that records what is sent to it, and answers as it is told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen


@frozen
class Recorded:
    """One request as it arrived.

    Attributes:
        method: Upper case.
        path: Without the query string.
        query: The query string, empty where there is none.
        headers: Names in lower case.
        body: The raw bytes.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


@frozen
class Reply:
    """What to answer.

    Attributes:
        json: The body, unless `body` is given.
        status: The HTTP status.
        headers: Beyond content type and length.
        body: The raw bytes.
    """

    json: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes | None = None

    @property
    def content(self) -> bytes:
        """The bytes of the body."""
        return json.dumps(self.json).encode() if self.body is None else self.body


class Recorder(ThreadingHTTPServer):
    """The server; `with recording(...)` starts and ends it.

    Args:
        replies: Given in turn; the last one again and again.
    """

    daemon_threads = False  # ending the server waits for every thread

    def __init__(self, *replies: Reply) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Recorded] = []
        self._replies = list(replies) or [Reply({})]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def last(self) -> Recorded:
        """The latest request."""
        return self.requests[-1]

    def answer(self, *replies: Reply) -> None:
        """Give these replies from now on, and forget the requests so far."""
        with self._lock:
            self.requests.clear()
            self._replies = list(replies)

    def record(self, request: Recorded) -> Reply:
        """Keep a request and choose its reply."""
        with self._lock:
            self.requests.append(request)
            return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, to be ended with the server."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that ends."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep open, so that no thread waits for them."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the client was first
                    connection.shutdown(socket.SHUT_RD)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open, as real servers do
    server: Recorder

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.record(Recorded(self.command, url.path, url.query, headers, body))
        self.send_response(reply.status)
        for name, value in {"content-type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.content)))
        self.end_headers()
        self.wfile.write(reply.content)

    do_GET = do_POST = _answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        """Print nothing."""


@contextmanager
def recording(*replies: Reply) -> Iterator[Recorder]:
    """A recorder for the length of a `with` block; no thread or socket outlives it."""
    with Recorder(*replies) as recorder:
        thread = threading.Thread(target=recorder.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield recorder
        finally:
            recorder.shutdown()
            thread.join()
            recorder.hang_up()
