"""Two rankings fused into one, the same way each time whatever the order of the documents."""

from __future__ import annotations

from collections.abc import Sequence

from rerank_local._options import Fusion


def fuse(lexical: Sequence[float], semantic: Sequence[float], fusion: Fusion) -> list[float]:
    """One score for each document from the two it has.

    By reciprocal rank, a document has `2 * share / (rrf_k + rank)` from each ranking, where rank
    counts from 1 and documents of equal score share the best rank among them; so a tie is never
    broken by the order of the list. By weight, it has its share of each score, scaled so that the
    list's least score is 0 and its greatest 1.

    Args:
        lexical: BM25's scores.
        semantic: The model's.
        fusion: Which of the two, and how the shares are.
    """
    shares = (1 - fusion.weight, fusion.weight)
    if fusion.fusion == "weighted":
        scaled = (_scale(lexical), _scale(semantic))
        return [sum(map(_product, shares, pair)) for pair in zip(*scaled, strict=True)]
    ranked = (_rank(lexical), _rank(semantic))
    return [
        sum(2 * share / (fusion.rrf_k + rank) for share, rank in zip(shares, pair, strict=True))
        for pair in zip(*ranked, strict=True)
    ]


def _product(share: float, score: float) -> float:
    return share * score


def _rank(scores: Sequence[float]) -> list[int]:
    """The rank of each score from 1, best first; equal scores share the best of their ranks."""
    ranks: dict[float, int] = {}
    for rank, score in enumerate(sorted(scores, reverse=True), 1):
        ranks.setdefault(score, rank)
    return [ranks[score] for score in scores]


def _scale(scores: Sequence[float]) -> list[float]:
    """The scores from 0 to 1; all 0 where they are equal."""
    least, greatest = min(scores), max(scores)
    if greatest == least:
        return [0.0] * len(scores)
    return [(score - least) / (greatest - least) for score in scores]
