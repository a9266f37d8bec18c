"""Voyage's rerank API as its documentation and its official SDK have it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

import rerank_voyage
from failures import Failure, failing
from rerank_core import BilledUnits, InvalidRequestError, Meta, Tokens, UnsupportedParamError
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
    load,
    rank,
    without_variables,
)

KEY = "pa-0123456789abcdef"
QUERY = "What is the capital of France?"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
REPLY = {
    "object": "list",
    "data": [
        {"relevance_score": 0.8828125, "index": 1},
        {"relevance_score": 0.2695312, "index": 0},
    ],
    "model": "rerank-2.5",
    "usage": {"total_tokens": 41},
}

CASE = Case(
    plugin=rerank_voyage,
    model="rerank-2.5",
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2, "truncation": False},
        url="https://api.voyageai.com/v1/rerank",
        json={
            "model": "rerank-2.5",
            "query": QUERY,
            "documents": DOCUMENTS,
            "top_k": 2,
            "truncation": False,
        },
        reply=REPLY,
        ranking=[(1, 0.8828125), (0, 0.2695312)],
        meta=Meta(billed_units=BilledUnits(total_tokens=41), tokens=Tokens(input_tokens=41)),
    ),
    encode=lambda ranking, _, __: {
        "data": [{"index": at, "relevance_score": score} for at, score in ranking],
        "usage": {"total_tokens": 41},
    },
    encode_error=lambda message: {"detail": message},
    params={"truncation": False, "instruction": "Prefer recent ones."},
)

ask = asking("voyage/rerank-2.5", api_key=KEY, query=QUERY, documents=DOCUMENTS)
rank_voyage = partial(rank, name="data", limit="top_k")
bare_environment = without_variables(of="voyage")

# The captured call in this project's words, beside query, documents and model.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "voyage-litellm-default": {"api_base": "https://voyage.test"},
    "voyage-litellm-top_n-dicts": {
        "api_base": "https://voyage.test/v1",
        "documents": [
            {"text": "Berlin is in Germany.", "title": "a"},
            {"text": "Paris is the capital of France.", "title": "b"},
        ],
        "rank_fields": ["title"],
        "top_n": 1,
        "return_documents": True,
    },
    "voyage-litellm-truncation": {
        "api_base": "https://voyage.test/v1/rerank",
        "truncation": False,
        "return_documents": None,
        "max_tokens_per_doc": 10,
        "drop_params": True,
    },
    "voyage-voyageai-async-top_k": {"top_n": 2, "truncation": True},
    "voyage-voyageai-default": {"api_base": "https://voyage.test/v1"},
    "voyage-voyageai-top_k-no_truncation": {
        "api_base": "https://voyage.test/v1",
        "top_n": 1,
        "truncation": False,
    },
}
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "headers.accept",
        "application/json",
        "nothing else can be read; litellm and the SDK take their client's default",
        tuple(CALLS),
    ),
    (
        "json.return_documents",
        NOTHING,
        "core attaches the caller's own documents: asking for them back pays for them twice",
        ("voyage-litellm-default", "voyage-litellm-top_n-dicts"),
    ),
    (
        "json.documents",
        ["title: a", "title: b"],
        "the service takes only strings: mappings are rendered, by rank_fields",
        ("voyage-litellm-top_n-dicts",),
    ),
    (
        "json.truncation",
        False,
        "litellm loses parameters that only the provider knows",
        ("voyage-litellm-truncation",),
    ),
    (
        "json.truncation",
        NOTHING,
        "the SDK restates the service's default, which nobody asked for",
        ("voyage-voyageai-default",),
    ),
    (
        "json.top_k",
        NOTHING,
        "nothing is sent that was not asked for, and no null",
        ("voyage-voyageai-default",),
    ),
)

ONE_DETAIL = {"detail": "Provided API key is invalid."}
ERRORS = [
    Failure(400, {"detail": "Too many tokens."}, "Too many tokens."),
    Failure(
        401,
        ONE_DETAIL,
        (ONE_DETAIL["detail"], "'al-'", "https://ai.mongodb.com", "https://api.voyageai.com"),
    ),
    Failure(403, {"detail": "Forbidden."}, ("Forbidden.", "IP address")),
    Failure(404, "Not Found", "Not Found"),
    Failure(
        422,
        {"detail": [{"loc": ["body", "documents", 0], "msg": "not a string", "type": "t"}]},
        "body.documents.0: not a string",
    ),
    Failure(422, {"detail": {"message": "malformed"}}, "malformed"),
    Failure(429, {"detail": "Slow down."}, ("Slow down.", "payment method")),
    Failure(500, "", "status 500"),
    Failure(502, "<html>Bad gateway</html>", "Bad gateway"),
    Failure(503, {"detail": "Overloaded."}, "Overloaded."),
    Failure(504, "", "status 504"),
]


# --- What every plugin must keep --------------------------------------------------------------


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


# --- What others were seen to send ------------------------------------------------------------


test_what_others_send_is_sent = captures("voyage", CALLS, DIFFERENCES, by(ask, rank_voyage))


def test_the_recorded_reply_is_read() -> None:
    """The one beside the SDK's request."""
    reply = load("voyage-voyageai-default")["response"]["json"]

    response = ask(Service(reply))

    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 0.4375), (0, 0.421875)]
    assert response.meta.billed_units.total_tokens == 26


# --- Where requests go ------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    ("key", "host"),
    [("al-0123456789", "ai.mongodb.com"), ("pa-al-0123456789", "api.voyageai.com")],
)
def test_the_key_chooses_the_host(key: str, host: str, send: Send) -> None:
    """A key that Atlas issued is valid on MongoDB's host only."""
    service = Service(rank_voyage)

    ask(service, send=send, api_key=key)

    assert service.url == f"https://{host}/v1/rerank"
    assert service.requests[0].headers["authorization"] == f"Bearer {key}"


def test_a_key_from_the_environment_chooses_the_host_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is given."""
    monkeypatch.setenv("VOYAGE_API_KEY", "al-0123456789")
    service = Service(rank_voyage)

    ask(service, api_key=None)

    assert service.url == "https://ai.mongodb.com/v1/rerank"


@pytest.mark.parametrize("key", [KEY, "al-0123456789"])
def test_a_base_url_of_the_caller_s_outweighs_the_key(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argument, then environment, then what the key says."""
    monkeypatch.setenv("VOYAGE_API_BASE", "https://from.environment/v1")
    given, found = Service(rank_voyage), Service(rank_voyage)

    ask(given, api_key=key, api_base="https://from.argument")
    ask(found, api_key=key)

    assert given.url == "https://from.argument/v1/rerank"
    assert found.url == "https://from.environment/v1/rerank"


# --- What is sent -----------------------------------------------------------------------------


@both_ways
def test_every_parameter_is_sent_by_voyage_s_name(send: Send) -> None:
    """`top_n` is `top_k`, and at most the number of documents."""
    service = Service(rank_voyage)

    response = ask(service, send=send, top_n=9, truncation=False)

    assert service.body == {
        "model": "rerank-2.5",
        "query": QUERY,
        "documents": DOCUMENTS,
        "top_k": 2,
        "truncation": False,
    }
    assert len(response.results) == 2


@pytest.mark.parametrize("model", ["rerank-2.5", "rerank-3-lite", "rerank-9"])
def test_an_instruction_becomes_part_of_the_query(model: str) -> None:
    """Where Voyage's documentation wants it; there is no field for it."""
    service = Service(rank_voyage)

    ask(service, model=f"voyage/{model}", instruction="Prefer recent ones.")

    assert service.body == {
        "model": model,
        "query": f"Prefer recent ones.\n{QUERY}",
        "documents": DOCUMENTS,
    }


@pytest.mark.parametrize("model", ["rerank-2", "rerank-2-lite", "rerank-1", "rerank-lite-1"])
def test_an_instruction_is_refused_where_the_model_heeds_none(model: str) -> None:
    """Or left out with a warning, where that is allowed."""
    service = Service(rank_voyage)

    with pytest.raises(UnsupportedParamError, match=r"rerank-2\.5 and later") as caught:
        ask(service, model=f"voyage/{model}", instruction="Prefer recent ones.")
    response = ask(service, model=f"voyage/{model}", instruction="No.", drop_params=True)

    assert caught.value.param == "instruction"
    assert len(service.requests) == 1
    assert service.body["query"] == QUERY
    assert [warning for warning in response.warnings if "instruction" in warning]


@pytest.mark.parametrize("instruction", ["", "  ", 5])
def test_an_instruction_must_say_something(instruction: object) -> None:
    """Nothing is sent otherwise."""
    service = Service(rank_voyage)

    with pytest.raises(InvalidRequestError, match="instruction must be a string"):
        ask(service, instruction=instruction)

    assert service.requests == []


# --- What comes back --------------------------------------------------------------------------


test_an_error_says_what_to_do = failing(ask, "voyage/rerank-2.5", ERRORS)
