"""Cascades: the second model orders the head, and the rest stays below."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rerank_core import ConfigurationError, InvalidRequestError, RerankResponse, ServerError
from rerank_eval import Cascade

DOCUMENTS = ["a 1", "b 5", "c 3", "d 4", "e 2"]


def _fail(_: str) -> ServerError:
    return ServerError("down")


@pytest.fixture(params=["blocking", "awaited"])
def call(request: pytest.FixtureRequest) -> Any:
    """Both kinds of call."""

    def blocking(cascade: Cascade, **named: Any) -> RerankResponse:
        return cascade.rerank("q", DOCUMENTS, **named)

    def awaited(cascade: Cascade, **named: Any) -> RerankResponse:
        return asyncio.run(cascade.arerank("q", DOCUMENTS, **named))

    return blocking if request.param == "blocking" else awaited


def test_the_head_is_reordered_and_the_tail_stays_below(
    make_fake: Any, scorers: Any, call: Any
) -> None:
    """With indices of the whole list, and the tail's scores set aside."""
    first, then = make_fake(scorers["by_grade"], cost=0.1), make_fake(scorers["reversed"], cost=0.2)
    response = call(Cascade(first, then, 3))

    assert [each.index for each in response.results] == [2, 3, 1, 4, 0]
    assert [each.relevance_score for each in response.results] == [2.0, 1.0, 0.0, None, None]
    assert response.results[3].extra == {"first_stage_score": 2.0}
    assert response.cost == pytest.approx(0.3)
    assert response.model == "model+model"


def test_a_failing_second_model_leaves_the_first_order_and_says_so(
    make_fake: Any, scorers: Any, call: Any
) -> None:
    """Or raises, where that is asked."""
    first, then = make_fake(scorers["by_grade"]), make_fake(scorers["same"], fails=_fail)
    response = call(Cascade(first, then, 3))

    assert [each.index for each in response.results] == [1, 3, 2, 4, 0]
    assert "the second failed: down" in response.warnings[0]
    with pytest.raises(ServerError):
        call(Cascade(first, then, 3, on_failure="raise"))


def test_no_second_call_after_the_deadline(make_fake: Any, scorers: Any, call: Any) -> None:
    """What the first took counts."""
    then = make_fake(scorers["same"])
    response = call(Cascade(make_fake(scorers["by_grade"]), then, 3, deadline=0.0))

    assert then.calls == []
    assert "deadline" in response.warnings[0]


def test_top_n_stays_within_the_depth(make_fake: Any, scorers: Any, call: Any) -> None:
    """Below it the scores are another model's."""
    cascade = Cascade(make_fake(scorers["by_grade"]), make_fake(scorers["same"]), 3)

    assert [each.index for each in call(cascade, top_n=2).results] == [1, 3]
    with pytest.raises(InvalidRequestError, match="reaches below"):
        call(cascade, top_n=4)
    for top_n in (0, -1):
        with pytest.raises(InvalidRequestError, match="at least 1"):
            call(cascade, top_n=top_n)


def test_arguments_that_make_no_sense_are_refused(make_fake: Any, scorers: Any) -> None:
    """Before anything is called."""
    fake = make_fake(scorers["same"])

    with pytest.raises(ConfigurationError, match="depth"):
        Cascade(fake, fake, 0)
    with pytest.raises(ConfigurationError, match="on_failure"):
        Cascade(fake, fake, 1, on_failure="ignore")


def test_it_takes_models_by_name_and_closes(make_fake: Any) -> None:
    """As a `Reranker` is used."""
    with Cascade("local/bm25", "local/bm25", 2) as cascade:
        response = cascade.rerank("red fox", ["sky", "a red fox", "red"])
    asyncio.run(cascade.aclose())

    assert response.results[0].index == 1
    assert "depth=2" in repr(cascade)
    assert make_fake
