"""Ctrl-C at any moment of a blocking call: the next call is right, and nothing stays open."""

from __future__ import annotations

import signal

import pytest

from core.programs import run_program

pytestmark = pytest.mark.slow

# An alarm is a Ctrl-C. In a program of its own: an interrupt strikes whatever runs, and a test
# runner, or what measures coverage, may hold a lock just then.
SCRIPT = """
import contextlib, warnings
from core.loopback import comes_true, serving

# From before the request is made to after the reply was read, on machines of any speed.
MOMENTS = [0.0001 * 1.16**step for step in range(30)]

signal.signal(signal.SIGALRM, signal.default_int_handler)
warnings.simplefilter("ignore", ResourceWarning)  # a socket that nobody had yet in hand

def ask_until(reranker, moment):
    with contextlib.suppress(KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, moment)
        try:
            return reranker.rerank("q", DOCUMENTS)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

interrupted = 0
with serving() as server:
    # An interrupted import may hold its lock for ever: whatever a call imports is imported here.
    rerank_core.Reranker("m", provider=ScriptedPlugin(), api_base=server.url).rerank("q", DOCUMENTS)
    for moment in MOMENTS:
        reranker = rerank_core.Reranker(
            "m", provider=ScriptedPlugin(**FACTS), api_base=server.url, timeout=10, **OPTIONS
        )
        if WARM:
            reranker.rerank("q", DOCUMENTS)
        response = ask_until(reranker, moment)
        interrupted += response is None

        assert response is None or order(response) == RIGHT, f"wrong after {moment}"
        assert order(reranker.rerank("q", DOCUMENTS)) == RIGHT, f"wrong next after {moment}"
        reranker.close()
        assert comes_true(lambda: not server.open_connections), f"left open after {moment}"
print("interrupted" if interrupted else "never interrupted")
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarm within a second here")
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(
    "given",
    [
        "FACTS, OPTIONS = {}, {}",
        "FACTS, OPTIONS = {}, {'deadline': 30.0}",
        "FACTS, OPTIONS = {'max_documents': 1}, {'max_concurrency': 2}",
    ],
    ids=["plain", "deadline", "split"],
)
def test_an_interrupt_at_any_moment_spoils_no_later_call(given: str, *, warm: bool) -> None:
    """It is raised, or the answer is right; so is the next; and `close` closes everything."""
    done = run_program(f"{given}\nWARM = {warm}\n{SCRIPT}")

    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
