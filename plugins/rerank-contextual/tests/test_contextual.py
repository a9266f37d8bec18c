"""Contextual AI's rerank API as its specification and its client have it."""

from __future__ import annotations

from typing import Any

import pytest

import rerank_contextual
from rerank_core import (
    AuthenticationError,
    BadRequestError,
    InvalidRequestError,
    Meta,
    Price,
    RateLimitError,
    ServerError,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    CaptureCheck,
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

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France.", "Madrid is in Spain."]
MODEL = "ctxl-rerank-v2-instruct-multilingual"
OWN: dict[str, Any] = {
    "instruction": "Prefer official sources.",
    "metadata": ["src: a", "src: b", ""],
}
CASE = Case(
    plugin=rerank_contextual,
    model=MODEL,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2, "instruction": "x"},
        url="https://api.contextual.ai/v1/rerank",
        json={
            "model": MODEL,
            "query": QUERY,
            "documents": DOCUMENTS,
            "top_n": 2,
            "instruction": "x",
        },
        reply={
            "results": [
                {"index": 1, "relevance_score": 0.83119287},
                {"index": 0, "relevance_score": 0.10418844},
            ]
        },
        ranking=[(1, 0.83119287), (0, 0.10418844)],
        meta=Meta(),
    ),
    encode=lambda ranking, _, __: {
        "results": [{"index": at, "relevance_score": score} for at, score in ranking]
    },
    encode_error=lambda message: {"detail": message},
    params={**OWN, "metadata": ["src: a", ""]},  # the kit ranks two documents
)
ask = asking(f"contextual/{MODEL}", api_key="key-0123", query=QUERY, documents=DOCUMENTS)
VARIABLES = ("CONTEXTUAL_API_KEY", "CONTEXTUAL_AI_API_KEY")
BASES = ("CONTEXTUAL_API_BASE", "CONTEXTUAL_AI_BASE_URL")
bare_environment = without_variables(*VARIABLES, *BASES)
CALLS = {
    "contextual-contextual_client-full": {"top_n": 2, **OWN},
    "contextual-contextual_client-minimal": {},
}
WORDS = ("its words",)
ERRORS: list[Failure] = [
    (401, {"detail": "its words"}, AuthenticationError, WORDS, False),
    (
        422,
        {"detail": [{"loc": ["body", "metadata"], "msg": "of another length", "type": "x"}]},
        BadRequestError,
        ("body.metadata: of another length",),
        False,
    ),
    (429, {"detail": "its words"}, RateLimitError, WORDS, True),
    (500, {"detail": "its words"}, ServerError, WORDS, True),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


@captures("contextual", CALLS, (), by(ask))
def test_the_same_call_sends_the_same(check: CaptureCheck) -> None:
    """Method, path, query, the headers that matter and every field of the body."""
    check()


@both_ways
@pytest.mark.parametrize(
    ("documents", "metadata"),
    [(DOCUMENTS, ["a", "b"]), (["a", " ", "c"], ["1", "2", "3"])],
    ids=["one too few", "one document is not sent"],
)
def test_metadata_of_another_length_is_not_sent(
    documents: list[str], metadata: list[str], send: Send
) -> None:
    """The service would refuse it, or hang it on the wrong document."""
    service = Service()

    with pytest.raises(InvalidRequestError, match="metadata has"):
        ask(service, documents, send=send, metadata=metadata)

    assert service.requests == []


def test_a_list_is_not_split_unless_allowed() -> None:
    """Instructions weigh documents against each other."""
    service = Service()

    with pytest.raises(InvalidRequestError, match="split_listwise=True"):
        ask(service, max_documents=2)
    ask(service, max_documents=2, split_listwise=True)
    with pytest.raises(InvalidRequestError, match="cannot have metadata"):
        ask(service, max_documents=2, split_listwise=True, metadata=["", "", ""])

    assert len(service.requests) == 2


@pytest.mark.parametrize("param", ["max_tokens_per_doc", "max_chunks_per_doc", "priority"])
def test_what_the_service_does_not_document_is_refused(param: str) -> None:
    """Unless allowed, with a warning."""
    check_refused_unless_allowed(ask, Service(), "contextual", param)


@both_ways
@pytest.mark.parametrize("failure", ERRORS, ids=lambda row: row[0])
def test_an_error_says_what_to_do(failure: Failure, send: Send) -> None:
    """Of the right kind, in the service's words, retried where that may help."""
    check_failure(ask, failure, f"contextual/{MODEL}", send)


def test_the_price_is_known_but_not_the_cost() -> None:
    """Replies state no usage."""
    reply = {"results": [{"index": at, "relevance_score": 0.5} for at in range(3)]}

    assert facts(f"contextual/{MODEL}").price == Price(0.05e-6, "total_tokens", "2026-06-30")
    assert facts("contextual/ctxl-rerank-v1-instruct").price is None
    assert ask(Service(reply)).cost is None
