"""A real llama.cpp server, driven through the public API."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ResponseParseError,
    ServerError,
    arerank,
    rerank,
)

if TYPE_CHECKING:
    from rerank_core import RerankResponse

    from .conftest import LlamaServer

QUERY = "What is the capital of France?"
DOCUMENTS = [
    "Berlin is in Germany.",
    "Paris is the capital of France.",
    "Bananas are yellow.",
    "Six lazy foxes jump over a dog.",
]
# What each plugin is told beside the address and the key.
PLUGINS: dict[str, dict[str, Any]] = {
    "llamacpp": {"model": "llamacpp/tiny-reranker"},
    "compatible": {"model": "compatible/tiny-reranker"},
}
both_plugins = pytest.mark.parametrize("plugin", PLUGINS)


def connect(server: LlamaServer, plugin: str) -> dict[str, Any]:
    """Say which model of which server to call, and with which key."""
    return PLUGINS[plugin] | {"api_base": server.base_url, "api_key": server.api_key}


def post(server: LlamaServer, path: str = "/v1/rerank", **body: object) -> httpx.Response:
    """Ask the server without the project in between."""
    return httpx.post(
        f"{server.base_url}{path}",
        json={"query": QUERY, **body},
        headers={"authorization": f"Bearer {server.api_key}"},
        timeout=60,
    )


def scores(response: RerankResponse | dict[str, Any]) -> dict[int, float]:
    """Read the scores by index, in the order of a response or of a server's own reply."""
    return {result["index"]: result["relevance_score"] for result in response["results"]}


@both_plugins
@pytest.mark.anyio
async def test_both_calls_say_what_the_server_says(llamacpp: LlamaServer, plugin: str) -> None:
    """`rerank`, `arerank` and a request by hand agree; scores are logits."""
    expected = post(llamacpp, documents=DOCUMENTS).raise_for_status().json()
    call = connect(llamacpp, plugin)

    synchronous = rerank(query=QUERY, documents=DOCUMENTS, **call)
    asynchronous = await arerank(query=QUERY, documents=DOCUMENTS, **call)

    assert len(expected["results"]) == len(DOCUMENTS)
    for response in (synchronous, asynchronous):
        assert list(scores(response)) == list(scores(expected))
        assert scores(response) == pytest.approx(scores(expected), abs=1e-4)
        assert response.meta.billed_units.total_tokens == expected["usage"]["total_tokens"]
        assert not response.warnings
    assert any(score < 0 for score in scores(expected).values())
    assert len(set(scores(expected).values())) == len(DOCUMENTS)


@both_plugins
@pytest.mark.parametrize("path", ["", "/v1", "/rerank", "/reranking", "/v1/reranking"])
def test_every_path_of_the_server_is_an_address(
    llamacpp: LlamaServer, plugin: str, path: str
) -> None:
    """It has four names for the endpoint."""
    call = connect(llamacpp, plugin)

    response = rerank(
        query=QUERY, documents=DOCUMENTS, top_n=2, **call | {"api_base": llamacpp.base_url + path}
    )

    assert len(response.results) == 2


def test_the_form_of_tei_is_another_dialect_of_the_same_server(llamacpp: LlamaServer) -> None:
    """The server answers `texts` with a bare list."""
    expected = scores(post(llamacpp, documents=DOCUMENTS).json())

    response = rerank(
        query=QUERY, documents=DOCUMENTS, dialect="tei", **connect(llamacpp, "compatible")
    )

    assert scores(response) == pytest.approx(expected, abs=1e-4)


@both_plugins
def test_many_documents_in_many_forms(llamacpp: LlamaServer, plugin: str) -> None:
    """More than the server takes side by side; mappings and blanks among them."""
    documents: list[Any] = [f"document {number}" for number in range(40)]
    documents += [{"title": "Paris", "text": "The capital."}, "", "  "]

    response = rerank(query=QUERY, documents=documents, **connect(llamacpp, plugin))

    assert sorted(result.index for result in response.results) == list(range(43))
    assert response.results[0].relevance_score is not None
    assert math.isfinite(response.results[0].relevance_score)


@both_plugins
def test_a_pair_that_is_too_long_is_a_bad_request(llamacpp: LlamaServer, plugin: str) -> None:
    """Although the server answers 500: one such document fails the list, here and elsewhere."""
    documents = ["short", "word " * llamacpp.max_tokens]
    reply = post(llamacpp, documents=documents)

    with pytest.raises(BadRequestError, match="too large to process") as caught:
        rerank(
            query=QUERY,
            documents=documents,
            fallbacks=["local/bm25"],
            on_failure="passthrough",
            **connect(llamacpp, plugin),
        )

    assert reply.status_code == 500
    assert caught.value.status_code == 500
    assert "--ubatch-size" in caught.value.message


@both_plugins
def test_a_wrong_key_is_an_authentication_error(llamacpp: LlamaServer, plugin: str) -> None:
    """In the server's words, which hold no key."""
    with pytest.raises(AuthenticationError, match="Invalid API Key") as caught:
        rerank(
            query=QUERY,
            documents=DOCUMENTS,
            **connect(llamacpp, plugin) | {"api_key": "not-the-key-of-this-server"},
        )

    assert "not-the-key" not in str(caught.value)


@both_plugins
def test_a_server_without_rerank_says_how_to_start_it(
    chatting_llamacpp: LlamaServer, plugin: str
) -> None:
    """As most are started."""
    with pytest.raises(ServerError, match="--rerank") as caught:
        rerank(query=QUERY, documents=DOCUMENTS, **connect(chatting_llamacpp, plugin))

    assert caught.value.status_code == 501


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/v1/embeddings", "/tokenize"])
def test_another_endpoint_is_never_taken_for_a_rerank(llamacpp: LlamaServer, path: str) -> None:
    """Whatever it answers to the body of one."""
    with pytest.raises((APIStatusError, ResponseParseError)):
        rerank(
            query=QUERY,
            documents=DOCUMENTS,
            endpoint_url=llamacpp.base_url + path,
            model="compatible/tiny-reranker",
            api_key=llamacpp.api_key,
            max_retries=0,
        )
