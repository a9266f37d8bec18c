"""Both drivers against real sockets: threads, event loops, deadlines, cancellation, proxies."""

from __future__ import annotations

import asyncio
import contextvars
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest

import rerank_core
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
    BadRequestError,
    Compute,
    ConfigurationError,
    HTTPRequest,
    Provider,
    RequestTimeoutError,
    Reranker,
    RerankRequest,
    RerankResponse,
    RerankResult,
    ResponseParseError,
    TransportError,
    arerank,
    hookimpl,
    rerank,
)
from rerank_core._send import drivers
from rerank_core._send.drivers import BlockingDriver
from rerank_core._send.effects import Flow, Gather, Run

DOCUMENTS = ["a 1", "b 3", "c 2"]
RIGHT = [1, 2, 0]
LONG = 3.0
SOON = 1.5
BACKENDS = ("asyncio", "trio")
Call = Callable[..., RerankResponse]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A server that ranks."""
    with serving() as server:
        yield server


@pytest.fixture
def scripted() -> Iterator[str]:
    """The name of a provider that the two functions find."""
    name = rerank_core.register(ScriptedPlugin("scripted"))
    yield f"{name}/m"
    rerank_core.unregister(name)


@pytest.fixture(params=["blocking", *BACKENDS])
def call(request: pytest.FixtureRequest) -> Call:
    """One call by either driver: a reranker's options, then documents."""

    def call(options: Mapping[str, Any], documents: Any = DOCUMENTS, **facts: Any) -> Any:
        options = {"max_retries": 0, "provider": ScriptedPlugin(**facts), **options}
        if request.param == "blocking":
            with Reranker("m", **options) as reranker:
                return reranker.rerank("q", documents)

        async def main() -> RerankResponse:
            async with Reranker("m", **options) as reranker:
                return await reranker.arerank("q", documents)

        return anyio.run(main, backend=request.param)

    return call


def _order(response: RerankResponse) -> list[int]:
    return [result.index for result in response.results]


def test_every_driver_ranks(server: Loopback, call: Call) -> None:
    """Blocking, under asyncio and under trio the same answer comes back."""
    response = call({"api_base": server.url})

    assert _order(response) == RIGHT
    assert [result.relevance_score for result in response.results] == [3.0, 2.0, 1.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_service_s_cookies_are_not_sent_back(server: Loopback, backend: str) -> None:
    """Calls know nothing of each other."""
    server.behave = lambda connection, body: connection.answer(
        200, ranking(body), set_cookie="session=1; Path=/"
    )

    async def main() -> None:
        async with Reranker("m", provider=ScriptedPlugin(), api_base=server.url) as reranker:
            for _ in range(2):
                await reranker.arerank("q", DOCUMENTS)
                reranker.rerank("q", DOCUMENTS)

    anyio.run(main, backend=backend)

    assert len(server.seen) == 4
    assert all("cookie" not in seen.headers for seen in server.seen)


def test_a_service_s_cookies_are_not_sent_back_by_the_caller_s_transport() -> None:
    """They are kept by a client alone, and the caller gave none."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        body = ranking(json.loads(request.content))
        return httpx.Response(200, json=body, headers={"set-cookie": "session=1; Path=/"})

    transport = httpx.MockTransport(answer)
    reranker = Reranker("m", provider=ScriptedPlugin(), http_client=transport)
    for _ in range(2):
        reranker.rerank("q", DOCUMENTS)
        asyncio.run(reranker.arerank("q", DOCUMENTS))

    assert len(seen) == 4
    assert all("cookie" not in request.headers for request in seen)


def test_the_functions_outlive_event_loops(server: Loopback, scripted: str) -> None:
    """`asyncio.run` may be called again and again, beside trio and blocking calls."""

    async def main() -> list[int]:
        return _order(await arerank(scripted, "q", DOCUMENTS, api_base=server.url))

    orders = [
        asyncio.run(main()),
        asyncio.run(main()),
        anyio.run(main, backend="trio"),
        _order(rerank(scripted, "q", DOCUMENTS, api_base=server.url)),
        asyncio.run(main()),
    ]

    assert orders == [RIGHT] * 5


def test_one_reranker_outlives_event_loops(server: Loopback) -> None:
    """So does a reranker with connections of its own."""
    reranker = Reranker("m", provider=ScriptedPlugin(), api_base=server.url)

    async def main() -> list[int]:
        return _order(await reranker.arerank("q", DOCUMENTS))

    assert [asyncio.run(main()), anyio.run(main, backend="trio"), asyncio.run(main())] == (
        [RIGHT] * 3
    )


def _rotated(at: int) -> tuple[list[str], list[int]]:
    """Documents that no other call has, and their right order."""
    documents = [f"{at} {(at + shift) % 5}" for shift in range(5)]
    return documents, sorted(range(5), key=lambda shift: -((at + shift) % 5))


@pytest.mark.parametrize("kind", ["reranker", "function"])
def test_eight_threads_get_their_own_answers(server: Loopback, scripted: str, kind: str) -> None:
    """One reranker, or the function, serves threads side by side without mixing them up."""
    reranker = Reranker(scripted, api_base=server.url)

    def ask(at: int) -> bool:
        documents, right = _rotated(at)
        if kind == "reranker":
            return _order(reranker.rerank("q", documents)) == right
        return _order(rerank(scripted, "q", documents, api_base=server.url)) == right

    with reranker, ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(80)))

    assert server.accepted <= 8


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hundred_concurrent_calls_get_their_own_answers(
    server: Loopback, scripted: str, backend: str
) -> None:
    """All at once on one loop, each with the answer to its own question."""
    right_ones = []

    async def ask(at: int) -> None:
        documents, right = _rotated(at)
        response = await arerank(scripted, "q", documents, api_base=server.url)
        right_ones.append(_order(response) == right)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for at in range(100):
                group.start_soon(ask, at)

    anyio.run(main, backend=backend)

    assert right_ones == [True] * 100


def test_several_event_loops_at_once(server: Loopback, scripted: str) -> None:
    """Each thread may run a loop of its own."""

    def ask(at: int) -> bool:
        documents, right = _rotated(at)

        async def main() -> list[int]:
            return _order(await arerank(scripted, "q", documents, api_base=server.url))

        return asyncio.run(main()) == right

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(12)))


def _stall(connection: Connection, _: Any) -> None:
    connection.pause(LONG)


def _drip(connection: Connection, _: Any) -> None:
    connection.begin_reply(200, 1000)
    while not connection.server.ended.wait(0.1):
        connection.wfile.write(b" ")


def _drip_head(connection: Connection, _: Any) -> None:
    connection.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
    while not connection.server.ended.wait(0.1):
        connection.wfile.write(b"y")


def _ask_to_wait(connection: Connection, _: Any) -> None:
    connection.answer(429, {}, retry_after="1")


@pytest.mark.slow
@pytest.mark.parametrize("behave", [_stall, _drip, _drip_head])
@pytest.mark.parametrize("most", [None, 1])
def test_a_deadline_holds_in_wall_time(
    server: Loopback, call: Call, behave: Behaviour, most: int | None
) -> None:
    """A server that stalls or drips cannot keep the caller, split list or not."""
    server.behave = behave
    began = time.monotonic()
    with pytest.raises(RequestTimeoutError):
        call({"api_base": server.url, "deadline": 0.3}, max_documents=most)

    assert 0.25 <= time.monotonic() - began < SOON


def test_a_wait_beyond_the_deadline_is_not_begun(server: Loopback, call: Call) -> None:
    """The refusal comes at once, with what is known."""
    server.behave = _ask_to_wait
    began = time.monotonic()
    with pytest.raises(rerank_core.RateLimitError) as caught:
        call({"api_base": server.url, "deadline": 0.9, "max_retries": 2})

    assert time.monotonic() - began < 0.8
    assert caught.value.__notes__ == ["Not tried again: the deadline would pass while waiting."]


def test_a_deadline_ends_a_computation(call: Call) -> None:
    """Nobody waits for work in this process beyond the deadline either."""
    release = threading.Event()
    began = time.monotonic()
    with pytest.raises(RequestTimeoutError):
        call({"provider": Computing(lambda: release.wait(LONG)), "deadline": 0.3})
    took = time.monotonic() - began
    release.set()

    assert took < SOON


@pytest.mark.slow
def test_a_timeout_bounds_one_attempt(server: Loopback, call: Call) -> None:
    """`timeout` is for each attempt: two of them take twice as long."""
    server.behave = _stall
    began = time.monotonic()
    with pytest.raises(RequestTimeoutError):
        call({"api_base": server.url, "timeout": 0.2, "max_retries": 1})

    assert 0.4 <= time.monotonic() - began < 2 * SOON
    assert len(server.seen) == 2


class Computing(ScriptedPlugin):
    """A provider that runs in this process."""

    def __init__(self, work: Callable[[], Any], **facts: Any) -> None:
        self.work = work
        super().__init__("computing", **facts)

    @hookimpl
    def build_request(self, request: RerankRequest) -> Compute:  # type: ignore[override]  # fewer arguments
        """Score by the number at the end of each document."""

        def function() -> Any:
            self.work()
            return ranking({"documents": request.documents})

        return Compute(function)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_computation_does_not_hold_up_the_event_loop(backend: str) -> None:
    """It runs in another thread, and the loop goes on meanwhile."""
    ticked = threading.Event()
    threads = []

    def work() -> None:
        threads.append(threading.current_thread())
        assert ticked.wait(5)

    async def tick() -> None:
        await anyio.sleep(0.01)
        ticked.set()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(tick)
            response = await Reranker("m", provider=Computing(work)).arerank("q", DOCUMENTS)
            assert _order(response) == RIGHT

    anyio.run(main, backend=backend)

    assert threads != [threading.current_thread()]


@pytest.mark.parametrize("deadline", [None, 30.0])
@pytest.mark.parametrize("most", [None, 1])
def test_context_variables_reach_every_thread(
    call: Call, deadline: float | None, most: int | None
) -> None:
    """Tracing and logging see the caller's context wherever the work is done."""
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []
    token = variable.set("set")
    plugin = Computing(lambda: seen.append(variable.get()), max_documents=most)
    call({"provider": plugin, "deadline": deadline})
    variable.reset(token)

    assert seen == ["set"] * (len(DOCUMENTS) if most else 1)


@pytest.mark.parametrize("deadline", [None, 30.0])
def test_a_split_list_is_asked_for_side_by_side(
    server: Loopback, call: Call, deadline: float | None
) -> None:
    """As many at once as allowed, and not one more."""

    def behave(connection: Connection, body: Any) -> None:
        comes_true(lambda: server.most_under_way >= 3)
        connection.pause(0.02)
        rank(connection, body)

    server.behave = behave
    documents = [f"document {at}" for at in range(9)]
    options = {"api_base": server.url, "max_concurrency": 3, "deadline": deadline}
    response = call(options, documents, max_documents=1)

    assert _order(response) == list(range(9))[::-1]
    assert server.most_under_way == 3


@pytest.mark.parametrize("limit", [1, 2])
def test_a_failed_part_stops_the_others(server: Loopback, call: Call, limit: int) -> None:
    """What was not sent when one part failed is never sent: it would be paid for in vain."""

    def behave(connection: Connection, body: Any) -> None:
        if body == server.seen[0].body:
            connection.answer(400, {"message": "no"})
        else:
            connection.pause(0.1)
            rank(connection, body)

    server.behave = behave
    documents = [f"document {at}" for at in range(9)]
    with pytest.raises(BadRequestError):
        call({"api_base": server.url, "max_concurrency": limit}, documents, max_documents=1)
    time.sleep(0.15)

    assert len(server.seen) <= limit


@pytest.mark.parametrize("_", range(4))
def test_the_first_part_to_fail_is_the_outcome(_: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where others have failed before the caller hears of it."""
    both, start = threading.Barrier(2, timeout=5), drivers._start_thread  # noqa: SLF001 - of our own

    def start_and_linger(function: Callable[[], None]) -> None:
        start(function)
        time.sleep(0.25)

    def fail(after: float) -> None:
        both.wait()
        time.sleep(after)
        raise ValueError(after)

    def part(after: float) -> Flow:
        yield Run(lambda: fail(after))

    monkeypatch.setattr(drivers, "_start_thread", start_and_linger)
    with pytest.raises(ValueError, match=r"^0\.0$"):
        BlockingDriver().run(_side_by_side(part(0.2), part(0.0)))


def _side_by_side(*flows: Flow) -> Flow:
    yield Gather(flows, len(flows))


def _stall_after_head(connection: Connection, _: Any) -> None:
    connection.begin_reply(200, 1000)
    connection.pause(LONG)


MOMENTS: dict[str, tuple[Behaviour, dict[str, Any]]] = {
    "before the reply": (_stall, {}),
    "within the reply": (_stall_after_head, {}),
    "while waiting": (_ask_to_wait, {}),
    "in a split list": (_stall, {"max_documents": 1}),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("deadline", [None, 30.0])
def test_cancelling_a_task_leaves_nothing_behind(
    server: Loopback, moment: str, deadline: float | None
) -> None:
    """No task and no connection stays, and the reranker is as good as before."""
    server.behave, facts = MOMENTS[moment]

    async def main() -> None:
        plugin = ScriptedPlugin(**facts)
        async with Reranker(
            "m", provider=plugin, api_base=server.url, deadline=deadline
        ) as reranker:
            task = asyncio.create_task(reranker.arerank("q", DOCUMENTS))
            assert await will_come_true(lambda: len(server.seen) >= 1)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == {asyncio.current_task()}
            server.behave = rank
            assert _order(await reranker.arerank("q", DOCUMENTS)) == RIGHT

    began = time.monotonic()
    asyncio.run(main())
    server.ended.set()

    assert time.monotonic() - began < LONG
    assert comes_true(lambda: not server.open_connections)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_leaving_a_cancel_scope_leaves_nothing_behind(
    server: Loopback, moment: str, backend: str
) -> None:
    """`move_on_after` moves on, and the reranker is as good as before."""
    server.behave, facts = MOMENTS[moment]

    async def main() -> None:
        plugin = ScriptedPlugin(**facts)
        async with Reranker("m", provider=plugin, api_base=server.url) as reranker:
            with anyio.move_on_after(0.1) as scope:
                await reranker.arerank("q", DOCUMENTS)
            assert scope.cancelled_caught
            server.behave = rank
            assert _order(await reranker.arerank("q", DOCUMENTS)) == RIGHT

    began = time.monotonic()
    anyio.run(main, backend=backend)

    assert time.monotonic() - began < LONG


def test_cancelling_at_any_moment_leaves_the_reranker_usable(server: Loopback) -> None:
    """Also between two steps: after each number of turns of the event loop."""

    async def main() -> None:
        async with Reranker("m", provider=ScriptedPlugin(), api_base=server.url) as reranker:
            for turns in range(40):
                task = asyncio.create_task(reranker.arerank("q", DOCUMENTS))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert asyncio.all_tasks() == {asyncio.current_task()}
                assert _order(await reranker.arerank("q", DOCUMENTS)) == RIGHT
            assert await will_come_true(lambda: server.open_connections == 1)

    asyncio.run(main())


class Interrupting(httpx.BaseTransport):
    """A transport during which the user presses Ctrl-C."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Be interrupted."""
        raise KeyboardInterrupt(request.method)


@pytest.mark.parametrize("deadline", [None, 30.0])
@pytest.mark.parametrize("most", [None, 1])
def test_an_interrupt_ends_a_blocking_call(deadline: float | None, most: int | None) -> None:
    """Ctrl-C is neither retried nor taken for a failure of the service."""
    reranker = Reranker(
        "m",
        provider=ScriptedPlugin(max_documents=most),
        http_client=Interrupting(),
        deadline=deadline,
        on_failure="passthrough",
    )

    with pytest.raises(KeyboardInterrupt):
        reranker.rerank("q", DOCUMENTS)


def _be_interrupted() -> None:
    raise KeyboardInterrupt


def _flow_with_end(ends: list[str]) -> Flow:
    try:
        yield Run(_be_interrupted, None)
    finally:
        ends.append("closed")


def test_an_interrupt_closes_the_flow() -> None:
    """What a flow holds is let go, whatever ends it."""
    ends: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        BlockingDriver().run(_flow_with_end(ends))

    assert ends == ["closed"]


class Signing(httpx.Auth):
    """The caller's own authentication, in two requests."""

    requires_response_body = True

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]  # nobody sends
        """Ask for a token, then send it."""
        request.headers["x-signed"] = "first"
        yield request
        request.headers["x-signed"] = "second"
        yield request


@pytest.mark.parametrize("most", [None, 1])
def test_the_callers_client_keeps_its_hooks_and_its_authentication(
    server: Loopback, most: int | None
) -> None:
    """Hooks see every request, the client's own auth signs it, and the client stays open."""
    seen: list[str] = []
    plugin = ScriptedPlugin(max_documents=most, api_key_required=True)

    async def note(request: httpx.Request) -> None:
        seen.append(request.url.path)

    async def main() -> None:
        async with httpx.AsyncClient(auth=Signing(), event_hooks={"request": [note]}) as client:
            reranker = Reranker("m", provider=plugin, api_base=server.url, http_client=client)
            async with reranker:
                assert _order(await reranker.arerank("q", DOCUMENTS)) == RIGHT
            assert not client.is_closed

    asyncio.run(main())
    hooks = {"request": [lambda request: seen.append(request.url.path)]}
    with httpx.Client(auth=Signing(), event_hooks=hooks) as client:
        with Reranker("m", provider=plugin, api_base=server.url, http_client=client) as reranker:
            assert _order(reranker.rerank("q", DOCUMENTS)) == RIGHT
        assert not client.is_closed

    signed = [request.headers["x-signed"] for request in server.seen]
    parts = len(DOCUMENTS) if most else 1
    assert sorted(signed) == sorted(["first", "second"] * parts * 2)
    assert seen == ["/rerank"] * len(signed)


class HookError(Exception):
    """What the caller's own hook raises."""


@pytest.mark.parametrize("most", [None, 1])
def test_an_error_of_the_callers_own_hook_comes_out_as_it_is(
    server: Loopback, most: int | None
) -> None:
    """Neither wrapped nor grouped, from a single request and from a split list."""
    plugin = ScriptedPlugin(max_documents=most)

    async def fail(_: httpx.Request) -> None:
        raise HookError

    def fail_at_once(_: httpx.Request) -> None:
        raise HookError

    async def main() -> None:
        async with httpx.AsyncClient(event_hooks={"request": [fail]}) as client:
            reranker = Reranker("m", provider=plugin, api_base=server.url, http_client=client)
            await reranker.arerank("q", DOCUMENTS)

    with (
        httpx.Client(event_hooks={"request": [fail_at_once]}) as client,
        pytest.raises(HookError),
    ):
        Reranker("m", provider=plugin, api_base=server.url, http_client=client).rerank(
            "q", DOCUMENTS
        )
    with pytest.raises(HookError):
        asyncio.run(main())


class Unable(httpx.Auth):
    """The caller's own authentication, which finds no credentials."""

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        """Fail before anything is sent."""
        yield from ()
        raise HookError(request.url.host)


def test_an_error_of_the_callers_own_authentication_comes_out_as_it_is(server: Loopback) -> None:
    """It is not tried again, and hides behind no fallback."""
    options: dict[str, Any] = {"provider": ScriptedPlugin(), "api_base": server.url}

    async def main() -> None:
        async with httpx.AsyncClient(auth=Unable()) as client:
            reranker = Reranker("m", http_client=client, fallbacks=["local/bm25"], **options)
            await reranker.arerank("q", DOCUMENTS)

    with httpx.Client(auth=Unable()) as client:
        reranker = Reranker("m", http_client=client, fallbacks=["local/bm25"], **options)
        with pytest.raises(HookError):
            reranker.rerank("q", DOCUMENTS)
    with pytest.raises(HookError):
        asyncio.run(main())


def test_a_closed_client_of_the_callers_is_refused() -> None:
    """No wait makes it open again, and no fallback hides the mistake."""
    options: dict[str, Any] = {"provider": ScriptedPlugin(), "on_failure": "passthrough"}
    with httpx.Client() as client:
        reranker = Reranker("m", http_client=client, fallbacks=["local/bm25"], **options)

    async def main() -> None:
        async with httpx.AsyncClient() as client:
            other = Reranker("m", http_client=client, fallbacks=["local/bm25"], **options)
        await other.arerank("q", DOCUMENTS)

    with pytest.raises(ConfigurationError, match="http_client is closed"):
        reranker.rerank("q", DOCUMENTS)
    with pytest.raises(ConfigurationError, match="http_client is closed"):
        asyncio.run(main())


class Unheard(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that raises what httpx does not know, before a reply or within one."""

    def __init__(self, *, within: bool) -> None:
        self._within = within

    def handle_request(self, _: httpx.Request) -> httpx.Response:
        """Fail, or begin a reply."""
        if self._within:
            return httpx.Response(200, stream=BrokenOff())
        raise OSError("of the transport")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Fail like the blocking one."""
        return self.handle_request(request)


class BrokenOff(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that ends in what httpx does not know."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"{"
        raise OSError("of the transport")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


@pytest.mark.parametrize("within", [False, True], ids=["before a reply", "within a reply"])
def test_an_error_of_the_transport_is_no_hooks(*, within: bool) -> None:
    """A client with hooks has a transport as well, whose failures are like any other's."""

    async def heed(_: httpx.Request) -> None:
        """Find nothing wrong."""

    options: dict[str, Any] = {"provider": ScriptedPlugin(), "max_retries": 0}
    transport = Unheard(within=within)
    client = httpx.Client(transport=transport, event_hooks={"request": [lambda _: None]})
    with pytest.raises(TransportError, match="of the transport"):
        Reranker("m", http_client=client, **options).rerank("q", DOCUMENTS)
    other = httpx.AsyncClient(transport=transport, event_hooks={"request": [heed]})
    with pytest.raises(TransportError, match="of the transport"):
        asyncio.run(Reranker("m", http_client=other, **options).arerank("q", DOCUMENTS))


def test_a_reply_that_a_hook_has_used_up_is_no_reply(server: Loopback) -> None:
    """A hook that reads a stream itself keeps nothing for anybody else."""

    def use_up(response: httpx.Response) -> None:
        for _ in response.iter_raw():
            pass

    async def ause_up(response: httpx.Response) -> None:
        async for _ in response.aiter_raw():
            pass

    options: dict[str, Any] = {"provider": ScriptedPlugin(), "max_retries": 0}

    async def main() -> None:
        async with httpx.AsyncClient(event_hooks={"response": [ause_up]}) as client:
            reranker = Reranker("m", api_base=server.url, http_client=client, **options)
            await reranker.arerank("q", DOCUMENTS)

    with httpx.Client(event_hooks={"response": [use_up]}) as client:
        reranker = Reranker("m", api_base=server.url, http_client=client, **options)
        with pytest.raises(TransportError, match="ResponseNotRead"):
            reranker.rerank("q", DOCUMENTS)
    with pytest.raises(TransportError, match="ResponseNotRead"):
        asyncio.run(main())


def _use_up_and_refuse(response: httpx.Response) -> None:
    for _ in response.iter_bytes():
        pass
    response.raise_for_status()


def test_a_status_that_a_hook_refuses_is_the_error_though_the_hook_used_up_the_reply(
    server: Loopback,
) -> None:
    """The status is known; it is no failure of the way there, and not sent again."""
    server.behave = lambda connection, _: connection.answer(400, {"message": "no"})
    hooks = {"response": [_use_up_and_refuse]}

    with httpx.Client(event_hooks=hooks) as client:
        reranker = Reranker("m", api_base=server.url, provider=ScriptedPlugin(), http_client=client)
        with pytest.raises(BadRequestError):
            reranker.rerank("q", DOCUMENTS)
    assert len(server.seen) == 1


def test_a_reply_that_a_hook_has_closed_is_no_reply(server: Loopback) -> None:
    """Nothing is read from what was closed, though some of it may have arrived."""
    rows = [{"index": at, "relevance_score": 1.0} for at in range(len(DOCUMENTS))]
    server.behave = lambda connection, _: connection.answer(200, {"results": rows})
    options: dict[str, Any] = {"provider": ScriptedPlugin(), "max_retries": 0}

    with httpx.Client(event_hooks={"response": [httpx.Response.close]}) as client:
        reranker = Reranker("m", api_base=server.url, http_client=client, **options)
        with pytest.raises(TransportError, match="ResponseNotRead"):
            reranker.rerank("q", DOCUMENTS)


class _Breaking(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b"{"
        raise ConnectionError("gone")


def test_an_error_of_the_transport_that_a_hook_met_first_is_no_hooks() -> None:
    """A hook that reads the reply, to log it, meets what the transport raises."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=_Breaking()))
    hooks = {"response": [httpx.Response.read]}
    options: dict[str, Any] = {"provider": ScriptedPlugin(), "max_retries": 0}

    client = httpx.Client(transport=transport, event_hooks=hooks)
    with client, pytest.raises(TransportError, match="ConnectionError: gone"):
        Reranker("m", http_client=client, **options).rerank("q", DOCUMENTS)


def _read(response: httpx.Response) -> None:
    raise LookupError(response.status_code)


def _handle_request(request: httpx.Request) -> None:
    raise LookupError(request.method)


@pytest.mark.parametrize("hooks", [{"response": [_read]}, {"request": [_handle_request]}])
def test_an_error_of_a_hook_is_its_callers_whatever_the_hooks_name(hooks: dict[str, Any]) -> None:
    """Several modules of the standard library have a `_read`, too."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={}))

    client = httpx.Client(transport=transport, event_hooks=hooks)
    with client, pytest.raises(LookupError):
        Reranker("m", http_client=client, provider=ScriptedPlugin()).rerank("q", DOCUMENTS)


def test_a_proxy_that_needs_what_is_not_installed_is_the_callers_to_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failure that may pass would be tried again, and a fallback asked."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:9")

    with pytest.raises(ConfigurationError, match=r"\(ImportError\): look at the proxy variables"):
        Reranker("m", provider=ScriptedPlugin()).rerank("q", DOCUMENTS)


@pytest.mark.parametrize("body", [b"", b"no JSON", b'{"results": ['])
def test_a_callers_client_stays_open_whatever_a_reply_holds(body: bytes) -> None:
    """It is the caller's, and serves other calls as well."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    client, other = httpx.Client(transport=transport), httpx.AsyncClient(transport=transport)
    with pytest.raises(ResponseParseError):
        Reranker("m", http_client=client, provider=ScriptedPlugin()).rerank("q", DOCUMENTS)
    with pytest.raises(ResponseParseError):
        asyncio.run(
            Reranker("m", http_client=other, provider=ScriptedPlugin()).arerank("q", DOCUMENTS)
        )

    assert not client.is_closed
    assert not other.is_closed


class Asking(ScriptedPlugin):
    """Asks by a request without a body."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method

    @hookimpl
    def build_request(self, provider: Provider) -> HTTPRequest:  # type: ignore[override]  # no more
        """Neither query nor documents."""
        return HTTPRequest(f"{provider.base_url}/rerank", method=self._method)


@pytest.mark.parametrize("method", ["GET", "get", "DELETE", "POST", "put"])
def test_the_headers_of_a_request_without_a_body(server: Loopback, call: Call, method: str) -> None:
    """As httpx makes them: where a body is usual, that there is none; of none no type is told."""
    rows = [{"index": at, "relevance_score": 1.0} for at in range(len(DOCUMENTS))]
    server.behave = lambda connection, _: connection.answer(200, {"results": rows})
    call({"api_base": server.url, "provider": Asking(method)})
    (seen,) = server.seen

    assert seen.headers.get("content-length") == ("0" if method in {"POST", "put"} else None)
    assert seen.headers["host"] == server.url.removeprefix("http://")
    assert "content-type" not in seen.headers
    assert "transfer-encoding" not in seen.headers


def test_a_proxy_from_the_environment_is_used(
    server: Loopback, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both bodies send through it, whatever the event loop."""
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("http_proxy", server.url)
    response = call({"api_base": "http://service.test"})

    assert _order(response) == RIGHT
    assert [seen.path for seen in server.seen] == ["http://service.test/rerank"]


def test_no_proxy_is_respected(
    server: Loopback, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that is named there is asked directly."""
    with serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        response = call({"api_base": server.url})

    assert _order(response) == RIGHT
    assert not proxy.seen
    assert [seen.path for seen in server.seen] == ["/rerank"]


def test_a_failing_computation_in_a_split_list_ends_the_call(call: Call) -> None:
    """One error, of ours, whichever thread it happened in."""

    def work() -> RerankResult:
        message = "out of memory"
        raise MemoryError(message)

    with pytest.raises(rerank_core.PluginError, match="MemoryError: out of memory"):
        call({"provider": Computing(work, max_documents=1)})


def test_connections_of_cancelled_connects_are_not_left_open(server: Loopback) -> None:
    """Cancelled while connecting: nothing is sent, nothing stays."""

    async def main() -> None:
        async with Reranker("m", provider=ScriptedPlugin(), api_base=server.url) as reranker:
            tasks = [asyncio.create_task(reranker.arerank("q", DOCUMENTS)) for _ in range(10)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert await will_come_true(lambda: not server.open_connections)

    asyncio.run(main())
