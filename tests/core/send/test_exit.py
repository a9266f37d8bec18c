"""How programs end, fork, and go on: silent, at once, and with no connection left open."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core.loopback import Connection, Loopback, comes_true, rank, serving
from core.programs import run_program

pytestmark = pytest.mark.slow
PROMPT = 20.0
SLOW = 60.0
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A server that ranks."""
    with serving() as server:
        yield server


def _stall_if_asked(connection: Connection, body: Any) -> None:
    if body["query"] == "stall":
        connection.pause(SLOW)
    rank(connection, body)


def _ended(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


# Each leaves nobody to close what it opened; `main` goes on to the next.
DROPPED = """
        import trio

        class Holder:
            pass

        def dropped():
            make().rerank("q", DOCUMENTS)

        def dropped_in_a_cycle():
            holder = Holder()
            holder.itself, holder.reranker = holder, make()
            holder.reranker.rerank("q", DOCUMENTS)

        def dropped_after_its_loop():
            reranker = make()
            asyncio.run(reranker.arerank("q", DOCUMENTS))
            trio.run(reranker.arerank, "q", DOCUMENTS)

        def a_loop_closed_by_hand_then_another():
            reranker = make()
            loop = asyncio.new_event_loop()
            loop.run_until_complete(reranker.arerank("q", DOCUMENTS))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            assert order(asyncio.run(reranker.arerank("q", DOCUMENTS))) == RIGHT

        async def ask(reranker):
            assert order(await reranker.arerank("q", DOCUMENTS)) == RIGHT

        async def adropped():
            await ask(make())

        async def adropped_in_a_cycle():
            holder = Holder()
            holder.itself, holder.reranker = holder, make()
            await ask(holder.reranker)

        async def adropped_in_another_thread():
            box = [make()]
            await ask(box[0])
            thread = threading.Thread(target=box.clear)
            thread.start()
            thread.join()
        """
DROPS = {
    "blocking": """
        dropped()
        dropped_in_a_cycle()
        dropped_after_its_loop()
        a_loop_closed_by_hand_then_another()
        gc.collect()
        """,
    "asyncio": """
        async def main():
            for drop in (adropped, adropped_in_another_thread):
                await drop()
                gc.collect()
                await asyncio.sleep(0.05)

        asyncio.run(main())
        """,
    "asyncio, in a cycle": """
        async def main():
            await adropped_in_a_cycle()
            gc.collect()
            await asyncio.sleep(0.05)

        asyncio.run(main())
        """,
    "trio": """
        async def main():
            for drop in (adropped, adropped_in_a_cycle, adropped_in_another_thread):
                await drop()
                gc.collect()
                await trio.sleep(0.05)

        trio.run(main)
        """,
    "to the end": """
        import atexit
        gc.disable()
        kept = [make()]
        kept.append(kept)
        kept[0].rerank("q", DOCUMENTS)
        asyncio.run(kept[0].arerank("q", DOCUMENTS))
        del kept
        reranker = make()
        reranker.rerank("q", DOCUMENTS)
        asyncio.run(reranker.arerank("q", DOCUMENTS))
        trio.run(reranker.arerank, "q", DOCUMENTS)
        rerank_core.rerank(MODEL, "q", DOCUMENTS, api_base=BASE)
        atexit.register(lambda: reranker.rerank("q", DOCUMENTS))
        """,
    "through a proxy, to the end of the last module": """
        os.environ["HTTP_PROXY"] = BASE
        os.path.kept = make()
        os.path.kept.rerank("q", DOCUMENTS)
        asyncio.run(os.path.kept.arerank("q", DOCUMENTS))
        """,
}


@pytest.mark.parametrize("drop", DROPS)
def test_a_reranker_that_nobody_closes_is_dropped_in_silence(server: Loopback, drop: str) -> None:
    """Wherever it is dropped: exit code 0, nothing on standard error, and nothing left open."""
    done = run_program(DROPPED + DROPS[drop], server.url)

    assert _ended(done) == (0, "", "")
    assert comes_true(lambda: not server.open_connections)


DURING = {
    "daemon threads' blocking calls": """
        make().rerank("q", DOCUMENTS)  # what is slow to import is imported

        def start(**options):
            reranker = make(**options)
            call = lambda: reranker.rerank("stall", DOCUMENTS)
            thread = threading.Thread(target=call, daemon=True)
            thread.start()

        start()
        start(deadline=50)
        start(max_documents=1)
        time.sleep(1)
        """,
    "a daemon thread's event loop": """
        def call():
            asyncio.run(make(deadline=50).arerank("stall", DOCUMENTS))

        asyncio.run(make().arerank("q", DOCUMENTS))
        threading.Thread(target=call, daemon=True).start()
        time.sleep(1)
        """,
    "a task that nobody awaits": """
        async def main():
            await make().arerank("q", DOCUMENTS)
            tasks.append(asyncio.ensure_future(make(deadline=50).arerank("stall", DOCUMENTS)))
            await asyncio.sleep(1)

        tasks = []
        asyncio.run(main())
        assert tasks[0].cancelled()
        """,
}


@pytest.mark.parametrize("call", DURING)
def test_a_program_may_end_during_a_call(server: Loopback, call: str) -> None:
    """At once and in silence, however long the service still takes."""
    server.behave = _stall_if_asked
    began = time.monotonic()
    done = run_program(DURING[call], server.url)

    assert _ended(done) == (0, "", "")
    assert time.monotonic() - began < PROMPT
    assert len(server.seen) >= 2


@needs_fork
def test_processes_of_multiprocessing_rerank(server: Loopback) -> None:
    """A pool of forked workers and its parent use one reranker, each over its own connections."""
    done = run_program(
        """
        import multiprocessing
        reranker = make()

        def ask(at):
            documents = [f"{at} {(at + shift) % 3}" for shift in range(3)]
            right = sorted(range(3), key=lambda shift: -((at + shift) % 3))
            blocking = order(reranker.rerank("q", documents)) == right
            return blocking and order(asyncio.run(reranker.arerank("q", documents))) == right

        assert ask(0)
        with multiprocessing.get_context("fork").Pool(3) as pool:
            answers = pool.map_async(ask, range(20))
            assert all(ask(at) for at in range(10))
            assert all(answers.get(30))
            pool.close()
            pool.join()
        assert ask(1)
        reranker.close()
        """,
        server.url,
    )

    assert _ended(done) == (0, "", "")
    assert comes_true(lambda: not server.open_connections)


@needs_fork
def test_a_fork_while_other_threads_call(server: Loopback) -> None:
    """Whatever locks they held at that moment, the child asks on, and so do they."""
    done = run_program(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        reranker, over, wrong = make(), threading.Event(), []
        reranker.rerank("q", DOCUMENTS)  # a fork within an import blocks the child's, as ever
        asyncio.run(reranker.arerank("q", DOCUMENTS))

        def ask_on(at):
            documents = [f"{at} {(at + shift) % 3}" for shift in range(3)]
            right = sorted(range(3), key=lambda shift: -((at + shift) % 3))
            while not over.is_set():
                if order(reranker.rerank("q", documents)) != right:
                    wrong.append(at)

        threads = [threading.Thread(target=ask_on, args=(at,)) for at in range(4)]
        for thread in threads:
            thread.start()
        codes = []
        for _ in range(6):
            child = os.fork()
            if not child:
                signal.alarm(20)
                good = all(order(reranker.rerank("q", DOCUMENTS)) == RIGHT for _ in range(3))
                good = good and order(asyncio.run(reranker.arerank("q", DOCUMENTS))) == RIGHT
                os._exit(0 if good else 1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        over.set()
        for thread in threads:
            thread.join()
        reranker.close()
        assert (codes, wrong) == ([0] * 6, [])
        """,
        server.url,
    )

    assert _ended(done) == (0, "", "")
    assert comes_true(lambda: not server.open_connections)


@needs_fork
def test_a_fork_within_a_running_loop(server: Loopback) -> None:
    """A child that is forked from a coroutine leaves the parent's connections alone."""
    done = run_program(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        reranker = make()

        async def main():
            assert order(await reranker.arerank("q", DOCUMENTS)) == RIGHT
            child = os.fork()
            if not child:
                signal.alarm(20)
                os._exit(0 if order(reranker.rerank("q", DOCUMENTS)) == RIGHT else 1)
            status = await asyncio.to_thread(os.waitpid, child, 0)
            assert status[1] == 0
            assert order(await reranker.arerank("q", DOCUMENTS)) == RIGHT
            await reranker.aclose()

        asyncio.run(main())
        """,
        server.url,
    )

    assert _ended(done) == (0, "", "")
    assert server.accepted == 2
    assert comes_true(lambda: not server.open_connections)


HAMMERING = """
        documents_of = lambda at: [f"{at} {(at + shift) % 5}" for shift in range(5)]
        right_of = lambda at: sorted(range(5), key=lambda shift: -((at + shift) % 5))
        reranker, wrong = make(), []
        sys.setswitchinterval(1e-5)

        def hammer(number):
            for at in range(number, number + 25):
                if order(reranker.rerank("q", documents_of(at))) != right_of(at):
                    wrong.append(at)

        async def ahammer(number):
            async def ask(at):
                if order(await reranker.arerank("q", documents_of(at))) != right_of(at):
                    wrong.append(at)

            for at in range(number, number + 25, 5):
                await asyncio.gather(*(ask(at + more) for more in range(5)))

        def run_loop(number):
            asyncio.run(ahammer(number))

        threads = [threading.Thread(target=target, args=(at,)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reranker.close()
        assert not wrong
        """


@pytest.mark.parametrize("target", ["hammer", "run_loop"])
def test_eight_threads_hammer_one_reranker(server: Loopback, target: str) -> None:
    """Blocking, or each with an event loop of its own, switching all the time."""
    done = run_program(HAMMERING.replace("target=target", f"target={target}"), server.url)

    assert _ended(done) == (0, "", "")
    assert len(server.seen) == 200
    assert comes_true(lambda: not server.open_connections)
