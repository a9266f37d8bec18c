"""The words of a text, as BM25 counts them.

A text is normalised (NFKC) and its case folded. A word is a run of letters, digits, marks and
underscores. Scripts that put no spaces between words give single characters, each with its marks,
and pairs of neighbours; an emoji is a word, too. One letter that an apostrophe joins to a word
(cat's, l'heure) is none; each plus or hash right behind a word (C++, F#) is one.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Any
from unicodedata import normalize

_WORD, _QUOTED = re.compile(r"\w+"), re.compile(r"\w\w+|[\d_]|(?<!\w')\w(?!'\w)")
# Scripts with spaces between words are read in one go; those without, as runs.
_UNSPACED = (
    r"[[\p{L}\p{N}]&&[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{sc=Yi}\p{lb=SA}"
    r"\p{sc=Bali}\p{sc=Java}]]"
)
_SPACED = rf"[[\p{{L}}\p{{N}}\p{{M}}_]--{_UNSPACED}]"
_SIGNS = re.compile(r"(?<=\w)[+#]+")
_TURKISH = str.maketrans("I\u0130", "\u0131i")
_JOIN = r"['\u2019\u02bc]"


def split_words(text: str) -> list[str]:
    """The words of a text, repeated ones and stop words included."""
    if text.isascii():
        return (_QUOTED if "'" in text else _WORD).findall(text.lower()) + _find_signs(text)
    words, unit, invisible = _compile()
    folded = normalize("NFKC", normalize("NFKC", text).casefold()).replace("i\u0307", "i")  # of "İ"
    seen = invisible.sub("", folded)
    found: list[str] = []
    for match in words.finditer(seen):
        word = match.group()
        if match.lastgroup is None:
            found.append(word)
        else:
            units = unit.findall(word)
            found += units
            found += map("".join, pairwise(units))
    return found + _find_signs(seen)


def _find_signs(text: str) -> list[str]:
    """Each sign behind a word that makes it another, as in C++ and F#."""
    return [*"".join(_SIGNS.findall(text))] if "+" in text or "#" in text else []


def split_turkish(text: str) -> list[str]:
    """The words of a text in Turkish, where "I" is the capital of the letter without a dot."""
    return split_words(normalize("NFKC", text).translate(_TURKISH))


@cache
def _compile() -> tuple[Any, Any, Any]:
    """Words, the units of a run without spaces, and what is not seen (a soft hyphen, joiners)."""
    import regex  # noqa: PLC0415 - only for what is not ASCII

    def read(pattern: str) -> Any:
        return regex.compile(pattern, regex.VERSION1)

    words = read(
        rf"(?P<run>{_UNSPACED}[{_UNSPACED}\p{{M}}]*+)|{_SPACED}{_SPACED}++|[\p{{N}}\p{{So}}_]"
        rf"|(?<!{_SPACED}{_JOIN}){_SPACED}(?!{_JOIN}{_SPACED})"
    )
    return words, read(rf"{_UNSPACED}\p{{M}}*+"), read(r"[\p{DI}--\u200b]")
