"""What arrives behind a reply: a connection that holds it is not used again.

The next request would take it for its own reply. httpcore looks only at the socket; what has left
the socket already is in h11's buffer, in the event loop's or in TLS's.
"""

from __future__ import annotations

import ssl
from typing import Any

import anyio
import httpcore

_MOST_READ = 2**18


def has_more(connection: Any) -> bool:
    """Whether bytes were read behind the reply that a connection has just given."""
    try:
        parser = connection._connection._h11_state  # noqa: SLF001 - nothing public tells
        stream = connection._connection._network_stream  # noqa: SLF001 - likewise
    except AttributeError:  # another httpcore, of which it cannot be known
        return True
    tls = stream.get_extra_info("ssl_object")
    return bool(parser.trailing_data[0]) or (tls is not None and tls.pending() > 0)


class Backend(httpcore.AnyIOBackend):
    """Connects, for streams that leave nothing behind in the event loop."""

    async def connect_tcp(self, *args: Any, **keywords: Any) -> httpcore.AsyncNetworkStream:
        """Connect."""
        return _Stream(await super().connect_tcp(*args, **keywords))


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's interface
        # asyncio reads so much at once, and nobody can see what is left of it.
        return await self._stream.read(max(max_bytes, _MOST_READ), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - likewise
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *args: Any, **keywords: Any) -> httpcore.AsyncNetworkStream:
        try:
            return _Stream(await self._stream.start_tls(*args, **keywords))
        except BaseException:  # httpcore sees to errors, and not to a cancellation
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        tls = self._stream.get_extra_info("ssl_object") if info == "is_readable" else None
        if tls is not None:
            try:
                tls.read(1)  # of what is there already; the socket is not asked
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return True
            else:
                return True
        return self._stream.get_extra_info(info)
