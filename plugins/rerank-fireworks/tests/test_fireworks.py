"""Fireworks' rerank API as its documentation and its clients have it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

import rerank_fireworks
from failures import Failure, failing
from rerank_core import BilledUnits, Meta, Price, Tokens, UnsupportedParamError
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    Difference,
    Send,
    Service,
    asking,
    both_ways,
    by,
    captures,
    facts,
    load,
    rank,
    without_variables,
)

KEY = "fw_0123456789abcdef"
QUERY = "What is the capital of France?"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
WHOLE = "accounts/fireworks/models/qwen3-reranker-8b"
REPLY = {
    "object": "list",
    "model": WHOLE,
    "data": [
        {"index": 1, "relevance_score": 0.9712, "document": "Paris is the capital of France."},
        {"index": 0, "relevance_score": 0.0183, "document": "Berlin is in Germany."},
    ],
    "usage": {"prompt_tokens": 152, "total_tokens": 152},
}

CASE = Case(
    plugin=rerank_fireworks,
    model="qwen3-reranker-8b",
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        url="https://api.fireworks.ai/inference/v1/rerank",
        json={
            "model": WHOLE,
            "query": QUERY,
            "documents": DOCUMENTS,
            "return_documents": False,
            "top_n": 2,
        },
        reply=REPLY,
        ranking=[(1, 0.9712), (0, 0.0183)],
    ),
    encode=lambda ranking, _, __: {
        "data": [{"index": at, "relevance_score": score} for at, score in ranking],
        "usage": {"prompt_tokens": 152, "total_tokens": 152},
    },
    params={"task": "Prefer recent ones.", "instruction": "Prefer recent ones."},
)

ask = asking("fireworks/qwen3-reranker-8b", api_key=KEY, query=QUERY, documents=DOCUMENTS)
rank_fireworks = partial(rank, name="data")
bare_environment = without_variables(of="fireworks")

TASK = "Given a web search query, retrieve relevant passages that answer the query"
OBJECTS = [
    {"text": "Berlin is in Germany.", "title": "a"},
    {"text": "Paris is the capital of France.", "title": "b"},
]
# The captured call in this project's words, beside query, documents and model.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "fireworks_ai-langchain-mapping-docs": {
        "documents": OBJECTS,
        "rank_fields": ["text"],
        "api_base": "https://fireworks.test/inference/v1",
    },
    "fireworks_ai-langchain-task-top_n": {
        "top_n": 1,
        "task": TASK,
        "api_base": "https://fireworks.test/inference/v1",
    },
    "fireworks_ai-litellm-accounts": {
        "model": f"fireworks_ai/{WHOLE}",
        "documents": OBJECTS,
        "top_n": 1,
        "return_documents": False,
        "api_base": "https://fireworks.test",
    },
    "fireworks_ai-litellm-default": {
        "model": "fireworks_ai/fireworks/qwen3-reranker-8b",
        "api_base": "https://fireworks.test/inference/v1",
    },
}
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "headers.accept",
        "application/json",
        "nothing else can be read; litellm takes its client's default",
        ("fireworks_ai-litellm-accounts", "fireworks_ai-litellm-default"),
    ),
    (
        "json.documents",
        DOCUMENTS,
        "a mapping of which only the text counts is that text, not JSON",
        ("fireworks_ai-langchain-mapping-docs",),
    ),
    (
        "json.documents",
        [
            "text: Berlin is in Germany.\ntitle: a",
            "text: Paris is the capital of France.\ntitle: b",
        ],
        "the service takes only strings",
        ("fireworks_ai-litellm-accounts",),
    ),
    (
        "json.model",
        WHOLE,
        "litellm puts 'fireworks/' before an id that is whole",
        ("fireworks_ai-litellm-accounts",),
    ),
    (
        "json.return_documents",
        False,
        "core attaches the caller's own documents: asking for them back pays for them twice",
        ("fireworks_ai-litellm-default",),
    ),
)


def error(message: str) -> dict[str, Any]:
    """An error reply as documented."""
    kind = "invalid_request_error"
    return {"error": {"object": "error", "type": kind, "message": message, "code": "X"}}


MISSING = "Model not found, inaccessible, and/or not deployed"
ERRORS = [
    Failure(400, error("unknown key"), "unknown key"),
    Failure(401, {"error": "bad key"}, "bad key"),
    Failure(402, error("no"), ("no", "usage limit")),
    Failure(403, {"message": "no"}, "no"),
    Failure(404, error(MISSING), (MISSING, "qwen3-reranker-8b is served")),
    Failure(405, {"detail": "wrong method"}, "wrong method"),
    Failure(408, "", "status 408"),
    Failure(412, error("no"), ("no", "account is not suspended", "LoRA")),
    Failure(413, "too large", "too large"),
    Failure(429, error("slow down"), "slow down"),
    Failure(500, error("oops"), "oops"),
    Failure(502, "<html>Bad gateway</html>", "Bad gateway"),
    Failure(503, error("overloaded"), "overloaded"),
    Failure(504, "", "status 504"),
]


# --- What every plugin must keep --------------------------------------------------------------


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


# --- What others were seen to send ------------------------------------------------------------


test_what_others_send_is_sent = captures(
    "fireworks_ai", CALLS, DIFFERENCES, by(ask, rank_fireworks)
)


def test_the_recorded_reply_is_read() -> None:
    """The one beside langchain's request."""
    reply = load("fireworks_ai-langchain-task-top_n")["response"]["json"]

    response = ask(Service(reply), top_n=1)

    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 0.97)]
    assert response.meta.billed_units.total_tokens == 150


# --- What is sent -----------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("name", ["task", "instruction"])
def test_every_parameter_is_sent_by_fireworks_name(name: str, send: Send) -> None:
    """What others call an instruction is its task."""
    service = Service(rank_fireworks)

    ask(service, send=send, top_n=1, **{name: "Prefer recent ones."})

    assert service.body == {
        "model": WHOLE,
        "query": QUERY,
        "documents": DOCUMENTS,
        "return_documents": False,
        "top_n": 1,
        "task": "Prefer recent ones.",
    }


def test_one_of_two_tasks_is_refused() -> None:
    """Or left out with a warning, where that is allowed."""
    service = Service(rank_fireworks)
    both: dict[str, Any] = {"task": "One.", "instruction": "Another."}

    with pytest.raises(UnsupportedParamError, match="one of 'task' and 'instruction'"):
        ask(service, **both)
    response = ask(service, **both, drop_params=True)

    assert len(service.requests) == 1
    assert service.body["task"] == "One."
    assert [warning for warning in response.warnings if "'instruction'" in warning]


@both_ways
@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("qwen3-reranker-8b", WHOLE),
        ("qwen3-reranker-0p6b", "accounts/fireworks/models/qwen3-reranker-0p6b"),
        ("fireworks/qwen3-reranker-8b", "fireworks/qwen3-reranker-8b"),
        (WHOLE, WHOLE),
        ("accounts/me/models/mine", "accounts/me/models/mine"),
        ("accounts/me/models/mine#me/d1", "accounts/me/models/mine#me/d1"),
        ("qwen3-reranker-4b#d1", "qwen3-reranker-4b#d1"),
    ],
)
def test_a_bare_model_is_completed(model: str, sent: str, send: Send) -> None:
    """One with an account or a deployment stays as it is; the response has the caller's name."""
    service = Service(rank_fireworks)

    response = ask(service, send=send, model=f"fireworks/{model}")

    assert service.body["model"] == sent
    assert (response.provider, response.model) == ("fireworks", model)


# --- What comes back --------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("name", ["data", "results"])
def test_the_documented_reply_is_read(name: str, send: Send) -> None:
    """Its list is called `data`; `results`, as elsewhere, is understood as well."""
    reply = {name if key == "data" else key: value for key, value in REPLY.items()}

    response = ask(Service(reply), send=send)

    ranking = [(result.index, result.relevance_score) for result in response.results]
    assert ranking == [(1, 0.9712), (0, 0.0183)]
    assert [result["document"]["text"] for result in response.results] == DOCUMENTS[::-1]
    assert response.meta == Meta(
        billed_units=BilledUnits(total_tokens=152), tokens=Tokens(input_tokens=152)
    )
    assert response.cost == pytest.approx(152 * 0.2e-6)
    assert response.id


test_an_error_says_what_to_do = failing(ask, "fireworks/qwen3-reranker-8b", ERRORS)


# --- Facts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("qwen3-reranker-8b", 0.2e-6),
        ("fireworks/qwen3-reranker-8b", 0.2e-6),
        (WHOLE, 0.2e-6),
        ("qwen3-reranker-4b", None),
        ("qwen3-reranker-0p6b", None),
        (f"{WHOLE}#me/d1", None),
        ("accounts/me/models/mine", None),
    ],
)
def test_only_what_is_served_without_a_deployment_has_a_price(
    model: str, usd: float | None
) -> None:
    """A deployment is billed by time."""
    known = facts(f"fireworks/{model}")

    assert known.price == (None if usd is None else Price(usd, "total_tokens", "2026-11-22"))
    assert known.score_kind == "probability"
    assert not known.listwise
