"""Cascades and cut-offs: rerankers made of rerankers, with the same interface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any, Self

from attrs import evolve

from rerank_core import (
    ConfigurationError,
    InvalidRequestError,
    Reranker,
    RerankError,
    RerankResponse,
    RerankResult,
)

Documents = Iterable[Any]

_UNSCORED: Any = None  # typed as a number, as what nearly every caller finds there


class Cascade:
    """A cheap model over all documents, an expensive one over the best of them.

    Call it like a `Reranker`. The scores of the two are not comparable: the best documents come
    first, in the order and with the scores of `then`; the others follow in the order of `first`,
    with `relevance_score=None` and their score of `first` in `extra`. If `then` fails, the order
    and the scores are those of `first`, and `response.warnings` says so.

    Args:
        first: A model, or a `Reranker`, over all documents.
        then: A model, or a `Reranker`, over the best `depth`.
        depth: How many the second one sees, from 1.
        on_failure: `"first"` for the first's order where `then` fails, or `"raise"`.
        deadline: Seconds for both calls together; where they have passed after the first, the
            second is not made, and counts as failed. `None` for no bound.

    Raises:
        ConfigurationError: A model cannot be used, or an argument makes no sense.
    """

    def __init__(
        self,
        first: str | Any,
        then: str | Any,
        depth: int,
        *,
        on_failure: str = "first",
        deadline: float | None = None,
    ) -> None:
        if type(depth) is not int or depth < 1:
            raise ConfigurationError(f"depth is a whole number from 1, not {depth!r}")
        if on_failure not in {"first", "raise"}:
            raise ConfigurationError(f"on_failure is 'first' or 'raise', not {on_failure!r}")
        self.first = Reranker(first) if isinstance(first, str) else first
        self.then = Reranker(then) if isinstance(then, str) else then
        self.depth = depth
        self._on_failure, self._deadline = on_failure, deadline

    @property
    def parts(self) -> tuple[tuple[Any, int | None], ...]:
        """The rerankers, each with the most documents that it sees."""
        return (self.first, None), (self.then, self.depth)

    def rerank(
        self,
        query: str,
        documents: Documents,
        top_n: int | None = None,
        **params: Any,
    ) -> RerankResponse:
        """Order documents by relevance to a query, as `Reranker.rerank` does.

        Args:
            query: What is looked for.
            documents: As `Reranker.rerank` takes them.
            top_n: The most results, from 1 to `depth`; `None` for all.
            **params: For both models.

        Raises:
            InvalidRequestError: `top_n` is below 1, or larger than `depth`.
            RerankError: The first model failed; the second, with `on_failure="raise"`.
        """
        listed = self._check(documents, top_n)
        started = monotonic()
        cheap = self.first.rerank(query, listed, **params)
        head = [result.index for result in cheap.results[: self.depth]]
        try:
            self._check_time(started)
            best = self.then.rerank(query, [listed[at] for at in head], **params)
        except RerankError as error:
            return self._fall_back(cheap, error, top_n)
        return _join(cheap, best, head, top_n)

    async def arerank(
        self,
        query: str,
        documents: Documents,
        top_n: int | None = None,
        **params: Any,
    ) -> RerankResponse:
        """`rerank`, awaited."""
        listed = self._check(documents, top_n)
        started = monotonic()
        cheap = await self.first.arerank(query, listed, **params)
        head = [result.index for result in cheap.results[: self.depth]]
        try:
            self._check_time(started)
            best = await self.then.arerank(query, [listed[at] for at in head], **params)
        except RerankError as error:
            return self._fall_back(cheap, error, top_n)
        return _join(cheap, best, head, top_n)

    def _check(self, documents: Documents, top_n: int | None) -> list[Any]:
        if top_n is not None and top_n < 1:
            raise InvalidRequestError(f"top_n must be at least 1, not {top_n}")
        if top_n is not None and top_n > self.depth:
            message = f"top_n={top_n} reaches below the {self.depth} that the second model orders"
            raise InvalidRequestError(message)
        return [*documents]

    def _check_time(self, started: float) -> None:
        if self._deadline is not None and monotonic() - started >= self._deadline:
            raise RerankError(f"the deadline of {self._deadline} s passed in the first stage")

    def _fall_back(
        self, cheap: RerankResponse, error: RerankError, top_n: int | None
    ) -> RerankResponse:
        if self._on_failure == "raise" or isinstance(error, ConfigurationError):
            raise error
        warning = f"the order is the first model's, as the second failed: {error}"
        return evolve(
            cheap, results=cheap.results[:top_n], warnings=[*cheap.warnings, warning], cost=None
        )

    def close(self) -> None:
        """Close the connections of both."""
        self.first.close()
        self.then.close()

    async def aclose(self) -> None:
        """Close the connections of both, those of this event loop too."""
        await self.first.aclose()
        await self.then.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Cascade({self.first!r}, {self.then!r}, depth={self.depth})"


def _join(
    cheap: RerankResponse, best: RerankResponse, head: list[int], top_n: int | None
) -> RerankResponse:
    """The second's order of the head, then the first's order of the rest."""
    documents = {result.index: result.document for result in cheap.results}
    joined = [
        RerankResult(
            head[result.index], result.relevance_score, documents[head[result.index]], result.extra
        )
        for result in best.results
    ]
    seen = {result.index for result in joined}
    joined += [
        RerankResult(result.index, _UNSCORED, result.document, _tail(result))
        for result in cheap.results
        if result.index not in seen
    ]
    costs = [cost for cost in (cheap.cost, best.cost) if cost is not None]
    return RerankResponse(
        joined[:top_n],
        id=best.id,
        model=f"{cheap.model}+{best.model}",
        provider=f"{cheap.provider}+{best.provider}",
        warnings=[*cheap.warnings, *best.warnings],
        cost=sum(costs) if len(costs) == 2 else None,  # noqa: PLR2004 - both are known
        reranked=best.reranked,
    )


def _tail(result: RerankResult) -> Mapping[str, Any]:
    return {**(result.extra or {}), "first_stage_score": result.relevance_score}
