"""The four ways to make a call that every tool must see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from rerank_core import RerankResponse, arerank, rerank

BASE = "https://rerank.invalid"  # no name is looked up for it: a tool that sees nothing shows
URL = f"{BASE}/v2/rerank"
KEY = "sk-of-the-tools-0123456789"
DOCUMENTS = ["a", "b", "c"]
RANKING = {
    "id": "reply",
    "results": [
        {"index": 1, "relevance_score": 0.9},
        {"index": 2, "relevance_score": 0.5},
        {"index": 0, "relevance_score": 0.1},
    ],
}
Ask = Callable[..., RerankResponse]


def _blocking(**options: Any) -> RerankResponse:
    return rerank("cohere/rerank-v3.5", **options)


def _blocking_by_client(**options: Any) -> RerankResponse:
    with httpx.Client() as client:
        return rerank("cohere/rerank-v3.5", http_client=client, **options)


def _awaited(**options: Any) -> RerankResponse:
    return asyncio.run(arerank("cohere/rerank-v3.5", **options))


def _awaited_by_client(**options: Any) -> RerankResponse:
    async def main() -> RerankResponse:
        async with httpx.AsyncClient() as client:
            return await arerank("cohere/rerank-v3.5", http_client=client, **options)

    return asyncio.run(main())


WAYS: dict[str, Ask] = {
    "rerank": _blocking,
    "arerank": _awaited,
    "rerank-client": _blocking_by_client,
    "arerank-client": _awaited_by_client,
}


@pytest.fixture(params=[*WAYS])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Each function, with connections of its own and with a client of the caller's."""
    way = WAYS[request.param]

    def ask_in_this_way(**options: Any) -> RerankResponse:
        usual = {"query": "q", "documents": DOCUMENTS, "api_base": BASE, "api_key": KEY}
        return way(**{**usual, "max_retries": 0, **options})

    return ask_in_this_way


def order(response: RerankResponse) -> list[int]:
    """The indices, best first."""
    return [result.index for result in response.results]
