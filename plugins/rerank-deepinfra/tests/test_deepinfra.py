"""DeepInfra's native API, as its documentation and its users describe it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import rerank_deepinfra
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    Meta,
    NotFoundError,
    PermissionDeniedError,
    Price,
    RateLimitError,
    Reranker,
    ResponseParseError,
    ServerError,
    Tokens,
    UnsupportedParamError,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    CAPTURES,
    Difference,
    Send,
    Service,
    asking,
    both_ways,
    call_of,
    check_refused_unless_allowed,
    differing,
    noting_waits,
    stated,
    without_variables,
)

QUERY = "What is the capital of France?"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
MODEL = "Qwen/Qwen3-Reranker-0.6B"
VARIABLES = ("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN")
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
bare_environment = without_variables(*VARIABLES, "DEEPINFRA_API_BASE", "DEEPINFRA_BASE_URL")
waits = noting_waits()

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
    ("base", "url"),
    [
        (None, URL),
        ("https://api.deepinfra.com", URL),
        ("https://api.deepinfra.com/", URL),
        ("https://api.deepinfra.com/v1", URL),
        ("https://api.deepinfra.com/v1/inference/", URL),
        ("https://api.deepinfra.com/v1/openai", URL),
        ("https://api.deepinfra.com/v1/openai/", URL),
        (URL, URL),
        (
            "https://api.deepinfra.com/v1/inference/abc123",
            "https://api.deepinfra.com/v1/inference/abc123",
        ),
        ("https://gateway.internal/openai", f"https://gateway.internal/inference/{MODEL}"),
        ("https://gateway.internal/a?b=c", f"https://gateway.internal/a/v1/inference/{MODEL}?b=c"),
    ],
)
def test_a_base_url_is_completed_with_the_model(base: str | None, url: str) -> None:
    """The one that users know is that of the chat API; a whole one is a deployment's."""
    service = Service(score)

    ask(service, api_base=base)

    assert service.url == url


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


@both_ways
def test_the_query_stands_beside_each_document(send: Send) -> None:
    """The documented form; nothing else is sent."""
    service = Service(score)

    response = ask(service, send=send)

    assert service.body == {"queries": [QUERY, QUERY], "documents": DOCUMENTS}
    assert [result.index for result in response.results] == [1, 0]


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


@pytest.mark.parametrize("name", ["max_chunks_per_doc", "max_tokens_per_doc", "webhook"])
def test_what_the_service_cannot_do_is_refused(name: str) -> None:
    """With a webhook the reply would have no scores."""
    check_refused_unless_allowed(ask, Service(score), "deepinfra", name)


def test_blank_documents_are_held_back() -> None:
    """The query is repeated only for those that are sent."""
    service = Service(score)

    response = ask(service, ["a", "", "b"])

    assert service.body == {"queries": [QUERY, QUERY], "documents": ["a", "b"]}
    assert [result.index for result in response.results] == [2, 0, 1]


def test_the_documented_reply_is_read() -> None:
    """Scores by position, usage, cost and id."""
    response = ask(Service(REPLY))

    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 0.99914), (0, 0.00031)]
    assert response.id == "RfX2qJmT7k"
    assert response.meta.billed_units.total_tokens == 42
    assert response.meta.tokens.input_tokens == 42
    assert response.cost == 4.2e-07


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
    """Neither an id of the service's nor usage; a cost of 0 gives way to the list price."""
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


@pytest.mark.parametrize("reply", [{"scores": None}, {"results": []}, [0.1, 0.2], {"scores": "ab"}])
def test_any_other_reply_is_an_error(reply: Any) -> None:
    """Never an empty success."""
    with pytest.raises(ResponseParseError):
        ask(Service(reply))


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (200, {"error": "no scores today"}, APIStatusError, "no scores today"),
        (400, {"error": "bad request"}, BadRequestError, "bad request"),
        (
            401,
            {"detail": {"error": "User is not authenticated"}},
            AuthenticationError,
            "User is not authenticated",
        ),
        (402, {"detail": "payment"}, PermissionDeniedError, r"payment \(if the account's balance"),
        (403, {"detail": {"message": "not yours"}}, PermissionDeniedError, "not yours"),
        (
            404,
            {"error": {"message": "model not found", "type": "x"}},
            NotFoundError,
            "model not found .*owner/name",
        ),
        (413, "too large", BadRequestError, "too large"),
        (
            422,
            {"detail": [{"loc": ["body", "documents"], "msg": "field required"}]},
            BadRequestError,
            "body.documents: field required",
        ),
        (429, {"detail": {"error": "busy"}}, RateLimitError, "busy .*200 requests at once"),
        (500, {"error": "oops"}, ServerError, "oops"),
        (503, {"detail": {"error": "no capacity"}}, ServerError, "no capacity"),
    ],
)
def test_errors_of_every_form_are_read(
    status: int, body: Any, kind: type[Exception], words: str
) -> None:
    """A string, an object and a list, under `error` or `detail`."""
    with pytest.raises(kind, match=words) as caught:
        ask(Service(body, status))

    assert type(caught.value) is kind


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


@pytest.mark.parametrize("name", CALLS)
def test_the_same_call_sends_the_same_but_for_the_differences(name: str) -> None:
    """Method, path, query, headers and every field of the body."""
    service = Service(score)

    ask(service, **CALLS[name])

    assert differing(name, service) == stated(name, DIFFERENCES)


def test_every_capture_is_covered() -> None:
    """A file that is added must be made the same call of."""
    assert {path.stem for path in CAPTURES.glob("deepinfra-*.json")} == set(CALLS)


@pytest.mark.parametrize(
    ("model", "kind", "tokens", "price"),
    [
        (MODEL, "probability", 32768, 0.010 / 1e6),
        ("Qwen/Qwen3-Reranker-4B", "probability", 32768, None),
        ("Qwen/Qwen3-Reranker-8B", "probability", 32768, 0.050 / 1e6),
        ("nvidia/Nemotron-3.5-Rerank-8B-BF16", "opaque", 32768, 0.050 / 1e6),
        ("me/mine", "opaque", None, None),
    ],
)
def test_the_facts_are_stated(
    model: str, kind: str, tokens: int | None, price: float | None
) -> None:
    """By model, as far as they are documented."""
    facts = rerank_deepinfra.resolve_provider(model, {})

    assert facts.name == "deepinfra"
    assert facts.score_kind == kind
    assert facts.max_tokens == tokens
    assert facts.price == (None if price is None else Price(price, "total_tokens", "2026-11-22"))
