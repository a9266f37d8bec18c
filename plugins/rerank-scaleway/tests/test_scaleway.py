"""Scaleway's rerank API as its documentation and its replies have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import rerank_scaleway
from rerank_core import (
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    Meta,
    NotFoundError,
    RateLimitError,
    ServerError,
    Tokens,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    CaptureCheck,
    Difference,
    Failure,
    Send,
    Service,
    asking,
    both_ways,
    by,
    captures,
    check_failure,
    check_refused_unless_allowed,
    facts,
    without_variables,
)

KEY = "01234567-89ab-cdef-0123-456789abcdef"
QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
VARIABLES = ("SCW_SECRET_KEY",)
REPLY = {
    "id": "rerank-a89e6d7b8b97492ea81569c65fbfff49",
    "model": "qwen3-embedding-8b",
    "usage": {"total_tokens": 99},
    "results": [
        {
            "index": 1,
            "document": {"text": "Paris is the capital of France.", "multi_modal": None},
            "relevance_score": 0.6456,
        },
        {
            "index": 0,
            "document": {"text": "Berlin is in Germany.", "multi_modal": None},
            "relevance_score": 0.6060,
        },
    ],
}

CASE = Case(
    plugin=rerank_scaleway,
    model="qwen3-embedding-8b",
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        url="https://api.scaleway.ai/v1/rerank",
        json={
            "model": "qwen3-embedding-8b",
            "query": QUERY,
            "documents": DOCUMENTS,
            "top_n": 2,
        },
        reply=REPLY,
        ranking=[(1, 0.6456), (0, 0.6060)],
    ),
    required=["top_n"],
    encode=lambda ranking, documents, _: {
        "results": [
            {
                "index": at,
                "document": {"text": documents[0], "multi_modal": None},
                "relevance_score": score,
            }
            for at, score in ranking
        ],
        "usage": {"total_tokens": 99},
    },
)

ask = asking("scaleway/qwen3-embedding-8b", api_key=KEY, query=QUERY, documents=DOCUMENTS)
bare_environment = without_variables(*VARIABLES, "SCALEWAY_API_BASE")

# The captured call in this project's words, beside query, documents and model.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "scaleway-litellm-min": {"documents": [*DOCUMENTS, "Madrid is in Spain."], "top_n": 2},
    "scaleway-litellm-returndocs": {
        "documents": [{"text": text} for text in DOCUMENTS],
        "top_n": 2,
        "return_documents": True,
        "max_tokens_per_doc": 10,
        "drop_params": True,
    },
}
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "json.documents",
        DOCUMENTS,
        "the service takes only strings: a mapping with only a text is that text",
        ("scaleway-litellm-returndocs",),
    ),
)


def recent(message: str, code: int) -> dict[str, Any]:
    """The envelope of recent models."""
    return {"error": {"message": message, "type": "Error", "param": None, "code": code}}


def legacy(message: str, code: int) -> dict[str, Any]:
    """The envelope of older models."""
    return {"object": "error", "message": message, "type": "Error", "param": None, "code": code}


BAD_KEY = ("no such key", "if the secret key is the right one", "IAM policy")
BAD_MODEL = ("no such model", "GET /v1/models")
ERRORS: list[Failure] = [
    (400, recent("odd", 400), BadRequestError, ("odd",), False),
    (400, legacy("odd", 400), BadRequestError, ("odd",), False),
    (401, recent("no header", 401), AuthenticationError, ("no header",), False),
    # A bad key is not answered with 401, and a bad model not with 404.
    (403, recent("no such key", 403), AuthenticationError, BAD_KEY, False),
    (403, {"error": "no such key", "status": 403}, AuthenticationError, BAD_KEY, False),
    (422, recent("no such model", 422), NotFoundError, BAD_MODEL, False),
    (422, legacy("no such model", 422), NotFoundError, BAD_MODEL, False),
    (404, "404 page not found", NotFoundError, ("404 page not found",), False),
    (429, recent("quota", 429), RateLimitError, ("quota",), True),
    (500, legacy("oops", 500), ServerError, ("oops",), True),
    (502, "<html>Bad gateway</html>", ServerError, ("Bad gateway",), True),
]


# --- What every plugin must keep --------------------------------------------------------------


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


# --- What others were seen to send ------------------------------------------------------------


@captures("scaleway", CALLS, DIFFERENCES, by(ask))
def test_the_same_call_sends_the_same_but_for_the_differences(check: CaptureCheck) -> None:
    """Method, path, query, the headers that matter and every field of the body."""
    check()


# --- Where requests go ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "https://api.scaleway.ai/v1/rerank"),
        ("https://api.scaleway.ai", "https://api.scaleway.ai/v1/rerank"),
        ("https://api.scaleway.ai/", "https://api.scaleway.ai/v1/rerank"),
        ("https://api.scaleway.ai/v1/", "https://api.scaleway.ai/v1/rerank"),
        ("https://api.scaleway.ai/v1/rerank", "https://api.scaleway.ai/v1/rerank"),
        ("https://api.scaleway.ai/my-project", "https://api.scaleway.ai/my-project/v1/rerank"),
        ("https://api.scaleway.ai/my-project/v1", "https://api.scaleway.ai/my-project/v1/rerank"),
        (
            "https://my-deployment.ifr.fr-par.scaleway.com",
            "https://my-deployment.ifr.fr-par.scaleway.com/v1/rerank",
        ),
        ("http://gateway:8080/scw?t=a", "http://gateway:8080/scw/v1/rerank?t=a"),
    ],
)
def test_a_base_url_is_completed(base: str | None, url: str) -> None:
    """However much of the path it has already; a project in it, a prefix and a query stay."""
    service = Service()

    ask(service, api_base=base)

    assert service.url == url


# --- What is sent -----------------------------------------------------------------------------


@both_ways
def test_nothing_is_sent_that_was_not_asked_for(send: Send) -> None:
    """Nothing is null; a field about documents is not documented. `top_n` is demanded."""
    service = Service()

    response = ask(service, send=send, return_documents=False)

    assert service.body == {
        "model": "qwen3-embedding-8b",
        "query": QUERY,
        "documents": DOCUMENTS,
        "top_n": 2,
    }
    assert [result.document for result in response.results] == [None, None]


@both_ways
def test_top_n_is_sent(send: Send) -> None:
    """At most the number of documents."""
    service = Service()

    response = ask(service, send=send, top_n=5)

    assert service.body["top_n"] == 2
    assert len(response.results) == 2


@pytest.mark.parametrize(
    "param", ["max_chunks_per_doc", "max_tokens_per_doc", "truncate_prompt_tokens", "priority"]
)
def test_what_scaleway_does_not_document_is_refused_unless_allowed(param: str) -> None:
    """The error names parameter and provider; a warning says what was left out."""
    check_refused_unless_allowed(ask, Service(), "scaleway", param)


# --- What comes back --------------------------------------------------------------------------


@both_ways
def test_the_documented_reply_is_read(send: Send) -> None:
    """Documents in it are not needed; all tokens went in, and are billed."""
    documents = [{"text": text, "id": at} for at, text in enumerate(DOCUMENTS)]

    response = ask(Service(REPLY), documents, send=send)

    ranking = [(result.index, result.relevance_score) for result in response.results]
    assert ranking == [(1, 0.6456), (0, 0.6060)]
    assert [result.document and result.document.fields for result in response.results] == [
        documents[1],
        documents[0],
    ]
    assert response.id == "rerank-a89e6d7b8b97492ea81569c65fbfff49"
    assert response.meta == Meta(
        billed_units=BilledUnits(total_tokens=99), tokens=Tokens(input_tokens=99)
    )
    assert response.cost is None
    assert (response.provider, response.model) == ("scaleway", "qwen3-embedding-8b")


@both_ways
def test_documents_that_come_back_unasked_are_dropped(send: Send) -> None:
    """The service repeats them always."""
    response = ask(Service(REPLY), send=send, return_documents=False)

    assert [result.document for result in response.results] == [None, None]


@both_ways
@pytest.mark.parametrize("failure", ERRORS, ids=lambda row: f"{row[0]}-{row[2].__name__}")
def test_an_error_says_what_to_do(failure: Failure, send: Send) -> None:
    """Of the right kind, in the service's words, retried where that may help."""
    check_failure(ask, failure, "scaleway/qwen3-embedding-8b", send)


# --- Facts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["qwen3-embedding-8b", "bge-multilingual-gemma2"])
def test_scaleway_s_facts_are_known(model: str) -> None:
    """Scores are cosines; no price is known in dollars."""
    known = facts(f"scaleway/{model}")

    assert known.score_kind == "opaque"
    assert known.price is None
    assert known.max_documents is None
    assert not known.listwise
