"""NVIDIA's reranking NIM, in a container and hosted, as its documentation and SDK describe it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from attrs import evolve

import rerank_nvidia_nim
from failures import Failure, failing
from rerank_core import (
    BadRequestError,
    BilledUnits,
    ConfigurationError,
    InvalidRequestError,
    Meta,
    MissingAPIKeyError,
    RequestTimeoutError,
    ResponseParseError,
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
    call_of,
    captures,
    in_turn,
    load,
    noting_waits,
    without_variables,
)

QUERY = "What is the capital of France?"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
MODEL = "nvidia/llama-nemotron-rerank-1b-v2"
DOTTED = "nvidia/llama-3.2-nv-rerankqa-1b-v2"
HOSTED = "https://ai.api.nvidia.com/v1/retrieval"
CONTAINER = "http://localhost:8000"
KEY = "nvapi-0123456789"
# The documented example.
REPLY = {
    "rankings": [{"index": 1, "logit": 3.4921875}, {"index": 0, "logit": -9.8671875}],
    "usage": {"prompt_tokens": 46, "total_tokens": 46},
}


def rank(asked: Any) -> dict[str, Any]:
    """Rank the passages in the order in which they were sent."""
    return {
        "rankings": [{"index": at, "logit": -float(at)} for at in range(len(asked["passages"]))]
    }


ask = asking(f"nvidia_nim/{MODEL}", query=QUERY, documents=DOCUMENTS, api_base=CONTAINER)
bare_environment = without_variables("NGC_API_KEY", of="nvidia_nim")
waits = noting_waits()

CASE = Case(
    plugin=rerank_nvidia_nim,
    model=DOTTED,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "truncate": "END"},
        url=f"{HOSTED}/nvidia/llama-3_2-nv-rerankqa-1b-v2/reranking",
        json={
            "model": DOTTED,
            "query": {"text": QUERY},
            "passages": [{"text": text} for text in DOCUMENTS],
            "truncate": "END",
        },
        reply=REPLY,
        ranking=[(1, 3.4921875), (0, -9.8671875)],
        meta=Meta(billed_units=BilledUnits(total_tokens=46), tokens=Tokens(input_tokens=46)),
    ),
    encode=lambda ranking, _, __: {
        "rankings": [{"index": at, "logit": score} for at, score in ranking],
        "usage": {"prompt_tokens": 46, "total_tokens": 46},
    },
    encode_error=lambda message: {"status": 400, "title": "Bad Request", "detail": message},
    params={"truncate": "END"},
)
CONTAINER_CASE = evolve(
    CASE,
    options={"api_base": CONTAINER},
    example=evolve(CASE.example, url=f"{CONTAINER}/v1/ranking"),
    encode_error=lambda message: {"error": message},
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


@conformance(CONTAINER_CASE)
def test_conformance_of_a_container(check: Check) -> None:
    """The checks of the kit."""
    check()


@pytest.mark.parametrize(
    ("model", "path", "body_model"),
    [
        (MODEL, MODEL, MODEL),
        (DOTTED, "nvidia/llama-3_2-nv-rerankqa-1b-v2", DOTTED),
        ("nvidia/llama-3_2-nv-rerankqa-1b-v2", "nvidia/llama-3_2-nv-rerankqa-1b-v2", DOTTED),
        (f"ranking/{DOTTED}", "nvidia/llama-3_2-nv-rerankqa-1b-v2", DOTTED),
        ("my_org/my_model", "my_org/my_model", "my_org/my_model"),
        ("my_org/model_1_5_b2", "my_org/model_1_5_b2", "my_org/model_1.5_b2"),
        ("nv-rerank-qa-mistral-4b:1", "nvidia", "nv-rerank-qa-mistral-4b:1"),
    ],
)
def test_dots_are_underscores_in_the_path_and_dots_in_the_body(
    model: str, path: str, body_model: str
) -> None:
    """Whichever of the two a user types; other underscores stay."""
    service = Service(rank)

    ask(service, model=f"nvidia_nim/{model}", api_base=None, api_key=KEY)

    assert service.url == f"{HOSTED}/{path}/reranking"
    assert service.body["model"] == body_model


@pytest.mark.parametrize(
    ("model", "body_model"),
    [
        ("nvidia/llama-3_2-nv-rerankqa-1b-v2", DOTTED),
        (f"ranking/{MODEL}", MODEL),
        ("acme/reranker_1_2", "acme/reranker_1_2"),
        ("baai/bge-reranker-v2-m3", "baai/bge-reranker-v2-m3"),
    ],
)
def test_a_container_s_model_is_taken_as_it_is_written(model: str, body_model: str) -> None:
    """But for NVIDIA's own, which have dots, and for litellm's prefix."""
    service = Service(rank)

    ask(service, model=f"nvidia_nim/{model}")

    assert service.url == f"{CONTAINER}/v1/ranking"
    assert service.body["model"] == body_model


def test_keys_are_looked_for_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, then litellm's variable, then NVIDIA's; never the one for downloads."""
    monkeypatch.setenv("NGC_API_KEY", "for-downloads")
    service = Service(rank)

    ask(service)
    monkeypatch.setenv("NVIDIA_API_KEY", "third")
    ask(service)
    monkeypatch.setenv("NVIDIA_NIM_API_KEY", "second")
    ask(service)
    ask(service, api_key="first")

    sent = [request.headers.get("authorization") for request in service.requests]
    assert sent == [None, "Bearer third", "Bearer second", "Bearer first"]


@pytest.mark.parametrize("base", [None, "https://integrate.api.nvidia.com/v1"])
@pytest.mark.parametrize("key", [None, ""])
def test_the_hosted_models_want_a_key(base: str | None, key: str | None) -> None:
    """Containers do not; nothing is sent without one."""
    service = Service(rank)

    with pytest.raises(MissingAPIKeyError, match="NVIDIA_NIM_API_KEY, NVIDIA_API_KEY") as caught:
        ask(service, api_base=base, api_key=key)

    assert (caught.value.provider, caught.value.model) == ("nvidia_nim", MODEL)
    assert service.requests == []


@both_ways
def test_only_the_four_fields_of_the_service_are_sent(send: Send) -> None:
    """It answers 400 to any other, `top_k` and `top_n` among them."""
    service = Service(rank)

    response = ask(service, send=send, top_n=1, truncate="END")

    assert service.body == {
        "model": MODEL,
        "query": {"text": QUERY},
        "passages": [{"text": text} for text in DOCUMENTS],
        "truncate": "END",
    }
    assert [result.index for result in response.results] == [0]


IMAGE = "data:image/png;base64,AA"


@pytest.mark.parametrize(
    ("document", "rank_fields", "passage"),
    [
        ({"text": "a"}, None, {"text": "a"}),
        ({"text": "a", "title": "t"}, None, {"text": "text: a\ntitle: t"}),
        ({"text": "a", "title": "t"}, ["title"], {"text": "title: t"}),
        ({"image": IMAGE}, None, {"image": IMAGE}),
        ({"image": IMAGE, "text": "a"}, None, {"text": "a", "image": IMAGE}),
        ({"image": IMAGE, "text": " "}, None, {"image": IMAGE}),
        ({"image": IMAGE, "text": "a", "n": 1}, ["image"], {"image": IMAGE}),
        ({"image": IMAGE, "text": "a"}, ["text"], {"text": "a"}),
        ({"image": None, "text": "a"}, None, {"text": "a"}),
    ],
)
def test_mappings_are_text_with_an_image_beside_it(
    document: dict[str, Any], rank_fields: list[str] | None, passage: dict[str, str]
) -> None:
    """An image written into the text would get a score that means nothing."""
    service = Service(rank)

    response = ask(service, [document, "x"], rank_fields=rank_fields)

    assert service.body["passages"] == [passage, {"text": "x"}]
    assert response.results[0].document is not None
    assert response.results[0].document.fields is document


def test_an_image_is_a_data_url() -> None:
    """Bytes and objects are not."""
    with pytest.raises(InvalidRequestError, match="image must be a data URL"):
        ask(Service(rank), [{"image": {"url": IMAGE}}])


def test_the_documented_reply_is_read() -> None:
    """Logits as they are, and usage."""
    response = ask(Service(REPLY, headers={"NVCF-REQID": "req-1"}))

    ranking = [(result.index, result.relevance_score) for result in response.results]
    assert ranking == [(1, 3.4921875), (0, -9.8671875)]
    assert response.meta.billed_units.total_tokens == 46
    assert response.meta.tokens.input_tokens == 46
    assert response.id == "req-1"
    assert response.cost is None


@pytest.mark.parametrize(
    "base",
    [
        "https://inference-api.nvidia.com/v1",
        "https://gateway.test/v1/rerank",
        "https://gateway.test/v1/reranks/",
    ],
)
def test_a_gateway_with_another_api_is_refused(base: str) -> None:
    """It would answer 404, and has a plugin of its own."""
    service = Service()

    with pytest.raises(ConfigurationError, match="litellm_proxy/<model>"):
        ask(service, api_base=base)

    assert service.requests == []


@pytest.mark.parametrize("chosen", ["no", "false", 1])
def test_sigmoid_is_a_yes_or_no(chosen: object) -> None:
    """A word that says no must not turn it on."""
    service = Service()

    with pytest.raises(ConfigurationError, match="sigmoid must be True or False, not"):
        ask(service, sigmoid=chosen)

    assert service.requests == []


def test_usage_of_older_containers_is_unknown() -> None:
    """They do not count; the number of results is no usage."""
    response = ask(Service({"rankings": REPLY["rankings"]}))

    assert response.meta.billed_units.total_tokens is None
    assert response.id


def test_a_score_may_be_called_so() -> None:
    """By servers that are not quite NVIDIA's."""
    rows = [{"index": 0, "score": 0.5}, {"index": 1, "score": 0.75}]

    response = ask(Service({"rankings": rows}))

    assert [result.relevance_score for result in response.results] == [0.75, 0.5]


def test_probabilities_are_given_on_request() -> None:
    """The logistic function keeps the order, from very small to very large."""
    logits = [0.0, 3.4921875, -9.8671875, 1e4, -1e4]
    rows = [{"index": at, "logit": logit} for at, logit in enumerate(logits)]
    service = Service({"rankings": rows})

    response = ask(service, list("abcde"), sigmoid=True)

    scores = {result.index: result.relevance_score for result in response.results}
    assert scores == pytest.approx({0: 0.5, 1: 0.970468, 2: 0.0000518, 3: 1.0, 4: 0.0}, rel=1e-2)
    assert [result.index for result in response.results] == [3, 1, 0, 2, 4]


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("logit", ["0.5", None, True, [1]])
def test_a_logit_that_is_no_number_is_refused(logit: Any, sigmoid: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Also where it is to become a probability."""
    rows = [{"index": 0, "logit": logit}, {"index": 1, "logit": 0.5}]
    service = Service({"rankings": rows})

    with pytest.raises(ResponseParseError):
        ask(service, sigmoid=sigmoid)


def later(identifier: str = "req-1") -> httpx.Response:
    """The reply that asks to come back."""
    return httpx.Response(202, headers={"NVCF-REQID": identifier})


@both_ways
def test_an_accepted_request_is_asked_for_until_it_is_done(send: Send, waits: list[float]) -> None:
    """With the same key, at NVIDIA's status URL, at a gentle pace."""
    service = Service(in_turn(later(), later(), REPLY))

    response = ask(service, send=send, api_base=None, api_key=KEY)

    first, *polls = service.requests
    url = "https://api.nvcf.nvidia.com/v2/nvcf/pexec/status/req-1"
    assert [result.index for result in response.results] == [1, 0]
    assert first.method == "POST"
    assert [(poll.method, str(poll.url), poll.content) for poll in polls] == [("GET", url, b"")] * 2
    assert {poll.headers["authorization"] for poll in polls} == {f"Bearer {KEY}"}
    assert waits == [1.0, 1.0]


def test_an_identifier_cannot_lead_elsewhere(waits: list[float]) -> None:
    """It is one step of the path, whatever it holds."""
    service = Service(in_turn(later("../../x?y"), REPLY))

    ask(service, api_base=None, api_key=KEY)

    poll = service.requests[1].url
    assert poll.raw_path == b"/v2/nvcf/pexec/status/..%2F..%2Fx%3Fy"
    assert poll.host == "api.nvcf.nvidia.com"
    assert len(waits) == 1


def test_waiting_ends_with_the_deadline() -> None:
    """The pace is known, so that it is given up at once."""
    with pytest.raises(RequestTimeoutError):
        ask(Service(later()), api_base=None, api_key=KEY, deadline=0.9)


@pytest.mark.parametrize(
    ("base", "reply", "advice"),
    [
        (CONTAINER, later(), "a container does not answer so: look at what stands before it"),
        (None, httpx.Response(202, json={}), "no NVCF-REQID says .*: call again"),
        (None, httpx.Response(202), "no NVCF-REQID says .*: call again"),
    ],
)
def test_nobody_else_makes_us_come_back(
    base: str | None, reply: httpx.Response, advice: str
) -> None:
    """The key of a container is not NVIDIA's business; without an identifier there is no URL."""
    service = Service(reply)

    with pytest.raises(ResponseParseError, match=f"status 202: .*accepted.* {advice}"):
        ask(service, api_base=base, api_key=KEY)

    assert len(service.requests) == 1


ERRORS = [
    Failure(
        400,
        {"error": "Input length 16384 exceeds maximum allowed token size 8192"},
        ("maximum allowed token size 8192", "truncate='END'"),
    ),
    Failure(
        400,
        {"object": "error", "message": "top_k: unknown field", "detail": {}, "type": "x"},
        "top_k: unknown field",
    ),
    Failure(
        401,
        {"status": 401, "title": "Unauthorized", "detail": "Authentication failed"},
        "Authentication failed",
    ),
    Failure(402, {"detail": "no credits"}, "trial's credits"),
    Failure(403, {"title": "Forbidden", "requestId": "r"}, "Forbidden"),
    Failure(404, "404 page not found", ("page not found", "api_base='http://localhost")),
    Failure(
        422, {"detail": [{"loc": ["body", "passages"], "msg": "too few"}]}, "body.passages: too few"
    ),
    Failure(429, {"status": 429, "title": "Too Many Requests"}, "status 429: Too Many Requests"),
    Failure(500, {"error": {"message": "oops"}}, "oops"),
    Failure(
        500,
        {"error": "Input length 16384 exceeds maximum allowed token size 8192"},
        "truncate='END'",
        kind=BadRequestError,
        retried=False,
    ),
    Failure(503, {"reason": "warming up"}, "warming up"),
]
test_errors_of_every_form_are_read = failing(ask, f"nvidia_nim/{MODEL}", ERRORS)


BY_LANGCHAIN = {"api_key": "test-key", "api_base": "http://127.0.0.1/v1"}
# The captured call in this project's words.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "nvidia_nim-langchain-default": BY_LANGCHAIN,
    "nvidia_nim-langchain-truncate": BY_LANGCHAIN | {"truncate": "END", "top_n": 1},
    "nvidia_nim-litellm-default": call_of("nvidia_nim-litellm-default"),
    "nvidia_nim-litellm-ranking": call_of("nvidia_nim-litellm-ranking"),
}
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    ("path", "/v1/ranking", "a container has no other route", ("nvidia_nim-litellm-default",)),
    (
        "json.top_k",
        NOTHING,
        "the service answers 400 to a field of that name",
        ("nvidia_nim-litellm-default",),
    ),
)


test_what_others_send_is_sent = captures("nvidia_nim", CALLS, DIFFERENCES, by(ask, rank))


def test_litellm_s_hosted_request_is_made_where_it_is_hosted() -> None:
    """The same path and body as captured, but for the field that is answered with 400."""
    captured, service = load("nvidia_nim-litellm-default")["request"], Service(rank)

    ask(
        service,
        model="nvidia_nim/nvidia/llama-3_2-nv-rerankqa-1b-v2",
        api_base=None,
        api_key=KEY,
    )

    wanted = {name: value for name, value in captured["json"].items() if name != "top_k"}
    assert service.requests[0].url.path == captured["path"]
    assert service.body == wanted


def test_the_facts_are_stated() -> None:
    """A score is a logit, unless it is asked for otherwise."""
    facts = rerank_nvidia_nim.resolve_provider(f"ranking/{MODEL}", {})

    assert facts.name == "nvidia_nim"
    assert facts.score_kind == "logit"
    assert facts.max_tokens == 8192
    assert facts.price is None
    assert MODEL in facts.models
    assert rerank_nvidia_nim.resolve_provider("x", {"sigmoid": True}).score_kind == "probability"
