"""What the core tests share: a provider whose facts a test chooses, a service that it scripts."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from rerank_core import (
    Compute,
    ConfigurationError,
    HTTPRequest,
    NextRequest,
    Provider,
    RerankError,
    RerankRequest,
    RerankResponse,
    arerank,
    hookimpl,
    register,
    rerank,
    unregister,
    wire,
)
from rerank_core._resolve.target import Kept
from rerank_core._send.connections import Connections
from service import noting_waits

KEY = "sk-0123456789abcdef"
Ask = Callable[..., RerankResponse]
Reply = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


def ranking(*scores: Any, **more: Any) -> httpx.Response:
    """The reply that gives the documents these scores, in the order they were sent."""
    rows = [{"index": at, "relevance_score": score} for at, score in enumerate(scores)]
    return httpx.Response(200, json={"results": rows, **more})


def rank_as_sent(request: httpx.Request) -> httpx.Response:
    """The reply that ranks all documents in the order they were sent."""
    return ranking(*(1 / (1 + at) for at in range(len(json.loads(request.content)["documents"]))))


class Service(httpx.MockTransport):
    """Stands in for a provider: gives the scripted replies in turn, and the last for ever.

    Without a script it ranks all documents in the order they were sent.
    """

    def __init__(self, *script: Reply) -> None:
        super().__init__(self._answer)
        self._script = script or (rank_as_sent,)
        self.requests: list[httpx.Request] = []

    @property
    def bodies(self) -> list[Any]:
        """What was sent, decoded."""
        return [json.loads(request.content) for request in self.requests]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self._script[min(len(self.requests), len(self._script)) - 1]
        if isinstance(reply, Exception):
            raise reply
        if not isinstance(reply, httpx.Response):
            return reply(request)
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)


class Plugin:
    """A provider with the simplest wire there is, and the facts that a test gives it.

    It asks for a further page where a reply has `next`: the URL, and `delay` beside it.
    """

    def __init__(self, **facts: Any) -> None:
        self.facts = {
            "name": "test",
            "base_url": "https://rerank.test",
            "api_key_env": ("TEST_API_KEY",),
            **facts,
        }
        self.asked: list[RerankRequest] = []

    @hookimpl
    def resolve_provider(self) -> Provider:
        """State the facts."""
        return Provider(**self.facts)

    @hookimpl
    def map_params(self, provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
        """Rename."""
        return wire.rename_params(params, provider.params, provider.extra_params)

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest | Compute:
        """Build the request."""
        self.asked.append(request)
        return HTTPRequest(
            url=wire.join_endpoint(provider.base_url or "", "/rerank"),
            body={
                "model": request.model,
                "query": request.query,
                "documents": request.documents,
                **params,
            },
        )

    @hookimpl
    def parse_response(self, payload: Any) -> RerankResponse | NextRequest:
        """Read the reply."""
        response = RerankResponse(
            wire.read_results(payload["results"]),
            id=payload.get("id") or "",
            meta=wire.read_meta(payload),
            warnings=wire.read_strings(payload.get("warnings")),
        )
        if "next" not in payload:
            return response
        following = HTTPRequest(payload["next"], method="GET", delay=payload.get("delay", 0))
        return NextRequest(following, response)


@pytest.fixture(autouse=True)
def _no_keys_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment of whoever runs the tests says about a provider."""
    for name in ("COHERE_API_KEY", "CO_API_KEY", "COHERE_API_BASE", "CO_API_URL", "TEST_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["rerank", "arerank"])
def call(request: pytest.FixtureRequest) -> Ask:
    """`rerank`, then `arerank`: each test that uses it runs with both."""
    if request.param == "rerank":
        return rerank

    def run_arerank(*args: Any, **keywords: Any) -> RerankResponse:
        return asyncio.run(arerank(*args, **keywords))

    return run_arerank


@pytest.fixture
def ask(call: Ask) -> Ask:
    """Ask a `Service` for a ranking through a `Plugin`; keywords are those of `rerank`."""

    def ask_service(
        service: Service,
        documents: Any = ("a", "b", "c"),
        *,
        query: Any = "q",
        plugin: Plugin | None = None,
        **keywords: Any,
    ) -> RerankResponse:
        own = {"api_key": KEY, "provider": plugin or Plugin(), "http_client": service}
        return call("m", query, documents, **{**own, **keywords})

    return ask_service


def refuse(ask: Ask, documents: Any = ("a", "b"), **keywords: Any) -> RerankError:
    """The error of a call that must be refused before it reaches the service."""
    service = Service()

    with pytest.raises(ConfigurationError) as caught:
        ask(service, documents, **keywords)

    assert service.requests == []
    return caught.value


waits = noting_waits()


@pytest.fixture
def registered() -> Iterator[Callable[[Plugin], str]]:
    """Registers a plugin until the test is over; returns the provider's name."""
    names: list[str] = []

    def register_for_now(plugin: Plugin) -> str:
        names.append(register(plugin))
        return names[-1]

    yield register_for_now
    for name in names:
        unregister(name)


@pytest.fixture
def shared_pool(monkeypatch: pytest.MonkeyPatch) -> Callable[[Service], None]:
    """Puts a `Service` behind the connections that functions and fallbacks share."""

    def put(service: Service) -> None:
        connections = Connections(service)
        monkeypatch.setattr("rerank_core._client.functions.SHARED", connections)
        monkeypatch.setattr("rerank_core._client.reranker.SHARED", connections)
        monkeypatch.setattr("rerank_core._client.functions._kept", Kept())

    return put


@pytest.fixture
def no_garbage() -> Iterator[None]:
    """Nothing is collected meanwhile: what ends at the bottom of a recursion fails."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
