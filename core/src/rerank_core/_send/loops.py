"""The clients of event loops: made in a loop, and closed with it, under asyncio and trio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any
from weakref import ref

import anyio
import anyio.lowlevel

from rerank_core._send.connections import Connections, Stack

_open: dict[OfLoop, None] = {}


def is_trio(loop: Any) -> bool:
    """Whether it is trio's; else it is one of asyncio's."""
    return hasattr(loop, "run_sync_soon")


def wake(loop: Any, function: Callable[[], object]) -> None:
    """Call a function in a loop, from any thread; a loop that has ended calls nothing."""
    with contextlib.suppress(RuntimeError):  # trio's RunFinishedError is one
        (loop.run_sync_soon if is_trio(loop) else loop.call_soon_threadsafe)(function)


async def close_whole(*clients: Any) -> None:
    """Close clients although the task be cancelled."""
    with anyio.CancelScope(shield=True):
        for client in clients:
            await client.aclose()


class OfLoop(Stack):
    """The idle clients of one loop.

    They are closed with the loop, and before that when nobody holds their `Connections` any more.
    Until then the module holds them, so that what has a socket is never part of a cycle that the
    garbage collector takes apart.
    """

    def __init__(self, holder: Connections, loop: Any) -> None:
        super().__init__()
        self.loop = loop
        self._holder = ref(holder)
        self._end = self._close_at_end()
        self._task: Any = None

    async def begin(self) -> None:
        """Have the loop close the clients when it ends.

        A loop closes the async generators that are still open then, asyncio's and trio's alike.
        """
        await anext(self._end)
        _open[self] = None

    async def _close_at_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.let_go()
            await close_whole(*self.close())

    def let_go(self) -> None:
        """Hold them no longer."""
        _open.pop(self, None)
        if (holder := self._holder()) is not None:
            holder.loops.pop(self.loop, None)

    async def aclose(self) -> None:
        """Close the clients, from within their loop."""
        await self._end.aclose()

    def abandon(self) -> None:
        """Close the clients in their loop, from wherever this is called."""
        if not is_trio(self.loop) and self.loop.is_closed():
            self.let_go()
        else:
            wake(self.loop, self._start_closing)

    def _start_closing(self) -> None:
        if is_trio(self.loop):
            import trio  # noqa: PLC0415 - here only where it runs

            with contextlib.suppress(RuntimeError):  # at its end, where it closes them itself
                trio.lowlevel.spawn_system_task(self.aclose)
        else:
            self._task = self.loop.create_task(self.aclose())


async def stack_of_loop(connections: Connections) -> OfLoop:
    """The idle clients of the running loop."""
    loop = anyio.lowlevel.current_token().native_token
    found: OfLoop | None = connections.loops.get(loop)
    if found is None:
        for each in list(_open):  # nothing of loops that were closed without closing what they had
            if not is_trio(each.loop) and each.loop.is_closed():
                each.let_go()
        found = OfLoop(connections, loop)
        await found.begin()
        connections.loops[loop] = found
    return found
