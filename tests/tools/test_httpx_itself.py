"""What httpx offers by itself: event hooks of a client, and its logger."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest

from recorder import Recorder, Reply, recording
from rerank_core import Reranker, arerank, rerank
from tools.conftest import BASE, DOCUMENTS, KEY, RANKING, URL, Ask, order

MODEL = "cohere/rerank-v3.5"


def _transport(*statuses: int) -> httpx.MockTransport:
    left = list(statuses)

    def answer(_: httpx.Request) -> httpx.Response:
        status = left.pop(0) if left else 200
        return httpx.Response(status, json=RANKING, headers={"retry-after-ms": "1"})

    return httpx.MockTransport(answer)


@pytest.mark.parametrize("way", ["rerank", "arerank"])
def test_a_class_that_takes_the_place_of_httpx_s_is_used(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after the first call: some tools replace `httpx.Client` itself."""
    seen: list[str] = []

    class Client(httpx.Client):
        def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            seen.append(request.method)
            return super().send(request, **options)

    class AsyncClient(httpx.AsyncClient):
        async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            seen.append(request.method)
            return await super().send(request, **options)

    replies = [Reply(body=json.dumps(RANKING).encode())] * 2
    with recording(*replies) as service:
        for place in (httpx.Client, httpx.AsyncClient), (Client, AsyncClient):
            monkeypatch.setattr(httpx, "Client", place[0])
            monkeypatch.setattr(httpx, "AsyncClient", place[1])
            with Reranker(MODEL, api_key=KEY, api_base=service.base_url) as reranker:
                if way == "rerank":
                    reranker.rerank("q", DOCUMENTS)
                else:
                    asyncio.run(reranker.arerank("q", DOCUMENTS))

    assert seen == ["POST"]


@pytest.mark.parametrize("statuses", [(), (503,)], ids=["at once", "retried"])
def test_event_hooks_of_a_client_are_called(statuses: tuple[int, ...]) -> None:
    """Once per attempt; what a hook adds is sent, and what it reads is there."""
    seen: list[Any] = []

    def on_request(request: httpx.Request) -> None:
        request.headers["x-hook"] = "was-here"
        seen.append(bytes(request.content))

    def on_response(response: httpx.Response) -> None:
        seen.append((response.status_code, response.request.headers["x-hook"]))

    hooks: dict[str, list[Any]] = {"request": [on_request], "response": [on_response]}
    with httpx.Client(transport=_transport(*statuses), event_hooks=hooks) as client:
        response = rerank(
            MODEL, "q", DOCUMENTS, api_key=KEY, api_base=BASE, http_client=client, max_retries=1
        )

    told = [what for what in seen if isinstance(what, tuple)]
    assert order(response) == [1, 2, 0]
    assert told == [*((status, "was-here") for status in statuses), (200, "was-here")]
    assert all(b'"q"' in what for what in seen if isinstance(what, bytes))
    assert len(seen) == 2 * len(told)


@pytest.mark.parametrize("statuses", [(), (503,)], ids=["at once", "retried"])
def test_event_hooks_of_an_async_client_are_awaited(statuses: tuple[int, ...]) -> None:
    """Likewise with `arerank`."""
    seen: list[Any] = []

    async def on_request(request: httpx.Request) -> None:
        await asyncio.sleep(0)
        request.headers["x-hook"] = "was-here"
        seen.append(bytes(request.content))

    async def on_response(response: httpx.Response) -> None:
        await asyncio.sleep(0)
        seen.append((response.status_code, response.request.headers["x-hook"]))

    async def main() -> None:
        hooks: dict[str, list[Any]] = {"request": [on_request], "response": [on_response]}
        transport = _transport(*statuses)
        async with httpx.AsyncClient(transport=transport, event_hooks=hooks) as client:
            await arerank(
                MODEL, "q", DOCUMENTS, api_key=KEY, api_base=BASE, http_client=client, max_retries=1
            )

    asyncio.run(main())

    told = [what for what in seen if isinstance(what, tuple)]
    assert told == [*((status, "was-here") for status in statuses), (200, "was-here")]
    assert len(seen) == 2 * len(told)


def test_a_clients_own_authentication_and_headers_are_used() -> None:
    """The client is the caller's: what it is set up with holds for our requests, too."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=RANKING)

    with (
        httpx.Client(
            transport=httpx.MockTransport(answer),
            auth=("user", "password"),
            headers={"x-team": "search"},
        ) as client,
        Reranker(MODEL, api_base=BASE, http_client=client) as reranker,
    ):
        reranker.rerank("q", DOCUMENTS)

    (request,) = seen
    assert str(request.url) == URL
    assert request.headers["x-team"] == "search"
    assert request.headers["authorization"].startswith("Basic ")


def test_over_a_transport_of_the_caller_s_the_request_says_who_sends_it() -> None:
    """As over connections of core's own; a client of the caller's has its own name."""
    agents: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        agents.append(request.headers["user-agent"])
        return httpx.Response(200, json=RANKING)

    options: dict[str, Any] = {"api_base": BASE, "api_key": KEY}
    rerank(MODEL, "q", DOCUMENTS, http_client=httpx.MockTransport(answer), **options)

    assert agents[0].startswith("rerank-core/")


def _requests_logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "httpx"]


def test_httpx_logs_each_attempt(
    ask: Ask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Method, URL and status at INFO, as for any user of httpx; never the key."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    busy = Reply({}, status=503, headers={"retry-after-ms": "1"})
    with caplog.at_level(logging.DEBUG), recording(busy, Reply(RANKING)) as service:
        ask(api_base=service.base_url, max_retries=1)
        url = f"{service.base_url}/v2/rerank"

    first, second = _requests_logged(caplog)
    assert "POST" in first
    assert url in first
    assert "503" in first
    assert "200" in second
    assert KEY not in caplog.text


def test_a_key_in_the_url_is_not_logged(
    ask: Ask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User name and password of a base URL travel in a header: httpx logs URLs."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with caplog.at_level(logging.DEBUG), recording(Reply(RANKING)) as service:
        base = service.base_url.replace("http://", "http://user:pass-of-the-url@")
        ask(api_base=base, api_key="")
        sent: Recorder = service
        arrived = sent.last.headers

    assert len(_requests_logged(caplog)) == 1
    assert arrived["authorization"].startswith("Basic ")
    assert "pass-of-the-url" not in caplog.text
