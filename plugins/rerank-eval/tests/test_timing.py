"""What is heard of the calls behind one answer."""

from __future__ import annotations

from typing import Any

from rerank_core import Reranker, ServerError
from rerank_core.events import CallEnded, CallStarted, Waited
from rerank_eval import Cascade, Collection, evaluate
from rerank_eval._responses import Responses
from rerank_eval._timing import _by_call, _Observer, asking, listening


def _started(call: str) -> CallStarted:
    about: dict[str, Any] = {"documents": 1, "top_n": None, "base_url": None}
    return CallStarted(call=call, provider="a", model="b", query="q", inputs=[], **about)


def _ended(call: str, seconds: float, attempts: int) -> CallEnded:
    about: dict[str, Any] = {"provider": "a", "model": "b", "response": None, "error": None}
    return CallEnded(call=call, seconds=seconds, attempts=attempts, **about)


def test_a_question_hears_its_own_calls() -> None:
    """Those that begin while it is asked, of a cascade both; and nobody else's."""
    observer = _Observer()
    observer.observe(_started("stranger"))
    with asking() as heard:
        error = ServerError("busy")
        observer.observe(_started("a"))
        observer.observe(
            Waited(call="a", provider="a", model="b", seconds=0.5, number=1, error=error)
        )
        observer.observe(_ended("a", 2.0, 3))
        observer.observe(_started("b"))
        observer.observe(_ended("b", 1.0, 1))
        observer.observe(_ended("stranger", 9.0, 9))

    assert heard.seconds == [2.0, 1.0]
    assert (heard.attempts, heard.waited) == (4, 0.5)
    assert _by_call == {}


def test_core_tells_of_real_calls() -> None:
    """Of both in a cascade; and nothing once nobody listens."""
    with Cascade("local/bm25", Reranker("local/bm25"), 1) as cascade:
        with listening(), asking() as heard:
            cascade.rerank("red fox", ["sky", "a red fox"])
        with asking() as later:
            cascade.rerank("red fox", ["sky", "a red fox"])

    assert len(heard.seconds) == 2
    assert all(seconds > 0 for seconds in heard.seconds)
    assert heard.attempts == 0
    assert later.seconds == []


def test_answers_keep_what_was_heard(collection: Collection, tmp_path: Any) -> None:
    """The call's own seconds, and how many requests were sent."""
    path = tmp_path / "responses.jsonl"
    evaluate(collection.first(2), ["local/bm25"], responses=path)
    answers = [*Responses.open(path, collection).answers.values()]

    assert [answer.attempts for answer in answers] == [0, 0]
    assert all(answer.seconds and answer.seconds > 0 for answer in answers)
