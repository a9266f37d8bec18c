"""Together's rerank API as its documentation and its official SDK have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import rerank_together
from failures import Failure, failing
from rerank_core import (
    BadRequestError,
    BilledUnits,
    ConfigurationError,
    Meta,
    RateLimitError,
    Tokens,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    NOTHING,
    Difference,
    Send,
    Service,
    asking,
    both_ways,
    by,
    captures,
    without_variables,
)

KEY = "tgp-0123456789abcdef"
QUERY = "What animals can I find near Peru?"
DOCUMENTS = [
    "The llama is a domesticated South American camelid.",
    "The giant panda is a bear species endemic to China.",
]
OBJECTS = [
    {"title": "Llama", "text": "The llama is a domesticated South American camelid."},
    {"title": "Panda", "text": "The giant panda is a bear species endemic to China."},
]
RENDERED = [f"title: {each['title']}\ntext: {each['text']}" for each in OBJECTS]
MXBAI = "together/mixedbread-ai/Mxbai-Rerank-Large-V2"
LLAMA_RANK = "together/Salesforce/Llama-Rank-V1"
REPLY = {
    "object": "rerank",
    "id": "oC3pV1a-6Yjz4e-9a1b2c3d4e5f",
    "model": "salesforce/turboranker-0.8-3778-6328",
    "results": [
        {
            "index": 0,
            "relevance_score": 0.2998,
            "document": {"text": '{"title":"Llama","text":"The llama is a camelid."}'},
        },
        {"index": 1, "relevance_score": 0.2752, "document": None},
    ],
    "usage": {"prompt_tokens": 1837, "completion_tokens": 0, "total_tokens": 1837},
}

CASE = Case(
    plugin=rerank_together,
    model="Salesforce/Llama-Rank-V1",
    example=Example(
        call={"query": QUERY, "documents": OBJECTS, "rank_fields": ["title", "text"]},
        url="https://api.together.ai/v1/rerank",
        json={
            "model": "Salesforce/Llama-Rank-V1",
            "query": QUERY,
            "documents": OBJECTS,
            "rank_fields": ["title", "text"],
        },
        reply=REPLY,
        ranking=[(0, 0.2998), (1, 0.2752)],
        id="oC3pV1a-6Yjz4e-9a1b2c3d4e5f",
        meta=Meta(
            billed_units=BilledUnits(total_tokens=1837),
            tokens=Tokens(input_tokens=1837, output_tokens=0),
        ),
    ),
    encode=lambda ranking, _, __: {
        "results": [
            {"index": at, "relevance_score": score, "document": None} for at, score in ranking
        ],
        "usage": None,
    },
)

ask = asking(
    "together/mixedbread-ai/Mxbai-Rerank-Large-V2", api_key=KEY, query=QUERY, documents=DOCUMENTS
)
bare_environment = without_variables(of="together")

FULL = {"rank_fields": ["title", "text"], "return_documents": True, "top_n": 1}
# The captured call in this project's words, beside query, documents and model.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "together_ai-litellm-full": FULL
    | {
        "model": "together_ai/Salesforce/Llama-Rank-V1",
        "api_base": "https://together.test/v1",
        "query": "capital of France?",
        "documents": [
            {"title": "Paris", "text": "Paris is the capital of France."},
            {"title": "Berlin", "text": "Berlin is in Germany."},
        ],
    },
    "together_ai-together-full": FULL | {"model": LLAMA_RANK, "documents": OBJECTS},
    "together_ai-together-minimal": {},
}
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "json.return_documents",
        NOTHING,
        "core attaches the caller's own documents: asking for them back pays for them twice",
        ("together_ai-litellm-full", "together_ai-together-full"),
    ),
)


def error(message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    """An error reply as documented."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


ENDPOINT = "need a dedicated endpoint; use its name"
UNKNOWN = error("The model xyz does not exist or is not available")
ERRORS = [
    Failure(400, error("not serverless"), ("not serverless", ENDPOINT)),
    Failure(401, error("bad key"), "bad key"),
    Failure(401, {"error": "bad key"}, "bad key"),
    Failure(402, error("no"), ("no", "spending limit")),
    Failure(403, error("no"), ("no", "too large for the model")),
    Failure(
        403,
        error("Input token count must be less than the context length of the model"),
        ("context length", "too large for the model"),
        kind=BadRequestError,
    ),
    Failure(404, UNKNOWN, ("model xyz does not exist", ENDPOINT)),
    Failure(409, error("busy"), "busy", retried=True),
    Failure(413, "too large", "too large"),
    Failure(422, error("odd"), "odd"),
    Failure(429, error("slow down", "rate_limit"), "slow down"),
    Failure(500, error("oops", "server_error"), "oops"),
    Failure(503, "<html>overloaded</html>", "overloaded"),
    Failure(504, "", "status 504"),
]


# --- What every plugin must keep --------------------------------------------------------------


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


# --- What others were seen to send ------------------------------------------------------------


test_what_others_send_is_sent = captures("together_ai", CALLS, DIFFERENCES, by(ask))


# --- What is sent -----------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("model", ["my-account/my-reranker", "Salesforce/Llama-Rank-v1"])
def test_a_model_keeps_its_slashes_and_its_spelling(model: str, send: Send) -> None:
    """An endpoint's name is a model's name."""
    service = Service()

    response = ask(service, send=send, model=f"together/{model}")

    assert service.body["model"] == response.model == model


LLAMA_ENDPOINT = {"model": "together/me/x", "structured_documents": True}
PLAIN_LLAMA = {"model": LLAMA_RANK, "structured_documents": False}


@both_ways
@pytest.mark.parametrize(
    "call",
    [{"model": LLAMA_RANK}, {"model": "together/me/my-LLAMA-rank-2"}, LLAMA_ENDPOINT],
)
def test_objects_go_to_llama_rank_as_they_are(call: dict[str, Any], send: Send) -> None:
    """By its name, or where the caller says so, since an endpoint's name hides its model."""
    service = Service()

    response = ask(service, OBJECTS, send=send, rank_fields=["text"], **call)

    assert service.body["documents"] == OBJECTS
    assert service.body["rank_fields"] == ["text"]
    assert response.results[0].document is not None
    assert response.results[0].document.fields is OBJECTS[0]


@pytest.mark.parametrize("call", [{}, {"model": "together/me/my-endpoint"}, PLAIN_LLAMA])
def test_mappings_go_to_any_other_model_as_text(call: dict[str, Any]) -> None:
    """In the order of `rank_fields`, which are not sent."""
    service = Service()

    ask(service, OBJECTS, **call)
    whole = service.body["documents"]
    ask(service, OBJECTS, rank_fields=["text"], **call)

    assert whole == RENDERED
    assert service.body["documents"] == DOCUMENTS
    assert "rank_fields" not in service.body


@pytest.mark.parametrize("rank_fields", [None, ["title", "text"]])
def test_strings_and_objects_are_never_mixed(rank_fields: list[str] | None) -> None:
    """Beside a string, all are sent as text."""
    service = Service()

    ask(service, [OBJECTS[0], DOCUMENTS[1]], model=LLAMA_RANK, rank_fields=rank_fields)

    assert service.body == {
        "model": "Salesforce/Llama-Rank-V1",
        "query": QUERY,
        "documents": [RENDERED[0], DOCUMENTS[1]],
    }


def test_rank_fields_are_not_sent_with_strings() -> None:
    """They would have no effect, and a warning says so."""
    service = Service()

    response = ask(service, model=LLAMA_RANK, rank_fields=["title"])

    assert "rank_fields" not in service.body
    assert [warning for warning in response.warnings if "rank_fields" in warning]


@pytest.mark.parametrize("chosen", ["yes", 1])
def test_structured_documents_is_a_yes_or_no(chosen: object) -> None:
    """Nothing is sent otherwise."""
    service = Service()

    with pytest.raises(ConfigurationError, match="structured_documents must be True") as caught:
        ask(service, structured_documents=chosen)

    assert type(caught.value) is ConfigurationError
    assert service.requests == []


def test_blank_documents_are_held_back() -> None:
    """An object without any of the fields to rank by is blank as well."""
    service = Service()
    documents = [{"title": None, "text": "a"}, {"title": "A"}, {"text": "b"}]

    response = ask(service, documents, model=LLAMA_RANK, rank_fields=["title"])

    assert service.body["documents"] == [{"title": "A"}]
    assert [result.index for result in response.results] == [1, 0, 2]


# --- What comes back --------------------------------------------------------------------------


def test_litellm_s_name_leads_here() -> None:
    """And the response says who answered."""
    response = ask(Service(), model="together_ai/me/my-endpoint")

    assert (response.provider, response.model) == ("together", "me/my-endpoint")


test_an_error_says_what_to_do = failing(ask, MXBAI, ERRORS)


@both_ways
@pytest.mark.parametrize(
    ("headers", "requests", "retry_after"),
    [
        ({"x-should-retry": "false"}, 1, None),
        ({"retry-after": "0.001"}, 2, 0.001),
        ({"x-ratelimit-reset": "0.001"}, 2, 0.001),
        ({"x-tokenlimit-reset": "0.001"}, 2, 0.001),
        ({"retry-after": "0.001", "x-ratelimit-reset": "30"}, 2, 0.001),
    ],
)
def test_what_the_service_says_of_retrying_is_heeded(
    headers: dict[str, str], requests: int, retry_after: float | None, send: Send
) -> None:
    """As the official SDK does."""
    service = Service(error("slow down"), 429, headers)

    with pytest.raises(RateLimitError) as caught:
        ask(service, send=send, max_retries=1)

    assert len(service.requests) == requests
    assert caught.value.retry_after == retry_after
