"""Mocks of httpx intercept our calls: no test of an application reaches the real service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import httpx
import pytest
import respx
from respx.models import AllMockedAssertionError

from recorder import Reply, recording
from rerank_core import RateLimitError, TransportError
from tools.conftest import DOCUMENTS, KEY, RANKING, URL, Ask, order

if TYPE_CHECKING:
    from pytest_httpx import HTTPXMock

both_modes = pytest.mark.parametrize("using", ["httpx", "httpcore"])
Using = Literal["httpx", "httpcore"]


@both_modes
def test_respx_answers(ask: Ask, using: Using) -> None:
    """In both of its modes; what was sent can be read."""
    with respx.mock(using=using) as mock:
        route = mock.post(URL).respond(json=RANKING)
        response = ask()

    request = route.calls.last.request
    assert order(response) == [1, 2, 0]
    assert route.call_count == 1
    assert json.loads(request.content)["documents"] == DOCUMENTS
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_respx_answers_as_it_comes(ask: Ask) -> None:
    """With nothing said about its mode."""
    with respx.mock:
        respx.post(URL).mock(return_value=httpx.Response(200, json=RANKING))
        response = ask()

    assert order(response) == [1, 2, 0]


@both_modes
def test_what_respx_was_not_told_of_is_not_sent(ask: Ask, using: Using) -> None:
    """It raises its own error, or ours about the transport; nothing arrives either way."""
    with recording(Reply(RANKING)) as service:
        with (
            respx.mock(using=using),
            pytest.raises((AllMockedAssertionError, TransportError)),
        ):
            ask(api_base=service.base_url)

        assert service.requests == []


@both_modes
def test_respx_fails_and_then_answers(ask: Ask, using: Using) -> None:
    """A scripted failure is retried as a real one."""
    with respx.mock(using=using) as mock:
        route = mock.post(URL)
        route.side_effect = [
            httpx.Response(503, headers={"retry-after-ms": "1"}),
            httpx.Response(200, json=RANKING),
        ]
        response = ask(max_retries=1)

    assert order(response) == [1, 2, 0]
    assert route.call_count == 2


@both_modes
def test_respx_breaks_the_connection(ask: Ask, using: Using) -> None:
    """A transport's error that a mock raises is ours."""
    with respx.mock(using=using) as mock:
        mock.post(URL).mock(side_effect=httpx.ConnectError("refused"))
        with pytest.raises(TransportError):
            ask()


def test_a_split_list_is_mocked_whole(ask: Ask) -> None:
    """Parts that are sent side by side are intercepted, too."""

    def rank(request: httpx.Request) -> httpx.Response:
        count = len(json.loads(request.content)["documents"])
        rows = [{"index": at, "relevance_score": 0.5} for at in range(count)]
        return httpx.Response(200, json={"results": rows})

    with respx.mock as mock:
        route = mock.post(URL).mock(side_effect=rank)
        response = ask(documents=[f"{at}" for at in range(25)], max_documents=10)

    assert route.call_count == 3
    assert order(response) == [*range(25)]


def test_pytest_httpx_answers(ask: Ask, httpx_mock: HTTPXMock) -> None:
    """The fixture stands in for the service, and shows the request."""
    httpx_mock.add_response(method="POST", url=URL, json=RANKING)
    response = ask()

    (request,) = httpx_mock.get_requests()
    assert order(response) == [1, 2, 0]
    assert json.loads(request.content)["query"] == "q"
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_pytest_httpx_refuses_by_status(ask: Ask, httpx_mock: HTTPXMock) -> None:
    """A mocked 429 is the typed error."""
    httpx_mock.add_response(
        url=URL, status_code=429, json={"message": "slow down"}, headers={"retry-after": "7"}
    )
    with pytest.raises(RateLimitError, match="slow down") as caught:
        ask()

    assert caught.value.retry_after == 7


def test_pytest_httpx_raises(ask: Ask, httpx_mock: HTTPXMock) -> None:
    """A mocked timeout is ours, after as many attempts as were asked for."""
    for _ in range(2):
        httpx_mock.add_exception(httpx.ReadTimeout("slow"), url=URL)
    with pytest.raises(TransportError):
        ask(max_retries=1)

    assert len(httpx_mock.get_requests()) == 2
