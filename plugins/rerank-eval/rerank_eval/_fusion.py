"""Fusion: one ranking from several over the same documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import Any, Literal

from rerank_core import ConfigurationError, RerankResponse, RerankResult

Method = Literal["rrf", "weighted"]
METHODS: tuple[Method, ...] = ("rrf", "weighted")
_NO_DOCUMENT: Any = None  # typed as one, as what nearly every caller finds there


def fuse(
    responses: Sequence[RerankResponse],
    method: Method = "rrf",
    *,
    weights: Sequence[float] | None = None,
    k: float = 60,
    top_n: int | None = None,
) -> RerankResponse:
    """Fuse rankings of one list of documents.

    A document is known by its index, so all responses must come from the same list. The fused
    scores are for sorting only; they mean nothing against a threshold.

    - `rrf`: the sum of `weight / (k + rank)`, ranks from 1 (Cormack, Clarke and Buettcher, 2009).
      Documents with equal scores share the best of their ranks. A document that a response lacks
      gets nothing from it.
    - `weighted`: the sum of `weight * (score - min) / (max - min)`, each within its response
      (Bruch, Gai and Ingber, 2023). A document that is lacking, or has no score, gets 0, as the
      lowest does; so does everything where all scores are equal.

    Args:
        responses: At least one; one with `reranked=False` is no vote, and is left out with a
            warning.
        method: `"rrf"` or `"weighted"`.
        weights: One for each response, from 0; all the same by default.
        k: For `rrf`: how little the first ranks stand out, above 0.
        top_n: The most results, from 1; `None` for all.

    Returns:
        The fused ranking, equal scores by index. `cost` is the sum, or `None` where one is not
        known.

    Raises:
        ConfigurationError: There is no ranking to fuse, a score is no finite number, or an
            argument makes no sense.
    """
    shares = [1.0] * len(responses) if weights is None else [*weights]
    _check(method, len(responses), shares, k, top_n)
    votes = [
        (response, share)
        for response, share in zip(responses, shares, strict=True)
        if response.reranked
    ]
    if not votes:
        raise ConfigurationError("there is no ranking to fuse")
    warnings = [text for response in responses for text in response.warnings]
    if len(votes) < len(responses):
        left_out = len(responses) - len(votes)
        warnings.append(f"{left_out} of {len(responses)} responses were no ranking, and left out")
    fused: dict[int, float] = {}
    documents: dict[int, Any] = {}
    for response, share in votes:
        scored = {result.index: result.relevance_score for result in reversed(response.results)}
        if not all(score is None or isfinite(score) for score in scored.values()):
            raise ConfigurationError("a score is not a finite number: nothing can be fused with it")
        for result in response.results:
            if result.document is not None:  # one response may be without them
                documents.setdefault(result.index, result.document)
        parts = _ranks(scored, k) if method == "rrf" else _scaled(scored)
        for index in scored:
            fused[index] = fused.get(index, 0.0) + share * parts.get(index, 0.0)
    order = sorted(fused, key=lambda index: (-fused[index], index))[:top_n]
    costs = [response.cost for response, _ in votes]
    known = [cost for cost in costs if cost is not None]
    return RerankResponse(
        [RerankResult(index, fused[index], documents.get(index, _NO_DOCUMENT)) for index in order],
        id="",
        model=method,
        provider="fusion",
        warnings=warnings,
        cost=sum(known) if len(known) == len(costs) else None,
    )


def _check(method: str, count: int, shares: Sequence[float], k: float, top_n: int | None) -> None:
    """Refuse arguments that make no sense."""
    if method not in METHODS:
        raise ConfigurationError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if len(shares) != count:
        raise ConfigurationError(f"{count} responses need as many weights, not {len(shares)}")
    if any(not 0 <= share < inf for share in shares) or not any(shares) or not k > 0:
        raise ConfigurationError("weights are numbers from 0, one of them above, and k is above 0")
    if top_n is not None and top_n < 1:
        raise ConfigurationError(f"top_n is from 1, not {top_n}")


def _ranks(scored: Mapping[int, float | None], k: float) -> dict[int, float]:
    """The reciprocal ranks; equal scores share the best of theirs."""
    order = _by_score(scored)
    ranks: dict[int, int] = {}
    for at, index in enumerate(order):
        tied = at and scored[order[at - 1]] == scored[index]
        ranks[index] = ranks[order[at - 1]] if tied else at + 1
    return {index: 1 / (k + rank) for index, rank in ranks.items()}


def _scaled(scored: Mapping[int, float | None]) -> dict[int, float]:
    """Scores from 0 to 1; where all are equal they tell nothing, and are 0."""
    known = {index: score for index, score in scored.items() if score is not None}
    low, high = min(known.values(), default=0.0), max(known.values(), default=0.0)
    if high == low:
        return dict.fromkeys(known, 0.0)
    return {index: (score - low) / (high - low) for index, score in known.items()}


def _by_score(scored: Mapping[int, float | None]) -> list[int]:
    """The indices with a score, best first."""
    known = {index: score for index, score in scored.items() if score is not None}
    return sorted(known, key=lambda index: -known[index])
