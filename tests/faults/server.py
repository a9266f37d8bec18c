"""A server on loopback that commits the faults it is told to, byte by byte, and keeps count."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import evolve, frozen

from core.loopback import comes_true
from recorder import Recorded

PATIENCE = 10.0
"""Seconds after which the server gives a silent client up."""

HANDSHAKE = b"\x16"
"""The first byte that a client of TLS sends."""

Act = Callable[["Peer"], None]
"""Something that the server does to a connection."""


class Peer:
    """One connection, as the acts of a script see it."""

    def __init__(self, connection: socket.socket, server: FaultServer) -> None:
        self.socket = connection
        self.server = server
        self.request: Recorded | None = None
        self.ended = False
        self._received = bytearray()

    def read_head(self) -> bool:
        """Read a request as far as the empty line; false where none comes."""
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                return False
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (li.partition(": ") for li in lines)}
        url = urlsplit(target)
        self.request = Recorded(method, url.path, url.query, headers, b"")
        self._received = bytearray(rest)
        return True

    def read_body(self, rest: float = 0.0) -> None:
        """Read the rest of the request, resting so long for each 64 KiB; a client may leave."""
        assert self.request is not None
        length = int(self.request.headers.get("content-length", "0"))
        while len(self._received) < length and (size := self._receive()):
            self.server.ended.wait(rest * size / 65_536)
        self.request = evolve(self.request, body=bytes(self._received[:length]))
        del self._received[:length]

    def act(self, *acts: bytes | Act) -> None:
        """Do one after the other; bytes are sent as they are."""
        for act in acts:
            if isinstance(act, bytes):
                self.socket.sendall(act)
            else:
                act(self)

    def _receive(self) -> int:
        content = self.socket.recv(65_536)
        self._received += content
        return len(content)


@frozen
class Step:
    """What the server does once.

    Attributes:
        acts: One after the other; bytes are sent as they are.
        when: When it begins: as soon as the connection is there, when the request's head was read,
            or the whole request.
    """

    acts: tuple[bytes | Act, ...]
    when: Literal["accepted", "head", "request"] = "request"


def step(*acts: bytes | Act) -> Step:
    """A step that begins when the whole request was read."""
    return Step(acts)


def at_once(*acts: bytes | Act) -> Step:
    """A step that begins before anything was read."""
    return Step(acts, "accepted")


def after_head(*acts: bytes | Act) -> Step:
    """A step that begins when the request's head was read."""
    return Step(acts, "head")


def reset(peer: Peer) -> None:
    """Break the connection off: the client is told that it was reset."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()
    peer.ended = True


def close(peer: Peer) -> None:
    """Close the connection in good order."""
    peer.socket.shutdown(socket.SHUT_RDWR)
    peer.ended = True


def stall(peer: Peer) -> None:
    """Say nothing until the client leaves."""
    while peer.socket.recv(65_536):
        pass


def read_body(peer: Peer) -> None:
    """Read the rest of a request of which only the head was read."""
    peer.read_body()


def read_slowly(peer: Peer) -> None:
    """The same, steadily but not as fast as it comes."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    peer.read_body(0.01)


def pause(seconds: float) -> Act:
    """Wait, but not beyond the end of the test."""

    def act(peer: Peer) -> None:
        peer.server.ended.wait(seconds)

    return act


def trickle(content: bytes, seconds: float = 0.0) -> Act:
    """Send one byte at a time."""

    def act(peer: Peer) -> None:
        for at in range(len(content)):
            peer.socket.sendall(content[at : at + 1])
            if seconds and peer.server.ended.wait(seconds):
                return

    return act


def together(*contents: bytes) -> Act:
    """Send several pieces, each a record of its own under TLS, as one segment."""

    def act(peer: Peer) -> None:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for content in contents:
            peer.socket.sendall(content)
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    return act


def repeat(content: bytes, most: int) -> Act:
    """Send the same again and again, until the client leaves or `most` bytes are sent."""

    def act(peer: Peer) -> None:
        for _ in range(most // len(content)):
            peer.socket.sendall(content)
            peer.server.sent += len(content)

    return act


def rank(peer: Peer) -> None:
    """Answer as a service should; the reply's id is the query."""
    assert peer.request is not None
    peer.socket.sendall(reply(ranking(peer.request.json["query"])))


def ranking(query: str = "first", **more: Any) -> bytes:
    """The body of a good reply for two documents, the second one before the first."""
    rows = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
    return json.dumps({"id": query, "results": rows, **more}).encode()


def head(*lines: str, status: int = 200, version: str = "1.1") -> bytes:
    """The head of a reply with these lines and no others; the text is Latin-1."""
    return "\r\n".join([f"HTTP/{version} {status} Said", *lines, "", ""]).encode("latin-1")


def reply(body: bytes | None = None, *lines: str, status: int = 200) -> bytes:
    """A whole reply of the right length; without a body, a ranking for the query `first`."""
    content = ranking() if body is None else body
    return head(f"Content-Length: {len(content)}", *lines, status=status) + content


def chunk(content: bytes) -> bytes:
    """One chunk of a body; an empty one is the last."""
    return b"%x\r\n%s\r\n" % (len(content), content)


class FaultServer:
    """The server; `with serving(...)` starts and ends it.

    Args:
        script: What to do, a step for each attempt; the last one again and again.
        tls: With it, the server speaks TLS: at once, or behind a CONNECT where it is a proxy.

    Attributes:
        requests: Those of which at least the head was read.
        connections: How many were accepted.
        sent: The bytes that `repeat` got rid of.
    """

    def __init__(self, *script: Step, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Recorded] = []
        self.connections = 0
        self.sent = 0
        self.ended = threading.Event()
        self._script = list(script)
        self._tls = tls
        self._under_way = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"

    def answer(self, *script: Step) -> None:
        """Do this from now on; what was begun before has ended when this returns."""
        assert comes_true(lambda: not self._under_way)
        with self._lock:
            self._script = list(script)

    def _accept(self) -> None:
        """Accept connections until the server ends."""
        while True:
            connection, _ = self._listener.accept()
            if self.ended.is_set():
                connection.close()
                self._listener.close()
                return
            connection.settimeout(PATIENCE)
            # What is sent is under way at once, not when what was sent before was received.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,))
            with self._lock:
                self.connections += 1
                self._open.add(connection)
                self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        """Close every connection, and wait for every thread."""
        self.ended.set()
        with socket.create_connection(self._listener.getsockname()):  # wakes `accept`
            self._accepting.join(PATIENCE)
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the client was first
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads)

    def _serve(self, connection: socket.socket) -> None:
        peer = Peer(connection, self)
        with suppress(OSError):  # a client may leave when it likes
            if self._tls is not None and connection.recv(1, socket.MSG_PEEK) == HANDSHAKE:
                self._start_tls(peer)
            if self._next_begins("accepted"):
                self._act(peer, self._take())
            while not peer.ended and peer.read_head():
                if peer.request is not None and peer.request.method == "CONNECT":
                    peer.socket.sendall(head())
                    self._start_tls(peer)
                    continue
                taken = self._take()
                if taken.when == "request":
                    peer.read_body()
                self._act(peer, taken)
        with self._lock:
            self._open.discard(peer.socket)
        peer.socket.close()

    def _start_tls(self, peer: Peer) -> None:
        assert self._tls is not None
        with self._lock:
            self._open.discard(peer.socket)
            peer.socket = self._tls.wrap_socket(peer.socket, True, do_handshake_on_connect=False)  # noqa: FBT003
            self._open.add(peer.socket)
        peer.socket.do_handshake()

    def _next_begins(self, when: str) -> bool:
        with self._lock:
            return self._script[0].when == when

    def _take(self) -> Step:
        with self._lock:
            self._under_way += 1
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def _act(self, peer: Peer, taken: Step) -> None:
        if peer.request is not None:
            with self._lock:
                self.requests.append(peer.request)
        try:
            peer.act(*taken.acts)
        finally:
            with self._lock:
                self._under_way -= 1


@contextmanager
def serving(*script: Step, tls: ssl.SSLContext | None = None) -> Iterator[FaultServer]:
    """A server for the length of a `with` block; no thread or socket outlives it."""
    server = FaultServer(*script or (step(rank),), tls=tls)
    try:
        yield server
    finally:
        server.end()
