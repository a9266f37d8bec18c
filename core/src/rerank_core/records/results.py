"""One document's place in a ranking, and what a service says about the call as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field, fields, frozen
from attrs.validators import instance_of

from rerank_core.records._text import shorten

_MAX_SHOWN = 200  # characters of a document in a `repr`
_MAX_COUNT = 2**53  # more is no count; sums of such numbers may be too large for a float


def names_of(record: Any) -> list[str]:
    """The names of a record's public fields, in order."""
    return [field.name for field in fields(type(record)) if not field.name.startswith("_")]


def plain(record: Any) -> Any:
    """The record as `to_dict` writes it."""
    from rerank_core.records.plain import to_dict  # noqa: PLC0415 - imports cattrs

    return to_dict(record)


def schema_of(cls: type[Any], _: Any, __: Any) -> Any:
    """Let pydantic, and so FastAPI, take a record and write it as `to_dict` does."""
    from pydantic_core import core_schema  # noqa: PLC0415 - pydantic calls this

    fields = core_schema.dict_schema()
    write = core_schema.plain_serializer_function_ser_schema(plain, return_schema=fields)
    return core_schema.json_or_python_schema(
        fields, core_schema.is_instance_schema(cls), serialization=write
    )


class Subscriptable(Mapping[str, Any]):
    """Reads fields by subscript, too, as code written for litellm does, or as `dict(...)`."""

    __slots__ = ()
    __get_pydantic_core_schema__ = classmethod(schema_of)

    def __getitem__(self, name: Any) -> Any:
        if name not in names_of(self):
            raise KeyError(name)
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a field, and it says something."""
        return self.get(name) is not None  # type: ignore[call-overload]  # any key may be asked for

    def __iter__(self) -> Iterator[str]:
        """The names of the fields that say something."""
        return (name for name in names_of(self) if getattr(self, name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _show(value: Any) -> str:
    return shorten(repr(value), _MAX_SHOWN)


@define
class Document(Subscriptable):
    """One of the caller's documents.

    Attributes:
        text: The string; a mapping's `text`, or else the text that was ranked for the mapping.
        fields: The caller's own mapping, where one was given.
    """

    text: str = field(repr=_show)
    fields: Mapping[str, Any] | None = field(default=None, repr=_show)
    _original: Any = field(default=None, repr=False, eq=False)

    @property
    def original(self) -> Any:
        """The caller's own object, whatever its kind."""
        given = self.fields if self._original is None else self._original
        return self.text if given is None else given

    def __iter__(self) -> Iterator[str]:
        """The names of the fields that are set, the caller's own among them."""
        own = (name for name, value in (self.fields or {}).items() if value is not None)
        return iter(dict.fromkeys((*Subscriptable.__iter__(self), *own)))

    def __getitem__(self, name: Any) -> Any:
        """A field of the caller's mapping, or else `text` or `fields`."""
        own = self.fields or {}
        return own[name] if name in own else super().__getitem__(name)


# Made once per result, so neither frozen nor validated here: core checks all results in bulk.
@define
class RerankResult(Subscriptable):
    """One document's place in the ranking.

    By subscript, as in `result["index"]` or `dict(result)`, its document is a plain dict.

    Attributes:
        index: Its position in the caller's list, from 0.
        relevance_score: The service's score, finite; higher is more relevant. Ranges differ from
            model to model (`Provider.score_kind`): compare within one response only. `None` for a
            blank document that was held back, and in a response with `reranked=False`.
        document: The caller's own document; `None` with `return_documents=False`.
        extra: What else the service said about this document, by the service's own names.
    """

    index: int
    relevance_score: float
    document: Document = None  # type: ignore[assignment]  # see above; a caller's type is Document
    extra: Mapping[str, Any] | None = field(default=None, repr=_show)

    def __init__(
        self,
        index: int,
        relevance_score: float,
        document: Document | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.index, self.relevance_score, self.extra = index, relevance_score, extra
        self._given: Any = document  # the place of `document`, see below

    def __getitem__(self, name: Any) -> Any:
        value = super().__getitem__(name)
        return plain(value) if isinstance(value, Document) else value


# A document is a string in its field's slot until it is read: of a hundred few are, and Python's
# collector looks through all records that live. That saves a fifth of the processor time with 256
# calls at once. A type checker, attrs and whoever reads it find a plain field.
_with_slot: Any = RerankResult
_with_slot._given = _slot = _with_slot.document  # noqa: SLF001 - of our own class


def _document_of(result: Any) -> Any:
    """The caller's own document; `None` with `return_documents=False`."""
    given = result._given  # noqa: SLF001 - likewise
    if type(given) is str:
        result._given = given = Document(given)  # noqa: SLF001 - likewise
    return given


_with_slot.document = property(_document_of, _slot.__set__, _slot.__delete__)


class Fresh(list[RerankResult]):
    """Results that nobody else holds: core completes them in place, and copies all others."""


def to_number(value: Any) -> float | None:
    """The number, or `None` for what is no count."""
    return value if type(value) in {int, float} and 0 <= value <= _MAX_COUNT else None


def _to_count(value: Any) -> int | None:
    number = to_number(value)
    return None if number is None or number % 1 else int(number)


@frozen
class BilledUnits(Subscriptable):
    """What the service bills for; `None` where it gives no count.

    Attributes:
        search_units: Searches, as the provider counts them, from 0.
        total_tokens: Tokens, from 0.
    """

    search_units: float | None = field(default=None, converter=to_number)
    total_tokens: int | None = field(default=None, converter=_to_count)


@frozen
class Tokens(Subscriptable):
    """Tokens that the service counted, from 0; `None` where it does not say.

    Attributes:
        input_tokens: Of query and documents.
        output_tokens: Of what the service wrote.
    """

    input_tokens: int | None = field(default=None, converter=_to_count)
    output_tokens: int | None = field(default=None, converter=_to_count)


@frozen
class Meta(Subscriptable):
    """What the service says about the call as a whole.

    Attributes:
        api_version: The version of the API that answered, or `None`.
        billed_units: What the service bills for.
        tokens: What it counted.
    """

    api_version: str | None = None
    billed_units: BilledUnits = field(default=BilledUnits(), validator=instance_of(BilledUnits))
    tokens: Tokens = field(default=Tokens(), validator=instance_of(Tokens))
