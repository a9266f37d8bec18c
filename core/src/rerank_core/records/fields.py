"""What the records have in common: how they are checked, and how they are read by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import fields


class RecordError(TypeError):
    """A plugin filled a record with what does not belong there."""


def of_type(*kinds: type, optional: bool = False) -> Any:
    """A validator for attrs that names the field, at half the price of attrs' own."""

    def check(_: object, attribute: Any, value: object) -> None:
        if not (isinstance(value, kinds) or (optional and value is None)):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            message = f"{attribute.name} must be of type {wanted}, not {type(value).__name__}"
            raise RecordError(message)

    return check


def strings(_: object, attribute: Any, value: Any) -> None:
    """A validator for a sequence of strings, which a single string is not."""
    if isinstance(value, str) or not all(isinstance(text, str) for text in value):
        message = f"{attribute.name} must hold strings only"
        raise RecordError(message)


def names_of(record: object) -> list[str]:
    """The names of a record's public fields, in order."""
    own: Any = type(record)
    return [field.name for field in fields(own) if not field.name.startswith("_")]


class Subscriptable(Mapping[str, Any]):
    """Reads fields by subscript, too, as code written for litellm does, or as `dict(...)`."""

    __slots__ = ()

    def _names(self) -> list[str]:
        return names_of(self)

    def __getitem__(self, name: Any) -> Any:
        """The field called `name`; raises `KeyError` where there is none."""
        if name not in self._names():
            raise KeyError(name)
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a field, and it says something."""
        return name in self._names() and self[name] is not None

    def __iter__(self) -> Iterator[str]:
        """The names of the fields that say something."""
        return (name for name in self._names() if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return True
