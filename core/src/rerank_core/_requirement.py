"""Which versions of rerank-core a plugin's distribution asks for.

Only plain clauses are read, `>=0.1,<0.2`, and no dependency is there for it: whether a plugin loads
must not hang on what else happens to be installed. What is not read is left to the installer.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping

Release = tuple[int, ...]

_REQUIREMENT = re.compile(
    r"rerank[-_.]core\s*(?:\[[^]]*\])?\s*\(?([^;()\[\]]*)\)?\s*", re.IGNORECASE
)
_CLAUSE = re.compile(r"\s*(>=|<=|==|!=|~=|>|<)\s*(\d+(?:\.\d+)*)\s*")
_HOLDS: Mapping[str, Callable[[Release, Release], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


def find_refusal(requirements: Iterable[str], version: str) -> str | None:
    """The range of rerank-core that leaves a version out; `None` where it is allowed."""
    running = _to_release(version)
    for requirement in requirements:
        if found := _REQUIREMENT.fullmatch(requirement):
            clauses = map(_CLAUSE.fullmatch, found[1].split(","))
            if not all(_allows(clause[1], clause[2], running) for clause in clauses if clause):
                return found[1].strip()
    return None


def _allows(sign: str, text: str, running: Release) -> bool:
    if sign == "~=":
        *upper, _ = map(int, text.split("."))
        if not upper:
            return True  # `~=1` says nothing
        upper[-1] += 1
        return _to_release(text) <= running < tuple(upper)
    return _HOLDS[sign](running, _to_release(text))


def _to_release(version: str) -> Release:
    """The numbers of a version, without zeros at the end: 0.2 and 0.2.0 are one."""
    numbers = re.match(r"[\d.]*", version)
    release = [int(number) for number in (numbers[0] if numbers else "").split(".") if number]
    while release and release[-1] == 0:
        release.pop()
    return tuple(release)
