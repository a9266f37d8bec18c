"""The documents that callers have: strings, mappings, and objects with text, made alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from numbers import Number
from operator import countOf
from typing import Any

import attrs

from rerank_core.errors import InvalidRequestError
from rerank_core.records._text import is_missing, shown
from rerank_core.records.results import Document, RerankResult

_PLAIN = {str, int, bool}
_TEXT_NAMES = ("page_content", "content", "text")
_ROWS = ("iterrows", "to_dicts", "to_pylist")  # what tables of pandas, polars and pyarrow have


def list_documents(documents: Any) -> list[Any]:
    """The caller's documents in a list of ours: theirs may change while a request is under way."""
    advice = ""
    if isinstance(documents, (set, frozenset)):
        advice = "; a set has no order, so that an index would mean nothing: write sorted(...)"
    elif hasattr(documents, "columns") and any(hasattr(documents, name) for name in _ROWS):
        advice = (
            "; of a table, write df['text'].tolist(), or the rows for all columns:"
            " df.to_dict('records') in pandas, df.to_dicts() in polars, to_pylist() in pyarrow"
        )
    elif isinstance(documents, (str, bytes, Mapping)) or getattr(documents, "ndim", 1) == 0:
        advice = "; write [document] for a single one"
    elif isinstance(documents, Iterable) and not _is_model(documents):
        return documents.to_pylist() if hasattr(documents, "to_pylist") else list(documents)
    message = (
        "documents must be a list (or another iterable that has an order) of strings, mappings or"
        f" objects with text, not {shown(documents)}{advice}"
    )
    raise InvalidRequestError(message)


def read_documents(
    listed: list[Any], rank_fields: Sequence[str] | None
) -> tuple[list[str | Mapping[str, Any]], list[str]]:
    """The documents as text and fields, and warnings; the same list where all are strings."""
    if countOf(map(type, listed), str) == len(listed):
        return listed, []
    reader = _Reader(rank_fields)
    read = [
        document if type(document) is str else reader.read(f"documents[{at}]", document)
        for at, document in enumerate(listed)
    ]
    warnings = [
        f"{name!r} is a list of numbers, which is no text, in {len(found)} documents: left out"
        for name, found in reader.vectors.items()
    ]
    return read, warnings


class _Reader:
    """Reads documents that are no strings, and notes where lists of numbers stand."""

    def __init__(self, rank_fields: Sequence[str] | None) -> None:
        self.rank_fields = rank_fields
        self.vectors: dict[str, set[str]] = {}

    def read(self, where: str, document: Any) -> str | Mapping[str, Any]:
        """One document as a string, or as a mapping of its fields that are text."""
        try:
            if isinstance(document, RerankResult):
                document = document.document  # of an earlier ranking, `None` in one without them
            if isinstance(document, Document):
                return self.read(where, document.original)
            if not isinstance(document, (str, Mapping)):
                document = _fields_of(document, where)
            if isinstance(document, str):
                return str.__str__(document)  # an enum's member says its name
            return self._read_fields(where, document)
        except RecursionError:
            raise InvalidRequestError(f"{where} is nested too deeply, or holds itself") from None
        except InvalidRequestError:
            raise
        except Exception as error:  # whatever the caller's own objects do when they are asked
            raise InvalidRequestError(f"{where} cannot be read: {error!r}") from error

    def _read_fields(self, where: str, fields: Mapping[Any, Any]) -> dict[str, Any]:
        read = {}
        for name, value in fields.items():
            if type(value) in _PLAIN and type(name) is str:
                read[name] = value
                continue
            if not isinstance(name, str):
                raise InvalidRequestError(f"{where} has a field whose name is not a string")
            if self.rank_fields is None or name in self.rank_fields:
                plain = self._to_plain(value, name, f"{where}[{name!r}]")
                if plain is not None:
                    read[str.__str__(name)] = plain
        return read

    def _to_plain(self, value: Any, name: str, where: str) -> Any:
        """A field's value as JSON has it; `None` for what is absent or left out."""
        if type(value) in _PLAIN or (type(value) is float and isfinite(value)):
            return value
        if is_missing(value):
            return None
        if isinstance(value, Mapping):
            inner = {
                str(key): plain
                for key, item in value.items()
                if (plain := self._to_plain(item, f"{name}.{key}", where)) is not None
            }
            return inner if inner or not value else None
        is_array = hasattr(value, "tolist") and bool(getattr(value, "ndim", True))
        if is_array or isinstance(value, (list, tuple)):
            return self._to_list(value.tolist() if is_array else value, name, where)
        says: Any = str.__str__ if isinstance(value, str) else type(value).__str__
        is_text = isfinite(value) if isinstance(value, float) else says is not object.__str__
        if is_text and (isinstance(value, str) or not hasattr(value, "__iter__")):
            return says(value)
        if _is_model(value) or _has_fields(value):
            return self._to_plain(_fields_of(value, where), name, where)
        message = (
            f"{where} is {shown(value)}, which is no text: leave it out, or choose fields with"
            " rank_fields="
        )
        raise InvalidRequestError(message)

    def _to_list(self, value: Sequence[Any], name: str, where: str) -> Any:
        kinds = set(map(type, value))
        if kinds and bool not in kinds and all(issubclass(kind, Number) for kind in kinds):
            if self.rank_fields is not None:
                message = f"{where} is a list of numbers, which is no text to rank by"
                raise InvalidRequestError(message)
            self.vectors.setdefault(name, set()).add(where)
            return None
        left = [plain for item in value if (plain := self._to_plain(item, name, where)) is not None]
        return left if left or not kinds else None


def _fields_of(document: Any, where: str) -> str | Mapping[str, Any]:
    """The text of an object that has one, or else its fields."""
    for name in _TEXT_NAMES:
        if isinstance(text := getattr(document, name, None), str):
            return text
    if _is_model(document) and isinstance(dumped := document.model_dump(), (str, Mapping)):
        return dumped
    if not _has_fields(document):
        message = (
            f"{where} must be a string, a mapping, or an object with text under page_content,"
            f" content or text, not {shown(document)}"
        )
        raise InvalidRequestError(message)
    fields: Any = dataclasses.fields if dataclasses.is_dataclass(document) else attrs.fields
    names = [field.name for field in fields(type(document))]
    return {name: getattr(document, name) for name in names if not name.startswith("_")}


def _has_fields(value: Any) -> bool:
    """Whether an object is of a dataclass or an attrs class."""
    return dataclasses.is_dataclass(type(value)) or attrs.has(type(value))


def _is_model(value: Any) -> bool:
    """Whether an object is a model of pydantic's, which iterates over its fields."""
    return hasattr(type(value), "model_dump")
