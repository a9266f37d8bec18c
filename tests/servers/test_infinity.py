"""A real Infinity server, driven through the public API."""

from __future__ import annotations

import math
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from rerank_core import (
    AuthenticationError,
    BadRequestError,
    Document,
    NotFoundError,
    Reranker,
    arerank,
    rerank,
)

if TYPE_CHECKING:
    from rerank_core import RerankResponse

    from .conftest import InfinityServer

QUERY = "What is the capital of France?"
DOCUMENTS = [
    "Berlin is in Germany.",
    "  Paris is the capital of France.\n",  # the server strips this, and its echo is stripped too
    "Bananas are yellow.",
    "Six lazy foxes jump over a dog.",
]
QUERIES = [f"What is the answer to question {number}?" for number in range(100)]
MOST_DOCUMENTS = 2_048  # in one request
SERVER_HANGS_UP = 5  # seconds after the last request on a connection
WRONG_KEY = "not-the-key-of-this-server"


def connect(server: InfinityServer) -> dict[str, Any]:
    """Say which model of which server to call, and with which key."""
    return {
        "model": f"infinity/{server.model}",
        "api_base": server.base_url,
        "api_key": server.api_key,
    }


def post(server: InfinityServer, documents: list[str], **body: object) -> dict[str, Any]:
    """Ask the server without the project in between."""
    response = httpx.post(
        f"{server.base_url}/rerank",
        json={"query": QUERY, "documents": documents} | body,
        headers={"authorization": f"Bearer {server.api_key}"},
        timeout=60,
    )
    payload: dict[str, Any] = response.raise_for_status().json()
    return payload


def scores(response: RerankResponse | dict[str, Any]) -> dict[int, float]:
    """Read the scores by index, in the order of a response or of a server's own reply."""
    return {result["index"]: result["relevance_score"] for result in response["results"]}


def assert_same(response: RerankResponse, expected: RerankResponse | dict[str, Any]) -> None:
    """Check order, indices and scores; a server's scores differ in the seventh digit each time."""
    assert list(scores(response)) == list(scores(expected))
    assert scores(response) == pytest.approx(scores(expected), abs=1e-5)


@pytest.mark.anyio
async def test_both_calls_say_what_the_server_says(infinity: InfinityServer) -> None:
    """`rerank`, `arerank` and a request by hand agree."""
    expected = post(infinity, DOCUMENTS)

    synchronous = rerank(query=QUERY, documents=DOCUMENTS, **connect(infinity))
    asynchronous = await arerank(query=QUERY, documents=DOCUMENTS, **connect(infinity))

    assert len(expected["results"]) == len(DOCUMENTS)
    assert_same(synchronous, expected)
    assert_same(asynchronous, expected)
    assert (synchronous.provider, synchronous.model) == ("infinity", infinity.model)
    assert not synchronous.warnings
    assert synchronous.meta.billed_units.total_tokens is None  # this server counts characters


@pytest.mark.anyio
async def test_a_reranker_keeps_its_connection_for_several_calls(infinity: InfinityServer) -> None:
    """A `Reranker` answers again and again, blocking and not, and closes what it opened."""
    expected = post(infinity, DOCUMENTS)

    with Reranker(**connect(infinity)) as reranker:
        responses = [reranker.rerank(QUERY, DOCUMENTS) for _ in range(3)]
    async with Reranker(**connect(infinity)) as reranker:
        responses += [await reranker.arerank(QUERY, DOCUMENTS) for _ in range(3)]

    for response in responses:
        assert_same(response, expected)


@pytest.mark.anyio
async def test_a_connection_that_the_server_closed_is_replaced(infinity: InfinityServer) -> None:
    """A call after a pause works at the first attempt, although the server hung up meanwhile."""
    options = connect(infinity) | {"max_retries": 0}

    with Reranker(**options) as blocking:
        async with Reranker(**options) as awaited:
            responses = [blocking.rerank(QUERY, DOCUMENTS), await awaited.arerank(QUERY, DOCUMENTS)]
            await anyio.sleep(SERVER_HANGS_UP + 1)
            responses += [
                blocking.rerank(QUERY, DOCUMENTS),
                await awaited.arerank(QUERY, DOCUMENTS),
            ]

    for response in responses:
        assert_same(response, responses[0])


def test_documents_are_the_callers_own(infinity: InfinityServer) -> None:
    """Space around a document stays, although the server strips it."""
    response = rerank(query=QUERY, documents=DOCUMENTS, **connect(infinity))

    documents = {result.index: result.document for result in response.results}
    assert documents == {index: Document(text) for index, text in enumerate(DOCUMENTS)}


def test_documents_are_left_out_on_request(infinity: InfinityServer) -> None:
    """`return_documents=False` gives results without documents."""
    response = rerank(query=QUERY, documents=DOCUMENTS, return_documents=False, **connect(infinity))

    assert [result.document for result in response.results] == [None] * len(DOCUMENTS)
    assert_same(response, post(infinity, DOCUMENTS))


def test_mappings_are_scored_as_lines_of_their_rank_fields(infinity: InfinityServer) -> None:
    """A mapping is sent as `field: value` lines in the order of `rank_fields`."""
    documents: list[dict[str, Any]] = [
        {"year": 1998, "text": "Berlin is in Germany.", "title": "Berlin"},
        {"year": 2001, "text": "Paris is the capital of France.", "title": "Paris"},
        {"year": 2012, "text": "Bananas grow in Zurich.", "title": "Bananas"},
    ]
    rendered = [f"title: {document['title']}\ntext: {document['text']}" for document in documents]

    response = rerank(
        query=QUERY, documents=documents, rank_fields=["title", "text"], **connect(infinity)
    )

    assert_same(response, post(infinity, rendered))
    for result in response.results:
        assert result.document == Document(documents[result.index]["text"], documents[result.index])


def test_top_n_keeps_the_best(infinity: InfinityServer) -> None:
    """The server's own `top_n` and ours are the same."""
    response = rerank(query=QUERY, documents=DOCUMENTS, top_n=2, **connect(infinity))

    assert list(scores(response)) == list(scores(post(infinity, DOCUMENTS)))[:2]


def test_raw_scores_are_logits(infinity: InfinityServer) -> None:
    """The sigmoid of a raw score is the score that is given by default."""
    response = rerank(query=QUERY, documents=DOCUMENTS, raw_scores=True, **connect(infinity))

    sigmoids = {index: 1 / (1 + math.exp(-score)) for index, score in scores(response).items()}
    assert sigmoids == pytest.approx(scores(post(infinity, DOCUMENTS)), abs=1e-5)
    assert any(not 0 <= score <= 1 for score in scores(response).values())


def test_a_blank_document_is_scored(infinity: InfinityServer) -> None:
    """Infinity takes blank documents, so they are sent like any other."""
    documents = ["", *DOCUMENTS, " "]

    response = rerank(query=QUERY, documents=documents, **connect(infinity))

    assert scores(response) == pytest.approx(scores(post(infinity, documents)), abs=1e-5)
    assert not response.warnings


@pytest.mark.parametrize("api_key", [None, WRONG_KEY])
def test_a_refused_key_is_an_authentication_error(
    infinity: InfinityServer, monkeypatch: pytest.MonkeyPatch, api_key: str | None
) -> None:
    """A wrong key and no key at all are told apart from other errors, and no key is repeated."""
    monkeypatch.delenv("INFINITY_API_KEY", raising=False)

    with pytest.raises(AuthenticationError) as caught:
        rerank(query=QUERY, documents=DOCUMENTS, **connect(infinity) | {"api_key": api_key})

    assert caught.value.status_code == httpx.codes.UNAUTHORIZED
    for text in (repr(caught.value), *traceback.format_exception(caught.value)):
        assert WRONG_KEY not in text


def test_a_wrong_prefix_is_explained(infinity: InfinityServer) -> None:
    """A 404 tells the reader about the server's option that moves its routes."""
    base = f"{infinity.base_url}/v1"

    with pytest.raises(NotFoundError, match="--url-prefix"):
        rerank(query=QUERY, documents=DOCUMENTS, **connect(infinity) | {"api_base": base})


def test_a_server_with_a_prefix_answers_below_it(prefixed_infinity: InfinityServer) -> None:
    """The prefix is part of `api_base`, and nothing is added to it but the route."""
    response = rerank(query=QUERY, documents=DOCUMENTS, **connect(prefixed_infinity))

    assert prefixed_infinity.base_url.endswith("/v1")
    assert_same(response, post(prefixed_infinity, DOCUMENTS))


def test_a_parameter_the_server_refuses_is_a_short_bad_request(infinity: InfinityServer) -> None:
    """The message names the parameter, and leaves out the value that the server echoes."""
    value = "perhaps" * 1_000

    with pytest.raises(BadRequestError, match="raw_scores") as caught:
        rerank(query=QUERY, documents=DOCUMENTS, raw_scores=value, **connect(infinity))

    assert caught.value.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert len(str(caught.value)) < 1_000


def test_a_model_that_is_not_served_is_pointed_out(infinity: InfinityServer) -> None:
    """A server of one model answers whatever name it is called by; the warning says with which."""
    response = rerank(
        query=QUERY, documents=DOCUMENTS, **connect(infinity) | {"model": "infinity/another"}
    )

    assert any(infinity.model in warning for warning in response.warnings)
    assert_same(response, post(infinity, DOCUMENTS))


@pytest.mark.anyio
async def test_a_long_list_is_split_and_merged(prefixed_infinity: InfinityServer) -> None:
    """One document too many makes two requests, and the ranking that one would have given."""
    documents = [f"Document {number} is in France." for number in range(MOST_DOCUMENTS + 1)]
    expected: dict[int, float] = {}
    total_tokens = 0
    for start in range(0, len(documents), 256):
        payload = post(prefixed_infinity, documents[start : start + 256])
        expected |= {start + index: score for index, score in scores(payload).items()}
        total_tokens += payload["usage"]["total_tokens"]

    synchronous = rerank(query=QUERY, documents=documents, **connect(prefixed_infinity))
    asynchronous = await arerank(query=QUERY, documents=documents, **connect(prefixed_infinity))

    for response in (synchronous, asynchronous):
        found = list(scores(response).values())
        assert len(response.payload) == 2
        assert len(response.results) == len(documents)
        assert found == sorted(found, reverse=True)
        assert scores(response) == pytest.approx(expected, abs=1e-5)
        assert response.meta.billed_units.total_tokens == total_tokens


@pytest.mark.anyio
async def test_concurrent_calls_get_their_own_answers(infinity: InfinityServer) -> None:
    """One hundred `arerank` at a time give what `rerank` gives one after the other."""
    expected = [rerank(query=query, documents=DOCUMENTS, **connect(infinity)) for query in QUERIES]
    responses: dict[int, RerankResponse] = {}

    async def ask(number: int) -> None:
        responses[number] = await arerank(
            query=QUERIES[number], documents=DOCUMENTS, **connect(infinity)
        )

    async with anyio.create_task_group() as group:
        for number in range(len(QUERIES)):
            group.start_soon(ask, number)

    for number, response in responses.items():
        assert_same(response, expected[number])


def test_threads_get_their_own_answers(infinity: InfinityServer) -> None:
    """Eight threads that share one pool give what one gives."""

    def ask(query: str) -> RerankResponse:
        return rerank(query=query, documents=DOCUMENTS, **connect(infinity))

    expected = [ask(query) for query in QUERIES]
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(ask, QUERIES))

    for response, other in zip(responses, expected, strict=True):
        assert_same(response, other)
