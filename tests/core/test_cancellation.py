"""Cancelling a call at any of its steps leaves nothing behind, and harms no other call."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any

import anyio
import pytest
import trio
from attrs import define
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.loopback import (
    PROXY_VARIABLES,
    Behaviour,
    Connection,
    Loopback,
    comes_true,
    rank,
    ranking,
    serving,
    will_come_true,
)
from core.virtual import ScriptedPlugin
from rerank_core import Compute, RequestTimeoutError, Reranker, RerankRequest, hookimpl

DOCUMENTS = ["a 1", "b 3", "c 2"]
RIGHT = [1, 2, 0]
BACKENDS = ("asyncio", "trio")
MOST_STEPS = 400
LONG = 30.0


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A server that ranks."""
    with serving() as server:
        yield server


class Computing(ScriptedPlugin):
    """A provider that runs in this process."""

    @hookimpl
    def build_request(self, request: RerankRequest) -> Compute:  # type: ignore[override]  # fewer arguments
        """Score by the number at the end of each document."""
        return Compute(lambda: ranking({"documents": request.documents}))


@define
class Steps:
    """Counts the steps of tasks, and acts after one of them.

    Attributes:
        at: After how many steps to act; each step of every watched task counts.
        act: What to do.
        taken: How many there were.
    """

    at: int
    act: Callable[[], object]
    taken: int = 0

    def take(self) -> None:
        """Count one step."""
        self.taken += 1
        if self.taken == self.at:
            self.act()

    @property
    def acted(self) -> bool:
        """Whether there were as many."""
        return self.taken >= self.at


class Stepwise:
    """A coroutine that is awaited step by step, so that each is counted where it ends."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], steps: Steps) -> None:
        self._coroutine, self._steps = coroutine, steps

    def __await__(self) -> Generator[Any, Any, Any]:
        """Pass on what goes in and what comes out."""
        go_on: Callable[[], Any] = lambda: self._coroutine.send(None)  # noqa: E731 - replaced below
        while True:
            try:
                asked = go_on()
            except StopIteration as end:
                return end.value
            self._steps.take()
            try:
                sent = yield asked
            except BaseException as error:  # noqa: BLE001 - passed on
                thrown = error
                go_on = lambda: self._coroutine.throw(thrown)  # noqa: B023, E731 - called at once
            else:
                go_on = lambda: self._coroutine.send(sent)  # noqa: B023, E731 - called at once


async def _cancel_under_asyncio(
    ask: Callable[[], Coroutine[Any, Any, Any]], at: int
) -> tuple[Any, bool]:
    """What a task returns that is cancelled after so many steps of its own and its children's."""
    loop = asyncio.get_running_loop()

    async def walk(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return await Stepwise(coroutine, steps)

    def make(loop: Any, coroutine: Any, **more: Any) -> Any:
        return asyncio.Task(walk(coroutine), loop=loop, **more)

    loop.set_task_factory(make)
    try:
        task: asyncio.Task[Any] = loop.create_task(ask())
        steps = Steps(at, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            return await task, steps.acted
    finally:
        loop.set_task_factory(None)
    return None, steps.acted


class Counting(trio.abc.Instrument):
    """Counts the steps that trio takes."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count one."""
        del task
        self._steps.take()


async def _cancel_under_trio(
    ask: Callable[[], Coroutine[Any, Any, Any]], at: int
) -> tuple[Any, bool]:
    """The same, by leaving a cancel scope."""
    with trio.CancelScope() as scope:
        steps = Steps(at, scope.cancel)
        counting = Counting(steps)
        trio.lowlevel.add_instrument(counting)
        try:
            return await ask(), steps.acted
        finally:
            trio.lowlevel.remove_instrument(counting)
    return None, steps.acted


CANCEL = {"asyncio": _cancel_under_asyncio, "trio": _cancel_under_trio}


def _order(response: Any) -> list[int]:
    return [result.index for result in response.results]


def _fail_every_other_time(connection: Connection, body: Any) -> None:
    if len(connection.server.seen) % 2:
        connection.answer(503, {"message": "later"}, retry_after_ms="1")
    else:
        rank(connection, body)


def _hang_up_after(connection: Connection, body: Any) -> None:
    rank(connection, body)
    connection.close_connection = True


def _answer_in_pieces(connection: Connection, body: Any) -> None:
    connection.begin_reply(200, 150)
    connection.wfile.write(b" ")
    connection.pause(0.002)
    connection.wfile.write(b'{"results":[')
    connection.pause(0.002)
    rows = ",".join(
        f'{{"index":{row["index"]},"relevance_score":{row["relevance_score"]}}}'
        for row in ranking(body)["results"]
    )
    connection.wfile.write(f"{rows}]}}".ljust(137).encode())


KINDS: dict[str, tuple[Behaviour, type[ScriptedPlugin], dict[str, Any], int]] = {
    "a plain call": (rank, ScriptedPlugin, {}, 1),
    "a reply in pieces": (_answer_in_pieces, ScriptedPlugin, {}, 1),
    "a connection that is never kept": (_hang_up_after, ScriptedPlugin, {}, 0),
    "another attempt": (_fail_every_other_time, ScriptedPlugin, {}, 1),
    "a split list": (rank, ScriptedPlugin, {"max_documents": 1}, 2),
    "work in this process": (rank, Computing, {}, 0),
}
"""What the server does, the provider and its facts, the most connections that may be kept."""


@pytest.mark.parametrize("deadline", [None, LONG])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_can_be_cancelled_after_any_step(
    server: Loopback, backend: str, kind: str, deadline: float | None
) -> None:
    """Each step in turn: the call ends as cancelled or right, and the next one is right."""
    server.behave, plugin, facts, most = KINDS[kind]
    cancelled = []

    async def main() -> None:
        async with Reranker(
            "m",
            provider=plugin(**facts),
            api_base=server.url,
            deadline=deadline,
            max_concurrency=2,
        ) as reranker:
            for at in range(1, MOST_STEPS):
                response, acted = await CANCEL[backend](
                    lambda: reranker.arerank("q", DOCUMENTS), at
                )
                cancelled.append(response is None)
                assert response is None or _order(response) == RIGHT
                if backend == "asyncio":
                    assert asyncio.all_tasks() == {asyncio.current_task()}
                assert _order(await reranker.arerank("q", DOCUMENTS)) == RIGHT
                if not acted:
                    break
            assert not acted, "the last round went through all steps"
            assert await will_come_true(lambda: server.open_connections <= most)

    anyio.run(main, backend=backend)
    gc.collect()  # what was left open warns here, and warnings are errors

    assert any(cancelled)
    assert comes_true(lambda: not server.open_connections)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_call_of_a_loop_can_be_cancelled_after_any_step(
    server: Loopback, backend: str
) -> None:
    """While its pool is made and its connection opened, too."""
    cancelled = []

    async def main(at: int) -> bool:
        reranker = Reranker("m", provider=ScriptedPlugin(), api_base=server.url)
        response, acted = await CANCEL[backend](lambda: reranker.arerank("q", DOCUMENTS), at)
        cancelled.append(response is None)
        assert _order(await reranker.arerank("q", DOCUMENTS)) == RIGHT
        assert await will_come_true(lambda: server.open_connections == 1)
        await reranker.aclose()
        assert await will_come_true(lambda: not server.open_connections)
        return acted

    assert not all(anyio.run(main, at, backend=backend) for at in range(1, MOST_STEPS))
    gc.collect()

    assert sum(cancelled) >= 2


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    moments=st.lists(st.integers(1, 60) | st.none(), min_size=2, max_size=12),
    split=st.booleans(),
)
def test_cancelled_calls_harm_no_other(
    backend: str, moments: list[int | None], *, split: bool
) -> None:
    """Of calls side by side on one reranker those that were not cancelled are right."""
    answers: list[tuple[int, Any]] = []

    def documents_of(at: int) -> list[str]:
        return [f"{at} {(at + shift) % 5}" for shift in range(5)]

    async def ask(reranker: Reranker, at: int, moment: int | None) -> None:
        with anyio.CancelScope() as scope:
            steps = Steps(moment or MOST_STEPS, scope.cancel)
            answers.append((at, await Stepwise(reranker.arerank("q", documents_of(at)), steps)))

    async def main(url: str) -> None:
        plugin = ScriptedPlugin(max_documents=2 if split else None)
        async with (
            Reranker("m", provider=plugin, api_base=url) as reranker,
            anyio.create_task_group() as group,
        ):
            for at, moment in enumerate(moments):
                group.start_soon(ask, reranker, at, moment)

    with pytest.MonkeyPatch.context() as patch, serving() as server:
        for name in PROXY_VARIABLES:
            patch.delenv(name, raising=False)
        anyio.run(main, server.url, backend=backend)

        assert comes_true(lambda: not server.open_connections)
    for at, response in answers:
        scores = [(at + shift) % 5 for shift in range(5)]
        assert _order(response) == sorted(range(5), key=lambda shift: -scores[shift])
    assert {at for at, moment in enumerate(moments) if not moment} <= {at for at, _ in answers}


@contextlib.asynccontextmanager
async def _stalled(server: Loopback, **options: Any) -> AsyncIterator[Reranker]:
    """A reranker whose service stalls meanwhile, and is right afterwards."""
    released = threading.Event()

    def stall(connection: Connection, _: Any) -> None:
        released.wait(LONG)
        connection.close_connection = True

    server.behave = stall
    async with Reranker("m", provider=ScriptedPlugin(), api_base=server.url, **options) as reranker:
        try:
            yield reranker
        finally:
            released.set()
            server.behave = rank
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert _order(await reranker.arerank("q", DOCUMENTS)) == RIGHT
        assert await will_come_true(lambda: server.open_connections == 1)


@pytest.mark.parametrize("deadline", [None, LONG])
def test_asyncios_own_timeouts_end_a_call(server: Loopback, deadline: float | None) -> None:
    """`asyncio.timeout` and `wait_for` raise their own error, not one of ours."""

    async def main() -> None:
        async with _stalled(server, deadline=deadline) as reranker:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reranker.arerank("q", DOCUMENTS)
        async with _stalled(server, deadline=deadline) as reranker:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reranker.arerank("q", DOCUMENTS), 0.05)

    asyncio.run(main())


def test_a_deadline_and_a_timeout_at_the_same_time_leave_nothing_behind(server: Loopback) -> None:
    """Whichever comes first, its error is raised, and the task is not left half cancelled."""

    async def main() -> None:
        for later in (-0.002, -0.001, 0.0, 0.001, 0.002):
            async with _stalled(server, deadline=0.03) as reranker:
                with pytest.raises((TimeoutError, RequestTimeoutError)):
                    async with asyncio.timeout(0.03 + later):
                        await reranker.arerank("q", DOCUMENTS)
            current = asyncio.current_task()
            assert current is not None
            assert current.cancelling() == 0

    asyncio.run(main())


class SiblingError(Exception):
    """What another task of the group raises."""


@pytest.mark.parametrize("deadline", [None, LONG])
def test_a_failing_sibling_ends_a_call(server: Loopback, deadline: float | None) -> None:
    """A task group's other member fails: the call is cancelled, and adds no error of its own."""

    async def fail() -> None:
        await will_come_true(lambda: server.under_way >= 1)
        raise SiblingError

    async def ask_beside(reranker: Reranker) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(reranker.arerank("q", DOCUMENTS))
            group.create_task(fail())

    async def main() -> None:
        async with _stalled(server, deadline=deadline) as reranker:
            with pytest.raises(ExceptionGroup) as caught:
                await ask_beside(reranker)
            assert [type(error) for error in caught.value.exceptions] == [SiblingError]

    asyncio.run(main())


def test_a_call_within_a_cancelled_task_is_cancelled_again(server: Loopback) -> None:
    """Two cancellations, the second while the first is being carried out, are one ending."""

    async def main() -> None:
        async with _stalled(server) as reranker:
            task = asyncio.create_task(reranker.arerank("q", DOCUMENTS))
            assert await will_come_true(lambda: server.under_way >= 1)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
