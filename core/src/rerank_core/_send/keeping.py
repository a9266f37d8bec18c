"""What is made or found once, and kept by what identifies it: credentials and looked-up options."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from rerank_core._resolve.target import Target

_MAX_KEPT = 64


class Kept:
    """A bounded table; the oldest entry makes room for a new one."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, Any] = {}

    def get(self, key: Hashable | None) -> Any:
        """What is kept under the key, or `None`."""
        return None if key is None else self._entries.get(key)

    def put(self, key: Hashable | None, value: Any) -> Any:
        """Keep the value, and return what stands under the key: another thread's, if it was first."""
        if key is None:
            return value
        kept = self._entries.setdefault(key, value)
        while len(self._entries) > _MAX_KEPT:
            self._entries.pop(next(iter(self._entries)), None)
        return kept


def identity_of(target: Target, *more: Hashable) -> Hashable | None:
    """What identifies credentials; `None` where an option cannot be looked up by."""
    key = target.api_key.value if target.api_key else None
    secrets = tuple((name, secret.value) for name, secret in sorted(target.secrets.items()))
    options = tuple(sorted(target.provider_options.items(), key=lambda item: item[0]))
    found = (target.given, tuple(target.environment.items()), key, secrets, options, *more)
    try:
        hash(found)
    except TypeError:
        return None
    return found
