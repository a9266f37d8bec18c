"""Cancelling a call at any of its steps leaves nothing behind, and harms no other call."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import threading
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
import trio
from attrs import define, field, frozen
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
from rerank_core import (
    Compute,
    Provider,
    RequestTimeoutError,
    Reranker,
    RerankRequest,
    hookimpl,
    tokens,
)
from rerank_core._send.connections import Connections

# httpcore leaves its own generator behind where a call through a proxy is cancelled, and only trio
# minds.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Async generator 'httpcore:ResourceWarning"),
    # The server's: ssl loses a socket whose client resets it just when hands are to be shaken. The
    # clients here have none, TLS is spoken in memory.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
    ),
]
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


def _rank_or_give_a_token(connection: Connection, body: Any) -> None:
    if connection.path == "/token":
        connection.answer(200, {"access_token": "token"})
    elif connection.headers["authorization"] == "Bearer token":
        rank(connection, body)
    else:
        connection.answer(401, {"message": "no token"})


def _exchanging(_key: Any, provider: Provider, _options: Any) -> tokens.TokenAuth:
    """A token that is as good as over, so that each request needs another."""

    def exchange() -> tokens.Steps:
        reply = yield httpx.Request("POST", f"{provider.base_url}/token")
        return tokens.Token(reply.json()["access_token"], time.time() + 1)

    return tokens.TokenAuth(exchange)


@frozen
class Kind:
    """How a call goes.

    Attributes:
        behave: What the server does.
        plugin: The provider.
        facts: The provider's.
        kept: The most connections that may be kept.
        proxied: What the server is the proxy of, if it is one.
        asks_for: What a right call asks the server for.
    """

    behave: Behaviour = rank
    plugin: type[ScriptedPlugin] = ScriptedPlugin
    facts: Mapping[str, Any] = field(factory=dict)
    kept: int = 1
    proxied: str | None = None
    asks_for: Sequence[str] = ("/rerank",)

    def base_url(self, server: Loopback, patch: pytest.MonkeyPatch, certificate: Path) -> str:
        """What to ask, when the way there is prepared."""
        server.behave = self.behave
        if self.proxied is None:
            return server.url
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.tunnels = context
        patch.setenv(f"{urlsplit(self.proxied).scheme.upper()}_PROXY", server.url)
        return self.proxied


WAYS: dict[str, Kind] = {
    "a plain call": Kind(),
    "a proxy": Kind(
        proxied="http://service.test",
        asks_for=["http://service.test/rerank"],
    ),
    "a tunnel through a proxy": Kind(proxied="https://127.0.0.1:9"),
    "a token": Kind(
        _rank_or_give_a_token, facts={"auth": _exchanging}, asks_for=["/token", "/rerank"]
    ),
}
KINDS: dict[str, Kind] = {
    **WAYS,
    "a reply in pieces": Kind(_answer_in_pieces),
    "a connection that is never kept": Kind(_hang_up_after, kept=0),
    "another attempt": Kind(_fail_every_other_time),
    "a split list": Kind(facts={"max_documents": 1}, kept=2, asks_for=["/rerank"] * 3),
    "work in this process": Kind(plugin=Computing, kept=0, asks_for=[]),
}


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("kind", [name for name in KINDS if name != "another attempt"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_goes_the_way_that_is_meant(
    server: Loopback,
    backend: str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
) -> None:
    """Else the tests below would prove less than they say."""
    base_url = KINDS[kind].base_url(server, monkeypatch, certificate)

    async def main() -> None:
        plugin = KINDS[kind].plugin(**KINDS[kind].facts)
        async with Reranker("m", provider=plugin, api_base=base_url) as reranker:
            assert _order(await reranker.arerank("q", DOCUMENTS)) == RIGHT

    anyio.run(main, backend=backend)

    assert [seen.path for seen in server.seen] == list(KINDS[kind].asks_for)


@pytest.mark.slow
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("deadline", [None, LONG])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_can_be_cancelled_after_any_step(
    server: Loopback,
    backend: str,
    kind: str,
    deadline: float | None,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
) -> None:
    """Each step in turn: the call ends as cancelled or right, and the next one is right."""
    base_url = KINDS[kind].base_url(server, monkeypatch, certificate)
    cancelled = []

    async def main() -> None:
        async with Reranker(
            "m",
            provider=KINDS[kind].plugin(**KINDS[kind].facts),
            api_base=base_url,
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
            assert await will_come_true(lambda: server.open_connections <= KINDS[kind].kept)

    anyio.run(main, backend=backend)
    gc.collect()  # what was left open warns here, and warnings are errors

    assert any(cancelled)
    assert comes_true(lambda: not server.open_connections)


@pytest.mark.slow
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_call_of_a_loop_can_be_cancelled_after_any_step(
    server: Loopback,
    backend: str,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
) -> None:
    """While its pool is made and its connection opened, too."""
    base_url = WAYS[way].base_url(server, monkeypatch, certificate)
    cancelled = []

    async def main(at: int) -> bool:
        plugin = WAYS[way].plugin(**WAYS[way].facts)
        reranker = Reranker("m", provider=plugin, api_base=base_url)
        response, acted = await CANCEL[backend](lambda: reranker.arerank("q", DOCUMENTS), at)
        cancelled.append(response is None)
        assert _order(await reranker.arerank("q", DOCUMENTS)) == RIGHT
        assert await will_come_true(lambda: 1 <= server.open_connections <= WAYS[way].kept)
        await reranker.aclose()
        assert await will_come_true(lambda: not server.open_connections)
        return acted

    assert not all(anyio.run(main, at, backend=backend) for at in range(1, MOST_STEPS))
    gc.collect()

    assert sum(cancelled) >= 2


@pytest.mark.slow
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
            async with _stalled(server, deadline=0.2) as reranker:
                with pytest.raises((TimeoutError, RequestTimeoutError)):
                    async with asyncio.timeout(0.2 + later):
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


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reranker_that_is_dropped_while_its_loop_ends_harms_nobody(
    server: Loopback, backend: str
) -> None:
    """When no task can be started any more; the loop closes the connections itself."""
    late: list[AsyncIterator[None]] = []

    async def drop(connections: Connections) -> AsyncIterator[None]:
        (clients,) = connections.loops.values()
        try:
            yield
        finally:  # the loop closes what is left of generators after its last task
            clients.abandon()

    async def main() -> None:
        held = Connections()
        options: dict[str, Any] = {"api_base": server.url, "_connections": held}
        await Reranker("m", provider=ScriptedPlugin(), **options).arerank("q", DOCUMENTS)
        late.append(drop(held))
        await anext(late[0])

    anyio.run(main, backend=backend)

    assert comes_true(lambda: not server.open_connections)
