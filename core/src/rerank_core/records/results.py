"""One document's place in a ranking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from rerank_core.records.fields import Subscriptable

_UNSET: Any = object()


@define
class Document(Subscriptable):
    """One of the caller's documents.

    Attributes:
        text: The string; a mapping's `text`, or else the text that was ranked for the mapping.
        fields: The caller's own mapping, where one was given.
        original: The caller's own object, whatever its kind.
    """

    text: str
    fields: Mapping[str, Any] | None = None
    _original: Any = field(default=_UNSET, repr=False, eq=False)

    @property
    def original(self) -> Any:
        """The caller's own object, whatever its kind."""
        if self._original is not _UNSET:
            return self._original
        return self.text if self.fields is None else self.fields

    def __getitem__(self, name: Any) -> Any:
        """`text`, `fields`, or a field of the caller's mapping."""
        if self.fields is not None and name in self.fields:
            return self.fields[name]
        return super().__getitem__(name)

    def _names(self) -> list[str]:
        return [*dict.fromkeys(("text", "fields", *(self.fields or ())))]


# Made once per result, so neither frozen nor validated here: core checks all results in bulk.
@define
class RerankResult(Subscriptable):
    """One document's place in the ranking.

    By subscript, as in `result["index"]` or `dict(result)`, its document is a plain dict.

    Attributes:
        index: Its position in the caller's list, from 0.
        relevance_score: The service's score, finite; higher is more relevant. Its range differs
            from model to model (`Provider.score_kind`), so compare within one response only.
            `None` where nothing is claimed: for a blank document that was held back, and in a
            response with `reranked=False`.
        document: The caller's own document; `None` with `return_documents=False`.
        extra: What else the service said about this document, by the service's own names.
    """

    index: int
    relevance_score: float
    document: Document = None  # type: ignore[assignment]  # see above; a caller's type is Document
    extra: Mapping[str, Any] | None = None

    def __getitem__(self, name: Any) -> Any:
        """The field called `name`, plain and ready for JSON."""
        if name == "document" and self.document is not None:
            from rerank_core.records.plain import document_to_dict  # noqa: PLC0415 - it imports cattrs

            return document_to_dict(self.document)
        return super().__getitem__(name)
