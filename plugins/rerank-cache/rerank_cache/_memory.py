"""Scores in this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence


class MemoryStore:
    """Keeps the values that were used last.

    Args:
        max_rows: The most values, from 1.
        max_age: Seconds after which a value is forgotten; `None` for never.
        now: What time it is, in seconds.
    """

    def __init__(
        self,
        max_rows: int = 100_000,
        max_age: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_rows, self._max_age, self._now = max_rows, max_age, now
        self._values: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The values that are there, and young enough."""
        oldest = -float("inf") if self._max_age is None else self._now() - self._max_age
        found = {}
        with self._lock:
            for key in keys:
                kept = self._values.get(key)
                if kept is not None and kept[0] >= oldest:
                    self._values.move_to_end(key)
                    found[key] = kept[1]
        return found

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values; those unused for longest make room."""
        now = self._now()
        with self._lock:
            for key, value in values.items():
                self._values[key] = (now, value)
                self._values.move_to_end(key)
            while len(self._values) > self._max_rows:
                self._values.popitem(last=False)

    def delete(self, prefix: bytes = b"") -> int:
        """Forget every key that begins so, and say how many there were."""
        with self._lock:
            keys = [key for key in self._values if key.startswith(prefix)]
            for key in keys:
                del self._values[key]
        return len(keys)

    def close(self) -> None:
        """Keep everything: the store may be used by others."""
