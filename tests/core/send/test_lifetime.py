"""The life of a process: what importing brings in, how it ends, and what a fork inherits."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core.loopback import Connection, Loopback, comes_true, rank, serving
from core.programs import run_program

pytestmark = pytest.mark.slow
PROMPT = 30.0  # what it would wait for takes 60


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A server that ranks."""
    with serving() as server:
        yield server


def test_importing_brings_in_nothing_heavy_and_says_nothing() -> None:
    """Neither an HTTP client nor an event loop nor a plugin, before the first call."""
    done = run_program(
        """
        import sys
        before = set(sys.modules)
        import rerank_core
        print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
        """,
        opening="",
    )
    found = set(done.stdout.split())
    heavy = {"httpx", "httpcore", "anyio", "asyncio", "ssl", "cattrs", "trio", "h11", "numpy"}

    assert (done.returncode, done.stderr) == (0, "")
    assert "rerank_core" in found
    assert not found & heavy
    assert not [name for name in found if name.startswith("rerank_") and name != "rerank_core"]


def test_the_kit_is_imported_when_it_is_asked_for() -> None:
    """As an attribute, too; any other name is none."""
    done = run_program(
        """
        import sys
        import rerank_core
        print("rerank_core.testing" in sys.modules, rerank_core.testing.conformance.__name__)
        try:
            rerank_core.test
        except AttributeError as error:
            print(error)
        """,
        opening="",
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("False conformance\nmodule 'rerank_core' has no attribute 'test'\n")


def test_configuring_brings_in_no_http_client(server: Loopback) -> None:
    """A reranker is resolved without any; the first call brings it in."""
    done = run_program(
        """
        import os, sys, types
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
            print("httpcore" in sys.modules, "httpx" in sys.modules)
            os.environ["NO_PROXY"] = "127.0.0.1"  # which asks for no proxy
            reranker.rerank("q", ["a 1"])
            print("httpcore" in sys.modules)
        """,
        server.url,
        opening="",
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["False", "False", "True"]


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
    done = run_program(ENDINGS[ending], server.url)

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
    done = run_program(
        f"""
        rerank_core.unregister("scripted")
        rerank_core.register(ScriptedPlugin(max_documents={most}))
        try:
            ask(deadline=0.3, max_retries=0)
        except rerank_core.RequestTimeoutError:
            print("in time")
        """,
        server.url,
    )

    assert (done.returncode, done.stdout) == (0, "in time\n")
    assert done.stderr == ""
    assert time.monotonic() - began < PROMPT


@pytest.mark.parametrize(
    "call",
    [
        "asyncio.run(reranker.arerank('q', DOCUMENTS))",
        "trio.run(reranker.arerank, 'q', DOCUMENTS)",
        "reranker.rerank('q', DOCUMENTS)",
    ],
    ids=["asyncio", "trio", "blocking"],
)
def test_a_program_does_not_wait_for_work_that_hangs(server: Loopback, call: str) -> None:
    """A token function that never returns, for example, was left behind at the deadline."""
    done = run_program(
        f"""
        import threading, trio
        from rerank_core.tokens import TokenAuth, fetch

        def exchange():
            yield from fetch(threading.Event().wait)

        plugin = ScriptedPlugin(auth=lambda *_: TokenAuth(exchange))
        reranker = rerank_core.Reranker("m", provider=plugin, api_base=BASE, deadline=0.3)
        try:
            {call}
        except rerank_core.RequestTimeoutError:
            print("in time")
        """,
        server.url,
    )

    assert (done.returncode, done.stdout) == (0, "in time\n"), done.stderr


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signal for one thread here")
def test_an_interrupted_program_ends_at_once(server: Loopback) -> None:
    """Ctrl-C during a call, a split one too, is an ordinary `KeyboardInterrupt`."""

    def behave(connection: Connection, body: Any) -> None:
        if len(server.seen) > 1:
            connection.pause(60)
        rank(connection, body)

    server.behave = behave
    began = time.monotonic()
    done = run_program(
        """
        rerank_core.unregister("scripted")
        rerank_core.register(ScriptedPlugin(max_documents=1))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job may ignore it
        ask(["a 1"])  # so that the interrupt strikes no import
        main = threading.main_thread().ident
        threading.Timer(0.5, signal.pthread_kill, [main, signal.SIGINT]).start()
        try:
            ask()
        except KeyboardInterrupt:
            print("interrupted")
        """,
        server.url,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
    assert time.monotonic() - began < PROMPT


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_fork_has_connections_of_its_own(server: Loopback, kind: str) -> None:
    """Parent and child, asking at the same time after a call, each get their own answers."""
    done = run_program(
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
        server.url,
    )

    assert json.loads(done.stdout) == [True, 0]
    assert server.accepted >= 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_leaves_the_parents_connection_alone(server: Loopback) -> None:
    """A child that ends takes nothing with it: the parent goes on with the one it had."""
    done = run_program(
        """
        ask()
        child = os.fork()
        if not child:
            ask()
            sys.exit(0)
        os.waitpid(child, 0)
        print(ask())
        """,
        server.url,
    )

    assert (done.returncode, done.stdout) == (0, "[1, 2, 0]\n")
    assert server.accepted == 2
    assert done.stderr == ""
