"""DeepInfra's native API, as its documentation and its users describe it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import rerank_deepinfra
from failures import Failure, failing
from rerank_core import (
    BilledUnits,
    Meta,
    Reranker,
    ResponseParseError,
    Tokens,
    UnsupportedParamError,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import Difference, Service, asking, by, call_of, captures, without_variables

QUERY = "What is the capital of France?"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
MODEL = "Qwen/Qwen3-Reranker-0.6B"
URL = f"https://api.deepinfra.com/v1/inference/{MODEL}"
# The documented example.
REPLY = {
    "scores": [0.00031, 0.99914],
    "input_tokens": 42,
    "request_id": "RfX2qJmT7k",
    "inference_status": {
        "status": "succeeded",
        "runtime_ms": 35,
        "cost": 4.2e-07,
        "tokens_generated": 0,
        "tokens_input": 42,
        "output_length": 0,
    },
}


def score(asked: Any) -> dict[str, Any]:
    """Score later documents higher."""
    count = len(asked["documents"])
    return {"scores": [(at + 1) / (count + 1) for at in range(count)], "request_id": None}


ask = asking(f"deepinfra/{MODEL}", api_key="test-key", query=QUERY, documents=DOCUMENTS)
bare_environment = without_variables(of="deepinfra")

CASE = Case(
    plugin=rerank_deepinfra,
    model=MODEL,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "instruction": "Find capitals."},
        url=URL,
        json={
            "queries": [QUERY, QUERY],
            "documents": DOCUMENTS,
            "instruction": "Find capitals.",
        },
        reply=REPLY,
        ranking=[(1, 0.99914), (0, 0.00031)],
        id="RfX2qJmT7k",
        meta=Meta(billed_units=BilledUnits(total_tokens=42), tokens=Tokens(input_tokens=42)),
    ),
    encode=lambda ranking, _, __: {
        "scores": [score for _, score in ranking],
        "input_tokens": 42,
        "request_id": "1",
        "inference_status": {"status": "succeeded", "cost": 4.2e-07, "tokens_input": 42},
    },
    encode_error=lambda message: {"detail": {"error": message}},
    params={"instruction": "Find capitals."},
    positional=True,
    error_in_200={"error": "the model failed"},
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("Qwen/Qwen3-Reranker-8B", b"Qwen/Qwen3-Reranker-8B"),
        ("me/mine:abc", b"me/mine:abc"),
        ("me/my model?", b"me/my%20model%3F"),
    ],
)
def test_a_model_s_name_is_part_of_the_path(model: str, path: bytes) -> None:
    """With its slash and its version, the rest encoded; it is not in the body."""
    service = Service(score)

    ask(service, model=f"deepinfra/{model}")

    assert service.requests[0].url.raw_path == b"/v1/inference/" + path
    assert "model" not in service.body


@pytest.mark.parametrize(("broadcast", "count"), [(True, 1), (False, 2), (None, 2)])
def test_a_query_may_be_sent_once(broadcast: bool | None, count: int) -> None:  # noqa: FBT001 - a parameter of the test
    """Smaller, and not documented."""
    service = Service(score)

    ask(service, broadcast_query=broadcast)

    assert service.body == {"queries": [QUERY] * count, "documents": DOCUMENTS}


def test_parameters_of_the_service_are_sent_by_name() -> None:
    """Those that only DeepInfra knows."""
    service = Service(score)

    ask(service, instruction="find", service_tier="default")

    assert service.body["instruction"] == "find"
    assert service.body["service_tier"] == "default"


def test_blank_documents_are_held_back() -> None:
    """The query is repeated only for those that are sent."""
    service = Service(score)

    response = ask(service, ["a", "", "b"])

    assert service.body == {"queries": [QUERY, QUERY], "documents": ["a", "b"]}
    assert [result.index for result in response.results] == [2, 0, 1]


@pytest.mark.parametrize("top_n", [1, 2, 3])
def test_the_best_are_kept(top_n: int) -> None:
    """The service knows no top_n, and sends scores in the caller's order."""
    service = Service(score)

    response = ask(service, ["a", "b", "c"], top_n=top_n)

    assert [result.index for result in response.results] == [2, 1, 0][:top_n]
    assert service.body.keys() == {"queries", "documents"}


@pytest.mark.parametrize(
    ("fields", "tokens", "cost"),
    [
        ({"request_id": None}, 42, 4.2e-07),
        ({"inference_status": {"cost": 8.4e-07}}, 42, 8.4e-07),  # twice the list price
        ({"input_tokens": None}, 42, 4.2e-07),
        ({"inference_status": {"status": "unknown", "cost": 0.0}}, 42, 42 * 0.01 / 1e6),
        ({"inference_status": None}, 42, 42 * 0.01 / 1e6),
        ({"inference_status": "?", "input_tokens": "?"}, None, None),
        ({"inference_status": {"cost": True}, "input_tokens": None}, None, None),
    ],
)
def test_what_a_reply_leaves_out_is_not_made_up(
    fields: dict[str, Any], tokens: int | None, cost: float | None
) -> None:
    """Neither id nor usage; the cost is the stated one, and for 0 the list price."""
    response = ask(Service(REPLY | fields))

    assert response.id
    assert response.meta.billed_units.total_tokens == tokens
    assert response.cost == (cost if cost is None else pytest.approx(cost))


def test_a_price_that_is_not_known_is_no_cost() -> None:
    """The priority tier costs more than the list says; some models are not in it."""
    reply = REPLY | {"inference_status": {"cost": 0}}

    priority = ask(Service(reply), service_tier="priority")
    unlisted = ask(Service(reply), model="deepinfra/Qwen/Qwen3-Reranker-4B")

    assert priority.cost is None
    assert unlisted.cost is None


def test_the_tier_does_not_change_the_context() -> None:
    """Only the price is another one."""
    model = "deepinfra/nvidia/Nemotron-3.5-Rerank-8B-BF16"
    usual = Reranker(model, api_key="key-0123456789").facts
    priority = Reranker(model, api_key="key-0123456789", service_tier="priority").facts

    assert usual.max_tokens == priority.max_tokens == 32768
    assert priority.price is None


def test_the_tier_belongs_to_the_connection() -> None:
    """A call could not change the price that its cost is reckoned by."""
    service = Service(REPLY)
    reranker = Reranker(f"deepinfra/{MODEL}", api_key="key-0123456789", http_client=service)

    with pytest.raises(UnsupportedParamError, match=r"'service_tier' .* Reranker\("):
        reranker.rerank("q", ["a", "b"], service_tier="priority")
    assert service.requests == []


@pytest.mark.parametrize("scores", [[0.5], [0.5, 0.5, 0.5], []])
def test_as_many_scores_are_wanted_as_documents(scores: list[float]) -> None:
    """They have no index, so that one too few says nothing about any."""
    with pytest.raises(
        ResponseParseError, match=rf"scores has {len(scores)} entries for 2"
    ) as caught:
        ask(Service({"scores": scores}))

    assert caught.value.path == "scores"


ERRORS = [
    Failure(200, {"error": "no scores today"}, "no scores today"),
    Failure(400, {"error": "bad request"}, "bad request"),
    Failure(401, {"detail": {"error": "User is not authenticated"}}, "User is not authenticated"),
    Failure(402, {"detail": "payment"}, ("payment", "if the account's balance")),
    Failure(403, {"detail": {"message": "not yours"}}, "not yours"),
    Failure(
        404,
        {"error": {"message": "model not found", "type": "x"}},
        ("model not found", "owner/name"),
    ),
    Failure(413, "too large", "too large"),
    Failure(
        422,
        {"detail": [{"loc": ["body", "documents"], "msg": "field required"}]},
        "body.documents: field required",
    ),
    Failure(429, {"detail": {"error": "busy"}}, ("busy", "200 requests at once")),
    Failure(500, {"error": "oops"}, "oops"),
    Failure(503, {"detail": {"error": "no capacity"}}, "no capacity"),
]
test_errors_of_every_form_are_read = failing(ask, f"deepinfra/{MODEL}", ERRORS)


# The captured call in this project's words.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "deepinfra-deepinfra_sdk-generic": {
        "api_base": "http://127.0.0.1",
        "instruction": "Given a web search query, retrieve relevant passages that answer the query",
        "broadcast_query": True,
    },
    "deepinfra-litellm-default": call_of("deepinfra-litellm-default"),
    "deepinfra-litellm-opts": call_of("deepinfra-litellm-opts"),
}
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "headers.accept",
        "application/json",
        "nothing else can be read",
        ("deepinfra-deepinfra_sdk-generic",),
    ),
    (
        "json.documents",
        [
            "text: Berlin is in Germany.\ntitle: a",
            "text: Paris is the capital of France.\ntitle: b",
        ],
        "the service takes only strings",
        ("deepinfra-litellm-opts",),
    ),
)


test_what_others_send_is_sent = captures("deepinfra", CALLS, DIFFERENCES, by(ask, score))
