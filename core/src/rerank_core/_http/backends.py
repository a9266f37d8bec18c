"""The streams under connections: what goes out in one piece, and what arrives behind a reply.

A connection that holds something behind its reply is not used again: the next request would take
it for its own reply. httpcore looks only at the socket; what has left the socket already is in
h11's buffer, in the event loop's or in TLS's.
"""

from __future__ import annotations

import select
import ssl
import sys
from typing import Any

import anyio
import httpcore

_MAX_READ_BYTES = 2**18
_MAX_JOINED_BYTES = 2**16  # to copy more takes longer than to send it apart
MAX_SENT_BYTES = 2**18  # within the time that one write may take


def has_leftover(connection: Any) -> bool:
    """Whether bytes were read behind the reply that a connection has just given."""
    try:
        parser = connection._connection._h11_state  # noqa: SLF001 - nothing public tells
        stream = connection._connection._network_stream  # noqa: SLF001 - likewise
    except AttributeError:  # another httpcore, of which it cannot be known
        return True
    tls = stream.get_extra_info("ssl_object")
    return bool(parser.trailing_data[0]) or (tls is not None and tls.pending() > 0)


def is_readable(socket: Any) -> bool:
    """Whether something waits in the socket, its end too; one that is closed counts as such."""
    if socket is None or socket.fileno() < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([socket.fileno()], [], [], 0)[0])
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Outgoing:
    """What is to be sent: a request's head waits for its body, so that both go out at once.

    Sent apart they take two system calls, and wake the service twice.
    """

    def __init__(self) -> None:
        self._waiting = b""

    def add(self, buffer: bytes) -> tuple[bytes, ...]:
        """What to send now; httpcore writes nothing, `b""`, at the end of a request."""
        waiting, self._waiting = self._waiting, b""
        if not buffer:
            return (waiting,)
        if len(buffer) > _MAX_JOINED_BYTES:
            return (waiting, buffer)
        self._waiting = waiting + buffer
        return ()


class BlockingBackend(httpcore.SyncBackend):
    """Connects, for blocking calls."""

    def connect_tcp(self, *args: Any, **keywords: Any) -> httpcore.NetworkStream:
        """Connect."""
        try:
            return _BlockingStream(super().connect_tcp(*args, **keywords))
        except UnicodeError as error:  # of a name that no host can have
            raise httpcore.ConnectError(str(error)) from error


class _BlockingStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._outgoing = _Outgoing()
        self._is_tls = stream.get_extra_info("ssl_object") is not None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.write(b"", timeout)
        return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Over TLS, one `send` is over when all is sent; over plain TCP, when some is.
        step = MAX_SENT_BYTES if self._is_tls else sys.maxsize
        for piece in self._outgoing.add(buffer):
            for start in range(0, len(piece), step):
                self._stream.write(piece[start : start + step], timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **keywords: Any) -> httpcore.NetworkStream:
        return _BlockingStream(self._stream.start_tls(*args, **keywords))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class AsyncBackend(httpcore.AnyIOBackend):
    """Connects, for streams that leave nothing behind in the event loop."""

    async def connect_tcp(self, *args: Any, **keywords: Any) -> httpcore.AsyncNetworkStream:
        """Connect."""
        return _AsyncStream(await super().connect_tcp(*args, **keywords))


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._outgoing = _Outgoing()
        # Kept: anyio collects all that it knows, addresses too, to answer one question.
        self._kept = {name: stream.get_extra_info(name) for name in ("ssl_object", "socket")}

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's interface
        await self.write(b"", timeout)
        try:
            # asyncio reads so much at once, and nobody can see what is left of it.
            return await self._stream.read(max(max_bytes, _MAX_READ_BYTES), timeout)
        except ssl.SSLError as error:  # which httpcore maps for blocking calls only
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - likewise
        try:
            for piece in self._outgoing.add(buffer):
                for start in range(0, len(piece), MAX_SENT_BYTES):
                    await self._stream.write(piece[start : start + MAX_SENT_BYTES], timeout)
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *args: Any, **keywords: Any) -> httpcore.AsyncNetworkStream:
        try:
            return _AsyncStream(await self._stream.start_tls(*args, **keywords))
        except BaseException:  # httpcore sees to errors, and not to a cancellation
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return _has_plain(self._kept["ssl_object"]) or is_readable(self._kept["socket"])
        return self._kept[info] if info in self._kept else self._stream.get_extra_info(info)


def _has_plain(tls: Any) -> bool:
    """Whether TLS holds what was read from the socket already."""
    if tls is None:
        return False
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        return True
    return True
