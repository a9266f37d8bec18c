"""The check of what a service says beside its ranking: it never costs the ranking."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from rerank_core.errors import RerankError
from rerank_core.records import JSON, RerankResponse
from rerank_core.testing._case import Case
from rerank_core.testing._checks_reply import ODD
from rerank_core.testing._failure import require
from rerank_core.testing._service import ask, computes

_TOLD = ("meta", "cost", "warnings")
_LOST = object()
_Path = tuple[Any, ...]


def check_usage_costs_no_ranking(case: Case) -> None:
    """What a reply says of usage, cost and warnings alone may be missing or odd."""
    if computes(case):
        return
    reply = case.example.reply
    good = ask(case, case.example.call, reply)
    for path in _paths(reply):
        other = _ask(case, _replaced(reply, path, _altered(_at(reply, path))))
        if not isinstance(other, RerankResponse) or other.results != good.results:
            continue  # it is part of the ranking, or says whether there is one
        if all(getattr(other, name) == getattr(good, name) for name in _TOLD):
            continue  # it is not read
        for what, value in (("lost", _LOST), *((f"replaced by {word}", odd) for word, odd in ODD)):
            found = _ask(case, _replaced(reply, path, value))
            require(
                isinstance(found, RerankResponse) and found.results == good.results,
                f"the documented reply with {'.'.join(map(str, path))} {what} is {found}",
                why="what stands beside the ranking differs from day to day, and from one gateway"
                " to the next; the ranking is there, and was paid for",
                where="parse_response: payload.get(...), wire.read_meta",
            )


def _ask(case: Case, reply: JSON) -> RerankResponse | str:
    """The response to the documented call, or the error as text."""
    try:
        return ask(case, case.example.call, reply)
    except RerankError as error:
        return f"{type(error).__name__}: {error}"


def _paths(value: JSON, path: _Path = ()) -> Iterator[_Path]:
    """The way to every field of every object, outer ones first."""
    for step in value if isinstance(value, dict) else range(len(value)):
        here = (*path, step)
        if isinstance(step, str):
            yield here
        if isinstance(value[step], (dict, list)):
            yield from _paths(value[step], here)


def _at(value: JSON, path: _Path) -> JSON:
    for step in path:
        value = value[step]
    return value


def _replaced(value: JSON, path: _Path, new: object) -> JSON:
    """A copy with another value at the end of the way, or without that field."""
    changed, (first, *rest) = copy.copy(value), path
    if rest:
        changed[first] = _replaced(value[first], tuple(rest), new)
    elif new is _LOST:
        del changed[first]
    else:
        changed[first] = new
    return changed


def _altered(value: JSON) -> JSON:
    """A value of the same shape, in which every number and every text is another."""
    if isinstance(value, dict):
        return {name: _altered(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_altered(inner) for inner in value]
    if isinstance(value, str):
        return f"{value}0"
    return value + 1 if type(value) in {int, float} else value
