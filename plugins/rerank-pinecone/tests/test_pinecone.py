"""Pinecone's rerank API, as its OpenAPI document and its SDK have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import rerank_pinecone
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    ConfigurationError,
    InvalidRequestError,
    Meta,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseParseError,
    ServerError,
)
from rerank_core.testing import CANARY, Case, Check, Example, conformance
from service import (
    NOTHING,
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
    noting_waits,
    without_variables,
)

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
bare_environment = without_variables(
    "PINECONE_API_KEY", "PINECONE_API_BASE", "PINECONE_CONTROLLER_HOST"
)
waits = noting_waits()

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


@captures("pinecone", CALLS, DIFFERENCES, by(ask, answer))
def test_the_same_call_sends_the_same_but_for_the_differences(check: CaptureCheck) -> None:
    """Method, path, query, the headers that matter and every field of the body."""
    check()


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


@pytest.mark.parametrize("name", ["max_tokens_per_doc", "max_chunks_per_doc"])
def test_what_the_model_cannot_do_is_refused(name: str) -> None:
    """Only Cohere's models know a limit."""
    check_refused_unless_allowed(ask, Service(answer), "pinecone", name)


def test_parameters_must_be_a_mapping() -> None:
    """Whatever else it is could not be sent beside the others."""
    with pytest.raises(InvalidRequestError, match="parameters must be a mapping, not str"):
        ask(Service(answer), parameters="END")


@pytest.mark.parametrize("model", [BGE, None, 5])
def test_no_warning_without_another_model(model: Any) -> None:
    """Nor where the reply does not say who answered."""
    response = ask(Service(REPLY | {"model": model}), DOCUMENTS[:2])

    assert list(response.warnings) == []


@both_ways
@pytest.mark.filterwarnings("ignore:.*was switched off:FutureWarning")
def test_another_model_that_answers_is_told_of(send: Send) -> None:
    """Pinecone swaps a retired model for another, whose thresholds differ."""
    reply = REPLY | {"model": COHERE}
    response = ask(Service(reply), DOCUMENTS[:2], model="pinecone/cohere-rerank-3.5", send=send)

    (warning,) = response.warnings
    assert warning.endswith("the model 'cohere-rerank-4-fast', not 'cohere-rerank-3.5'")
    assert response.model == "cohere-rerank-3.5"


def test_the_replaced_model_is_marked() -> None:
    """With the day since which it is no longer served."""
    assert rerank_pinecone.resolve_provider("cohere-rerank-3.5").retires == "2026-08-01"
    assert rerank_pinecone.resolve_provider(COHERE).retires is None


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.pinecone.io/", URL),
        (URL, URL),
        ("https://proxy.test/pinecone", "https://proxy.test/pinecone/rerank"),
    ],
)
def test_a_base_url_is_completed(base: str, url: str) -> None:
    """There is no version in the path."""
    service = Service(answer)
    ask(service, api_base=base)

    assert service.url == url


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


@pytest.mark.parametrize("usage", [None, "?", {}, {"rerank_units": "one"}, NOTHING])
def test_usage_may_be_absent(usage: Any) -> None:
    """A ranking is not lost for it."""
    reply = {name: value for name, value in REPLY.items() if name != "usage"}
    response = ask(Service(reply if usage is NOTHING else reply | {"usage": usage}), DOCUMENTS[:2])

    assert response.meta.billed_units.search_units is None
    assert len(response.results) == 2


@pytest.mark.parametrize(
    "data", [None, {}, [{"index": 0}], [{"index": 0, "score": None}], [{"score": 0.5}], [0.5]]
)
def test_a_reply_without_a_ranking_is_an_error(data: Any) -> None:
    """A missing or null score is no 0."""
    with pytest.raises(ResponseParseError):
        ask(Service({"model": BGE, "data": data}), DOCUMENTS[:1])


def failure(status: int, code: str, kind: type[APIStatusError], *, retried: bool) -> Failure:
    """An error as Pinecone writes it."""
    body = {"error": {"code": code, "message": "what is wrong"}, "status": status}
    return status, body, kind, ("what is wrong",), retried


@both_ways
@pytest.mark.parametrize(
    "case",
    [
        failure(400, "INVALID_ARGUMENT", BadRequestError, retried=False),
        (401, "Invalid API key", AuthenticationError, ("Invalid API key",), False),
        failure(402, "PAYMENT_REQUIRED", PermissionDeniedError, retried=False),
        failure(403, "FORBIDDEN", PermissionDeniedError, retried=False),
        failure(404, "NOT_FOUND", NotFoundError, retried=False),
        failure(429, "RESOURCE_EXHAUSTED", RateLimitError, retried=True),
        failure(500, "INTERNAL", ServerError, retried=True),
        (503, {"message": "busy"}, ServerError, ("busy",), True),
    ],
    ids=lambda case: str(case[0]),
)
@pytest.mark.usefixtures("waits")
def test_errors_are_of_their_kind(case: Failure, send: Send) -> None:
    """In Pinecone's words; a gateway in front of it has others."""
    check_failure(ask, case, f"pinecone/{BGE}", send)
