"""Pinecone's rerank API, as its OpenAPI document and its SDK have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import rerank_pinecone
from failures import Failure, failing
from rerank_core import BilledUnits, ConfigurationError, InvalidRequestError, Meta
from rerank_core.testing import CANARY, Case, Check, Example, conformance
from service import Difference, Service, asking, by, captures, without_variables

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France.", "Madrid is in Spain."]
BGE, COHERE = "bge-reranker-v2-m3", "cohere-rerank-4-fast"
URL = "https://api.pinecone.io/rerank"
CHUNKS = [
    {"id": "a", "chunk": "Berlin is in Germany."},
    {"id": "b", "chunk": "Paris is the capital of France."},
]
# The documented example.
REPLY = {
    "model": BGE,
    "data": [
        {"index": 1, "score": 0.9834, "document": {"id": "b", "text": DOCUMENTS[1]}},
        {"index": 0, "score": 0.0021, "document": {"id": "a", "text": DOCUMENTS[0]}},
    ],
    "usage": {"rerank_units": 1},
}


def answer(asked: Any) -> dict[str, Any]:
    """Rank as sent, by the model that was asked for."""
    count = asked.get("top_n", len(asked["documents"]))
    data = [{"index": at, "score": 0.9 - at / 1000} for at in range(count)]
    return {"model": asked["model"], "data": data, "usage": {"rerank_units": 1}}


ask = asking(f"pinecone/{BGE}", api_key="test-key", query=QUERY, documents=DOCUMENTS)
bare_environment = without_variables(of="pinecone")

CASE = Case(
    plugin=rerank_pinecone,
    model=BGE,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS[:2], "truncate": "END"},
        url=URL,
        headers={"Api-Key": CANARY, "X-Pinecone-Api-Version": "2026-07"},
        json={
            "model": BGE,
            "query": QUERY,
            "documents": [{"text": text} for text in DOCUMENTS[:2]],
            "rank_fields": ["text"],
            "return_documents": False,
            "parameters": {"truncate": "END"},
        },
        reply=REPLY,
        ranking=[(1, 0.9834), (0, 0.0021)],
        meta=Meta(billed_units=BilledUnits(search_units=1)),
    ),
    encode=lambda ranking, _, __: {
        "model": BGE,
        "data": [{"index": at, "score": score} for at, score in ranking],
        "usage": {"rerank_units": 1},
    },
    encode_error=lambda message: {
        "error": {"code": "INVALID_ARGUMENT", "message": message},
        "status": 400,
    },
    params={"truncate": "END", "parameters": {"truncate": "END"}},
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


# The captured call in this project's words.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "pinecone-pinecone-minimal": {"api_base": "http://127.0.0.1"},
    "pinecone-pinecone-dicts": {
        "api_base": "http://127.0.0.1",
        "documents": CHUNKS,
        "rank_fields": ["chunk"],
        "top_n": 1,
        "return_documents": False,
        "truncate": "END",
    },
}
DIFFERENCES: tuple[Difference, ...] = (
    ("headers.accept", "application/json", "nothing else can be read", tuple(CALLS)),
    (
        "json.return_documents",
        False,
        "core attaches the caller's own documents",
        ("pinecone-pinecone-minimal",),
    ),
    (
        "json.documents",
        [{"chunk": document["chunk"]} for document in CHUNKS],
        "only the fields that are ranked are sent",
        ("pinecone-pinecone-dicts",),
    ),
)


test_what_others_send_is_sent = captures("pinecone", CALLS, DIFFERENCES, by(ask, answer))


@pytest.mark.parametrize("name", CALLS)
def test_key_and_version_are_sent_as_the_sdk_sends_them(name: str) -> None:
    """In headers of Pinecone's own."""
    service = Service(answer)
    ask(service, **CALLS[name])

    headers = service.requests[0].headers
    assert (headers["api-key"], headers["x-pinecone-api-version"]) == ("test-key", "2026-07")
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("model", "documents", "rank_fields", "sent", "names"),
    [
        # One field, in every document: native.
        (BGE, CHUNKS, ["chunk"], [{"chunk": d["chunk"]} for d in CHUNKS], ["chunk"]),
        # A model of one field gets several as one text.
        (BGE, [{"a": "1", "b": "2"}], ["b", "a"], [{"text": "b: 2\na: 1"}], ["text"]),
        (
            COHERE,
            [{"a": "1", "b": "2"}],
            ["b", "a"],
            [{"b": "2", "a": "1"}],
            ["b", "a"],
        ),
        # The service refuses a list in which a document lacks the field, or it is no string.
        (BGE, [{"a": "1"}, {"a": 2}], ["a"], [{"text": "a: 1"}, {"text": "a: 2"}], ["text"]),
        (BGE, [{"a": "1"}, "x"], ["a"], [{"text": "a: 1"}, {"text": "x"}], ["text"]),
        # All fields count where none is named, and not `text` alone.
        (BGE, [{"title": "t", "text": "x"}], None, [{"text": "title: t\ntext: x"}], ["text"]),
        (BGE, [{"text": "x"}, "y"], None, [{"text": "x"}, {"text": "y"}], ["text"]),
    ],
)
def test_fields_are_native_where_the_model_can_rank_by_them(
    model: str, documents: Any, rank_fields: Any, sent: Any, names: list[str]
) -> None:
    """Else their text is sent, so that no call fails for what the service cannot do."""
    service = Service(answer)
    response = ask(service, documents, model=f"pinecone/{model}", rank_fields=rank_fields)

    assert service.body["documents"] == sent
    assert service.body["rank_fields"] == names
    assert response.results[0].document is not None
    assert response.results[0].document.fields is documents[0]


def test_parameters_of_the_model_stand_in_an_object() -> None:
    """Those that have a name of their own beside whatever else the caller writes."""
    service = Service(answer)
    ask(
        service,
        model=f"pinecone/{COHERE}",
        max_tokens_per_doc=512,
        truncate="END",
        parameters={"other": 1},
    )

    assert service.body["parameters"] == {"other": 1, "truncate": "END", "max_tokens_per_doc": 512}


def test_parameters_must_be_a_mapping() -> None:
    """Whatever else it is could not be sent beside the others."""
    with pytest.raises(InvalidRequestError, match="parameters must be a mapping, not str"):
        ask(Service(answer), parameters="END")


def test_a_parameter_is_given_once() -> None:
    """One of the two would be left out, and nobody told."""
    with pytest.raises(InvalidRequestError, match="truncate is given twice"):
        ask(Service(answer), truncate="END", parameters={"truncate": "NONE"})


def test_the_version_may_be_another() -> None:
    """It is a date, in a header."""
    service = Service(answer)
    ask(service, api_version="2025-10")

    assert service.requests[0].headers["x-pinecone-api-version"] == "2025-10"
    with pytest.raises(ConfigurationError, match="api_version must be like"):
        ask(service, api_version="2025\n10")


def test_units_and_the_request_s_id_are_read() -> None:
    """The id stands in a header."""
    response = ask(Service(REPLY, headers={"x-pinecone-request-id": "r-1"}), DOCUMENTS[:2])

    assert response.id == "r-1"
    assert response.meta.billed_units.search_units == 1


def failed(status: int, code: str) -> dict[str, Any]:
    """An error as Pinecone writes it."""
    return {"error": {"code": code, "message": "what is wrong"}, "status": status}


ERRORS = [
    Failure(400, failed(400, "INVALID_ARGUMENT"), "what is wrong"),
    Failure(401, "Invalid API key", "Invalid API key"),
    Failure(402, failed(402, "PAYMENT_REQUIRED"), "what is wrong"),
    Failure(403, failed(403, "FORBIDDEN"), "what is wrong"),
    Failure(404, failed(404, "NOT_FOUND"), "what is wrong"),
    Failure(429, failed(429, "RESOURCE_EXHAUSTED"), "what is wrong"),
    Failure(500, failed(500, "INTERNAL"), "what is wrong"),
    Failure(503, {"message": "busy"}, "busy"),
]
test_errors_are_of_their_kind = failing(ask, f"pinecone/{BGE}", ERRORS)
