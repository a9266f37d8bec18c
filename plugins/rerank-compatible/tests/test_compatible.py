"""Each setting by its shape, and what is read of servers that differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from attrs import evolve

import rerank_compatible
from failures import Failure, failing
from rerank_core import (
    APIStatusError,
    BadRequestError,
    BilledUnits,
    ConfigurationError,
    InvalidRequestError,
    Meta,
    MissingAPIKeyError,
    RerankResponse,
    ResponseParseError,
    Tokens,
    UnsupportedParamError,
)
from rerank_core.testing import CANARY, Case, Check, Example, conformance
from service import (
    Send,
    Service,
    asking,
    both_ways,
    check_refused_unless_allowed,
    without_variables,
)

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
BASE = "http://server:8080"
VARIABLES = ("COMPATIBLE_API_BASE", "COMPATIBLE_API_KEY", "COMPATIBLE_PRESET")
bare_environment = without_variables(*VARIABLES, "ZHIPU_API_KEY")
ask = asking("compatible/m", query=QUERY, documents=DOCUMENTS, api_base=BASE)


def reply_of(name: str = "results", score: str = "relevance_score") -> dict[str, Any]:
    """A ranking in which the second document is the best."""
    return {name: rows_of(score)}


def rows_of(score: str) -> list[dict[str, Any]]:
    """The rows of it."""
    return [{"index": 1, score: 0.9}, {"index": 0, score: 0.1}]


CASE = Case(
    plugin=rerank_compatible,
    model="m",
    options={"api_base": BASE},
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        url=f"{BASE}/v1/rerank",
        headers={"authorization": f"Bearer {CANARY}"},
        json={"model": "m", "query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        reply=reply_of(),
        ranking=[(1, 0.9), (0, 0.1)],
    ),
    encode=lambda ranking, _, __: {
        "results": [{"index": at, "relevance_score": score} for at, score in ranking]
    },
    error_in_200={"error": "Unexpected endpoint or method. (POST /v1/rerank)"},
)
TEI_CASE = evolve(
    CASE,
    # The kit takes its facts from a call without options, which has a count of results, and
    # no limit.
    options={"api_base": BASE, "dialect": "tei", "top_n_field": "top_n", "max_documents": 10_000},
    example=evolve(
        CASE.example,
        call={"query": QUERY, "documents": DOCUMENTS},
        url=f"{BASE}/rerank",
        json={"query": QUERY, "texts": DOCUMENTS},
        reply=rows_of("score"),
    ),
    encode=lambda ranking, _, __: [{"index": at, "score": score} for at, score in ranking],
    encode_error=lambda message: {"error": message, "error_type": "Validation"},
    error_in_200={"error": "Model is overloaded", "error_type": "overloaded"},
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit, for what most servers speak."""
    check()


@conformance(TEI_CASE)
def test_conformance_of_another_dialect(check: Check) -> None:
    """The checks of the kit, where the reply is a bare list."""
    check()


# --- Where requests go ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h:8080", "http://h:8080/v1/rerank"),
        ("http://h:8080/", "http://h:8080/v1/rerank"),
        ("http://h/v1", "http://h/v1/rerank"),
        ("http://h/v1/", "http://h/v1/rerank"),
        ("http://h/v2", "http://h/v2/rerank"),
        ("http://h/api/paas/v4", "http://h/api/paas/v4/rerank"),
        ("http://h/openai/v1?k=a", "http://h/openai/v1/rerank?k=a"),
        ("http://h?k=a", "http://h/v1/rerank?k=a"),
        ("http://h/v1/rerank", "http://h/v1/rerank"),
        ("http://h/rerank/", "http://h/rerank/"),
        ("http://h/v1/reranking", "http://h/v1/reranking"),
        ("http://h/v1/reranks", "http://h/v1/reranks"),
        ("http://h/reranker", "http://h/reranker"),
        ("http://h/rerank/v1", "http://h/rerank/v1/rerank"),
        ("http://h/v1-openai", "http://h/v1/rerank"),
        ("http://h/v1-openai/rerank", "http://h/v1/rerank"),
        ("http://h/v1/chat/completions/", "http://h/v1/rerank"),
        ("http://h/openai/v1/embeddings?k=a", "http://h/openai/v1/rerank?k=a"),
    ],
)
def test_a_base_url_is_joined(base: str, url: str) -> None:
    """An endpoint stays; a bare origin gets the usual path; nothing else gets a version."""
    service = Service()

    ask(service, api_base=base)

    assert service.url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://h/score",
        "http://h/Score/?api-version=1&x=%2F",
        "http://h",
        "http://h/v1/rerank/",
    ],
)
def test_an_endpoint_url_is_used_as_it_is(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Character by character; the environment's server is not asked in its stead."""
    monkeypatch.setenv("COMPATIBLE_API_BASE", "http://elsewhere")
    service = Service()

    ask(service, api_base=None, endpoint_url=url)

    assert service.requests[0].url.raw_path == httpx.URL(url).raw_path
    assert service.url in {url, f"{url}/"}  # httpx writes the root of a bare origin


@both_ways
def test_two_addresses_are_refused(send: Send) -> None:
    """As is none."""
    service = Service()

    with pytest.raises(ConfigurationError, match="leave api_base= out"):
        ask(service, send=send, endpoint_url="http://h/score")
    with pytest.raises(ConfigurationError, match=r"no base URL.*endpoint_url=.*servers\.md"):
        ask(service, send=send, api_base=None)

    assert service.requests == []


# --- Keys -------------------------------------------------------------------------------------


def authorization(service: Service) -> str | None:
    """What the latest request had."""
    header: str | None = service.requests[-1].headers.get("authorization")
    return header


def test_a_key_of_the_environment_goes_to_its_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another address that a call names gets it only as an argument."""
    monkeypatch.setenv("COMPATIBLE_API_BASE", "http://mine:80/v1")
    monkeypatch.setenv("COMPATIBLE_API_KEY", "key-of-mine")
    service, seen = Service(), []
    for options in (
        {"api_base": None},
        {"api_base": "http://mine:80/v2"},
        {"api_base": "http://mine:81"},
        {"api_base": "http://other"},
        {"api_base": None, "endpoint_url": "http://other/score"},
        {"api_base": "http://other", "api_key": "given"},
        {"api_base": "http://other", "api_key": "key-of-mine"},
    ):
        ask(service, **options)
        seen.append(authorization(service))

    mine = "Bearer key-of-mine"
    assert seen == [mine, mine, None, None, None, "Bearer given", mine]


def test_no_key_of_another_provider_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has."""
    for name in ("OPENAI_API_KEY", "COHERE_API_KEY", "JINA_API_KEY"):
        monkeypatch.setenv(name, "another")
    service = Service()

    ask(service)

    assert authorization(service) is None


def test_header_and_scheme_are_chosen() -> None:
    """An empty scheme is the bare key."""
    service = Service()

    ask(service, api_key="k", auth_header="X-Api-Key", auth_scheme="")
    ask(service, api_key="k", auth_scheme="Token")

    first, second = service.requests
    assert first.headers["x-api-key"] == "k"
    assert "authorization" not in first.headers
    assert second.headers["authorization"] == "Token k"
    with pytest.raises(MissingAPIKeyError, match="auth_header="):
        ask(service, auth_header="X-Api-Key")


# --- The shape of a request -------------------------------------------------------------------

PLAIN = {"model": "m", "query": QUERY, "documents": DOCUMENTS}


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({}, PLAIN | {"top_n": 1}),
        ({"dialect": "cohere"}, PLAIN | {"top_n": 1}),
        ({"dialect": "voyage"}, PLAIN | {"top_k": 1}),
        ({"dialect": "sglang"}, PLAIN | {"top_n": 1}),
        ({"dialect": "tei"}, {"query": QUERY, "texts": DOCUMENTS}),
        (
            {"dialect": "mixedbread"},
            {"model": "m", "query": QUERY, "input": DOCUMENTS, "top_k": 1},
        ),
        ({"top_n_field": "limit"}, PLAIN | {"limit": 1}),
        ({"top_n_field": None}, PLAIN),
        ({"top_n_field": ""}, PLAIN),
        (
            {"documents_field": "passages"},
            {"model": "m", "query": QUERY, "passages": DOCUMENTS, "top_n": 1},
        ),
        ({"send_model": False}, {"query": QUERY, "documents": DOCUMENTS, "top_n": 1}),
        (
            {"document_form": "object"},
            PLAIN | {"documents": [{"text": text} for text in DOCUMENTS], "top_n": 1},
        ),
        (
            {"dialect": "tei", "top_n_field": "top_n", "send_model": True},
            {"model": "m", "query": QUERY, "texts": DOCUMENTS, "top_n": 1},
        ),
    ],
)
def test_each_setting_shapes_the_body(options: dict[str, Any], body: Any) -> None:
    """And nothing is sent beside it; where the server has no count, core cuts."""
    bare = options.get("dialect") in ("tei", "sglang")
    name = "data" if options.get("dialect") in ("voyage", "mixedbread") else "results"
    word = "relevance_score" if options.get("dialect") in (None, "cohere", "voyage") else "score"
    service = Service(rows_of(word) if bare else reply_of(name, word))

    response = ask(service, top_n=1, return_documents=False, **options)

    assert service.body == body
    assert [result.index for result in response.results] == [1]


@pytest.mark.parametrize(
    ("dialect", "url"),
    [
        ("tei", f"{BASE}/rerank"),
        ("mixedbread", f"{BASE}/v1/reranking"),
        ("cohere", f"{BASE}/v1/rerank"),
    ],
)
def test_a_dialect_has_its_usual_path(dialect: str, url: str) -> None:
    """On a bare origin."""
    service = Service({"data": rows_of("score"), "results": rows_of("relevance_score")})
    if dialect == "tei":
        service = Service(rows_of("score"))

    ask(service, dialect=dialect)

    assert service.url == url


MAPPINGS = [{"title": "A", "text": "B"}, "Plain."]


@pytest.mark.parametrize(
    ("form", "rank_fields", "sent"),
    [
        ("string", None, ["title: A\ntext: B", "Plain."]),
        ("string", ["text"], ["B", "Plain."]),
        ("object", None, [{"text": "title: A\ntext: B"}, {"text": "Plain."}]),
        ("native", None, MAPPINGS),
        ("native", ["text"], [{"text": "B"}, "Plain."]),
    ],
)
def test_mappings_travel_in_the_form_that_is_chosen(
    form: str, rank_fields: list[str] | None, sent: Any
) -> None:
    """As text unless told otherwise."""
    service = Service()

    ask(service, MAPPINGS, document_form=form, rank_fields=rank_fields)

    assert service.body["documents"] == sent


def test_parameters_of_the_server_are_those_that_are_named() -> None:
    """Many servers ignore what they do not know without a word."""
    service = Service()

    ask(service, extra_params=("instruction", "max_tokens_per_doc"), instruction="x")
    first = service.body
    ask(service, extra_params="instruct, priority", priority=3)
    ask(service, extra_params=["max_tokens_per_doc"], max_tokens_per_doc=9)

    assert first == PLAIN | {"instruction": "x"}
    assert service.body == PLAIN | {"max_tokens_per_doc": 9}
    with pytest.raises(UnsupportedParamError, match="instruction"):
        ask(service, extra_params=["other"], instruction="x")
    with pytest.raises(ConfigurationError, match="'query' in the body"):
        ask(service, top_n_field="query", top_n=1)


@pytest.mark.parametrize(
    "param", ["instruction", "truncate_prompt_tokens", "max_tokens_per_doc", "max_chunks_per_doc"]
)
def test_others_are_refused_unless_allowed(param: str) -> None:
    """The error names parameter and provider."""
    check_refused_unless_allowed(ask, Service(), "compatible", param)


def test_a_dialect_brings_its_parameters() -> None:
    """Cohere's has one for long documents."""
    service = Service()

    ask(service, dialect="cohere", max_tokens_per_doc=512)

    assert service.body["max_tokens_per_doc"] == 512


def test_limits_split_or_refuse() -> None:
    """As they are stated; those of a dialect hold unless others are given."""
    service = Service(
        lambda asked: [{"index": at, "score": 0.5} for at in range(len(asked["texts"]))]
    )

    ask(service, ["x"] * 33, dialect="tei")
    ask(service, ["x"] * 33, dialect="tei", max_documents=64)
    ask(service, ["x" * 60] * 2, dialect="tei", max_request_bytes=100)
    with pytest.raises(InvalidRequestError, match="at most 10"):
        ask(service, ["x" * 11], dialect="tei", max_document_chars=10)

    sizes = [len(json.loads(request.content)["texts"]) for request in service.requests]
    assert sizes == [*sizes[:2], 33, 1, 1]
    assert sum(sizes[:2]) == 33


@pytest.mark.parametrize(
    ("model", "listwise", "refused"),
    [
        ("m", None, False),
        ("m", True, True),
        ("jinaai/Jina-Reranker-v3", None, True),
        ("mxbai-rerank-v3-listwise", None, True),
        ("jina-reranker-v3", False, False),
    ],
)
def test_a_listwise_model_s_list_is_not_split(
    model: str,
    *,
    listwise: bool | None,
    refused: bool,
) -> None:
    """By its name, or by your word."""
    options = {"max_documents": 1, "model": f"compatible/{model}", "listwise": listwise}

    if refused:
        with pytest.raises(InvalidRequestError, match="split_listwise=True"):
            ask(Service(), **options)
    else:
        ask(Service(), **options)


def test_the_scale_of_scores_is_your_word() -> None:
    """Nobody else knows the model."""
    options = {"score_kind": "logit"}

    assert rerank_compatible.resolve_provider("m", {}).score_kind == "opaque"
    assert rerank_compatible.resolve_provider("m", options).score_kind == "logit"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dialect": "latin"}, "dialect"),
        ({"dialect": ["jina"]}, "dialect"),
        ({"document_form": "xml"}, "document_form"),
        ({"documents_field": ""}, "documents_field"),
        ({"send_model": "no"}, "send_model"),
        ({"max_request_bytes": 0}, "max_request_bytes"),
        ({"extra_params": [7]}, "extra_params"),
        ({"score_kind": "good"}, "score_kind"),
        ({"preset": "nobody"}, "no preset 'nobody', but ai302"),
        ({"preset": 7}, "a name or a mapping"),
        ({"preset": {"dialekt": "tei"}}, "nobody knows: dialekt"),
        ({"preset": "{oops"}, "no JSON object"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    """Before anything is sent."""
    service = Service()

    with pytest.raises(ConfigurationError, match=words):
        ask(service, **options)

    assert service.requests == []


# --- The shape of a reply ---------------------------------------------------------------------

READ: dict[str, Any] = {
    "results": reply_of(),
    "data": reply_of("data"),
    "rerank": reply_of("rerank"),
    "rankings": reply_of("rankings", "logit"),
    "scores of vLLM": {"object": "list", **reply_of("data", "score")},
    "bare list": rows_of("score"),
    "SGLang": [{**row, "document": "x", "meta_info": {}} for row in rows_of("score")],
    "document is a string": {"results": [{**row, "document": "x"} for row in rows_of("score")]},
    "document is null": {"results": [{**row, "document": None} for row in rows_of("score")]},
    "two scores": {"results": [{**row, "score": 7.5} for row in rows_of("relevance_score")]},
    "null before": {"results": None, **reply_of("data")},
    "null error": {"error": None, **reply_of()},
}
EMBEDDINGS = {
    "object": "list",
    "data": [{"object": "embedding", "index": at, "embedding": [0.1]} for at in range(2)],
}
REFUSED: dict[str, Any] = {
    "embeddings": EMBEDDINGS,
    "models": {"object": "list", "data": [{"id": "m", "object": "model"}, {"id": "n"}]},
    "chat": {"choices": [{"index": 0, "message": {"content": "x"}}], "object": "chat.completion"},
    "search hits": {"results": [{"index": "docs", "score": 1.5}, {"index": "docs", "score": 0.5}]},
    "true as an index": {"results": [{"index": True, "score": 0.5}, {"index": 0, "score": 0.5}]},
    "a float as an index": {"results": [{"index": 1.0, "score": 1}, {"index": 0, "score": 1}]},
    "mixed scores": {"results": [{"index": 0, "score": 1}, {"index": 1, "relevance_score": 1}]},
    "a row without a score": {"results": [{"index": 0, "score": 1}, {"index": 1}]},
    "a null score": {"results": [{"index": 0, "score": 0.5}, {"index": 1, "score": None}]},
    "bare scores": {"scores": [0.1, 0.9]},
    "bare scores in a list": [0.1, 0.9],
    "strings": {"results": ["a", "b"]},
    "no rows": {"results": []},
    "fewer rows": {"results": rows_of("score")[:1]},
    "the same index twice": {"results": [{"index": 0, "score": 1}, {"index": 0, "score": 1}]},
    "text": '"hello"',
    "nothing": "",
}


@both_ways
@pytest.mark.parametrize("reply", READ.values(), ids=READ)
def test_a_ranking_is_found(reply: Any, send: Send) -> None:
    """Wherever servers put it, whatever they call a score."""
    response = ask(Service(reply), send=send)

    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 0.9), (0, 0.1)]
    assert [result["document"]["text"] for result in response.results] == DOCUMENTS[::-1]


@both_ways
@pytest.mark.parametrize("reply", REFUSED.values(), ids=REFUSED)
def test_what_is_no_ranking_is_never_taken_for_one(reply: Any, send: Send) -> None:
    """Nothing is guessed from a position."""
    with pytest.raises(ResponseParseError):
        ask(Service(reply), send=send)


def test_the_error_names_what_was_found() -> None:
    """So that a person can say `results_path=`."""
    with pytest.raises(ResponseParseError, match="no list of results, but 'ranking', 'took'"):
        ask(Service({"ranking": {"hits": []}, "took": 3}))


@both_ways
@pytest.mark.parametrize(
    ("reply", "options"),
    [
        ({"error": "Unexpected endpoint or method. (POST /v1/rerank)"}, {}),
        ({"error": {"message": "Unexpected endpoint", "code": 1}}, {}),
        ({"error": "Unexpected endpoint"}, {"results_path": "output.results"}),
        ({"error": "Unexpected endpoint"}, {"dialect": "tei"}),
    ],
)
def test_an_error_under_a_good_status_is_that_error(reply: Any, options: Any, send: Send) -> None:
    """As LM Studio answers a path that it does not know."""
    with pytest.raises(APIStatusError, match=r"Unexpected endpoint.*llama-server --rerank"):
        ask(Service(reply), send=send, **options)


@pytest.mark.parametrize(
    ("reply", "options"),
    [
        ({"output": {"results": rows_of("relevance_score")}}, {"results_path": "output.results"}),
        ({"hits": rows_of("similarity")}, {"results_path": "hits", "score_field": "similarity"}),
        (
            {"results": [{"id": 1, "score": 0.9}, {"id": 0, "score": 0.1}]},
            {"index_field": "id"},
        ),
        ({"scores": [0.1, 0.9]}, {"results_path": "scores"}),
        ([0.1, 0.9], {"results_path": ""}),
        (rows_of("score"), {"results_path": ""}),
        ({"data": {"scores": [0.1, 0.9]}}, {"results_path": "data.scores"}),
    ],
)
def test_a_shape_is_pinned(reply: Any, options: dict[str, str]) -> None:
    """Bare scores are read only so."""
    response = ask(Service(reply), **options)

    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 0.9), (0, 0.1)]


@both_ways
@pytest.mark.parametrize(
    ("reply", "options"),
    [
        (reply_of(), {"results_path": "output.results"}),
        (reply_of(), {"results_path": ""}),
        (reply_of(), {"results_path": "results.rows"}),
        (reply_of(), {"score_field": "score"}),
        (reply_of(), {"index_field": "id"}),
        (reply_of("data"), {"dialect": "cohere"}),
        ({"scores": [0.1]}, {"results_path": "scores"}),
        ({"scores": [0.1, 0.5, 0.9]}, {"results_path": "scores"}),
        ({"scores": [0.1, True]}, {"results_path": "scores"}),
        ({"scores": [0.1, None]}, {"results_path": "scores"}),
        ({"scores": 0.5}, {"results_path": "scores"}),
    ],
)
def test_what_is_not_of_the_pinned_shape_is_refused(reply: Any, options: Any, send: Send) -> None:
    """A ranking elsewhere is another service's; scores must be as many as documents."""
    with pytest.raises(ResponseParseError):
        ask(Service(reply), send=send, **options)


@pytest.mark.parametrize(
    ("usage", "meta"),
    [
        (
            {"usage": {"prompt_tokens": 5, "total_tokens": 7}},
            Meta(billed_units=BilledUnits(total_tokens=7), tokens=Tokens(input_tokens=5)),
        ),
        (
            {"meta": {"tokens": {"input_tokens": 5}, "billed_units": {"search_units": 1}}},
            Meta(billed_units=BilledUnits(search_units=1), tokens=Tokens(input_tokens=5)),
        ),
        ({"tokens": {"input_tokens": 5, "output_tokens": 0}}, Meta(tokens=Tokens(5, 0))),
        ({"tokens": 5, "usage": "none"}, Meta()),
        ({}, Meta()),
    ],
)
def test_usage_is_read_from_where_services_put_it(usage: Any, meta: Meta) -> None:
    """Its absence costs nothing."""
    response = ask(Service({**reply_of(), **usage}))

    assert response.meta == meta
    assert response.cost is None


def test_what_stands_beside_the_ranking_is_read_where_it_can_be() -> None:
    """An id by one of two names; another model than was asked for is told."""
    first = ask(Service({**reply_of(), "id": "r-1", "model": "m"}))
    second = ask(Service({**reply_of(), "request_id": "r-2", "model": "other"}))
    odd = ask(Service({**reply_of(), "id": 7, "model": ["m"]}))
    unsent = ask(Service({**reply_of(), "model": "other"}), send_model=False)

    assert (first.id, second.id) == ("r-1", "r-2")
    assert tuple(second.warnings) == ("the service answered with the model 'other', not 'm'",)
    assert [len(each.warnings) for each in (first, odd, unsent)] == [0, 0, 0]
    assert odd.id


HINTS = [
    Failure(401, {"error": "no"}, "COMPATIBLE_API_BASE"),
    Failure(404, {"detail": "Not Found"}, ("endpoint_url=", "Ollama")),
    Failure(405, {"detail": "Method Not Allowed"}, "endpoint_url="),
    Failure(422, {"detail": "missing field"}, "documents_field="),
    Failure(
        500,
        {
            "error": {
                "code": 500,
                "message": "input (600 tokens) is too large to process. increase the physical"
                " batch size (current batch size: 512)",
                "type": "server_error",
            }
        },
        ("too large to process", "--ubatch-size"),
        BadRequestError,
        retried=False,
    ),
    Failure(500, {"error": "no memory"}, "no memory"),
    Failure(501, {"error": {"message": "no"}}, "--rerank"),
]


test_an_error_says_what_to_try = failing(ask, "compatible/m", HINTS)


# --- Presets ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "url"),
    [
        ("sglang", "http://localhost:30000/v1/rerank"),
        ("tei", "http://localhost:8080/rerank"),
        ("infinity", "http://localhost:7997/rerank"),
        ("zhipu", "https://open.bigmodel.cn/api/paas/v4/rerank"),
        ("qianfan", "https://qianfan.baidubce.com/v2/rerank"),
        ("ai302", "https://api.302.ai/jina/v1/rerank"),
        ("novita", "https://api.novita.ai/openai/v1/rerank"),
        ("prime_intellect", "https://api.pinference.ai/api/v1/rerank"),
    ],
)
def test_a_preset_names_the_place(preset: str, url: str) -> None:
    """As docs/servers.md has it."""
    service = Service(rows_of("score") if preset in ("sglang", "tei") else reply_of())

    ask(service, api_base=None, api_key="k", preset=preset)

    assert service.url == url


@pytest.mark.parametrize(
    ("preset", "base", "url"),
    [
        ("infinity", "http://gpu:7997", "http://gpu:7997/rerank"),
        ("infinity", "http://gpu:7997/v1", "http://gpu:7997/v1/rerank"),
        ("novita", "https://api.novita.ai/", "https://api.novita.ai/openai/v1/rerank"),
        ("localai", "http://gpu:8080", "http://gpu:8080/v1/rerank"),
        ("gpustack", "http://gpu/v1-openai", "http://gpu/v1/rerank"),
    ],
)
def test_a_preset_knows_the_path_of_a_server_elsewhere(preset: str, base: str, url: str) -> None:
    """Where the address of one's own has none."""
    service = Service()

    ask(service, api_base=base, api_key="k", preset=preset)

    assert service.url == url


@pytest.mark.parametrize("preset", sorted(rerank_compatible.PRESETS))
def test_every_preset_works(preset: str) -> None:
    """With an address and a key of one's own, and the settings it states."""
    service = Service(rows_of("score"))

    response = ask(service, preset=preset, api_key="k")

    assert [result.index for result in response.results] == [1, 0]
    assert service.url.startswith(BASE)


def test_a_service_s_limit_of_bytes_splits_a_list() -> None:
    """Prime Intellect takes 16 MiB in a request."""
    service = Service()

    ask(service, ["x" * 2_000_000] * 9, preset="prime_intellect", api_base=None, api_key="k")

    assert len(service.requests) == 2
    assert max(len(request.content) for request in service.requests) < 16 * 2**20


def test_a_service_s_key_goes_to_its_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the environment's own server is not asked in the service's stead."""
    monkeypatch.setenv("ZHIPU_API_KEY", "key-of-zhipu")
    monkeypatch.setenv("COMPATIBLE_API_BASE", "http://mine")
    monkeypatch.setenv("COMPATIBLE_API_KEY", "key-of-mine")
    service = Service()

    ask(service, api_base=None, preset="zhipu", model="compatible/rerank")

    assert service.requests[0].url.host == "open.bigmodel.cn"
    assert authorization(service) == "Bearer key-of-zhipu"
    with pytest.raises(MissingAPIKeyError, match="ZHIPU_API_KEY is not sent to http://server"):
        ask(service, preset="zhipu")
    monkeypatch.delenv("ZHIPU_API_KEY")
    with pytest.raises(MissingAPIKeyError, match="ZHIPU_API_KEY"):
        ask(service, api_base=None, preset="zhipu")


def test_the_environment_says_where_a_server_of_one_s_own_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The preset's address is only the usual one; the argument comes before both."""
    monkeypatch.setenv("COMPATIBLE_API_BASE", "http://gpu:30000")
    service = Service(rows_of("score"))

    ask(service, api_base=None, preset="sglang")
    ask(service, preset="sglang")

    assert [request.url.host for request in service.requests] == ["gpu", "server"]


OWN = {"api_base": "http://own", "documents_field": "passages", "results_path": "scores"}


def passages(asked: Any) -> Any:
    """Scores in the order of what was sent."""
    return {"scores": [0.1, 0.9][: len(asked["passages"])]}


@pytest.mark.parametrize("write", [dict, json.dumps])
def test_a_preset_of_one_s_own(write: Callable[[Any], Any]) -> None:
    """A mapping, or JSON of it; what the call says beside it comes first."""
    service = Service(passages)

    response = ask(service, api_base=None, preset=write(OWN))
    ask(service, api_base=None, preset=write(OWN | {"send_model": True}), send_model=False)

    assert service.url == "http://own/v1/rerank"
    assert [result.index for result in response.results] == [1, 0]
    assert service.body.keys() == {"query", "passages"}


@both_ways
def test_a_preset_in_the_environment(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name or as JSON; it shapes request and reply."""
    service = Service(passages)
    monkeypatch.setenv("COMPATIBLE_PRESET", json.dumps(OWN))
    response: RerankResponse = ask(service, send=send)
    ask(service, send=send, api_base=None)
    monkeypatch.setenv("COMPATIBLE_PRESET", "tei")
    tei = Service(rows_of("score"))
    ask(tei, send=send)

    assert [request.url.host for request in service.requests] == ["server", "own"]
    assert [result.index for result in response.results] == [1, 0]
    assert tei.url == f"{BASE}/rerank"
    assert tei.body == {"query": QUERY, "texts": DOCUMENTS}


@both_ways
def test_a_preset_in_the_environment_states_facts(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that one in code does: names, limits, mappings, whether a list may be split."""
    monkeypatch.setenv("COMPATIBLE_PRESET", "tei")
    tei = Service(lambda asked: [{"index": at, "score": 0.5} for at in range(len(asked["texts"]))])
    ask(tei, ["x"] * 33, send=send, top_n=1)
    own = {"document_form": "native", "max_documents": 1, "listwise": True}
    monkeypatch.setenv("COMPATIBLE_PRESET", json.dumps(own))
    native = Service()
    ask(native, MAPPINGS, send=send, max_documents=2)
    with pytest.raises(InvalidRequestError, match="split_listwise=True"):
        ask(native, send=send)
    preferred = Service()
    ask(preferred, send=send, preset="localai")

    assert sorted(len(json.loads(sent.content)["texts"]) for sent in tei.requests) == [16, 17]
    assert [json.loads(sent.content).keys() for sent in tei.requests] == [{"query", "texts"}] * 2
    assert native.body["documents"] == MAPPINGS
    assert preferred.body == PLAIN


def test_a_service_s_preset_in_the_environment_finds_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one in code does; not without it."""
    monkeypatch.setenv("COMPATIBLE_PRESET", "zhipu")
    with pytest.raises(MissingAPIKeyError, match="ZHIPU_API_KEY"):
        ask(Service(), api_base=None)
    monkeypatch.setenv("ZHIPU_API_KEY", "key-of-zhipu")
    service = Service()
    ask(service, api_base=None)

    assert service.url == "https://open.bigmodel.cn/api/paas/v4/rerank"
    assert authorization(service) == "Bearer key-of-zhipu"


def test_the_preset_s_own_records_are_not_changed() -> None:
    """They are data for everybody."""
    with pytest.raises(TypeError):
        rerank_compatible.PRESETS["mine"] = {}  # type: ignore[index]
