"""Results: the records, and lists of them that are made when somebody looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, fields


class Subscriptable:
    """Reads fields by subscript as well, as code written for litellm does, or as `dict(...)`."""

    __slots__ = ()
    # Without it, Python would iterate by asking for the fields 0, 1, 2.
    __iter__ = None

    def keys(self) -> list[str]:
        """The names of the fields that say something."""
        return [name for name in self._names() if name in self]

    def _names(self) -> list[str]:
        own: Any = type(self)
        return [field.alias or field.name for field in fields(own)]

    def __getitem__(self, name: str) -> Any:
        """The field called `name`; raises `KeyError` where there is none."""
        if name not in self._names():
            raise KeyError(name)
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a field, and it says something."""
        return isinstance(name, str) and self.get(name) is not None

    def get(self, name: str, default: Any = None) -> Any:
        """The field called `name`, or `default`."""
        try:
            return self[name]
        except KeyError:
            return default


@define
class Document(Subscriptable):
    """One of the caller's documents.

    Attributes:
        text: The string, or a mapping's `text`, or else the text that was ranked for the mapping.
        fields: The caller's own mapping, the same object, where one was given.
    """

    text: str
    fields: Mapping[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        """`text`, `fields`, or a field of the caller's mapping."""
        if self.fields is not None and name in self.fields:
            return self.fields[name]
        return super().__getitem__(name)

    def _names(self) -> list[str]:
        return [*dict.fromkeys((*super()._names(), *(self.fields or ())))]


# Made once per result, so neither frozen nor validated here: core checks all results in bulk.
@define
class RerankResult(Subscriptable):
    """One document's place in the ranking.

    Attributes:
        index: Its position in the caller's list, from 0.
        relevance_score: The service's score, finite; higher is more relevant. Its range differs
            from model to model (`Provider.score_kind`), so compare within one response only.
            `None` where nothing is claimed: a blank document, or a response with
            `reranked=False`.
        document: The caller's own document; `None` with `return_documents=False`.
        extra: What else the service said about this document, by the service's own names.
    """

    index: int
    relevance_score: float | None
    document: Document | None = None
    extra: Mapping[str, Any] | None = None


class Results(Sequence[RerankResult]):
    """Results kept as columns, and made into records when somebody looks at them.

    To make a thousand records takes longer than to send and decode them, and many a caller reads
    but the first.

    Args:
        indices: Of the documents, in the order of the results.
        scores: One for each.
        documents: Likewise, as strings or as records; `None` for none.
        extras: Likewise, what else the service said.
    """

    __slots__ = ("_made", "documents", "extras", "indices", "scores")

    def __init__(
        self,
        indices: list[Any],
        scores: list[Any],
        documents: list[str | Document] | None = None,
        extras: list[Mapping[str, Any] | None] | None = None,
    ) -> None:
        self.indices, self.scores = indices, scores
        self.documents, self.extras = documents, extras
        self._made: list[RerankResult] | None = None

    @classmethod
    def of(cls, results: Sequence[RerankResult]) -> Results:
        """The columns of results that may have been made, and changed since."""
        if isinstance(results, Results) and results._made is None:  # noqa: SLF001 - its own class
            return results
        extras = [result.extra for result in results]
        return cls(
            [result.index for result in results],
            [result.relevance_score for result in results],
            extras=extras if any(extra is not None for extra in extras) else None,
        )

    @property
    def is_made(self) -> bool:
        """Whether somebody has looked."""
        return self._made is not None

    def made(self) -> list[RerankResult]:
        """The records, the same list each time."""
        if self._made is None:
            results = list(map(RerankResult, self.indices, self.scores))
            for result, document in zip(results, self.documents or ()):  # noqa: B905 - or none
                result.document = document if isinstance(document, Document) else Document(document)
            for result, extra in zip(results, self.extras or ()):  # noqa: B905 - or none
                result.extra = extra
            self._made = results
        return self._made

    def __len__(self) -> int:
        return len(self.indices if self._made is None else self._made)

    def __getitem__(self, at: Any) -> Any:
        return self.made()[at]

    def __iter__(self) -> Iterator[RerankResult]:
        return iter(self.made())

    def __eq__(self, other: object) -> bool:
        return self.made() == (other.made() if isinstance(other, Results) else other)

    __hash__ = None  # type: ignore[assignment]  # like a list

    def __repr__(self) -> str:
        return repr(self.made())
