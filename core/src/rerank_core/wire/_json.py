"""JSON, encoded and decoded here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import NoReturn

import orjson

from rerank_core.errors import InvalidRequestError, ResponseParseError
from rerank_core.records._text import beginning_of
from rerank_core.records.exchange import JSON

_NEVER_NAN = {str, int, bool, type(None)}


def encode_json(value: JSON) -> bytes:
    """Encode a value as compact UTF-8 JSON.

    Raises:
        InvalidRequestError: Something in it has no JSON form, for example a lone surrogate.
    """
    try:
        _refuse_nan(value)
        return orjson.dumps(value, default=_to_plain)
    except (TypeError, RecursionError) as error:
        message = f"the request cannot be written as JSON: {error}"
        raise InvalidRequestError(message) from error


def _refuse_nan(value: object) -> None:
    """Orjson would write `null` for what is no number: another value than the caller's."""
    if isinstance(value, float):
        if not isfinite(value):
            message = f"{value} has no JSON form: leave it out, or give None"
            raise TypeError(message)
    elif isinstance(value, (list, tuple)):
        if not set(map(type, value)) <= _NEVER_NAN:
            for inner in value:
                _refuse_nan(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            if type(inner) not in _NEVER_NAN:
                _refuse_nan(inner)


def _to_plain(value: object) -> JSON:
    """What orjson does not know itself: any mapping and any sequence."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    message = f"{type(value).__name__} has no JSON form"
    raise TypeError(message)


def decode_json(content: bytes) -> JSON:
    """Decode JSON; an empty body is `None`.

    Half of a surrogate pair, which a gateway leaves that cut a text within an emoji, is taken.

    Raises:
        ResponseParseError: It is not JSON. NaN and infinities are not.
    """
    if not content:
        return None
    try:
        return orjson.loads(content)
    except ValueError as error:
        if rb"\ud" in content.lower():
            try:
                return json.loads(content, parse_constant=_refuse_constant)
            except (ValueError, RecursionError):
                pass
        # Core says how the reply begins, once no secret is left in it.
        is_page = beginning_of(content, 80).startswith("<")
        message = (
            "the reply is HTML or XML, not JSON" if is_page else f"the reply is not JSON ({error})"
        )
        raise ResponseParseError(message) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
