"""What calls owe the event loop, and need of it, whichever it is: asyncio's or trio's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio.lowlevel

_MAX_PARTS = 1000  # they may all have come at once, and then nobody waits for the next


def is_trio(loop: Any) -> bool:
    """Whether it is trio's; else it is one of asyncio's."""
    return hasattr(loop, "run_sync_soon")


class Turns:
    """Turns for other tasks while a reply is read that came in very many parts."""

    def __init__(self) -> None:
        self._parts = 0

    async def count(self) -> None:
        """Let other tasks run, every now and then."""
        self._parts += 1
        if not self._parts % _MAX_PARTS:
            await anyio.lowlevel.checkpoint()


async def finish(function: Callable[[], Awaitable[None]]) -> None:
    """Await something short to its end; a cancellation is raised after it.

    anyio's shield is not enough: `Task.cancel` of asyncio goes through it.
    """
    with anyio.CancelScope(shield=True):
        if is_trio(anyio.lowlevel.current_token().native_token):
            await function()
            return
        import asyncio  # noqa: PLC0415 - nothing of asyncio's under trio

        task = asyncio.ensure_future(function())
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        await task
