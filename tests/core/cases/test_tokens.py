"""Tokens: whoever needs one gets what was obtained for it, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, Self

import httpx
import pytest

from core.cases.plain import AT_ONCE, Ask, Service, ends, rank, side_by_side
from rerank_core import Reranker, RerankError, TransportError

AZURE: dict[str, Any] = {
    "model": "azure_ai/Cohere-rerank-v3.5",
    "api_base": "https://r.services.ai.azure.com",
}
VERTEX: dict[str, Any] = {"model": "vertex_ai/semantic-ranker-default-004", "vertex_project": "p"}
WATSONX: dict[str, Any] = {
    "model": "watsonx/m",
    "api_base": "https://us-south.ml.cloud.ibm.com",
    "project_id": "p",
    "api_key": "key-of-the-caller",
}
RANKED_BY_VERTEX = {"records": [{"id": "0", "score": 0.5}, {"id": "1", "score": 0.4}]}
user: ContextVar[str] = ContextVar("user")
threads_or_tasks = pytest.mark.parametrize("way", ["rerank", "arerank"])


@pytest.fixture
def _eager_switches() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def _token_of_user() -> str:
    return f"token-of-{user.get()}"


def _vertex(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=RANKED_BY_VERTEX)


# C1: what was obtained for a request is sent with it.


@pytest.mark.slow
@pytest.mark.usefixtures("_eager_switches")
@pytest.mark.parametrize(
    ("options", "reply"),
    [
        ({**AZURE, "azure_ad_token_provider": _token_of_user}, rank),
        (
            {
                **AZURE,
                "azure_credential": SimpleNamespace(
                    get_token=lambda *_: SimpleNamespace(token=_token_of_user(), expires_on=0)
                ),
            },
            rank,
        ),
        ({**VERTEX, "access_token": _token_of_user}, _vertex),
    ],
    ids=["azure_ai function", "azure_ai credential", "vertex_ai function"],
)
def test_a_request_goes_out_with_the_token_obtained_for_it(
    options: dict[str, Any], reply: Any
) -> None:
    """A function answers per user; many users call at once through one `Reranker`."""
    wrong: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked, sent = json.loads(request.content)["query"], request.headers["authorization"]
        if sent != f"Bearer token-of-{asked}":
            wrong.append((asked, sent))
        result: httpx.Response = reply(request)
        return result

    with Reranker(**options, http_client=httpx.MockTransport(answer)) as reranker:

        def work(name: str) -> None:
            user.set(name)
            for _ in range(400):
                reranker.rerank(name, ["a", "b"])

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(work, [f"user{at}" for at in range(AT_ONCE)]))

    assert wrong == []


def test_a_task_gets_the_token_of_its_own_user() -> None:
    """The function runs in the context of whoever asks, also where it runs in another thread."""
    seen: list[tuple[str, str]] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        seen.append((json.loads(request.content)["query"], request.headers["authorization"]))
        return rank(request)

    def slow() -> str:
        name = user.get()
        time.sleep(0.002)
        return f"token-of-{name}"

    async def main() -> None:
        transport = httpx.MockTransport(answer)
        async with Reranker(
            **AZURE, azure_ad_token_provider=slow, http_client=transport
        ) as reranker:

            async def work(name: str) -> None:
                user.set(name)
                for _ in range(5):
                    await reranker.arerank(name, ["a", "b"])

            await asyncio.gather(*(asyncio.create_task(work(f"user{at}")) for at in range(20)))

    asyncio.run(main())

    assert len(seen) == 100
    assert [pair for pair in seen if pair[1] != f"Bearer token-of-{pair[0]}"] == []


# C7: those who wait share the outcome, and all end within the bounds of an attempt.


class TokenService(httpx.MockTransport):
    """A token service that takes its time, beside the service that tokens are for."""

    def __init__(self, reply: httpx.Response, way: str) -> None:
        super().__init__(self._answer)
        self._way = way
        self.exchanges = 0
        self.rankings = 0
        self._reply = reply

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Take the time without blocking the loop."""
        reply = self._reply_to(request)
        if request.url.path.endswith("/identity/token"):
            await asyncio.sleep(0.3)
        return reply

    def _answer(self, request: httpx.Request) -> httpx.Response:
        reply = self._reply_to(request)
        if request.url.path.endswith("/identity/token"):
            time.sleep(0.3)
        return reply

    def _reply_to(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/identity/token"):
            self.exchanges += 1
            return httpx.Response(self._reply.status_code, content=self._reply.content)
        self.rankings += 1
        return httpx.Response(200, json={"results": [{"index": at, "score": 1} for at in (0, 1)]})

    @staticmethod
    async def _later(reply: httpx.Response) -> httpx.Response:
        await asyncio.sleep(0.3)
        return reply


REFUSED = {"errorCode": "BXNIM0415E", "errorMessage": "no such key"}


@pytest.mark.slow
@threads_or_tasks
@pytest.mark.parametrize(
    ("reply", "answered"),
    [
        (httpx.Response(200, json={"access_token": "t-0", "expires_in": 3600}), AT_ONCE),
        (httpx.Response(503, json={}), 0),
        (httpx.Response(400, json=REFUSED), 0),
        (httpx.Response(200, json={"no": "token"}), 0),
    ],
    ids=["token", "busy", "refused", "unreadable"],
)
def test_those_who_wait_for_a_token_share_the_outcome(
    way: str, reply: httpx.Response, answered: int
) -> None:
    """One exchange serves all who wait for it, its failure too."""
    service = TokenService(reply, way)
    options: dict[str, Any] = {
        **WATSONX,
        "api_key": f"key-{way}-{reply.status_code}-{answered}-{len(reply.text)}",
    }
    with Reranker(**options, max_retries=0, http_client=service) as reranker:
        outcomes = side_by_side(reranker, way)

    failed = [outcome for outcome in outcomes if isinstance(outcome, RerankError)]
    assert service.exchanges == 1
    assert service.rankings == answered
    assert len(failed) == AT_ONCE - answered


@pytest.mark.slow
@threads_or_tasks
def test_a_silent_token_service_is_waited_for_once(way: str, released: threading.Event) -> None:
    """With a timeout, all who wait fail together; the next call asks anew."""

    def be_silent(_: Any) -> None:
        released.wait(20)

    with Hanging(be_silent) as silent:
        options: dict[str, Any] = {**WATSONX, "api_key": f"key-{way}-silent", "iam_url": silent.url}
        with Reranker(**options, timeout=0.5, max_retries=0) as reranker:
            outcomes = side_by_side(reranker, way)
            together = silent.accepted
            side_by_side(reranker, way, 1)
            released.set()

    assert all(isinstance(outcome, TransportError) for outcome in outcomes), outcomes
    assert together == 1
    assert silent.accepted == 2


class Hanging:
    """A listener that accepts, and then does nothing but what it is told."""

    def __init__(self, behave: Any) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._behave = behave
        self._over = False
        self._open: list[Any] = []
        self.accepted = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def _accept(self) -> None:
        while not self._over:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._behave, args=(connection,), daemon=True).start()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join()
        self._listener.close()
        for connection in self._open:
            connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("option", ["timeout", "deadline"])
@pytest.mark.parametrize(
    "place", ["azure_ai function", "azure_ai credential", "vertex_ai function"]
)
def test_a_token_function_that_hangs_is_bounded(
    call: Ask, place: str, option: str, released: threading.Event
) -> None:
    """By the bounds of an attempt, and by the deadline."""

    def hang(*_: Any) -> str:
        released.wait(30)
        return "late"

    options: dict[str, Any] = {
        "azure_ai function": {**AZURE, "azure_ad_token_provider": hang},
        "azure_ai credential": {**AZURE, "azure_credential": SimpleNamespace(get_token=hang)},
        "vertex_ai function": {**VERTEX, "access_token": hang},
    }[place]
    service = Service(_vertex)
    bounds: dict[str, Any] = {option: 0.3, "max_retries": 0, "http_client": service}

    def work() -> None:
        with pytest.raises(TransportError) as caught:
            call(query="q", documents=["a", "b"], **options, **bounds)

        assert option in str(caught.value)

    assert ends(work, 10)
    assert service.requests == []


# C4: what hangs once holds up nobody else.


def test_a_token_function_is_waited_for_as_long_as_a_reply(
    call: Ask, released: threading.Event
) -> None:
    """A deadline is not needed for that; and without a bound there is none for either."""
    service = Service()
    hanging = {**AZURE, "azure_ad_token_provider": lambda: released.wait(20)}
    patient = {**AZURE, "azure_ad_token_provider": lambda: "token"}
    usual: dict[str, Any] = {"query": "q", "documents": ["a"], "http_client": service}
    with pytest.raises(TransportError, match=r"no token within 0\.2 s; raise timeout="):
        call(**usual, **hanging, timeout=0.2, max_retries=0)

    assert service.requests == []
    assert call(**usual, **patient, timeout=None).reranked


def test_later_calls_go_on_after_a_token_function_hung(released: threading.Event) -> None:
    """Six calls after one that was given up: all are answered, and only theirs are sent."""
    calls = 0

    def hang_once() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            released.wait(30)
        return "token"

    service = Service()
    with Reranker(
        **AZURE, azure_ad_token_provider=hang_once, deadline=0.5, http_client=service
    ) as reranker:
        begun = time.monotonic()
        with pytest.raises(TransportError):
            reranker.rerank("q", ["a", "b"])
        seconds = time.monotonic() - begun
        before = threading.active_count()
        responses = [reranker.rerank("q", ["a", "b"]) for _ in range(6)]
        after = threading.active_count()
        released.set()
        time.sleep(0.2)  # for the request that must not be sent

    assert seconds < 10  # not the 30 for which it hangs, nor the 60 of `timeout`
    assert all(response.reranked for response in responses)
    assert after <= before
    assert len(service.requests) == 6
