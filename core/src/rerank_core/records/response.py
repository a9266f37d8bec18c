"""A ranking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from attrs.validators import deep_iterable, instance_of

from rerank_core.records.results import Meta, RerankResult, names_of, plain, schema_of, to_number

_PRIVATE = {"payload", "headers"}  # the service's own words: never part of what is handed on
_MAX_SHOWN, _MAX_CHARS = 5, 60  # results and warnings in a `repr`, and characters of each
# What code written for litellm's response asks for, and what to write instead.
_OF_LITELLM = {"model_dump", "model_dump_json", "dict", "json", "_hidden_params", "usage"}


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _to_id(value: Any) -> str:
    return str(value) if type(value) is int else _to_text(value)  # some services count their calls


@frozen(repr=False)
class RerankResponse:
    """A ranking, and a sequence of its results.

    `response["results"]` is a list of dicts, `dict(response)` the fields that say something,
    ready for JSON, but for `payload` and `headers`.

    Attributes:
        results: By descending `relevance_score`, equal scores in the caller's order, at most
            `top_n`.
        id: The service's identifier of the call, or one made here where it gives none.
        model: The model that was asked for, without its provider.
        provider: The provider that answered.
        meta: Usage and version, as far as the service reports them.
        warnings: A parameter left out, a fallback that answered, the service's own warnings.
        cost: US dollars, as the service reports them or by its list price; `None` without either.
        reranked: False where `results` is only the caller's order.
        payload: The decoded reply; a list of them where it took several.
        headers: The reply's headers, names in lower case; the last reply's where it took several.
        attempts: Requests sent to the ranking service, pages and parts included; 0 for a model in
            this process.
        seconds: How long the call took, waits included.
    """

    results: list[RerankResult] = field(validator=instance_of(list))
    id: str = field(default="", converter=_to_id)
    model: str = field(default="", converter=_to_text)
    provider: str = field(default="", validator=instance_of(str))
    meta: Meta = field(default=Meta(), validator=instance_of(Meta))
    warnings: Sequence[str] = field(
        default=(), validator=deep_iterable(instance_of(str), instance_of((tuple, list)))
    )
    cost: float | None = field(default=None, converter=to_number)
    reranked: bool = True
    payload: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    attempts: int = 0
    seconds: float = field(default=0.0, eq=False)

    def keys(self) -> list[str]:
        """The names of the fields that say something, without `payload` and `headers`."""
        return [name for name in names_of(self) if name not in _PRIVATE and name in self]

    def __getitem__(self, at: Any) -> Any:
        """A result by its position, results by a slice, or a field by its name, as plain values."""
        if not isinstance(at, str):
            return self.results[at]
        if at not in names_of(self):
            raise KeyError(at)
        value = getattr(self, at)
        return plain(value) if at in {"results", "meta"} else value

    def get(self, name: str, default: Any = None) -> Any:
        """The field called `name`, or `default`."""
        return self[name] if name in names_of(self) else default

    def __contains__(self, item: object) -> bool:
        """Whether there is such a field and it says something, or such a result."""
        return self.get(item) is not None if isinstance(item, str) else item in self.results

    def __iter__(self) -> Iterator[RerankResult]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getattr__(self, name: str) -> Any:
        message = f"a RerankResponse has no {name!r}"
        if name in _OF_LITELLM:
            message += ": response.to_dict() gives plain values; see docs/migrating.md"
        raise AttributeError(message)

    def __repr__(self) -> str:
        best = ", ".join(map(_summary, self.results[:_MAX_SHOWN]))
        said = [text[:_MAX_CHARS] for text in self.warnings[:_MAX_SHOWN]]
        return (
            f"<RerankResponse of {self.provider}/{self.model}: {len(self)} results, first [{best}],"
            f" warnings={said}, reranked={self.reranked}>"
        )

    def _repr_html_(self) -> str:
        """A table, as notebooks show it."""
        from rerank_core.records.plain import response_to_html  # noqa: PLC0415 - for notebooks

        return response_to_html(self)

    def to_dict(self) -> dict[str, Any]:
        """The response in the shape of Cohere's API: plain, JSON-ready, unset values left out."""
        return dict(plain(self))

    __get_pydantic_core_schema__ = classmethod(schema_of)


def _summary(result: RerankResult) -> str:
    score: Any = result.relevance_score
    document: Any = result.document
    text = "" if document is None else f" {document.text[:_MAX_CHARS]!r}"
    return f"{result.index}: {score if score is None else f'{score:.4g}'}{text}"
