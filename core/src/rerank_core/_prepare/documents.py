"""The documents that callers have: strings, mappings, and objects with text, made alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import attrs

from rerank_core.errors import InvalidRequestError
from rerank_core.records._text import shown
from rerank_core.records.results import Document, RerankResult

_STRINGS = {str}
_PLAIN = {str, int, bool}
_TEXT_NAMES = ("page_content", "content", "text")
_NUMBERS = {int, float}
_ABSENT: Any = object()  # what stands for a value that is none


def list_documents(documents: Any) -> list[Any]:
    """The caller's documents in a list of ours: theirs may change while a request is under way."""
    return documents[:] if type(documents) is list else list(_checked(documents))


def read_documents(
    listed: list[Any], rank_fields: Sequence[str] | None
) -> tuple[list[str | Mapping[str, Any]], tuple[str, ...]]:
    """The documents as text and fields, and warnings; the same list where all are strings."""
    if set(map(type, listed)) <= _STRINGS:
        return listed, ()
    reader = _Reader(rank_fields)
    read = [
        document if type(document) is str else reader.read(at, document)
        for at, document in enumerate(listed)
    ]
    return read, reader.warnings()


def _checked(documents: Any) -> Iterable[Any]:
    """Refuse what has no order, or iterates over something else than documents."""
    advice = ""
    if isinstance(documents, (set, frozenset)):
        advice = "; a set has no order, so that an index would mean nothing: write sorted(...)"
    elif hasattr(documents, "columns") and hasattr(documents, "iterrows"):
        advice = "; write df['text'].tolist(), or df.to_dict('records') for all columns"
    elif hasattr(documents, "to_dicts") and hasattr(documents, "columns"):
        advice = "; write df['text'].to_list(), or df.to_dicts() for all columns"
    elif hasattr(documents, "to_pylist") and hasattr(documents, "column_names"):
        advice = "; write table['text'].to_pylist(), or table.to_pylist() for all columns"
    elif isinstance(documents, Mapping):
        advice = "; write [document] for a single one, or list(documents.values())"
    elif isinstance(documents, (str, bytes)):
        advice = "; write [document] for a single one"
    elif isinstance(documents, Iterable) and not _is_record(documents):
        return documents
    message = (
        "documents must be a list (or another iterable that has an order) of strings, mappings or"
        f" objects with text, not {shown(documents)}{advice}"
    )
    raise InvalidRequestError(message)


def _is_record(value: Any) -> bool:
    """Whether an iterable is one document: pydantic's models iterate over their fields."""
    return hasattr(type(value), "model_fields")


class _Reader:
    """Reads documents that are no strings, and remembers what of them is no text."""

    def __init__(self, rank_fields: Sequence[str] | None) -> None:
        self._chosen = rank_fields
        self._vectors: dict[str, int] = {}

    def warnings(self) -> tuple[str, ...]:
        """What was left out, and of how many documents."""
        return tuple(
            f"{name!r} is a list of numbers, which is no text, in {count} documents: left out"
            for name, count in self._vectors.items()
        )

    def read(self, at: int, document: Any) -> str | Mapping[str, Any]:
        """One document as a string, or as a mapping of its fields that are text."""
        if isinstance(document, RerankResult) and document.document is not None:
            document = document.document  # of an earlier ranking
        if isinstance(document, Document):
            document = document.original
        if isinstance(document, str):
            return str(document)
        fields = document if isinstance(document, Mapping) else _fields_of(document)
        if isinstance(fields, Mapping):
            try:
                return self._read_fields(f"documents[{at}]", fields)
            except RecursionError:
                message = f"documents[{at}] is nested too deeply, or holds itself"
                raise InvalidRequestError(message) from None
        if fields is not None:
            return fields
        message = (
            f"documents[{at}] must be a string, a mapping, or an object with text under"
            f" page_content, content or text, not {shown(document)}"
        )
        raise InvalidRequestError(message)

    def _read_fields(self, where: str, fields: Mapping[Any, Any]) -> dict[str, Any]:
        read = {}
        for name, value in fields.items():
            if type(value) in _PLAIN and type(name) is str:
                read[name] = value
                continue
            if not isinstance(name, str):
                raise InvalidRequestError(f"{where} has a field whose name is not a string")
            if self._chosen is not None and name not in self._chosen:
                continue
            plain = self._to_plain(value, name, f"{where}[{name!r}]")
            if plain is not _ABSENT:
                read[name] = plain
        return read

    def _to_plain(self, value: Any, name: str, where: str) -> Any:
        """A field's value as JSON has it; what is absent and what is no text by a mark."""
        if type(value) in _PLAIN:
            return value
        if value is None or _is_missing(value):
            return _ABSENT
        if isinstance(value, float) and isfinite(value):
            return value if type(value) is float else str(value)
        if isinstance(value, Mapping):
            inner = {
                str(key): self._to_plain(item, f"{name}.{key}", where)
                for key, item in value.items()
            }
            return {key: item for key, item in inner.items() if item is not _ABSENT}
        if isinstance(value, (list, tuple)) or _is_array(value):
            return self._to_list(value, name, where)
        says_itself: Any = type(value).__str__
        if isinstance(value, str) or (
            says_itself is not object.__str__
            and not isinstance(value, (bytes, bytearray, memoryview, float))
            and not hasattr(value, "__iter__")
        ):
            return str(value)
        message = (
            f"{where} is {value}, which has no JSON form"
            if isinstance(value, float)
            else f"{where} is of type {type(value).__name__}, which is no text"
        )
        raise InvalidRequestError(f"{message}: leave it out, or choose fields with rank_fields=")

    def _to_list(self, value: Any, name: str, where: str) -> Any:
        listed = value.tolist() if _is_array(value) else list(value)
        if listed and set(map(type, listed)) <= _NUMBERS:
            if self._chosen is not None:
                message = f"{where} is a list of numbers, which is no text to rank by"
                raise InvalidRequestError(message)
            self._vectors[name] = self._vectors.get(name, 0) + 1
            return _ABSENT
        inner = [self._to_plain(item, name, where) for item in listed]
        left = [item for item in inner if item is not _ABSENT]
        return left if left or not inner else _ABSENT


def _fields_of(document: Any) -> str | Mapping[str, Any] | None:
    """The text of an object that has one, or else its fields; `None` where it has neither."""
    for name in _TEXT_NAMES:
        if isinstance(text := getattr(document, name, None), str):
            return text
    if callable(dump := getattr(document, "model_dump", None)) and _is_record(document):
        dumped: Mapping[str, Any] = dump()
        return dumped
    kind = type(document)
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
    elif attrs.has(kind):
        names = [field.name for field in attrs.fields(kind)]
    else:
        return None
    return {name: getattr(document, name) for name in names if not name.startswith("_")}


def _is_missing(value: Any) -> bool:
    """Whether a value says that there is none: NaN, pandas' NaT and NA."""
    if type(value).__name__ in {"NAType", "NaTType"}:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124 - of a number, NaN alone differs from itself
    except (TypeError, ValueError):  # an array compares each of its items
        return False


def _is_array(value: Any) -> bool:
    return hasattr(value, "tolist") and bool(getattr(value, "ndim", 0))
