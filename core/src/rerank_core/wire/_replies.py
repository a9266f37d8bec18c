"""What the replies of several services have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from rerank_core.errors import ResponseParseError
from rerank_core.records import JSON
from rerank_core.records._text import kind_of
from rerank_core.records.results import BilledUnits, Fresh, Meta, RerankResult, Tokens

_NO_META = Meta()
_NUMBERS = {int, float}
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def read_results(
    rows: JSON, path: str = "results", *, index: str = "index", score: str = "relevance_score"
) -> list[RerankResult]:
    """Read a list of objects that each hold an index and a score.

    Values are taken as they are: core checks all of them afterwards.

    Args:
        rows: The list.
        path: Where it stands in the reply, for error messages.
        index: The name of the index.
        score: The name of the score.

    Raises:
        ResponseParseError: It is not such a list.
    """
    if not isinstance(rows, list):
        raise ResponseParseError(f"{path} is {kind_of(rows)}, not a list", path=path)
    try:
        return Fresh(map(RerankResult, map(itemgetter(index), rows), map(itemgetter(score), rows)))
    except (KeyError, TypeError, IndexError):
        at, row = next(
            (at, row)
            for at, row in enumerate(rows)
            if not (isinstance(row, dict) and index in row and score in row)
        )
    message = f"{path}[{at}] is {kind_of(row)} without {index!r} and {score!r}"
    raise ResponseParseError(message, path=f"{path}[{at}]")


def add_extra(
    results: list[RerankResult], rows: Sequence[Mapping[str, Any]], name: str
) -> list[RerankResult]:
    """Add a field of the service's rows to the `extra` of the results that were read from them.

    Args:
        results: What `read_results` returned.
        rows: The list that it read.
        name: Of the field, in the rows as in `extra`; it is left out where it is missing or null.
    """
    values = [row.get(name) for row in rows]
    if values.count(None) < len(values):
        for result, value in zip(results, values, strict=True):
            if value is not None:
                result.extra = {**(result.extra or {}), name: value}
    return results


def read_strings(value: JSON) -> tuple[str, ...]:
    """The strings in a list, for a service's warnings; nothing where there is no list."""
    if not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, str))


def read_warnings(payload: JSON) -> tuple[str, ...]:
    """What a reply warns of, where Cohere has it: the strings under `meta.warnings`."""
    return read_strings(_mapping(payload, "meta").get("warnings"))


def read_meta(payload: JSON) -> Meta:
    """Read what a reply says of usage, in all usual places: Cohere's `meta`, OpenAI's `usage`.

    A total alone is what went in, for a reranker writes nothing. What cannot be read is absent.
    """
    meta, usage = _mapping(payload, "meta"), _mapping(payload, "usage")
    usage = usage or _mapping(meta, "usage")
    if not (meta or usage):
        return _NO_META
    billed, tokens = _mapping(meta, "billed_units"), _mapping(meta, "tokens")
    version = _mapping(meta, "api_version").get("version")
    places = (tokens, usage, billed)
    total = _first((billed, usage, tokens), "total_tokens")
    return Meta(
        version if isinstance(version, str) else None,
        BilledUnits(
            _first((billed, usage), "search_units", "rerank_units"),
            total if total is not None else _first((billed,), "input_tokens"),
        ),
        Tokens(
            _first(places, "input_tokens", "prompt_tokens", "total_tokens"),
            _first(places, "output_tokens", "completion_tokens"),
        ),
    )


def _first(places: Sequence[Mapping[str, Any]], *names: str) -> float | None:
    """The first number under one of the names, the better name before the better place."""
    for name in names:
        for place in places:
            if type(value := place.get(name)) in _NUMBERS:
                return value
    return None


def _mapping(value: JSON, name: str) -> Mapping[str, Any]:
    inner = value.get(name) if type(value) is dict else None
    return inner if type(inner) is dict else _NOTHING
