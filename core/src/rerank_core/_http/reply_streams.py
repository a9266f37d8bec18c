"""Bodies of replies that httpx's own connections bring: through a proxy, or by the caller's client.

What `pool.py` sees to for connections of our own is seen to here: a bound on what is read, and
no second use of a connection on which more came than was asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpcore
import httpx

from rerank_core._http.backends import AsyncBackend, BlockingBackend, has_leftover
from rerank_core._http.bodies import ReplyBody
from rerank_core._http.event_loops import Turns, finish

_UNPACKED_HERE = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})


class _WrappingStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A stream before another one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _BoundedStream(_WrappingStream):
    """The body, unpacked, in one piece; no more of it is read than the bound allows."""

    def __init__(self, stream: Any, body: ReplyBody) -> None:
        super().__init__(stream)
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            if not self._body.add(chunk):
                break
        yield self._body.whole()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        turns = Turns()
        async for chunk in self._stream:
            if not self._body.add(chunk):
                break
            await turns.count()
        yield self._body.whole()


def bound_reply(reply: httpx.Response, max_bytes: int | None) -> None:
    """Let no more of a reply be read than this, whoever reads it.

    A coding of which only httpx knows, `br` for example, has the bound before it is unpacked.

    Raises:
        ResponseParseError: When it is read, and is larger or cannot be decompressed.
    """
    if isinstance(reply.stream, (httpx.ByteStream, _BoundedStream)):  # in memory, or done already
        return
    encoding = reply.headers.get("content-encoding", "").strip().lower()
    if encoding in _UNPACKED_HERE:
        for name in ("content-encoding", "content-length"):
            reply.headers.pop(name, None)
    else:
        encoding = ""
    reply.stream = _BoundedStream(reply.stream, ReplyBody(reply.status_code, encoding, max_bytes))


class _CheckedStream(_WrappingStream):
    """Closes the connection where bytes are left behind the body."""

    def __init__(self, reply: httpx.Response) -> None:
        super().__init__(reply.stream)
        self._connection = reply.extensions["network_stream"]

    def close(self) -> None:
        if has_leftover(_innermost(self._stream)):
            self._connection.close()
        super().close()

    async def aclose(self) -> None:
        # Broken off, it would leave the connection in use for ever in httpcore's pool.
        await finish(self._aclose)

    async def _aclose(self) -> None:
        if has_leftover(_innermost(self._stream)):
            await self._connection.aclose()
        await super().aclose()


def _innermost(stream: Any) -> Any:
    """What httpcore made, which knows its connection; httpx and the pool wrap it."""
    for name in ("_stream", "_httpcore_stream"):
        if (inner := getattr(stream, name, None)) is not None:
            return _innermost(inner)
    return stream


def keep_only_clean(client: httpx.Client | httpx.AsyncClient) -> None:
    """Have a client of our own use no connection again on which bytes were left."""
    backend: BlockingBackend | AsyncBackend
    if isinstance(client, httpx.Client):
        client.event_hooks, backend = {"response": [_watch]}, BlockingBackend()
    else:
        client.event_hooks, backend = {"response": [_awatch]}, AsyncBackend()
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - no other way
        if transport is not None:
            transport._pool._network_backend = backend  # noqa: SLF001 - likewise


async def close_abandoned(client: httpx.AsyncClient) -> None:
    """Close the connections of a client of our own that httpcore holds for nobody.

    A call that is cancelled just when its connection stands leaves it there, neither idle nor in
    use, and its pool would never close it.
    """
    for transport in client._mounts.values():  # noqa: SLF001 - as above
        pool = getattr(transport, "_pool", None)
        if isinstance(pool, httpcore.AsyncConnectionPool):
            wanted = [request.connection for request in pool._requests]  # noqa: SLF001 - likewise
            for connection in pool.connections:
                if connection not in wanted and not connection.is_idle():
                    pool._connections.remove(connection)  # noqa: SLF001 - likewise
                    await connection.aclose()


def _watch(reply: httpx.Response) -> None:
    reply.stream = _CheckedStream(reply)


async def _awatch(reply: httpx.Response) -> None:
    _watch(reply)
