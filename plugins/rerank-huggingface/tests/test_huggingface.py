"""Text Embeddings Inference and the router, as their source and schema describe them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve

import rerank_huggingface
from failures import Failure, failing
from rerank_core import (
    BadRequestError,
    ConfigurationError,
    MissingAPIKeyError,
    RateLimitError,
    ResponseParseError,
    ServerError,
    UnsupportedParamError,
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
    call_of,
    captures,
    without_variables,
)

QUERY = "What is the capital of France?"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
MODEL = "BAAI/bge-reranker-base"
TEI = "http://tei:3000"
ENDPOINT = "https://abc.us-east-1.aws.endpoints.huggingface.cloud"
ROUTER = "https://router.huggingface.co"
ROUTED = f"{ROUTER}/hf-inference/models/{MODEL}/pipeline/text-ranking"


def score(asked: Any) -> list[dict[str, Any]]:
    """Score later texts higher, in a list as TEI and the router send it."""
    texts = asked.get("inputs", asked)["texts"]
    return [{"index": at, "score": (at + 1) / 100} for at in range(len(texts))][::-1]


ask = asking(f"huggingface/{MODEL}", query=QUERY, documents=DOCUMENTS, api_base=TEI)
bare_environment = without_variables(of="huggingface")

ROWS = [
    {"index": 1, "text": "Paris is the capital of France.", "score": 0.9981},
    {"index": 0, "text": "Berlin is in Germany.", "score": 0.0007},
]
CASE = Case(
    plugin=rerank_huggingface,
    model=MODEL,
    options={"api_base": TEI},
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "truncate": True},
        url=f"{TEI}/rerank",
        json={"query": QUERY, "texts": DOCUMENTS, "truncate": True},
        reply=ROWS,
        ranking=[(1, 0.9981), (0, 0.0007)],
    ),
    encode=lambda ranking, _, __: [{"index": at, "score": score} for at, score in ranking],
    encode_error=lambda message: {"error": message, "error_type": "Validation"},
    params={"raw_scores": True, "truncate": True, "truncation_direction": "Left"},
    error_in_200={"error": "no scores today"},
)
ROUTER_CASE = evolve(
    CASE,
    options={"api_base": ROUTER},
    example=evolve(
        CASE.example,
        call={"query": QUERY, "documents": DOCUMENTS},
        url=ROUTED,
        json={"inputs": {"query": QUERY, "texts": DOCUMENTS}},
    ),
    encode_error=lambda message: {"error": message},
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


@conformance(ROUTER_CASE)
def test_conformance_of_the_router(check: Check) -> None:
    """The checks of the kit."""
    check()


def test_the_retired_host_is_refused() -> None:
    """Where old configurations point to."""
    service = Service(score)

    with pytest.raises(ConfigurationError, match="was switched off"):
        ask(service, api_base="https://api-inference.huggingface.co", api_key="k")

    assert service.requests == []


HUB = {"HF_TOKEN": "hf_1", "HUGGING_FACE_HUB_TOKEN": "hf_3"}
ALL = {**HUB, "HUGGINGFACE_API_KEY": "of-litellm"}


@pytest.mark.parametrize(
    ("base", "variables", "key", "sent"),
    [
        (None, ALL, "mine", "Bearer mine"),
        (None, ALL, None, "Bearer hf_1"),
        (None, {**ALL, "HF_TOKEN": ""}, None, "Bearer of-litellm"),
        (None, {"HUGGING_FACE_HUB_TOKEN": "hf_3"}, None, "Bearer hf_3"),
        (ENDPOINT, HUB, None, "Bearer hf_1"),
        (ENDPOINT, {}, None, None),
        (TEI, {}, None, None),
        (TEI, HUB, None, None),
        (TEI, ALL, None, "Bearer of-litellm"),
        (TEI, ALL, "mine", "Bearer mine"),
        (TEI, ALL, "", None),
        ("https://huggingface.co.evil.test", HUB, None, None),
        ("https://evilhuggingface.co", HUB, None, None),
    ],
)
def test_a_hub_token_of_the_environment_goes_only_to_hugging_face(
    base: str | None,
    variables: dict[str, str],
    key: str | None,
    sent: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server of the caller's own gets what was given for it, or nothing."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    service = Service(score)

    ask(service, api_base=base, api_key=key)

    assert service.requests[0].headers.get("authorization") == sent


@pytest.mark.parametrize("variable", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
def test_a_hub_token_goes_to_no_other_host_that_the_environment_names(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asked for that."""
    monkeypatch.setenv("HF_API_BASE", TEI)
    monkeypatch.setenv(variable, "hf_1")
    service = Service(score)

    ask(service, api_base=None)

    assert "authorization" not in service.requests[0].headers


@pytest.mark.parametrize("key", [None, ""])
def test_the_router_wants_a_key(key: str | None) -> None:
    """TEI does not; nothing is sent without one."""
    service = Service(score)

    with pytest.raises(MissingAPIKeyError, match="HF_TOKEN, HUGGINGFACE_API_KEY") as caught:
        ask(service, api_base=None, api_key=key)

    assert (caught.value.provider, caught.value.model) == ("huggingface", MODEL)
    assert service.requests == []


@pytest.mark.parametrize(
    ("base", "sent"),
    [
        (TEI, {"query": QUERY, "texts": DOCUMENTS}),
        (ENDPOINT, {"query": QUERY, "texts": DOCUMENTS}),
        (ROUTER, {"inputs": {"query": QUERY, "texts": DOCUMENTS}}),
    ],
)
@both_ways
def test_nothing_is_sent_that_was_not_asked_for(base: str, sent: Any, send: Send) -> None:
    """Neither a model, which TEI has one of, nor top_n, nor defaults."""
    service = Service(score)

    response = ask(service, send=send, api_base=base, api_key="test-key", top_n=1)

    assert service.body == sent
    assert [result.index for result in response.results] == [1]


def test_parameters_of_tei_are_sent_by_name() -> None:
    """Those that the router's schema does not have."""
    service = Service(score)
    params: dict[str, Any] = {
        "raw_scores": True,
        "truncate": True,
        "truncation_direction": "Left",
    }

    ask(service, **params)

    assert service.body == {"query": QUERY, "texts": DOCUMENTS, **params}


def test_the_router_is_not_given_what_it_may_ignore() -> None:
    """It is refused, or left out with a warning."""
    service = Service(score)
    router = {"api_base": None, "api_key": "test-key"}

    with pytest.raises(UnsupportedParamError, match="the router does not take 'raw_scores'"):
        ask(service, **router, raw_scores=True)
    response = ask(service, **router, drop_params=True, raw_scores=True, truncate=True)

    assert len(service.requests) == 1
    assert service.body == {"inputs": {"query": QUERY, "texts": DOCUMENTS}}
    assert len(response.warnings) == 2


def test_the_form_of_vertex_is_spoken_where_the_base_url_says_so() -> None:
    """It wraps the request and the reply of TEI."""
    rows = [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}]
    service = Service({"predictions": [rows]})

    response = ask(service, api_base="http://tei:3000/vertex/", truncate=True)

    assert service.url == "http://tei:3000/vertex"
    assert service.body == {"instances": [{"query": QUERY, "texts": DOCUMENTS, "truncate": True}]}
    assert [result.index for result in response.results] == [1, 0]


@pytest.mark.parametrize("base", [TEI, ROUTER])
def test_a_list_is_split_at_the_server_s_default(base: str) -> None:
    """32 texts in one request, far below what other services take."""
    service = Service(score)

    response = ask(service, ["a"] * 100, api_base=base, api_key="k")

    assert len(service.requests) == 4
    assert len(response.results) == 100


def test_a_server_with_another_limit_is_told_of() -> None:
    """By `max_documents`."""
    service = Service(score)

    ask(service, ["a"] * 100, max_documents=200)

    assert len(service.requests) == 1


def test_a_request_stays_below_two_megabytes() -> None:
    """With its names and options."""
    service = Service(score)

    ask(service, ["ä" * 300_000] * 8, truncate=True)

    assert len(service.requests) == 3
    assert all(len(request.content) <= 2_000_000 for request in service.requests)


def test_the_documented_reply_is_read() -> None:
    """A bare list; usage and the identifier stand in headers."""
    rows = [
        {"index": 1, "text": "Paris is the capital of France.", "score": 0.9981},
        {"index": 0, "text": "Berlin is in Germany.", "score": 0.0007},
    ]

    response = ask(Service(rows, headers={"x-compute-tokens": "42", "x-request-id": "req-1"}))

    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 0.9981), (0, 0.0007)]
    assert response.meta.billed_units.total_tokens == 42
    assert response.meta.tokens.input_tokens == 42
    assert response.id == "req-1"
    assert response.cost is None


@pytest.mark.parametrize(
    "payload",
    [
        {"results": []},
        {"predictions": []},
        {"predictions": {}},
        '"text"',
        [[{"label": "LABEL_0", "score": 0.5}]],
        [{"index": 0, "score": 0.5}],
        [{"index": 0, "relevance_score": 0.5}, {"index": 1, "relevance_score": 0.5}],
    ],
)
def test_any_other_reply_is_an_error(payload: Any) -> None:
    """Never an empty success, and never a classifier's labels."""
    with pytest.raises(ResponseParseError):
        ask(Service(payload))


@pytest.mark.parametrize(
    "payload",
    [
        {"results": [{"index": 0, "relevance_score": 0.5}]},
        {"predictions": []},
        {"predictions": None},
    ],
)
def test_another_server_s_object_is_called_one(payload: Any) -> None:
    """Only Vertex AI's form has a ranking in `predictions`."""
    with pytest.raises(ResponseParseError, match="reply is an object, not a list"):
        ask(Service(payload))


def tei_error(text: str, kind: str) -> str:
    """An error as TEI writes it."""
    return json.dumps({"error": text, "error_type": kind})


ERRORS = [
    Failure(200, '{"error": "no scores today"}', "no scores today"),
    # As a gateway may hand them on.
    Failure(200, tei_error("busy", "Overloaded"), "busy", kind=RateLimitError, retried=True),
    Failure(200, tei_error("not now", "Unhealthy"), "not now", kind=ServerError, retried=True),
    Failure(400, tei_error("`texts` cannot be empty", "Empty"), "`texts` cannot be empty"),
    Failure(400, "Failed to parse the request body as JSON", "Failed to parse the request body"),
    Failure(401, "", ("status 401", "HF_TOKEN is sent to no other host")),
    Failure(402, '{"error": "credits"}', "month's credits"),
    Failure(404, "", ("status 404", "if", " it answers at /rerank, without /v1")),
    Failure(413, "length limit exceeded", ("length limit exceeded", "max_documents=")),
    Failure(415, "Expected request with `Content-Type", "Expected request with"),
    Failure(
        422,
        tei_error("batch size 40 > maximum allowed batch size 32", "Validation"),
        ("maximum allowed batch size 32", "max_documents="),
    ),
    Failure(
        422,
        tei_error("`inputs` must have less than 512 tokens. Given: 700", "Validation"),
        ("less than 512 tokens. Given: 700", "truncate=True"),
    ),
    Failure(
        422,
        "Failed to deserialize the JSON body into the target type: texts",
        "Failed to deserialize",
    ),
    Failure(
        424,
        tei_error("model is not a re-ranker model", "Backend"),
        ("not a re-ranker model", "GET /info"),
        kind=BadRequestError,
    ),
    Failure(424, tei_error("CUDA ran out of memory", "Backend"), "memory", retried=True),
    Failure(
        429,
        tei_error("Model is overloaded", "Overloaded"),
        ("overloaded", "permits", "max_concurrency="),
    ),
    Failure(
        503,
        '{"error": "Model is loading", "estimated_time": 20.0}',
        ("Model is loading", "max_retries="),
    ),
]
test_errors_of_every_form_are_read = failing(ask, f"huggingface/{MODEL}", ERRORS)


def test_the_time_until_a_model_is_loaded_is_known() -> None:
    """The router says it in the body, not in a header."""
    service = Service({"error": "Model is loading", "estimated_time": 20.5}, 503)
    with pytest.raises(ServerError) as caught:
        ask(service, max_retries=0)

    assert caught.value.retry_after == 20.5


DEFAULT, TOP_N = "huggingface-litellm-default", "huggingface-litellm-top_n"
# What this project sends otherwise than litellm, on purpose: where, what instead, why, in which
# captures.
DIFFERENCES: tuple[Difference, ...] = (
    ("json.raw_scores", NOTHING, "nobody asked for it", (DEFAULT,)),
    (
        "json.truncate",
        NOTHING,
        "nobody asked for it, and it overrides the server's own",
        (DEFAULT,),
    ),
    ("json.truncation_direction", NOTHING, "nobody asked for it", (DEFAULT, TOP_N)),
    ("json.return_text", NOTHING, "the caller has the documents", (DEFAULT,)),
    ("json.return_text", NOTHING, "it is the default", (TOP_N,)),
    ("json.raw_scores", True, "litellm loses what the caller asks for", (TOP_N,)),
    ("json.truncate", True, "litellm loses what the caller asks for", (TOP_N,)),
    ("json.top_n", NOTHING, "the server ignores it: core cuts the list", (TOP_N,)),
)


CALLS = {name: call_of(name) for name in (DEFAULT, TOP_N)}
test_what_others_send_is_sent = captures("huggingface", CALLS, DIFFERENCES, by(ask, score))
