"""The ways in which the soak's server answers, good and bad, byte by byte."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import formatdate
from typing import Any, Final, Protocol
from zlib import crc32

import orjson

HTML: Final = b"<!doctype html><title>Sign in</title>"
GZIP: Final = "content-encoding: gzip\r\n"
CHUNKED: Final = "transfer-encoding: chunked\r\n"
BOMB: Final = gzip.compress(bytes(2**21), mtime=0)
LONG_AGO: Final = 784_111_777.0
EVERY_CALL: Final = "right"
MET: Final = "swallowed"


def score(text: str) -> float:
    """The one truth: what a document deserves."""
    return crc32(text.encode()) / 2**32


def is_split(call: int) -> bool:
    """Whether a call's list is sent in parts."""
    return call % 10 == 0


def is_refused(call: int) -> bool:
    """Whether a call goes to where nobody listens."""
    return call % 400 == 7


def has_deadline(call: int) -> bool:
    """Whether a call has a deadline: those that are split, and as many others."""
    return call % 5 == 0


class Wire(Protocol):
    """What a behaviour asks of a connection."""

    def write(self, content: bytes) -> None:
        """Send, unless the client has gone."""

    def trickle(self, pieces: Iterator[bytes]) -> None:
        """Send pieces one by one; others are served in between."""

    def later(self, action: Callable[[], None]) -> None:
        """Do it in a moment, unless a request or the end comes first."""

    def reset(self, content: bytes = b"") -> None:
        """Send this much, and end the connection with a reset."""

    def end(self, content: bytes) -> None:
        """Send this and end our side; what the client still sends is seen."""

    def close(self, content: bytes) -> None:
        """Send this and close."""


Behaviour = Callable[[Wire, Sequence[str]], None]


def _encode(rows: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"id": "reply", "results": rows})


def _rows(documents: Sequence[str]) -> list[dict[str, Any]]:
    return [{"index": at, "relevance_score": score(text)} for at, text in enumerate(documents)]


def _ranking(documents: Sequence[str]) -> bytes:
    return _encode(_rows(documents))


def head(more: str, status: str = "200 OK") -> bytes:
    """The head of a reply, with these lines and no length."""
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}\r\n".encode()


def reply(
    content: bytes, status: str = "200 OK", length: int | None = None, more: str = ""
) -> bytes:
    """A whole reply, of this length or another."""
    size = len(content) if length is None else length
    return head(f"content-length: {size}\r\n{more}", status) + content


def _right(documents: Sequence[str]) -> bytes:
    return reply(_ranking(documents))


def _half(documents: Sequence[str]) -> bytes:
    return _right(documents)[:-20]


def _bytes_of(content: bytes) -> Iterator[bytes]:
    return (content[at : at + 1] for at in range(len(content)))


def _chunks(documents: Sequence[str]) -> Iterator[bytes]:
    """A chunked reply, a piece for each write, the last one being the end of it."""
    content = _ranking(documents)
    yield head(CHUNKED)
    for at in range(0, len(content), 50):
        piece = content[at : at + 50]
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _cut_chunks(connection: Wire, documents: Sequence[str]) -> None:
    *whole, _ = _chunks(documents)
    connection.end(b"".join(whole))


def _packed(documents: Sequence[str], cut: int = 0) -> bytes:
    packed = gzip.compress(_ranking(documents), mtime=0)
    return reply(packed[: len(packed) - cut], more=GZIP)


def _stray_408(connection: Wire, documents: Sequence[str]) -> None:
    connection.write(_right(documents))
    connection.later(lambda: connection.end(reply(b"{}", "408 Request Timeout")))


def _send(make: Callable[[Sequence[str]], bytes]) -> Behaviour:
    return lambda connection, documents: connection.write(make(documents))


def _saying(status: str, more: str = "", content: bytes = b'{"message": "no"}') -> Behaviour:
    said = reply(content, status, more=more)
    return lambda connection, _: connection.write(said)


def _later(until: float, now: float) -> str:
    """`Retry-After` as a date, and the service's own time, of which it is told."""
    return (
        f"retry-after: {formatdate(until, usegmt=True)}\r\ndate: {formatdate(now, usegmt=True)}\r\n"
    )


STORM: Final = "429 Too Many Requests"
BEHAVIOURS: Final[Mapping[str, Behaviour]] = {
    EVERY_CALL: _send(_right),
    "slow": lambda connection, documents: connection.later(
        lambda: connection.write(_right(documents))
    ),
    "byte by byte": lambda connection, documents: connection.trickle(_bytes_of(_right(documents))),
    "chunked": lambda connection, documents: connection.trickle(_chunks(documents)),
    "no length": lambda connection, documents: connection.end(head("") + _ranking(documents)),
    "gzip": _send(_packed),
    "closed": lambda connection, documents: connection.end(_right(documents)),
    "says close": lambda connection, documents: connection.close(
        reply(_ranking(documents), more="connection: close\r\n")
    ),
    "stray 408": _stray_408,
    "reset before": lambda connection, _: connection.reset(),
    "reset in head": lambda connection, _: connection.reset(b"HTTP/1.1 200 OK\r\ncontent-"),
    "reset in body": lambda connection, documents: connection.reset(_half(documents)),
    "reset after": lambda connection, documents: connection.reset(_right(documents)),
    "truncated": lambda connection, documents: connection.end(_half(documents)),
    "chunked, cut": _cut_chunks,
    "no length, cut": lambda connection, documents: connection.end(
        head("") + _ranking(documents)[:-20]
    ),
    "length too long": lambda connection, documents: connection.end(
        reply(_ranking(documents), length=10_000)
    ),
    "length too short": _send(lambda documents: reply(_ranking(documents), length=30)),
    "gzip, cut": _send(lambda documents: _packed(documents, cut=12)),
    "gzip bomb": _send(lambda _: reply(BOMB, more=GZIP)),
    "too large": _send(lambda documents: reply(_ranking(documents) + b" " * 200_000)),
    "500": _saying("500 Internal Server Error", "retry-after: 0\r\n"),
    "502 in HTML": _saying("502 Bad Gateway", "retry-after-ms: 5\r\n", HTML),
    "503": _saying("503 Service Unavailable", "retry-after: 0\r\n"),
    "503 until a date": _saying("503 Service Unavailable", _later(LONG_AGO + 1, LONG_AGO)),
    "429": _saying(STORM, "retry-after: 0\r\n"),
    "429 for a moment": _saying(STORM, "retry-after: 0.2\r\n"),
    "429 until a date in the past": _saying(STORM, _later(LONG_AGO, LONG_AGO + 9)),
    "429 until nobody knows": _saying(STORM, "retry-after: Fri, 31 Foo 2026 25:61:61 GMT\r\n"),
    "429 for a day": _saying(STORM, "retry-after: 86400\r\n"),
    "400": _saying("400 Bad Request"),
    "401": _saying("401 Unauthorized"),
    "302": _saying("302 Found", "location: /elsewhere\r\n"),
    "307": _saying("307 Temporary Redirect", "location: /elsewhere\r\n"),
    "garbage": _send(lambda documents: reply(b"\x00" + _ranking(documents))),
    "html": _send(lambda _: reply(HTML)),
    "duplicate index": _send(lambda documents: reply(_encode(_rows(documents) * 2))),
    "index out of range": _send(
        lambda documents: reply(_encode([{"index": len(documents), "relevance_score": 1.0}]))
    ),
    "stall": lambda *_: None,
    "stall in body": lambda connection, documents: connection.write(_half(documents)),
    MET: lambda connection, _: connection.reset(),
}
FAULTY: Final = [name for name in BEHAVIOURS if name not in {EVERY_CALL, MET}]
PATIENT: Final = [name for name in FAULTY if name != "429 for a day"]
"""Without a deadline a minute would be waited, and a soak would take hours."""
