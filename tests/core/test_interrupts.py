"""Ctrl-C at any moment of a blocking call: the next call is right, and nothing stays open."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from core.loopback import PROXY_VARIABLES, Loopback, comes_true, serving
from core.virtual import ScriptedPlugin
from rerank_core import Reranker, RerankResponse

DOCUMENTS = ["a 1", "b 3", "c 2"]
RIGHT = [1, 2, 0]
# From before the request is made to after the reply was read, on machines of any speed.
MOMENTS = [0.0001 * 1.12**step for step in range(40)]

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="no alarm within a second here"
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server that ranks, in a process where an alarm is a Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals are for the main thread")
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with serving() as server:
            yield server
    finally:
        signal.signal(signal.SIGALRM, before)


def _order(response: RerankResponse) -> list[int]:
    return [result.index for result in response.results]


def _ask_until(reranker: Reranker, moment: float) -> RerankResponse | None:
    """The answer, or `None` where the interrupt came first."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, moment)
        try:
            return reranker.rerank("q", DOCUMENTS)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return None


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a socket that nobody had yet in hand
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(
    ("facts", "options"),
    [({}, {}), ({}, {"deadline": 30.0}), ({"max_documents": 1}, {"max_concurrency": 2})],
    ids=["plain", "deadline", "split"],
)
def test_an_interrupt_at_any_moment_spoils_no_later_call(
    server: Loopback, facts: dict[str, Any], options: dict[str, Any], *, warm: bool
) -> None:
    """It is raised, or the answer is right; so is the next; and `close` closes everything."""
    interrupted = []
    for moment in MOMENTS:
        reranker = Reranker(
            "m", provider=ScriptedPlugin(**facts), api_base=server.url, timeout=10, **options
        )
        if warm:
            reranker.rerank("q", DOCUMENTS)
        response = _ask_until(reranker, moment)
        interrupted.append(response is None)

        assert response is None or _order(response) == RIGHT
        assert _order(reranker.rerank("q", DOCUMENTS)) == RIGHT
        reranker.close()
        assert comes_true(lambda: not server.open_connections), f"left open after {moment}"

    assert any(interrupted)
