"""Infinity as a real server 0.0.78 was seen to behave; its replies are among the captures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import rerank_infinity
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InvalidRequestError,
    Meta,
    NotFoundError,
    RateLimitError,
    Reranker,
    RerankResponse,
)
from rerank_core.testing import Case, Check, Example, Ranking, conformance
from service import Service, rank, without_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

QUERY = "What is the capital of France?"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
CHARACTERS = 112  # what the real server counts for these


def encode(ranking: Ranking, documents: Sequence[str], top_n: int | None) -> dict[str, Any]:
    """Write the reply of a server for a ranking."""
    del documents, top_n
    return {
        "object": "rerank",
        "results": [
            {"relevance_score": score, "index": index, "document": None} for index, score in ranking
        ],
        "model": "tiny-reranker",
        "usage": {"prompt_tokens": 26, "total_tokens": 26},
        "id": "infinity-3207ea3f-af3f-492f-8aaf-16421d66d566",
        "created": 1795383668,
    }


CASE = Case(
    plugin=rerank_infinity,
    model="tiny-reranker",
    params={"raw_scores": True},
    encode=encode,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 1},
        url="http://localhost:7997/rerank",
        json={"model": "tiny-reranker", "query": QUERY, "documents": DOCUMENTS, "top_n": 1},
        reply=encode([(1, 0.9949761629104614)], DOCUMENTS, 1),
        ranking=[(1, 0.9949761629104614)],
    ),
)


bare_environment = without_variables(of="infinity")


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The plugin keeps what every plugin must."""
    check()


def server(**fields: Any) -> Service:
    """A server that ranks the documents in the order they were sent; fields of its reply."""

    def reply(asked: Any) -> Any:
        results = [{**row, "document": None} for row in rank(asked)["results"]]
        named = {"object": "rerank", "model": "tiny-reranker", "id": "infinity-1"}
        return {**named, "results": results, **fields}

    return Service(reply)


def ask(
    service: Service,
    documents: Any = DOCUMENTS,
    *,
    query: str = QUERY,
    model: str = "tiny-reranker",
    options: dict[str, Any] | None = None,
    **params: Any,
) -> RerankResponse:
    """Ask for a ranking."""
    given = {"max_retries": 0, **(options or {})}
    with Reranker(f"infinity/{model}", http_client=service, **given) as reranker:
        return reranker.rerank(query, documents, **params)


@pytest.mark.parametrize("raw", [True, False])
def test_raw_scores_are_asked_for_by_name(*, raw: bool) -> None:
    """Logits where scores from 0 to 1 do not tell enough."""
    service = server()

    ask(service, raw_scores=raw, top_n=1)

    assert service.body["raw_scores"] is raw
    assert service.body["top_n"] == 1


def test_blank_documents_are_sent() -> None:
    """The server ranks them; the caller's own text comes back, padded as it was."""
    service = server()

    response = ask(service, ["  padded doc  ", ""])

    texts = [result.document.text for result in response.results if result.document]
    assert service.body["documents"] == ["  padded doc  ", ""]
    assert texts == ["  padded doc  ", ""]


@pytest.mark.parametrize(
    ("query", "documents", "count"),
    [
        (QUERY, DOCUMENTS, CHARACTERS),
        (QUERY, ["  padded doc  ", ""], 70),
        (f" {QUERY}\n", DOCUMENTS, CHARACTERS),
        ("größer", ["ü", "日本"], 15),
    ],
    ids=["example", "padded", "padded query", "not ascii"],
)
def test_usage_in_characters_is_no_usage(query: str, documents: list[str], count: int) -> None:
    """By default the server counts them and calls them tokens: no basis for a budget."""
    usage = {"prompt_tokens": count, "total_tokens": count}

    response = ask(server(usage=usage), documents, query=query)

    assert response.meta == Meta()


def test_usage_in_characters_is_recognised_in_what_was_sent() -> None:
    """A mapping counts as it was rendered."""
    count = len("q") + len("title: a")
    usage = {"prompt_tokens": count, "total_tokens": count}

    response = ask(server(usage=usage), [{"title": "a"}], query="q")

    assert response.meta == Meta()


def test_usage_in_tokens_is_read() -> None:
    """As a server started with --lengths-via-tokenize reports it."""
    response = ask(server(usage={"prompt_tokens": 26, "total_tokens": 26}))

    assert response.meta.billed_units.total_tokens == 26
    assert response.meta.tokens.input_tokens == 26


def test_a_wrong_prefix_is_explained() -> None:
    """404 is what a server with a prefix answers without it, and the other way round."""
    service = Service({"detail": "Not Found"}, 404)

    with pytest.raises(NotFoundError) as caught:
        ask(service)

    assert "Not Found" in caught.value.message
    assert "--url-prefix" in caught.value.message
    assert "api_base=" in caught.value.message


def test_a_wrong_model_is_quoted() -> None:
    """A server with several models lists them."""
    message = "Invalid model: Engine for model name `zzz` not found. Available: ['a/rr', 'b/rr']"
    error = {"error": {"message": message, "type": None, "param": None, "code": 400}}

    with pytest.raises(BadRequestError, match="Engine for model name `zzz` not found"):
        ask(Service(error, 400))


def test_a_refused_body_is_explained_in_few_words() -> None:
    """The server sends the whole input back, once for each document."""
    detail = [
        {
            "type": "string_type",
            "loc": ["body", "documents", at],
            "msg": "Input should be a valid string",
            "input": {"text": "x" * 100},
        }
        for at in range(2000)
    ]

    with pytest.raises(BadRequestError) as caught:
        ask(Service({"detail": detail}, 422))

    assert "body.documents.0: Input should be a valid string" in caught.value.message
    assert "xxx" not in caught.value.message
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationError), (405, APIStatusError), (429, RateLimitError)],
)
def test_an_error_is_of_its_kind(status: int, kind: type[APIStatusError]) -> None:
    """With the server's own words."""
    service = Service({"detail": "the server's own words"}, status)

    with pytest.raises(APIStatusError, match="the server's own words") as caught:
        ask(service)

    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("query", "documents", "what"),
    [
        ("q" * 122_881, DOCUMENTS, "query"),
        ("q", ["a", "d" * 122_881], r"documents\[1\]"),
    ],
)
def test_text_that_is_too_long_is_not_sent(query: str, documents: list[str], what: str) -> None:
    """The server would refuse the whole list for it."""
    service = server()

    with pytest.raises(InvalidRequestError, match=f"{what} has 122,881 characters"):
        ask(service, documents, query=query)

    assert service.requests == []


def test_text_at_the_limit_is_sent() -> None:
    """The limit itself is allowed."""
    service = server()

    ask(service, ["d" * 122_880], query="q" * 122_880)

    assert len(service.requests) == 1
