"""The life of a process: what importing brings in, how it ends, and what a fork inherits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.loopback import PROXY_VARIABLES, Connection, Loopback, comes_true, rank, serving

TESTS = Path(__file__).parents[1]
PROMPT = 10.0
OPENING = """
import asyncio, logging, os, signal, sys, threading
import rerank_core
from core.virtual import ScriptedPlugin

MODEL = rerank_core.register(ScriptedPlugin()) + "/m"
BASE = sys.argv[1]
DOCUMENTS = ["a 1", "b 3", "c 2"]
# In development mode asyncio tells how long a step takes; the first call imports httpx.
logging.getLogger("asyncio").setLevel(logging.ERROR)

def ask(documents=DOCUMENTS, **options):
    response = rerank_core.rerank(MODEL, "q", documents, api_base=BASE, **options)
    return [result.index for result in response.results]

async def aask(**options):
    response = await rerank_core.arerank(MODEL, "q", DOCUMENTS, api_base=BASE, **options)
    return [result.index for result in response.results]
"""


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A server that ranks."""
    with serving() as server:
        yield server


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, where every warning is an error."""
    environment = {name: text for name, text in os.environ.items() if name not in PROXY_VARIABLES}
    environment["PYTHONPATH"] = str(TESTS)
    return subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )


def _run_beside(server: Loopback, script: str) -> subprocess.CompletedProcess[str]:
    return _run(OPENING + textwrap.dedent(script), server.url)


def test_importing_brings_in_nothing_heavy_and_says_nothing() -> None:
    """Neither an HTTP client nor an event loop nor a plugin, before the first call."""
    done = _run(
        """
        import sys
        before = set(sys.modules)
        import rerank_core
        print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
        """
    )
    found = set(done.stdout.split())
    heavy = {"httpx", "httpcore", "anyio", "asyncio", "ssl", "cattrs", "trio", "h11", "numpy"}

    assert (done.returncode, done.stderr) == (0, "")
    assert "rerank_core" in found
    assert not found & heavy
    assert not [name for name in found if name.startswith("rerank_") and name != "rerank_core"]


def test_configuring_brings_in_no_http_client(server: Loopback) -> None:
    """A reranker is resolved without any; the first call brings in connections, and no more."""
    done = _run(
        """
        import sys, types
        import rerank_core
        from rerank_core import HTTPRequest, Provider, RerankResponse, hookimpl

        plugin = types.SimpleNamespace()
        plugin.resolve_provider = hookimpl(lambda: Provider(name="plain", api_key_required=False))
        plugin.map_params = hookimpl(lambda: {})
        plugin.build_request = hookimpl(lambda: HTTPRequest(sys.argv[1], {"documents": ["a 1"]}))
        plugin.parse_response = hookimpl(
            lambda payload: RerankResponse(rerank_core.wire.read_results(payload["results"]))
        )
        with rerank_core.Reranker("m", provider=plugin) as reranker:
            before = "httpcore" in sys.modules
            reranker.rerank("q", ["a 1"])
            print(before, "httpcore" in sys.modules, "httpx" in sys.modules)
        """,
        server.url,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["False", "True", "False"]


ENDINGS = {
    "after blocking calls": """
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        print(ask(deadline=30))
        """,
    "after awaited calls": """
        asyncio.run(aask())
        ask()
        print(asyncio.run(aask()))
        """,
    "after calls under trio": """
        import trio
        print(trio.run(aask))
        """,
    "with a reranker never closed": """
        reranker = rerank_core.Reranker(MODEL, api_base=BASE)
        reranker.rerank("q", DOCUMENTS)
        asyncio.run(reranker.arerank("q", DOCUMENTS))
        print(ask())
        """,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_ends_at_once_and_in_silence(server: Loopback, ending: str) -> None:
    """With live connections in every pool, and nobody having closed one."""
    done = _run_beside(server, ENDINGS[ending])

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[1, 2, 0]\n"
    assert comes_true(lambda: not server.open_connections)


@pytest.mark.parametrize("most", [None, 1])
def test_a_program_does_not_wait_for_what_the_deadline_left_behind(
    server: Loopback, most: int | None
) -> None:
    """A thread that still waits for a slow reply keeps no program from ending."""

    def behave(connection: Connection, body: Any) -> None:
        connection.pause(60)
        rank(connection, body)

    server.behave = behave
    began = time.monotonic()
    done = _run_beside(
        server,
        f"""
        rerank_core.unregister("scripted")
        rerank_core.register(ScriptedPlugin(max_documents={most}))
        try:
            ask(deadline=0.3, max_retries=0)
        except rerank_core.RequestTimeoutError:
            print("in time")
        """,
    )

    assert (done.returncode, done.stdout) == (0, "in time\n")
    assert done.stderr == ""
    assert time.monotonic() - began < PROMPT


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signal for one thread here")
def test_an_interrupted_program_ends_at_once(server: Loopback) -> None:
    """Ctrl-C during a call, a split one too, is an ordinary `KeyboardInterrupt`."""

    def behave(connection: Connection, body: Any) -> None:
        connection.pause(60)
        rank(connection, body)

    server.behave = behave
    began = time.monotonic()
    done = _run_beside(
        server,
        """
        rerank_core.unregister("scripted")
        rerank_core.register(ScriptedPlugin(max_documents=1))
        main = threading.main_thread().ident
        threading.Timer(0.5, signal.pthread_kill, [main, signal.SIGINT]).start()
        try:
            ask()
        except KeyboardInterrupt:
            print("interrupted")
        """,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
    assert time.monotonic() - began < PROMPT


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_fork_has_connections_of_its_own(server: Loopback, kind: str) -> None:
    """Parent and child, asking at the same time after a call, each get their own answers."""
    done = _run_beside(
        server,
        f"""
        import json
        kind = {kind!r}
        reranker = rerank_core.Reranker(MODEL, api_base=BASE)

        def rerank(documents):
            if kind == "async":
                response = asyncio.run(reranker.arerank("q", documents))
            else:
                response = reranker.rerank("q", documents)
            return [result.index for result in response.results]

        rerank(DOCUMENTS)
        ask()
        child = os.fork()
        documents = DOCUMENTS if child else DOCUMENTS[::-1]
        right = [1, 2, 0] if child else [1, 0, 2]
        good = all(ask(documents) == right and rerank(documents) == right for _ in range(20))
        if not child:
            sys.stdout.flush()
            reranker.close()
            os._exit(0 if good else 1)
        _, status = os.waitpid(child, 0)
        print(json.dumps([good, os.waitstatus_to_exitcode(status)]))
        """,
    )

    assert json.loads(done.stdout) == [True, 0]
    assert server.accepted >= 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_leaves_the_parents_connection_alone(server: Loopback) -> None:
    """A child that ends takes nothing with it: the parent goes on with the one it had."""
    done = _run_beside(
        server,
        """
        ask()
        child = os.fork()
        if not child:
            ask()
            sys.exit(0)
        os.waitpid(child, 0)
        print(ask())
        """,
    )

    assert (done.returncode, done.stdout) == (0, "[1, 2, 0]\n")
    assert server.accepted == 2
    assert done.stderr == ""
