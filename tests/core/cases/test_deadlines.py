"""After the deadline nothing is sent, and a fallback always gets its turn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest

from core.cases.plain import (
    KEY,
    Ask,
    Plain,
    Service,
    ask,
    awaited,
    blocking,
    comes_true,
    ends,
    faulty,
    rank,
    rows,
)
from recorder import Reply, recording
from rerank_core import (
    Compute,
    RequestTimeoutError,
    Reranker,
    RerankError,
    RerankResponse,
    RerankResult,
    TransportError,
    arerank,
    hookimpl,
    register,
    unregister,
)
from rerank_core.tokens import Steps, Token, TokenAuth


class Silent:
    """A listener that lets clients connect, and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Be gone."""
        self._listener.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    """A service that hangs."""
    server = Silent()
    yield server
    server.close()


def _hanging(name: str, silent: Silent, **options: Any) -> Reranker:
    plugin = Plain(name=name, base_url=silent.url)
    return Reranker("m", provider=plugin, api_key=KEY, **options)


# C3: the fallback answers within the deadline.


@pytest.mark.slow
@pytest.mark.parametrize("retries", [0, 2])
def test_a_fallback_answers_where_the_first_hangs(call: Ask, silent: Silent, retries: int) -> None:
    """The first has its part of the time, and no more."""
    call("local/bm25", "red", ["red"])  # what it imports does not count
    response = call(
        "cohere/m",
        "red",
        ["red", "blue"],
        api_key=KEY,
        api_base=silent.url,
        deadline=1.5,
        max_retries=retries,
        fallbacks=["local/bm25"],
    )

    assert response.provider == "local"
    assert response.reranked
    assert [result.index for result in response.results][:1] == [0]


@pytest.mark.slow
def test_the_last_of_several_fallbacks_answers(call: Ask, silent: Silent) -> None:
    """Each that hangs uses up only its own part."""
    others = [_hanging("second", silent), _hanging("third", silent)]
    response = call(
        "m",
        "red",
        ["red", "blue"],
        provider=Plain(base_url=silent.url),
        api_key=KEY,
        deadline=2,
        fallbacks=[*others, "local/bm25"],
    )
    for other in others:
        other.close()

    assert response.provider == "local"


def test_a_fallback_in_a_service_answers_too(call: Ask, silent: Silent) -> None:
    """Not only one in this process: there is time left for a request."""
    with recording(Reply({"results": rows(2)})) as second:
        plugin = Plain(name="second", base_url=second.base_url)
        with Reranker("m", provider=plugin, api_key=KEY) as other:
            response = call(
                "m",
                "q",
                ["a", "b"],
                provider=Plain(base_url=silent.url),
                api_key=KEY,
                deadline=1.5,
                fallbacks=[other],
            )

    assert response.provider == "second"


def test_a_passthrough_comes_in_time_where_all_hang(call: Ask, silent: Silent) -> None:
    """The caller's order, within the deadline, where there is no fallback that answers."""
    with _hanging("second", silent) as other:
        response = call(
            "m",
            "q",
            ["a", "b"],
            provider=Plain(base_url=silent.url),
            api_key=KEY,
            deadline=0.6,
            fallbacks=[other],
            on_failure="passthrough",
        )

    assert not response.reranked
    assert [result.index for result in response.results] == [0, 1]


@pytest.mark.parametrize("deadline", [None, 20])
@pytest.mark.parametrize(
    "reply",
    [
        {"status": 429, "headers": {"retry-after": "3"}},
        {"status": 429, "headers": {"retry-after-ms": "2500"}},
        {"status": 503, "headers": {"retry-after": "2"}},
        {"status": 503, "headers": {"retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"}},
    ],
    ids=["seconds", "milliseconds", "unavailable", "date"],
)
def test_a_long_wait_is_not_waited_where_another_can_be_asked(
    call: Ask, reply: dict[str, Any], deadline: float | None
) -> None:
    """The first is asked once; the fallback answers."""
    service = Service(httpx.Response(reply["status"], headers=reply["headers"], json={}))
    response = ask(
        call, service, ["red", "blue"], query="red", fallbacks=["local/bm25"], deadline=deadline
    )

    assert response.provider == "local"
    assert len(service.requests) == 1


def test_a_short_wait_is_waited_where_another_can_be_asked(call: Ask) -> None:
    """A service that will be back at once is asked again first."""
    busy = httpx.Response(429, headers={"retry-after-ms": "20"}, json={})
    service = Service(busy, rank)
    response = ask(call, service, fallbacks=["local/bm25"], deadline=20)

    assert response.provider == "plain"
    assert len(service.requests) == 2


@pytest.mark.slow
def test_a_long_wait_is_waited_by_the_last(call: Ask) -> None:
    """Where nobody else can be asked, an announced wait is honoured."""
    busy = httpx.Response(429, headers={"retry-after": "1.2"}, json={})
    service = Service(busy, rank)
    response = ask(call, service, deadline=20)

    assert response.provider == "plain"
    assert len(service.requests) == 2


# C4: after the deadline nothing is sent, and long work stops.


@pytest.mark.slow
def test_nothing_is_sent_after_a_slow_look_up(
    call: Ask, monkeypatch: pytest.MonkeyPatch, released: threading.Event
) -> None:
    """A name that is found only after the deadline: the service never hears of the call."""
    usual = socket.getaddrinfo

    def slow(host: Any, *arguments: Any, **keywords: Any) -> Any:
        if host in {"slow.test", b"slow.test"}:
            released.wait(20)
            host = "127.0.0.1"
        return usual(host, *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with recording(Reply({"results": rows(2)})) as service:
        base = service.base_url.replace("127.0.0.1", "slow.test")

        def work() -> None:
            with pytest.raises(TransportError):
                call("m", "q", ["a", "b"], provider=Plain(base_url=base), api_key=KEY, deadline=0.3)

        # An event loop waits for its look-up when it is closed, after the call has failed.
        threading.Timer(2, released.set).start()
        ended = ends(work)
        released.set()
        time.sleep(0.3)  # for the request that must not be sent
        sent = len(service.requests)

    assert ended
    assert sent == 0


def test_nothing_is_sent_where_the_documents_took_all_the_time(call: Ask) -> None:
    """They may come from a database; the deadline counts from the beginning of the call."""

    def read() -> Iterator[str]:
        time.sleep(0.1)
        yield "a"

    service, options = Service(), {"provider": Plain(), "api_key": KEY, "deadline": 0.05}
    with pytest.raises(TransportError, match="the deadline has passed"):
        call("m", "q", read(), http_client=service, **options)
    time.sleep(0.05)  # for the request that must not be sent

    assert service.requests == []


def test_a_long_list_is_not_prepared_beyond_the_deadline(call: Ask) -> None:
    """Its parts take long to make; none is sent, and a fallback has its turn."""

    def map_params(_: Any) -> dict[str, Any]:
        time.sleep(0.01)
        return {}

    plugin, documents = faulty(map_params=map_params), ["q a", "b"] * 600
    options: dict[str, Any] = {"provider": plugin, "max_documents": 1, "deadline": 1.0}
    begun, service = time.monotonic(), Service()
    with pytest.raises(RequestTimeoutError, match="deadline"):
        ask(call, service, documents, **options)
    seconds = time.monotonic() - begun
    response = ask(call, service, documents, fallbacks=["local/bm25"], **options)

    assert seconds < 5  # of the 12 that it takes
    assert response.provider == "local"
    assert service.requests == []


def test_a_trickle_is_not_read_on_after_the_deadline() -> None:
    """The thread that a blocking call left behind ends with what comes next."""
    over = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{")
            while not over.wait(0.02):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=trickle, args=(listener,)).start()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        before = set(threading.enumerate())
        with pytest.raises(TransportError):
            blocking("m", "q", ["a"], provider=Plain(base_url=base), api_key=KEY, deadline=0.3)
        ended = comes_true(lambda: before.issuperset(threading.enumerate()))
        over.set()

    assert ended


def _computing(function: Callable[[], Any]) -> Plain:
    """A provider that computes in this process."""
    plugin = faulty(
        build_request=lambda _: Compute(function),
        parse_response=lambda _: RerankResponse([RerankResult(0, 1.0)]),
    )
    plugin.facts |= {"base_url": None, "api_key_required": False}
    return plugin


def test_a_refused_token_is_replaced_within_a_deadline(call: Ask) -> None:
    """The request is sent again while there is time."""
    tokens = iter(("old", "new"))

    def exchange() -> Steps:
        return Token((yield lambda: next(tokens)))

    auth = TokenAuth(exchange)
    with recording(Reply({}, status=401), Reply({"results": rows(1)})) as service:
        plugin = Plain(base_url=service.base_url, auth=lambda *_: auth)
        call("m", "q", ["a"], provider=plugin, api_key=KEY, deadline=20, max_retries=0)
        sent = [request.headers["authorization"] for request in service.requests]

    assert sent == ["Bearer old", "Bearer new"]


def test_long_work_stops_at_its_next_step(call: Ask) -> None:
    """Not only is the caller told in time: the work ends."""
    steps, over = 0, threading.Event()

    def work() -> Iterator[None]:
        nonlocal steps
        while not over.wait(0.005):
            steps += 1
            yield

    with pytest.raises(TransportError):
        call("m", "q", ["a"], provider=_computing(work), deadline=0.3)
    time.sleep(0.05)  # the step under way
    at_once = steps
    time.sleep(0.2)
    later = steps
    over.set()

    assert at_once
    assert later == at_once


def test_work_that_hangs_keeps_neither_this_caller_nor_the_next(
    call: Ask, released: threading.Event
) -> None:
    """It is left behind at the deadline, and the next call is answered."""

    def work() -> None:
        with pytest.raises(TransportError):
            call("m", "q", ["a"], provider=_computing(lambda: released.wait(20)), deadline=0.3)

    if call is awaited:  # an event loop waits for its threads when it is closed
        threading.Timer(3, released.set).start()
    assert ends(work)
    assert ask(call, Service(), deadline=5).reranked


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_work_that_ends_later_than_its_event_loop_ends_in_silence(
    backend: str, caplog: pytest.LogCaptureFixture, released: threading.Event
) -> None:
    """Nobody is there any more to be told."""
    working: list[threading.Thread] = []

    def work() -> None:
        working.append(threading.current_thread())
        released.wait(20)

    async def main() -> None:
        with pytest.raises(TransportError):
            await arerank("m", "q", ["a"], provider=_computing(work), deadline=0.1)

    anyio.run(main, backend=backend)
    released.set()
    working[0].join(5)

    assert not working[0].is_alive()
    assert not caplog.records


@pytest.mark.parametrize("fallbacks", [None, ["local/bm25"]], ids=["alone", "fallback"])
def test_no_attempt_begins_after_the_deadline(call: Ask, fallbacks: Any) -> None:
    """Retries of a service that always fails end with the deadline, whatever is left of them."""
    begun: list[float] = []
    busy = httpx.Response(503, headers={"retry-after-ms": "50"}, json={})

    def answer(_: httpx.Request) -> httpx.Response:
        begun.append(time.monotonic())
        return busy

    with contextlib.suppress(RerankError):
        ask(call, Service(answer), deadline=0.4, max_retries=1000, fallbacks=fallbacks)
    time.sleep(0.2)
    limit = begun[0] + 0.4  # the deadline was set before

    assert len(begun) > 1
    assert [moment for moment in begun if moment > limit] == []


# C21: those who failed together do not return together.


def test_announced_waits_are_jittered_upwards(call: Ask) -> None:
    """Never shorter than announced, and no two alike."""
    waited: list[float] = []

    class Observer:
        @hookimpl
        def observe(self, event: Any) -> None:
            if type(event).__name__ == "Waited":
                waited.append(event.seconds)

    busy = httpx.Response(429, headers={"retry-after-ms": "40"}, json={})
    name = register(Observer())
    try:
        for _ in range(5):
            ask(call, Service(busy, rank))
    finally:
        unregister(name)

    assert len(waited) == len(set(waited)) == 5
    assert min(waited) >= 0.04
    assert max(waited) < 0.4


# C24: the event loop is left free.


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mappings", "split"])
def test_long_lists_leave_the_event_loop_free(kind: str) -> None:
    """The longest turn that others had to wait is the smaller part of the call."""
    count = 100_000
    documents: Any = [
        {"title": f"title {at}", "text": "some words of text", "year": at, "tags": ["a", "b"]}
        for at in range(count)
    ]
    best = {"results": [{"index": 0, "relevance_score": 0.5}]}
    service = Service(httpx.Response(200, json=best) if kind != "split" else rank)
    facts = {"max_documents": 10_000} if kind == "split" else {}

    async def main() -> tuple[float, float]:
        gaps, last = [0.0], time.perf_counter()

        async def watch() -> None:
            nonlocal last
            while True:
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                gaps.append(now - last)
                last = now

        watcher = asyncio.create_task(watch())
        await asyncio.sleep(0.01)
        begin = time.perf_counter()
        last = begin
        await arerank(
            "m",
            "q",
            documents,
            top_n=1,
            provider=Plain(**facts),
            api_key=KEY,
            http_client=service,
        )
        whole = time.perf_counter() - begin
        await asyncio.sleep(0.002)
        watcher.cancel()
        return max(gaps), whole

    longest, whole = asyncio.run(main())

    assert longest < 0.5 * whole
    assert comes_true(lambda: bool(service.requests))
