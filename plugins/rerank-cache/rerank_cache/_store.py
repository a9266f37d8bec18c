"""What a store of scores must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Store(Protocol):
    """Keeps small values under keys of 24 bytes; several threads call it at once.

    A store may forget whatever it likes, and must never mix anything up. The first eight bytes of
    a key stand for the model, so that `delete` can drop all that one model said.
    """

    def get(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The values that are there; keys that are not are left out."""

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values, in place of what was there."""

    def delete(self, prefix: bytes = b"") -> int:
        """Forget every key that begins so, and say how many there were."""

    def close(self) -> None:
        """Free what is held; called once, in the end."""
