"""The ways to the services that stand open: one for blocking calls, one per event loop."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any
from weakref import ref

import anyio
from anyio.lowlevel import current_token

from rerank_core._http.channel import Channel, open_async_channel, open_channel
from rerank_core._http.event_loops import is_trio
from rerank_core.errors import ConfigurationError, RequestTimeoutError


class _LoopChannel:
    """A channel that was opened in an event loop, and is closed in it.

    It ends with the loop, and before that when nobody holds its `OpenChannels` any more. Until
    then the module holds it, so that what has a socket is never part of a cycle that the garbage
    collector takes apart.
    """

    def __init__(self, holder: OpenChannels, loop: Any) -> None:
        self.channel = open_async_channel(loop)
        self.loop = loop
        self._holder = ref(holder)
        self._end = self._close_at_end()
        self._task: Any = None

    async def begin(self) -> None:
        """Have the event loop close the channel when it ends.

        An event loop closes the async generators that are still open then, asyncio's and trio's
        alike; so no connection outlives its loop.
        """
        await anext(self._end)
        _open[self] = None

    async def _close_at_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.let_go()
            with anyio.CancelScope(shield=True):
                await self.channel.aclose()

    def let_go(self) -> None:
        """Hold it no longer."""
        _open.pop(self, None)
        if (holder := self._holder()) is not None:
            holder.forget(self)

    async def aclose(self) -> None:
        """Close the channel, from within its loop."""
        await self._end.aclose()

    def abandon(self) -> None:
        """Close the channel in its loop, from wherever this is called."""
        try:
            if is_trio(self.loop):
                import trio  # noqa: PLC0415 - here only where it runs

                with contextlib.suppress(trio.RunFinishedError):
                    self.loop.run_sync_soon(trio.lowlevel.spawn_system_task, self.aclose)
            else:
                self.loop.call_soon_threadsafe(self._start_closing)
        except RuntimeError:  # the loop is closed
            self.let_go()

    def _start_closing(self) -> None:
        self._task = self.loop.create_task(self.aclose())


_open: dict[_LoopChannel, None] = {}


def _drop_the_dead() -> None:
    """Hold nothing of loops that were closed without a chance to close what was in them."""
    for each in list(_open):
        if not is_trio(each.loop) and each.loop.is_closed():
            each.let_go()


class OpenChannels:
    """The channels of one `Reranker`, or those that the functions share.

    Args:
        http_client: The caller's own client or transport; used as it is and never closed here.
    """

    def __init__(self, http_client: Any = None) -> None:
        self._given = http_client is not None
        self._blocking: Channel | None = None
        self._given_async: Channel | None = None
        if self._given:
            from rerank_core._http.clients import adopt  # noqa: PLC0415 - httpx where it is needed

            blocking, other = adopt(http_client)
            self._blocking = None if blocking is None else Channel(lambda: blocking)
            self._given_async = None if other is None else Channel(lambda: other)
        self._of_loop: dict[Any, _LoopChannel] = {}
        self._lock = threading.Lock()

    def blocking(self, is_over: Callable[[], bool]) -> Channel:
        """The channel of blocking calls, from any thread.

        Args:
            is_over: Whether nobody waits for the call any more. A thread that was left behind
                would open again what was closed meanwhile.

        Raises:
            ConfigurationError: The caller's own client is an async one.
            RequestTimeoutError: The call is over.
        """
        channel = self._blocking
        if channel is not None:
            return channel
        if self._given:
            message = "http_client is async: rerank() takes an httpx.Client or a transport"
            raise ConfigurationError(message)
        with self._lock:
            if is_over():
                message = "nobody waits for this call any more"
                raise RequestTimeoutError(message)
            self._blocking = channel = self._blocking or open_channel()
            return channel

    async def of_loop(self) -> Channel:
        """The channel of the running event loop.

        Raises:
            ConfigurationError: The caller's own client is a blocking one.
        """
        if self._given:
            if self._given_async is None:
                message = "http_client blocks: arerank() takes an httpx.AsyncClient or a transport"
                raise ConfigurationError(message)
            return self._given_async
        loop = current_token().native_token
        found = self._of_loop.get(loop)
        if found is None:
            _drop_the_dead()
            found = _LoopChannel(self, loop)
            await found.begin()
            self._of_loop[loop] = found
        return found.channel

    def forget(self, ended: _LoopChannel) -> None:
        """Use a channel no longer."""
        if self._of_loop.get(ended.loop) is ended:
            del self._of_loop[ended.loop]

    def close(self) -> None:
        """Close the blocking channel; the caller's own stays open."""
        if self._given:
            return
        with self._lock:
            channel, self._blocking = self._blocking, None
        if channel is not None:
            channel.close()

    async def aclose(self) -> None:
        """Close the channel of the running event loop; the caller's own stays open."""
        found = self._of_loop.get(current_token().native_token)
        if found is not None:
            await found.aclose()

    def abandon(self) -> None:
        """Close everything from wherever the last holder let go; async channels in their loops."""
        self.close()
        for each in list(self._of_loop.values()):
            each.abandon()
