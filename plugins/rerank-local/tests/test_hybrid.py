"""`local/hybrid`: two rankings fused, by hand and by the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import rerank_local
from rerank_core import InvalidRequestError, RerankResponse, ResponseParseError, rerank
from rerank_core.testing import Case, Check, Example, Ranking, conformance
from rerank_local._hybrid import fuse
from rerank_local._options import Fusion

DOCUMENTS = [
    "the sky is blue",
    "a red fox",
    "foxes have a reddish coat",
    "zebra",
    "the red red sky",
]
LEXICAL, SEMANTIC = [3.0, 0.0, 1.0, 0.0], [0.2, 0.8, 0.5, 0.2]


def encode(ranking: Ranking, documents: Sequence[str], top_n: int | None) -> dict[str, Any]:
    """List the scores in the order of the documents."""
    del documents, top_n
    return {"scores": [score for _, score in sorted(ranking)]}


CASE = Case(
    plugin=rerank_local,
    model="hybrid",
    positional=True,
    params={
        "k1": 1.2,
        "b": 0.5,
        "language": "german",
        "stem": False,
        "batch_size": 2,
        "query_prompt": "query: ",
        "document_prompt": "",
        "document_suffix": "",
        "progress": print,
        "fusion": "weighted",
        "rrf_k": 10,
        "weight": 0.7,
    },
    encode=encode,
    example=Example(
        call={"query": "what colour is a fox", "documents": ["The sky is blue.", "A fox is red."]},
        # First and second of both, with the usual 60.
        reply={"scores": [2 / 62, 2 / 61], "input_tokens": 20, "kind": "bi-encoder"},
        ranking=[(1, 2 / 61), (0, 2 / 62)],
    ),
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The plugin keeps what every plugin must."""
    check()


def scores_of(response: RerankResponse) -> list[float | None]:
    """The scores in the caller's order."""
    results = sorted(response.results, key=lambda result: result.index)
    return [result.relevance_score for result in results]


def test_reciprocal_ranks_are_added() -> None:
    """Equal scores share the best of their ranks."""
    expected = [1 / 61 + 1 / 63, 1 / 63 + 1 / 61, 1 / 62 + 1 / 62, 1 / 63 + 1 / 63]

    assert fuse(LEXICAL, SEMANTIC, Fusion()) == pytest.approx(expected, rel=1e-12)


def test_the_weight_is_the_model_s_share_of_the_ranks() -> None:
    """From none to all."""
    lexical = fuse(LEXICAL, SEMANTIC, Fusion(weight=0, rrf_k=0))
    semantic = fuse(LEXICAL, SEMANTIC, Fusion(weight=1, rrf_k=0))

    assert lexical == pytest.approx([2, 2 / 3, 1, 2 / 3])
    assert semantic == pytest.approx([2 / 3, 2, 1, 2 / 3])


def test_weighted_scores_are_scaled_from_0_to_1() -> None:
    """Each ranking for itself."""
    found = fuse(LEXICAL, SEMANTIC, Fusion(fusion="weighted", weight=0.25))

    assert found == pytest.approx([0.75, 0.25, 0.75 / 3 + 0.25 / 2, 0.0])


@pytest.mark.parametrize("fusion", ["rrf", "weighted"])
def test_equal_scores_of_both_stay_equal(fusion: Any) -> None:
    """A tie is broken by nothing; nothing is divided by."""
    found = fuse([0.0, 0.0, 0.0], [0.5, 0.5, 0.5], Fusion(fusion=fusion))

    assert len(set(found)) == 1


@pytest.mark.parametrize("fusion", ["rrf", "weighted"])
def test_the_order_of_the_documents_changes_no_score(fusion: str) -> None:
    """Ties included."""
    there = scores_of(rerank("local/hybrid", "red sky", DOCUMENTS, fusion=fusion))
    back = scores_of(rerank("local/hybrid", "red sky", DOCUMENTS[::-1], fusion=fusion))

    assert there == back[::-1]


@pytest.mark.parametrize("fusion", ["rrf", "weighted"])
def test_it_is_what_its_parts_are_fused(fusion: Any) -> None:
    """The parts' own scores, which the payload has beside it."""
    response = rerank("local/hybrid", "red sky", DOCUMENTS, fusion=fusion, k1=1.2)
    lexical = scores_of(rerank("local/bm25", "red sky", DOCUMENTS, k1=1.2))
    semantic = scores_of(rerank("local/minilm", "red sky", DOCUMENTS))

    assert response.payload["bm25"] == lexical
    assert response.payload["model"] == semantic
    assert scores_of(response) == fuse(
        response.payload["bm25"], response.payload["model"], Fusion(fusion=fusion)
    )


def test_any_export_can_be_fused(cross_encoder: Path) -> None:
    """By its folder, in either place."""
    named = rerank(f"local/hybrid:{cross_encoder}", "a cat", ["a dog", "a cat"])
    given = rerank("local/hybrid", "a cat", ["a dog", "a cat"], model_path=cross_encoder)

    assert named.results == given.results
    assert named.payload["kind"] == "cross-encoder"


@pytest.mark.parametrize("fusion", ["rrf", "weighted"])
@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_model_that_gives_no_number_is_no_part_of_a_ranking(
    score: float, fusion: str, write_export: Callable[..., Path]
) -> None:
    """As without BM25, whose half would hide it."""
    folder = write_export([[score]] * 12)

    with pytest.raises(ResponseParseError, match="the model's score of a document is not finite"):
        rerank(f"local/hybrid:{folder}", "a cat", ["a dog", "a cat"], fusion=fusion)


def test_it_says_whatever_the_model_says(bi_encoder: Path) -> None:
    """And that BM25 has nothing to add."""
    documents = ["a dog", "a cat"]
    alone = rerank(f"local/onnx:{bi_encoder}", "a cat", documents)
    fused = rerank(f"local/hybrid:{bi_encoder}", "a cat", documents)
    apart = rerank(f"local/hybrid:{bi_encoder}", "red", documents, kind="bi-encoder")

    assert fused.warnings == alone.warnings
    assert len(alone.warnings) == 1
    assert [said for said in apart.warnings if "no document has a word of the query" in said]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fusion", "sum"),
        ("weight", 1.5),
        ("weight", float("nan")),
        ("weight", "1"),
        ("rrf_k", -1),
        ("rrf_k", float("inf")),
        pytest.param("rrf_k", 10**400, id="rrf_k-huge"),
        ("rrf_k", True),
        ("k1", -1),
    ],
)
def test_a_parameter_out_of_its_range_is_refused(name: str, value: object) -> None:
    """By its name."""
    ask: Callable[..., RerankResponse] = rerank
    with pytest.raises(InvalidRequestError, match=f"{name} must be"):
        ask("local/hybrid", "red sky", DOCUMENTS, **{name: value})
