"""Voyage's rerank API as its documentation and its official SDK have it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

import rerank_voyage
from rerank_core import (
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    InvalidRequestError,
    Meta,
    NotFoundError,
    PermissionDeniedError,
    Price,
    RateLimitError,
    ServerError,
    Tokens,
    UnsupportedParamError,
)
from rerank_core.testing import Case, Check, Example, conformance
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
    facts,
    load,
    rank,
    without_variables,
)

KEY = "pa-0123456789abcdef"
QUERY = "What is the capital of France?"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
VARIABLES = ("VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_AI_TOKEN")
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
bare_environment = without_variables(*VARIABLES, "VOYAGE_API_BASE")

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
ERRORS: list[Failure] = [
    (400, {"detail": "Too many tokens."}, BadRequestError, ("Too many tokens.",), False),
    (
        401,
        ONE_DETAIL,
        AuthenticationError,
        (ONE_DETAIL["detail"], "'al-'", "https://ai.mongodb.com", "https://api.voyageai.com"),
        False,
    ),
    (403, {"detail": "Forbidden."}, PermissionDeniedError, ("Forbidden.", "IP address"), False),
    (404, "Not Found", NotFoundError, ("Not Found",), False),
    (
        422,
        {"detail": [{"loc": ["body", "documents", 0], "msg": "not a string", "type": "t"}]},
        BadRequestError,
        ("body.documents.0: not a string",),
        False,
    ),
    (422, {"detail": {"message": "malformed"}}, BadRequestError, ("malformed",), False),
    (429, {"detail": "Slow down."}, RateLimitError, ("Slow down.", "payment method"), True),
    (500, "", ServerError, ("status 500",), True),
    (502, "<html>Bad gateway</html>", ServerError, ("Bad gateway",), True),
    (503, {"detail": "Overloaded."}, ServerError, ("Overloaded.",), True),
    (504, "", ServerError, ("status 504",), True),
]


# --- What every plugin must keep --------------------------------------------------------------


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


# --- What others were seen to send ------------------------------------------------------------


@captures("voyage", CALLS, DIFFERENCES, by(ask, rank_voyage))
def test_the_same_call_sends_the_same_but_for_the_differences(check: CaptureCheck) -> None:
    """Method, path, query, the headers that matter and every field of the body."""
    check()


def test_the_recorded_reply_is_read() -> None:
    """The one beside the SDK's request."""
    reply = load("voyage-voyageai-default")["response"]["json"]

    response = ask(Service(reply))

    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 0.4375), (0, 0.421875)]
    assert response.meta.billed_units.total_tokens == 26


# --- Where requests go ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "https://api.voyageai.com/v1/rerank"),
        ("https://api.voyageai.com", "https://api.voyageai.com/v1/rerank"),
        ("https://api.voyageai.com/", "https://api.voyageai.com/v1/rerank"),
        ("https://api.voyageai.com/v1", "https://api.voyageai.com/v1/rerank"),
        ("https://api.voyageai.com/v1//", "https://api.voyageai.com/v1/rerank"),
        ("https://api.voyageai.com/v1/rerank", "https://api.voyageai.com/v1/rerank"),
        ("https://api.voyageai.com/v1/rerank/", "https://api.voyageai.com/v1/rerank"),
        ("http://gateway:8080/voyage?t=a", "http://gateway:8080/voyage/v1/rerank?t=a"),
    ],
)
def test_a_base_url_is_completed(base: str | None, url: str) -> None:
    """However much of the path it has already; prefix and query stay."""
    service = Service(rank_voyage)

    ask(service, api_base=base)

    assert service.url == url


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
def test_nothing_is_sent_that_was_not_asked_for(send: Send) -> None:
    """No default is restated, nothing is null, and documents are not asked back."""
    service = Service(rank_voyage)

    ask(service, send=send)

    assert service.body == {"model": "rerank-2.5", "query": QUERY, "documents": DOCUMENTS}


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


@both_ways
def test_more_documents_than_voyage_takes_are_split(send: Send) -> None:
    """1,000 go in one request; what they cost is added up."""
    service = Service(rank_voyage)

    response = ask(service, ["x"] * 1001, send=send)
    ask(service, ["x"] * 1000, send=send)

    sizes = [len(json.loads(request.content)["documents"]) for request in service.requests]
    assert sorted(sizes[:2]) == [500, 501]
    assert sizes[2:] == [1000]
    assert sorted(result.index for result in response.results) == list(range(1001))
    assert response.meta.billed_units.total_tokens == 10_010


@pytest.mark.parametrize(
    "param", ["max_chunks_per_doc", "max_tokens_per_doc", "top_k", "return_embeddings"]
)
def test_what_voyage_does_not_know_is_refused_unless_allowed(param: str) -> None:
    """The error names parameter and provider; a warning says what was left out."""
    check_refused_unless_allowed(ask, Service(rank_voyage), "voyage", param)


# --- What comes back --------------------------------------------------------------------------


@both_ways
def test_the_documented_reply_is_read(send: Send) -> None:
    """Its list is called `data`; all tokens went in, and are billed."""
    response = ask(Service(REPLY, headers={"request-id": "r-1"}), send=send)

    ranking = [(result.index, result.relevance_score) for result in response.results]
    assert ranking == [(1, 0.8828125), (0, 0.2695312)]
    assert [result["document"]["text"] for result in response.results] == DOCUMENTS[::-1]
    assert response.meta == Meta(
        billed_units=BilledUnits(total_tokens=41), tokens=Tokens(input_tokens=41)
    )
    assert response.cost == pytest.approx(41 * 0.05 / 1_000_000)
    assert (response.provider, response.model) == ("voyage", "rerank-2.5")
    assert response.id
    assert response.headers["request-id"] == "r-1"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": "rr-1"}, {"id": "rr-1"}),
        ({"usage": None}, {"meta": Meta(), "cost": None}),
        ({"usage": {}}, {"meta": Meta(), "cost": None}),
        (
            {"data": [{"index": 0, "relevance_score": 1, "document": "no such text"}]},
            {"warnings": ()},
        ),
    ],
)
def test_what_a_reply_may_have_or_lack_is_no_fault(
    changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    """An id, a usage, documents."""
    response = ask(Service(REPLY | changes), top_n=1)

    assert {name: getattr(response, name) for name in expected} == expected
    document = response.results[0].document
    assert document is not None
    assert document.text == DOCUMENTS[response.results[0].index]


def test_equal_scores_keep_the_caller_s_order() -> None:
    """Scores of 16 bits are often equal."""
    rows = [{"index": at, "relevance_score": 0.5} for at in (2, 0, 1)]

    response = ask(Service({"data": rows}), ["a", "b", "c"])

    assert [result.index for result in response.results] == [0, 1, 2]


def test_a_gateway_that_ignores_top_k_is_cut() -> None:
    """Never more than `top_n`."""
    assert [result.index for result in ask(Service(REPLY), top_n=1).results] == [1]


@both_ways
@pytest.mark.parametrize("failure", ERRORS, ids=lambda row: f"{row[0]}-{row[2].__name__}")
def test_an_error_says_what_to_do(failure: Failure, send: Send) -> None:
    """Of the right kind, in the service's words, retried where that may help."""
    check_failure(ask, failure, "voyage/rerank-2.5", send)


# --- Facts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "max_tokens", "usd"),
    [
        ("rerank-3", 32_000, 0.05),
        ("rerank-3-lite", 32_000, 0.02),
        ("rerank-2.5", 32_000, 0.05),
        ("rerank-2.5-lite", 32_000, 0.02),
        ("rerank-2", 16_000, 0.05),
        ("rerank-2-lite", 8000, 0.02),
        ("rerank-1", 8000, 0.05),
        ("rerank-lite-1", 4000, 0.02),
        ("rerank-9", None, None),
    ],
)
def test_a_model_s_context_and_price_are_known(
    model: str, max_tokens: int | None, usd: float | None
) -> None:
    """A model that is not listed goes through, and its price is unknown, not nothing."""
    known = facts(f"voyage/{model}")

    assert known.max_tokens == max_tokens
    assert known.score_kind == "probability"
    assert not known.listwise
    if usd is None:
        assert known.price is None
    else:
        assert known.price == Price(usd * 1e-6, "total_tokens", "2026-11-22")
