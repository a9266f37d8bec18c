"""OpenRouter's rerank API as its specification and its SDK have it."""

from __future__ import annotations

from typing import Any

import pytest

import rerank_openrouter
from failures import Failure, failing
from rerank_core import BilledUnits, InvalidRequestError, Meta, Tokens
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    Difference,
    Send,
    Service,
    asking,
    both_ways,
    by,
    captures,
    rank,
    without_variables,
)

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
MODEL = "cohere/rerank-v3.5"
IMAGE = {"image": "https://example.com/paris.png"}
REPLY = {
    "id": "gen-rerank-1700000000-abc",
    "model": MODEL,
    "provider": "Cohere",
    "results": [
        {"index": 1, "relevance_score": 0.98, "document": {"text": DOCUMENTS[1]}},
        {"index": 0, "relevance_score": 0.02, "document": {"text": DOCUMENTS[0]}},
    ],
    "usage": {"search_units": 1, "total_tokens": 150, "cost": 0.001},
}
OWN: dict[str, Any] = {
    "provider_preferences": {"order": ["Cohere"], "allow_fallbacks": False},
    "user": "u1",
    "session_id": "s1",
    "trace": {"trace_id": "t1"},
}
CASE = Case(
    plugin=rerank_openrouter,
    model=MODEL,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        url="https://openrouter.ai/api/v1/rerank",
        json={"model": MODEL, "query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        reply=REPLY,
        ranking=[(1, 0.98), (0, 0.02)],
        id="gen-rerank-1700000000-abc",
        meta=Meta(
            billed_units=BilledUnits(search_units=1, total_tokens=150),
            tokens=Tokens(input_tokens=150),
        ),
    ),
    encode=lambda ranking, documents, _: {
        "results": [
            {"index": at, "relevance_score": score, "document": {"text": documents[0]}}
            for at, score in ranking
        ],
        "usage": {"total_tokens": 7},
    },
    params=OWN,
)
ask = asking(f"openrouter/{MODEL}", api_key="sk-or-v1-0123", query=QUERY, documents=DOCUMENTS)
bare_environment = without_variables(of="openrouter")
CALLS = {
    "openrouter-openrouter-full": {
        "documents": [DOCUMENTS[0], {"text": DOCUMENTS[1]}],
        "top_n": 1,
        "provider_preferences": OWN["provider_preferences"],
        "user": "u1",
        "http_referer": "https://example.test",
        "x_open_router_title": "Demo",
    },
    "openrouter-openrouter-minimal": {"documents": [*DOCUMENTS, "Madrid is in Spain."]},
}
DIFFERENCES: tuple[Difference, ...] = (
    (
        "headers.accept",
        "application/json",
        "the SDK asks for JSON in longer words, because other endpoints of it stream",
        ("openrouter-openrouter-full", "openrouter-openrouter-minimal"),
    ),
    (
        "json.documents",
        DOCUMENTS,
        "a mapping with only a text is that text",
        ("openrouter-openrouter-full",),
    ),
)


def error(code: int, message: str = "its words", metadata: Any = None) -> dict[str, Any]:
    """An error as OpenRouter writes it."""
    return {"error": {"code": code, "message": message, "metadata": metadata}, "user_id": "u"}


WORDS = ("its words",)
ERRORS = [
    Failure(400, error(400), WORDS),
    Failure(401, error(401), WORDS),
    Failure(402, error(402), ("its words", "credits")),
    Failure(404, error(404), ("its words", "mongodb/")),
    Failure(413, error(413), WORDS),
    Failure(429, error(429), WORDS),
    Failure(502, error(502), WORDS),
    Failure(
        502,
        error(502, "Provider returned error", {"raw": "no such field", "provider_name": "Cohere"}),
        ("Provider returned error", "no such field"),
    ),
    Failure(524, error(524), WORDS),
    Failure(529, error(529), WORDS),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


test_what_others_send_is_sent = captures("openrouter", CALLS, DIFFERENCES, by(ask))


@pytest.mark.parametrize(
    "model", ["mongodb/rerank-2.5", "nvidia/nemotron-3.5-rerank-8b:free", "new/one"]
)
def test_ids_of_models_are_passed_on(model: str) -> None:
    """Their owners change, so no list is kept."""
    service = Service()

    ask(service, model=f"openrouter/{model}")

    assert service.body["model"] == model


def test_an_application_names_itself_in_headers() -> None:
    """As the documentation of app attribution spells them; none of it is in the body."""
    service = Service()

    ask(
        service,
        http_referer="https://example.test",
        x_open_router_title="Demo",
        x_open_router_categories="cli-agent",
    )

    sent = service.requests[0].headers
    assert sent["http-referer"] == "https://example.test"
    assert sent["x-openrouter-title"] == "Demo"
    assert sent["x-openrouter-categories"] == "cli-agent"
    assert service.body.keys() == {"model", "query", "documents"}


@both_ways
def test_the_cost_is_what_the_reply_states(send: Send) -> None:
    """Credits are dollars; free is 0, and unknown is not."""
    paid = ask(Service(REPLY), send=send)
    free = ask(Service({**REPLY, "usage": {"cost": 0}}), send=send)
    unknown = ask(Service({**REPLY, "usage": None}), send=send)
    odd = ask(Service({**REPLY, "usage": {"cost": "much"}}), send=send)

    assert [each.cost for each in (paid, free, unknown, odd)] == [0.001, 0, None, None]
    assert unknown.meta == Meta()


@pytest.mark.parametrize(
    ("served", "asked", "warns"),
    [
        (MODEL, MODEL, False),
        ("mongodb/rerank-2.5", MODEL, True),
        ("new/one:free", "new/one:free", False),
        ("new/one", "new/one:free", False),
        (None, MODEL, False),
        ("", MODEL, False),
    ],
)
def test_another_model_than_was_asked_for_is_told(
    served: str | None, asked: str, *, warns: bool
) -> None:
    """Routing may choose it, and its scores have another scale."""
    response = ask(Service({**REPLY, "model": served}), model=f"openrouter/{asked}")

    assert any(str(served) in warning for warning in response.warnings) is warns


def test_images_travel_as_objects_and_other_mappings_as_text() -> None:
    """An object holds only a text and an image."""
    service = Service()
    documents = ["Plain.", IMAGE, {**IMAGE, "text": "A tower."}, {"title": "A", "text": "B"}]

    ask(service, documents)
    whole = service.body["documents"]
    ask(service, [{**IMAGE, "text": "A", "id": 7}, {"text": "B", "id": 8}], rank_fields=["text"])

    assert whole == ["Plain.", IMAGE, {**IMAGE, "text": "A tower."}, "title: A\ntext: B"]
    assert service.body["documents"] == ["A", "B"]


def test_what_would_be_lost_beside_an_image_is_refused() -> None:
    """The error says how to choose."""
    service = Service()

    with pytest.raises(InvalidRequestError, match=r"documents\[1\].*caption.*rank_fields="):
        ask(service, ["Plain.", {**IMAGE, "caption": "A tower."}])

    assert service.requests == []


test_an_error_says_what_to_do = failing(ask, f"openrouter/{MODEL}", ERRORS)


def test_a_cost_of_parts_is_added_up() -> None:
    """Each part of a list that is split states its own."""
    service = Service(lambda asked: {**rank(asked), "usage": {"cost": 0.25}})

    response = ask(service, ["a", "b", "c", "d"], max_documents=2)

    assert response.cost == 0.5
