"""What is heard of the calls behind one answer."""

from __future__ import annotations

from attrs import frozen

from rerank_eval._timing import _by_call, _Observer, asking


@frozen
class CallStarted:
    """As core tells it."""

    call: str


@frozen
class Waited:
    """As core tells it."""

    call: str
    seconds: float


@frozen
class CallEnded:
    """As core tells it."""

    call: str
    seconds: float
    attempts: int


def test_a_question_hears_its_own_calls() -> None:
    """Those that begin while it is asked, of a cascade both; and nobody else's."""
    observer = _Observer()
    observer.observe(CallStarted("stranger"))
    with asking() as heard:
        observer.observe(CallStarted("a"))
        observer.observe(Waited("a", 0.5))
        observer.observe(CallEnded("a", 2.0, 3))
        observer.observe(CallStarted("b"))
        observer.observe(CallEnded("b", 1.0, 1))
        observer.observe(CallEnded("stranger", 9.0, 9))

    assert heard.seconds == [2.0, 1.0]
    assert (heard.attempts, heard.waited) == (4, 0.5)
    assert _by_call == {}
