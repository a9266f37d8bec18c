"""Contextual AI's rerank API as its specification and its client have it."""

from __future__ import annotations

from collections import UserList
from typing import Any

import pytest

import rerank_contextual
from failures import Failure, failing
from rerank_core import InvalidRequestError, Meta
from rerank_core.testing import Case, Check, Example, conformance
from service import Send, Service, asking, both_ways, by, captures, without_variables

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
bare_environment = without_variables(of="contextual")
CALLS = {
    "contextual-contextual_client-full": {"top_n": 2, **OWN},
    "contextual-contextual_client-minimal": {},
}
WORDS = ("its words",)
ERRORS = [
    Failure(401, {"detail": "its words"}, WORDS),
    Failure(
        422,
        {"detail": [{"loc": ["body", "metadata"], "msg": "of another length", "type": "x"}]},
        "body.metadata: of another length",
    ),
    Failure(429, {"detail": "its words"}, WORDS),
    Failure(500, {"detail": "its words"}, WORDS),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


test_what_others_send_is_sent = captures("contextual", CALLS, (), by(ask))


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


def test_metadata_is_any_list_but_no_string() -> None:
    """One of as many characters as there are documents would pass for a list."""
    service = Service()

    ask(service, DOCUMENTS, metadata=UserList("abc"))
    with pytest.raises(InvalidRequestError, match="must be a list of strings, not str"):
        ask(service, DOCUMENTS, metadata="abc")

    assert service.body["metadata"] == ["a", "b", "c"]
    assert len(service.requests) == 1


def test_a_list_is_not_split_unless_allowed() -> None:
    """Instructions weigh documents against each other."""
    service = Service()

    with pytest.raises(InvalidRequestError, match="split_listwise=True"):
        ask(service, max_documents=2)
    ask(service, max_documents=2, split_listwise=True)
    with pytest.raises(InvalidRequestError, match="cannot have metadata"):
        ask(service, max_documents=2, split_listwise=True, metadata=["", "", ""])

    assert len(service.requests) == 2


test_an_error_says_what_to_do = failing(ask, f"contextual/{MODEL}", ERRORS)
