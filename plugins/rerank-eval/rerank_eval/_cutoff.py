"""Thresholds: only the documents whose score reaches one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Self

from attrs import evolve

from rerank_core import ConfigurationError, Reranker, RerankResponse
from rerank_eval._calibration import Calibration


def keep_above(
    response: RerankResponse,
    min_score: float,
    *,
    min_results: int = 0,
    calibration: Calibration | None = None,
) -> RerankResponse:
    """The response with only the results whose score is at least `min_score`.

    Args:
        response: A ranking; one that is none (`reranked=False`) is returned whole.
        min_score: On the raw score; with a calibration, on the probability.
        min_results: How many are kept in any case, from 0.
        calibration: The map from score to probability.
    """
    if not response.reranked:
        return response
    kept = [
        result
        for place, result in enumerate(response.results)
        if place < min_results or _reaches(result.relevance_score, min_score, calibration)
    ]
    return evolve(response, results=kept)


def _reaches(score: float | None, least: float, calibration: Calibration | None) -> bool:
    return score is not None and (calibration.apply(score) if calibration else score) >= least


class Cutoff:
    """A reranker that returns only the documents whose score reaches a threshold.

    Call it like a `Reranker`. The order stays that of the raw scores.

    Args:
        reranker: A model, or a `Reranker`.
        min_score: The threshold: on the model's raw score, or with a calibration on the
            probability.
        calibration: One for this model and these params; any other is refused.
        params: The params that the model is called with, to compare with the calibration's.
        min_results: How many results are returned in any case, from 0.
        force: Take a threshold on raw scores although they mean nothing by themselves.

    Raises:
        ConfigurationError: The model's scores are of no known kind, or come from the whole list,
            and there is no calibration; or the calibration is for another model.
    """

    def __init__(
        self,
        reranker: str | Any,
        min_score: float,
        *,
        calibration: Calibration | None = None,
        params: dict[str, Any] | None = None,
        min_results: int = 0,
        force: bool = False,
    ) -> None:
        self.reranker = Reranker(reranker) if isinstance(reranker, str) else reranker
        self.calibration = calibration
        self._keep = partial(
            keep_above, min_score=min_score, min_results=min_results, calibration=calibration
        )
        facts = getattr(self.reranker, "facts", None)
        if calibration:
            if (model := _model_of(self.reranker)) or isinstance(reranker, str):
                calibration.check_model(model or reranker, params or {})
        elif not force and facts is not None and (facts.listwise or facts.score_kind == "opaque"):
            why = "depend on the whole list" if facts.listwise else "have no fixed meaning"
            raise ConfigurationError(
                f"min_score: the scores of {self.reranker!r} {why}; calibrate them with"
                " `rerank calibrate`, or force it"
            )

    @property
    def parts(self) -> tuple[tuple[Any, int | None], ...]:
        """The reranker, with the most documents that it sees."""
        return ((self.reranker, None),)

    def rerank(
        self, query: str, documents: Iterable[Any], top_n: int | None = None, **params: Any
    ) -> RerankResponse:
        """Order documents by relevance, and leave out what is below the threshold."""
        return self._keep(self.reranker.rerank(query, documents, top_n, **params))

    async def arerank(
        self, query: str, documents: Iterable[Any], top_n: int | None = None, **params: Any
    ) -> RerankResponse:
        """`rerank`, awaited."""
        return self._keep(await self.reranker.arerank(query, documents, top_n, **params))

    def close(self) -> None:
        """Close the reranker's connections."""
        self.reranker.close()

    async def aclose(self) -> None:
        """Close the reranker's connections, those of this event loop too."""
        await self.reranker.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _model_of(reranker: Any) -> str | None:
    """`provider/model`, where the reranker shows it."""
    provider, model = getattr(reranker, "provider", None), getattr(reranker, "model", None)
    return f"{provider}/{model}" if provider and model else None
