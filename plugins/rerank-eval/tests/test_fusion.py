"""Fusion: equal to ranx, and defined where others are not."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rerank_core import ConfigurationError, RerankResponse, RerankResult, rerank
from rerank_eval import fuse


def _peers() -> tuple[ModuleType, dict[str, list[dict[str, object]]]]:
    spec = spec_from_file_location("record_peers", Path(__file__).with_name("record_peers.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, json.loads(module.TARGET.read_text(encoding="utf-8"))


def _response(scores: dict[int, Any], **named: object) -> RerankResponse:
    order = sorted(scores, key=lambda at: (scores[at] is None, -(scores[at] or 0.0)))
    results = [RerankResult(at, scores[at]) for at in order]
    return RerankResponse(results, **named)  # type: ignore[arg-type]  # of the record


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("method", ["rrf", "weighted"])
def test_scores_equal_those_of_ranx(at: int, method: str) -> None:
    """To nine places, over three lists."""
    module, recorded = _peers()
    expected = recorded["fusion"][at]
    lists = [
        _response({int(name): score for name, score in scores.items()})
        for scores in module.make_lists(expected["seed"])
    ]
    weights = expected["weights"] if method == "weighted" else None
    fused = fuse(lists, method, weights=weights)  # type: ignore[arg-type]  # as recorded

    ours = {str(result.index): result.relevance_score for result in fused.results}
    assert ours == pytest.approx(expected[method], abs=1e-9)
    scores = [result.relevance_score for result in fused.results]
    assert scores == sorted(scores, reverse=True)


def test_equal_scores_share_the_best_rank() -> None:
    """So that the order within a tie, which nobody made, has no vote."""
    tied = _response({0: 1.0, 1: 1.0, 2: 0.0})
    fused = fuse([tied, tied], "rrf", k=1)

    assert [(each.index, each.relevance_score) for each in fused.results] == [
        (0, 1.0),
        (1, 1.0),
        (2, 0.5),
    ]


def test_lists_that_tell_nothing_are_defined() -> None:
    """One document, equal scores, no scores, an empty list."""
    one = fuse([_response({0: 5.0})], "weighted")
    equal = fuse([_response({0: 2.0, 1: 2.0}), _response({0: 0.0, 1: 1.0})], "weighted")
    blank = fuse([_response({0: 2.0, 1: None})], "rrf")
    empty = fuse([_response({})], "rrf")

    assert [each.relevance_score for each in one.results] == [0.0]
    assert [each.index for each in equal.results] == [1, 0]
    assert [(each.index, each.relevance_score) for each in blank.results] == [(0, 1 / 61), (1, 0.0)]
    assert empty.results == []


def test_a_missing_document_gets_nothing_from_that_list() -> None:
    """It is not put at the end of it."""
    fused = fuse([_response({0: 1.0, 1: 0.5}), _response({1: 1.0})], "rrf", k=1)

    scores = {each.index: each.relevance_score for each in fused.results}
    assert scores == pytest.approx({1: 1 / 3 + 1 / 2, 0: 1 / 2})


def test_what_was_not_reranked_is_no_vote_and_that_is_said() -> None:
    """A passthrough would vote for the order that was given."""
    fused = fuse([_response({0: 0.0, 1: 1.0}), _response({0: 9.0, 1: 1.0}, reranked=False)])

    assert [each.index for each in fused.results] == [1, 0]
    assert "1 of 2 responses were no ranking" in fused.warnings[0]
    with pytest.raises(ConfigurationError, match="no ranking to fuse"):
        fuse([_response({0: 1.0}, reranked=False)])


def test_costs_add_up_and_unknown_stays_unknown() -> None:
    """Never a sum over a part of them."""
    dear, unknown = _response({0: 1.0}, cost=0.5), _response({0: 1.0})

    assert fuse([dear, dear]).cost == 1.0
    assert fuse([dear, unknown]).cost is None


@pytest.mark.parametrize(
    "named",
    [
        {"method": "sum"},
        {"weights": [1.0]},
        {"weights": [0.0, 0.0]},
        {"weights": [-1, 2]},
        {"weights": [float("inf"), 1]},
        {"k": 0},
        {"top_n": 0},
        {"top_n": -1},
    ],
)
def test_arguments_that_make_no_sense_are_refused(named: dict[str, object]) -> None:
    """Before anything is fused."""
    lists = [_response({0: 1.0}), _response({0: 1.0})]

    with pytest.raises(ConfigurationError):
        fuse(lists, **named)  # type: ignore[arg-type]  # on purpose


def test_top_n_cuts() -> None:
    """After fusing, not before."""
    assert [each.index for each in fuse([_response({0: 0.0, 1: 1.0})], top_n=1).results] == [1]


@pytest.mark.parametrize("first", [True, False])
def test_documents_are_those_of_the_response_that_has_them(first: bool) -> None:  # noqa: FBT001 - drawn
    """Whichever of them was asked for none."""
    shown = rerank("local/bm25", "a", ["a b", "b"])
    bare = rerank("local/bm25", "a", ["a b", "b"], return_documents=False)
    fused = fuse([shown, bare] if first else [bare, shown])

    assert [each.document.text for each in fused.results] == ["a b", "b"]


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
@pytest.mark.parametrize("method", ["rrf", "weighted"])
def test_a_score_that_is_no_number_is_refused(method: Any, score: float) -> None:
    """It would be sorted somewhere, or make every scaled score of its list one."""
    with pytest.raises(ConfigurationError, match="not a finite number"):
        fuse([_response({0: 1.0, 1: score}), _response({0: 1.0, 1: 0.0})], method)
