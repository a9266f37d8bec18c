"""What values may be, each with the words that say so."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rerank_core import RerankError

# More than any machine has use for; each takes memory, and onnxruntime starts as many as are asked.
MOST_THREADS = 1024


def check(
    given: Mapping[str, Any],
    name: str,
    fits: Callable[[Any], bool],
    wanted: str,
    kind: type[RerankError],
) -> None:
    """Refuse a value that does not fit, by its name; one that is not given always fits."""
    value = given.get(name)
    if value is not None and not fits(value):
        message = f"{name} must be {wanted}, not {value!r}"
        raise kind(message)


def either(names: tuple[str, ...]) -> str:
    """The names for a message."""
    return " or ".join(map(repr, names))


def is_path(value: object) -> bool:
    """Whether it names a folder."""
    return (isinstance(value, str) and bool(value.strip())) or isinstance(value, Path)


def is_text(value: object) -> bool:
    """Whether it is a string, empty or not."""
    return isinstance(value, str)


def is_name(value: object) -> bool:
    """Whether it is a string that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def are_names(value: object) -> bool:
    """Whether it is a name or a list of names."""
    return is_name(value) or (
        isinstance(value, (list, tuple)) and bool(value) and all(map(is_name, value))
    )


def is_bool(value: object) -> bool:
    """Whether it is True or False."""
    return isinstance(value, bool)


def is_count(value: object) -> bool:
    """Whether it is an integer from 0 that a machine counts to."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def is_thread_count(value: object) -> bool:
    """Whether it is a number of threads."""
    return is_count(value) and value <= MOST_THREADS  # type: ignore[operator]


def is_positive(value: object) -> bool:
    """Whether it is an integer from 1."""
    return is_count(value) and value != 0


def is_number(value: object) -> bool:
    """Whether it is a finite number from 0."""
    whole = isinstance(value, (int, float)) and not isinstance(value, bool)
    return whole and 0 <= value <= sys.float_info.max  # type: ignore[operator]


def is_share(value: object) -> bool:
    """Whether it is a number from 0 to 1."""
    return is_number(value) and value <= 1  # type: ignore[operator]
