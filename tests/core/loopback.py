"""A small HTTP/1.1 server on loopback that does as it is told, and keeps count."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import anyio.to_thread
import orjson
from attrs import frozen

Behaviour = Callable[["Connection", Any], None]
PROXY_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
)


@frozen
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: Any


class Connection(BaseHTTPRequestHandler):
    """One connection; behaviours answer through it."""

    protocol_version = "HTTP/1.1"
    server: Loopback
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Count the connection."""
        super().setup()
        self._accepted = self.request
        self.server.count(self.request, opened=True)

    def finish(self) -> None:
        """Send what is left, if anybody is there."""
        with contextlib.suppress(OSError):
            super().finish()
        if self.request is not self._accepted:
            self.server.shutdown_request(self.request)

    def handle(self) -> None:
        """Answer until the connection ends; a client may leave when it likes."""
        with contextlib.suppress(OSError):
            super().handle()

    def do_CONNECT(self) -> None:
        """Be a proxy, and whoever is behind it: from here on TLS is spoken."""
        assert self.server.tunnels is not None
        self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        self.request = self.server.tunnels.wrap_socket(self.request, server_side=True)
        self.connection = self.request
        self.server.replace(self._accepted, self.request)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)

    def do_POST(self) -> None:
        """Do as the server is told."""
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        body = orjson.loads(content) if content else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.begin(Seen(self.path, headers, body))
        try:
            self.server.behave(self, body)
        finally:
            self.server.end()

    do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815 - the standard library's names

    def answer(self, status: int, payload: Any, **headers: str) -> None:
        """Send a whole reply."""
        content = orjson.dumps(payload)
        self.begin_reply(status, len(content), **headers)
        self.wfile.write(content)

    def begin_reply(self, status: int, length: int, **headers: str) -> None:
        """Send the head of a reply."""
        self.send_response(status)
        for name, value in {"content-length": str(length), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the test."""
        self.server.ended.wait(seconds)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Say nothing."""


def rank(connection: Connection, body: Any) -> None:
    """Rank by the number at the end of each document."""
    connection.answer(200, ranking(body))


def ranking(body: Any) -> dict[str, Any]:
    """A reply in Cohere's shape: the number at the end of each document is its score."""
    rows = [
        {"index": at, "relevance_score": float(document.split()[-1])}
        for at, document in enumerate(body["documents"])
    ]
    return {"id": "reply", "results": rows}


class Loopback(ThreadingHTTPServer):
    """The server; it listens when made, and serves in threads."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.tunnels: ssl.SSLContext | None = None
        self.behave: Behaviour = rank
        self.seen: list[Seen] = []
        self.accepted = 0
        self.under_way = 0
        self.most_under_way = 0
        self.ended = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Connection)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; hands are shaken in its own thread."""
        connection, address = super().get_request()
        if self._tls:
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    @property
    def open_connections(self) -> int:
        """How many connections neither side has closed."""
        with self._lock:
            return len(self._sockets)

    def count(self, connection: Any, *, opened: bool) -> None:
        """Keep count of connections."""
        with self._lock:
            if opened:
                self.accepted += 1
                self._sockets.add(connection)
            else:
                self._sockets.discard(connection)

    def replace(self, plain: Any, secret: Any) -> None:
        """Of a connection that speaks TLS from now on."""
        with self._lock:
            self._sockets.discard(plain)
            self._sockets.add(secret)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, whoever was the first to; then it no longer counts."""
        super().shutdown_request(request)
        self.count(request, opened=False)

    def begin(self, seen: Seen) -> None:
        """Keep count of requests."""
        with self._lock:
            self.seen.append(seen)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)

    def end(self) -> None:
        """One request less under way."""
        with self._lock:
            self.under_way -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A behaviour that fails closes its connection; the client's error shows it."""

    def hang_up(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """A server for the length of a `with` block; with a context, one that speaks TLS."""
    with Loopback(tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()
            server.hang_up()
            assert comes_true(lambda: not server.open_connections)


def comes_true(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether a condition holds before the time is over."""
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.005)
    return True


async def will_come_true(condition: Callable[[], bool]) -> bool:
    """`comes_true`, awaited, so that the event loop goes on meanwhile."""
    return await anyio.to_thread.run_sync(comes_true, condition)
