"""The nearest known name, for messages about unknown ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Less alike than this, a known name is another thing: a guess would mislead.
_ALIKE = 0.7
# What a keyword of litellm's and of other clients is called here, where that is not alike.
_OTHER_WORDS: Mapping[str, str] = {
    "base_url": "api_base",
    "client": "http_client",
    "request_timeout": "timeout",
}


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a known name is near, else nothing."""
    import difflib  # noqa: PLC0415 - slow to import, and only needed for an error

    words = [word for word in known if word != name]
    near = difflib.get_close_matches(name, words, n=1, cutoff=_ALIKE)
    return f"; did you mean {near[0]!r}?" if near else ""


def suggestion_for_param(name: str, known: Iterable[str]) -> str:
    """The same for a keyword, by what it means where that is known."""
    if name in _OTHER_WORDS:
        return f"; did you mean {_OTHER_WORDS[name]!r}?"
    return suggestion(name, known)
