"""Connections under asyncio: a protocol of asyncio's and h11's parser, with nothing in between.

What is sent, read and raised is the same as over httpcore's connections, which cost more than twice
as much: streams, locks and generators stand between them and the socket.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import h11
import httpcore

from rerank_core._http import pool
from rerank_core._http.backends import MAX_SENT_BYTES, is_readable
from rerank_core._http.bodies import ReplyBody, read_headers
from rerank_core._models import HTTPResponse

_MAX_HEAD_BYTES = 100 * 1024  # as httpcore has it
_MAX_JOINED_BYTES = 2**17  # of what is copied to be one write, and so one packet where it is short
_MAX_LOOKS = 1000  # at parts of replies, before other tasks have their turn
_SWITCHED = 101  # to what the caller asked for; no HTTP comes after it


def _is_informational(event: Any) -> bool:
    return type(event) is h11.InformationalResponse and event.status_code != _SWITCHED


class AsyncioConnection(asyncio.Protocol):
    """One connection, for one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._transport: Any = None
        self._waiter: asyncio.Future[bool] | None = None
        self._in_use = True
        self._arrived = False  # something that was not looked at
        self._head: Any = None  # of a reply that came before the request was out
        self._unsent = False
        self._over = False
        self._error: Exception | None = None
        self._idle_since = 0.0
        self._looks = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and be told whenever something waits to be sent."""
        self._transport = transport
        # With 0, TLS takes an empty buffer for a full one.
        self._transport.set_write_buffer_limits(high=1, low=0)

    def data_received(self, data: bytes) -> None:
        """Hand on a part of the reply; what comes without a request ends the connection."""
        if not self._in_use:
            self.close()
            return
        self._parser.receive_data(data)
        self._arrived = True
        self._wake()

    def eof_received(self) -> None:
        """Take note of the reply's end, or the connection's."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Likewise."""
        self._end(exc)

    def pause_writing(self) -> None:
        """Wait until everything is sent."""
        self._unsent = True

    def resume_writing(self) -> None:
        """Wait no longer."""
        self._unsent = False
        self._wake()

    def _end(self, error: Exception | None) -> None:
        if not self._over:
            self._over, self._error = True, error
            self._wake()

    def _wake(self, *, in_time: bool = True) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(in_time)

    async def _wait(
        self, seconds: float | None, timeout_error: type[httpcore.TimeoutException]
    ) -> None:
        """Wait until something happens; while a request is still going out, that is something."""
        left = self._transport.get_write_buffer_size()
        self._waiter = self._loop.create_future()
        timer = None
        if seconds is not None:
            timer = self._loop.call_later(seconds, self._time_out)
        try:
            if not await self._waiter and self._transport.get_write_buffer_size() >= left:
                raise timeout_error
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _time_out(self) -> None:
        self._wake(in_time=False)

    async def send(self, request: httpcore.Request, max_bytes: int | None) -> HTTPResponse:
        """Send one request and read the whole reply."""
        self._in_use, self._arrived, self._head = True, False, None
        timeouts = request.extensions.get("timeout", {})
        try:
            pieces = self._encode(request)
        except h11.LocalProtocolError as error:
            raise httpcore.LocalProtocolError(str(error)) from error
        try:
            for piece in pieces:
                if not self._over:
                    self._transport.write(piece)
                while self._unsent and not (self._over or self._has_begun()):
                    await self._wait(timeouts.get("write"), httpcore.WriteTimeout)
            return await self._read(timeouts.get("read"), max_bytes)
        except h11.RemoteProtocolError as error:
            raise httpcore.RemoteProtocolError(str(error)) from error

    def _has_begun(self) -> bool:
        """Whether the reply is there before the request is out; a "100 Continue" is none."""
        if self._arrived and self._head is None:
            self._arrived = False
            while (event := self._parser.next_event()) is not h11.NEED_DATA:
                if not _is_informational(event):
                    self._head = event
                    break
        return self._head is not None

    def _encode(self, request: httpcore.Request) -> list[Any]:
        """The request, in the pieces that are written one after another."""
        send, content = self._parser.send, cast("Any", request.stream).whole
        parts = [
            send(
                h11.Request(
                    method=request.method, target=request.url.target, headers=request.headers
                )
            ),
            send(h11.Data(data=content)) if content else b"",
            send(h11.EndOfMessage()),
        ]
        if len(content) <= _MAX_JOINED_BYTES:
            return [b"".join(parts)]
        if self._transport.get_extra_info("ssl_object") is None:
            return list(filter(None, parts))
        # TLS takes whatever it is given at once, and then nobody sees how much was sent.
        whole = memoryview(b"".join(parts))
        return [whole[at : at + MAX_SENT_BYTES] for at in range(0, len(whole), MAX_SENT_BYTES)]

    async def _read(self, read_timeout: float | None, max_bytes: int | None) -> HTTPResponse:
        head = self._head or await self._next(read_timeout)
        while _is_informational(head):
            head = await self._next(read_timeout)
        headers = read_headers(head.headers.raw_items())
        body = ReplyBody(head.status_code, headers.get("content-encoding", ""), max_bytes)
        event = await self._next(read_timeout)
        while type(event) is h11.Data and body.add(bytes(event.data)):
            event = await self._next(read_timeout)
        self._complete(whole=type(event) is h11.EndOfMessage)
        return HTTPResponse(head.status_code, headers, body.whole())

    async def _next(self, read_timeout: float | None) -> Any:
        """What comes next of the reply."""
        self._looks += 1
        if not self._looks % _MAX_LOOKS:
            self._transport.pause_reading()
            await asyncio.sleep(0)
            self._transport.resume_reading()
        while (event := self._parser.next_event()) is h11.NEED_DATA:
            if not self._over:
                await self._wait(read_timeout, httpcore.ReadTimeout)
            elif self._error is not None:
                raise httpcore.ReadError(str(self._error)) from self._error
            elif self._parser.their_state is h11.SEND_RESPONSE:
                raise httpcore.RemoteProtocolError("the server hung up without a reply")
            else:
                self._parser.receive_data(b"")
        return event

    def _complete(self, *, whole: bool) -> None:
        """Be ready for the next request, if nothing speaks against it."""
        parser = self._parser
        if (
            whole
            and parser.our_state is h11.DONE
            and parser.their_state is h11.DONE
            and not (parser.trailing_data[0] or self._unsent or self._over)
        ):
            parser.start_next_cycle()
            self._in_use, self._idle_since = False, time.monotonic()

    def is_idle(self) -> bool:
        """Whether a reply was read to its end, with nothing behind it."""
        return not (self._in_use or self._over)

    def has_expired(self) -> bool:
        """Whether it may not be used again: idle for long, closed, or with something unasked."""
        if self._over or time.monotonic() > self._idle_since + pool.KEEPALIVE_SECONDS:
            return True
        # What the event loop has not seen; TLS may have lost its socket and not said so yet.
        return is_readable(self._transport.get_extra_info("socket"))

    def close(self) -> None:
        """Close at once: nothing that was not sent holds it open."""
        self._over = True
        if self._transport is not None:
            self._transport.abort()
