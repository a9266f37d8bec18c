"""What a store of scores must do."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

_Given = TypeVar("_Given")
_Told = TypeVar("_Told")


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


def ask_store(ask: Callable[[_Given], _Told], given: _Given) -> _Told | None:
    """What a store says; one that fails costs a warning, and not the ranking."""
    try:
        return ask(given)
    except Exception as error:  # noqa: BLE001 - of whatever store
        # By its type alone: the words may have an address with a password.
        message = f"not cached: the store failed with {type(error).__name__}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
        return None
