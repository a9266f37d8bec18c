"""The plainest provider there is, and a service for it, by public names alone."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from rerank_core import (
    Compute,
    HTTPRequest,
    NextRequest,
    Provider,
    Reranker,
    RerankRequest,
    RerankResponse,
    arerank,
    hookimpl,
    rerank,
    wire,
)

KEY = "sk-0123456789abcdef"
BASE = "https://plain.test"
AT_ONCE = 8
Ask = Callable[..., RerankResponse]


class Plain:
    """A provider whose facts a test chooses; it goes on where a reply has `next`, a URL."""

    def __init__(self, **facts: Any) -> None:
        usual = {"name": "plain", "base_url": BASE, "api_key_env": ("PLAIN_API_KEY",)}
        self.facts = {**usual, "params": {"top_n": "top_n"}, **facts}
        self.resolved = 0

    @hookimpl
    def resolve_provider(self) -> Provider:
        """State the facts."""
        self.resolved += 1
        return Provider(**self.facts)

    @hookimpl
    def map_params(self, provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
        """Rename."""
        return wire.rename_params(params, provider.params, provider.extra_params)

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest | Compute:
        """Ask for the ranking."""
        documents = list(request.documents)
        body = {"model": request.model, "query": request.query, "documents": documents, **params}
        return HTTPRequest(wire.join_endpoint(provider.base_url or "", "/rerank"), body)

    @hookimpl
    def parse_response(self, payload: Any) -> RerankResponse | NextRequest:
        """Read the reply."""
        response = RerankResponse(wire.read_results(payload["results"]))
        if "next" not in payload:
            return response
        following = HTTPRequest(payload["next"], method="GET", delay=payload.get("delay", 0))
        return NextRequest(following, response)


def faulty(**hooks: Callable[..., Any]) -> Plain:
    """The plain provider with other hooks; the first argument of each is the plugin itself."""
    made = {name: hookimpl(function) for name, function in hooks.items()}
    plugin: Plain = type("Faulty", (Plain,), made)()
    return plugin


def rows(count: int) -> list[dict[str, Any]]:
    """So many results, in the order in which the documents were sent."""
    return [{"index": at, "relevance_score": 1 - at / (count + 1)} for at in range(count)]


def rank(request: httpx.Request) -> httpx.Response:
    """Rank all documents in the order in which they were sent."""
    return httpx.Response(200, json={"results": rows(len(documents_of(request)))})


def documents_of(request: httpx.Request) -> list[Any]:
    """The documents that were sent."""
    body = json.loads(request.content)
    return list(body.get("documents") or body.get("inputs") or body["records"])


class Service(httpx.MockTransport):
    """Keeps requests; gives replies in turn, and the last for ever: responses or functions."""

    def __init__(self, *replies: Any) -> None:
        super().__init__(self._answer)
        self.requests: list[httpx.Request] = []
        self._replies = list(replies) or [rank]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if callable(reply):
            reply = reply(request)
        assert isinstance(reply, httpx.Response)
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)

    @property
    def sent(self) -> list[Any]:
        """The documents of the latest request."""
        return documents_of(self.requests[-1])


def blocking(*args: Any, **keywords: Any) -> RerankResponse:
    """`rerank`."""
    return rerank(*args, **keywords)


def awaited(*args: Any, **keywords: Any) -> RerankResponse:
    """`arerank`, in an event loop of its own."""
    return asyncio.run(arerank(*args, **keywords))


def ask(call: Ask, service: Any, documents: Any = ("a", "b"), **options: Any) -> RerankResponse:
    """Ask a service through the plain provider."""
    facts = options.pop("facts", {})
    usual = {"provider": Plain(**facts), "http_client": service, "api_key": KEY}
    return call("m", options.pop("query", "q"), documents, **{**usual, **options})


def side_by_side(reranker: Reranker, way: str, count: int = AT_ONCE) -> list[Any]:
    """What comes of so many calls at once, from threads or from tasks: responses or errors."""
    if way == "arerank":

        async def main() -> list[Any]:
            calls = (reranker.arerank("q", ["a", "b"]) for _ in range(count))
            return await asyncio.gather(*calls, return_exceptions=True)

        return asyncio.run(main())

    start = threading.Barrier(count)

    def one(_: int) -> Any:
        start.wait()
        try:
            return reranker.rerank("q", ["a", "b"])
        except Exception as error:  # noqa: BLE001 - looked at by the test
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def ends(work: Callable[[], Any], seconds: float = 15.0) -> bool:
    """Whether work that may hang comes to its end; it is left behind in a thread otherwise."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    return not thread.is_alive()


def comes_true(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether a condition holds before the time is over."""
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.005)
    return True
