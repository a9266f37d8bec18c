"""Bodies as they are sent, and as they arrive: decompressed within a bound."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx

from rerank_core.errors import ResponseParseError

_STEP = 64 * 1024
_PIECE = 1024 * 1024  # of a request: more of them take more system calls
_GZIP_BEGINS = 0x1F
_GZIP = 16 + zlib.MAX_WBITS
_MAX_ERROR_BYTES = 2**20  # nobody reads more of an error


class RequestBody(httpx.ByteStream):
    """A request's body, as iterators that nobody has to close.

    httpx's own is an async generator; trio complains where a call that was cancelled leaves one
    unfinished. In pieces, so that the write timeout holds for each of them.
    """

    def __init__(self, whole: bytes) -> None:
        self._whole = whole

    def __iter__(self) -> Iterator[bytes]:
        return (self._whole[at : at + _PIECE] for at in range(0, len(self._whole), _PIECE))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces(iter(self))


class _Pieces(AsyncIterator[bytes]):
    def __init__(self, left: Iterator[bytes]) -> None:
        self._left = left

    async def __anext__(self) -> bytes:
        for piece in self._left:
            return piece
        raise StopAsyncIteration


class ReplyBody:
    """A reply's body as it arrives; no more of it is held than the bound and one chunk.

    Where the status is bad, it is the news: a body that cannot be read is left out, and of one
    that is large the first MiB is kept.
    """

    def __init__(self, status: int, encoding: str = "", max_bytes: int | None = None) -> None:
        self._read = bytearray()  # in one piece: a thousand small ones take much more
        self._taken = 0
        self._failed = status >= 300  # noqa: PLR2004 - the good ones are below
        self._max_bytes = (
            min(max_bytes or _MAX_ERROR_BYTES, _MAX_ERROR_BYTES) if self._failed else max_bytes
        )
        self._inflate: Any = None
        self._lost = False
        self._fault: ResponseParseError | None = None
        encoding = encoding.strip().lower()
        if encoding in {"gzip", "x-gzip"}:
            self._inflate = zlib.decompressobj(_GZIP)
        elif encoding not in {"", "identity"}:
            self._lose(f"its encoding, {encoding}, was not asked for")

    def add(self, chunk: bytes) -> bool:
        """Take what has arrived; returns whether more is wanted."""
        if self._inflate is None:
            return self._keep(chunk)
        self._taken += len(chunk)
        if self._max_bytes is not None and self._taken > 2 * self._max_bytes + _STEP:
            return self._keep_no_more()  # of what unpacks to less, or to nothing
        try:
            while chunk:
                if self._inflate.eof:  # another member may follow; else it is padding
                    if chunk[0] != _GZIP_BEGINS:
                        break
                    self._inflate = zlib.decompressobj(_GZIP)
                # Step by step: a small reply is no huge one at once.
                if not self._keep(self._inflate.decompress(chunk, _STEP)):
                    return False
                chunk = self._inflate.unconsumed_tail or self._inflate.unused_data
        except zlib.error as error:
            return self._lose(str(error))
        return True

    def _keep(self, chunk: bytes) -> bool:
        self._read += chunk
        if self._max_bytes is not None and len(self._read) > self._max_bytes:
            del self._read[self._max_bytes :]
            return self._keep_no_more()
        return not self._lost

    def _keep_no_more(self) -> bool:
        if not self._failed:
            message = f"the reply has more than {self._max_bytes:,} bytes: raise max_response_bytes"
            self._fault = ResponseParseError(message)
        self._inflate = None  # it was not to be read to its end
        return False

    def _lose(self, why: str) -> bool:
        """Go without the body where the status says enough."""
        if not self._failed:
            self._fault = ResponseParseError(f"the reply cannot be decompressed: {why}")
        self._lost = True
        return False

    def whole(self) -> bytes:
        """All of it; raises what is wrong with it."""
        is_cut = self._inflate is not None and self._read and not self._inflate.eof
        if is_cut and not self._lost:
            self._lose("it is cut short")
        if self._fault is not None:
            raise self._fault
        return b"" if self._lost else bytes(self._read)
