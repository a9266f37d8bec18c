"""Turns for other tasks while a reply is read that came in very many parts."""

from __future__ import annotations

import anyio.lowlevel

_MAX_PARTS = 1000  # they may all have come at once, and then nobody waits for the next


class Turns:
    """Counts the parts of one reply."""

    def __init__(self) -> None:
        self._parts = 0

    async def count(self) -> None:
        """Let other tasks run, every now and then."""
        self._parts += 1
        if not self._parts % _MAX_PARTS:
            await anyio.lowlevel.checkpoint()
