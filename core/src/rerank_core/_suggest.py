"""The nearest known name, for messages about unknown ones."""

from __future__ import annotations

from collections.abc import Iterable


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a known name is near, else nothing."""
    import difflib  # noqa: PLC0415 - slow to import, and only needed for an error

    near = difflib.get_close_matches(name, [word for word in known if word != name], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
