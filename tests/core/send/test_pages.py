"""A ranking that comes in pages, or later: one ranking for the caller, and never without end.

That pages without end are given up stands in `test_flow.py`.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from core.conftest import KEY, Ask, Service, ranking
from rerank_core import RequestTimeoutError, ResponseParseError


def page(*pairs: tuple[int, float], **more: Any) -> httpx.Response:
    """One page of results; `next` and `delay` say how it goes on."""
    listed = [{"index": index, "relevance_score": score} for index, score in pairs]
    return httpx.Response(200, json={"results": listed, **more})


def test_pages_are_put_together(ask: Ask) -> None:
    """One ranking, usage added up, every reply kept."""
    service = Service(
        page((0, 0.1), next="https://rerank.test/p2", usage={"total_tokens": 3}, warnings=["w1"]),
        page((2, 0.9), next="https://rerank.test/p3", usage={"total_tokens": 4}),
        page((1, 0.5), usage={"total_tokens": 5}, warnings=["w1", "w2"]),
    )

    response = ask(service)

    assert [request.method for request in service.requests] == ["POST", "GET", "GET"]
    assert [request.url.path for request in service.requests] == ["/rerank", "/p2", "/p3"]
    assert [result.index for result in response.results] == [2, 1, 0]
    assert response.meta.billed_units.total_tokens == 12
    assert len(response.payload) == 3
    assert response.warnings == ("w1", "w2")


def test_an_index_that_stands_on_two_pages_is_refused(ask: Ask) -> None:
    """Pages overlap where the list changed meanwhile."""
    service = Service(page((0, 0.1), (1, 0.2), next="https://rerank.test/p2"), page((1, 0.3)))

    with pytest.raises(ResponseParseError, match="twice"):
        ask(service)


def test_a_page_that_repeats_is_refused(ask: Ask) -> None:
    """A service that points back would be asked for ever."""
    service = Service(page((0, 0.1), next="https://rerank.test/p2"))

    with pytest.raises(ResponseParseError, match="keeps saying"):
        ask(service)

    assert len(service.requests) == 2


def test_come_back_later_is_waited_for(ask: Ask, waits: list[float]) -> None:
    """The same address may be asked again where the service says when."""
    again = "https://rerank.test/job"
    service = Service(
        page(next=again, delay=0.5),
        page(next=again, delay=1.5),
        page((0, 0.1), (1, 0.2), (2, 0.3)),
    )

    response = ask(service)

    assert waits == [0.5, 1.5]
    assert [result.index for result in response.results] == [2, 1, 0]


def test_come_back_after_the_deadline_fails_at_once(ask: Ask, waits: list[float]) -> None:
    """Waiting would be in vain."""
    with pytest.raises(RequestTimeoutError, match="deadline"):
        ask(Service(page(next="https://rerank.test/job", delay=60)), deadline=5)

    assert waits == []


def test_a_further_page_is_asked_for_like_the_first(ask: Ask) -> None:
    """With the key and the caller's headers."""
    service = Service(page((0, 0.1), next="https://rerank.test/p2"), page((1, 0.9), (2, 0.5)))

    ask(service, extra_headers={"x-team": "search"})

    assert [request.headers["authorization"] for request in service.requests] == [
        f"Bearer {KEY}",
        f"Bearer {KEY}",
    ]
    assert [request.headers.get("x-team") for request in service.requests] == ["search", "search"]


def test_a_page_on_another_host_is_not_given_the_key(ask: Ask) -> None:
    """A key goes only where it was meant to go, whatever a reply says."""
    service = Service(page(next="https://elsewhere.test/p2"), ranking(0.3, 0.2, 0.1))

    with pytest.raises(ResponseParseError, match="another place"):
        ask(service)

    assert [request.url.host for request in service.requests] == ["rerank.test"]


@pytest.mark.parametrize("url", ["https://[::1", "https://rerank.test:99999/p2"])
def test_a_page_at_what_is_no_url_is_an_unreadable_reply(ask: Ask, url: str) -> None:
    """It is the service that wrote it, so that a fallback may be asked."""
    service = Service(page(next=url))

    with pytest.raises(ResponseParseError, match="the reply points to what is no URL"):
        ask(service)

    assert len(service.requests) == 1
