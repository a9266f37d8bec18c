"""Where a ranking stands in a reply, found without ever guessing from a position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rerank_compatible._settings import Settings
from rerank_core import Meta, RerankResult, ResponseParseError, wire

_LISTS = ("results", "data", "rerank", "rankings")
_SCORES = ("relevance_score", "score", "logit")


def read_results(payload: Any, settings: Settings, documents: int) -> list[RerankResult]:
    """The ranking in a reply.

    Args:
        payload: The decoded reply.
        settings: What the reply is said to be like.
        documents: How many documents were sent.

    Raises:
        ResponseParseError: It is no ranking, or may be something else.
    """
    path, rows = _find_rows(payload, settings.results_path)
    if not isinstance(rows, list):
        message = f"{path or 'the reply'} is {_kind(rows)}, not a list"
        raise ResponseParseError(message, path=path)
    if settings.results_path is not None and rows and all(map(_is_number, rows)):
        if len(rows) != documents:
            message = f"{path or 'the reply'} has {len(rows)} scores for {documents} documents"
            raise ResponseParseError(message, path=path)
        return [RerankResult(at, score) for at, score in enumerate(rows)]
    _check_rows(rows, path, settings.index_field or "index")
    score = settings.score_field or _find_score(rows, path)
    return wire.read_results(
        rows, path or "reply", index=settings.index_field or "index", score=score
    )


def read_meta(payload: Any) -> Meta:
    """Usage, which some services state as `tokens` beside the results."""
    if not isinstance(payload, dict):
        return Meta()
    if not (payload.get("usage") or payload.get("meta")):
        return wire.read_meta({"meta": {"tokens": payload.get("tokens")}})
    return wire.read_meta(payload)


def _find_rows(payload: Any, pinned: str | None) -> tuple[str, Any]:
    """The list of results, and where it stands: at the pinned place, or at a usual one."""
    if isinstance(payload, list) and not pinned:
        return "", payload
    if not isinstance(payload, dict):
        message = f"the reply is {_kind(payload)}, neither an object nor a list of results"
        raise ResponseParseError(message)
    if pinned is None:
        for name in _LISTS:
            if isinstance(payload.get(name), list):
                return name, payload[name]
    elif pinned:
        found: Any = payload
        for name in pinned.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if found is not None:
            return pinned, found
    wanted = f"nothing at {pinned!r}" if pinned else "no list of results"
    message = f"the reply has {wanted}, but {', '.join(map(repr, payload)) or 'nothing'}"
    raise ResponseParseError(message, path=pinned or "")


def _check_rows(rows: Iterable[Any], path: str, index: str) -> None:
    for at, row in enumerate(rows):
        if not isinstance(row, dict) or type(row.get(index)) is not int:
            message = f"{path}[{at}] is no result: it has no integer {index!r}"
            raise ResponseParseError(message, path=f"{path}[{at}]")


def _find_score(rows: Sequence[Mapping[str, Any]], path: str) -> str:
    """The one name of a score that all rows have."""
    names = [next((name for name in _SCORES if name in row), None) for row in rows]
    if None in names or any(before != after for before, after in pairwise(names)):
        message = f"the results at {path or 'the reply'} do not all have one of {_SCORES}"
        raise ResponseParseError(message, path=path)
    return names[0] if names and names[0] else _SCORES[0]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "empty"}
    return names.get(type(value), "a number or boolean")
