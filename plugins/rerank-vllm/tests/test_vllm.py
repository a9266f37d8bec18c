"""vLLM as a real server 0.32.0 was seen to behave; its replies are among the captures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import frozen

import rerank_vllm
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    InvalidRequestError,
    Meta,
    NotFoundError,
    RateLimitError,
    ResponseParseError,
    ServerError,
    Tokens,
    rerank,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    CAPTURES,
    NOTHING,
    Difference,
    Send,
    Service,
    asking,
    both_ways,
    call_of,
    check_refused_unless_allowed,
    differing,
    load,
    noting_waits,
    stated,
    without_variables,
)

QUERY = "What is the capital of France?"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
BOTH = [(1, 0.48720771074295044), (0, 0.14769501984119415)]
BATCHED = [(1, 0.4872077703475952), (0, 0.14769503474235535)]  # the seventh digit differs


@frozen
class Read:
    """What a good reply of the real server is read as."""

    ranking: list[tuple[int, float]]
    id: str
    tokens: int = 32


@frozen
class Refused:
    """What any other reply is read as: the error, and what its message must say."""

    kind: type[Exception]
    status: int
    words: tuple[str, ...]


REPLIES: dict[str, Read | Refused] = {
    "bad-json": Refused(BadRequestError, 400, ("JSON decode error",)),
    "dict-content": Refused(BadRequestError, 400, ("MultiModalParam is not supported for Bert",)),
    "dict-text": Refused(BadRequestError, 400, ("6 validation errors", "valid string")),
    "empty-documents": Refused(BadRequestError, 400, ("At least one text_pair element",)),
    "instruction": Read(BOTH, "score-83012a5e22659738"),
    "max_tokens_per_doc": Read([(0, 0.0)], "score-8a261bba15a3ffca", 15),
    "max_tokens_per_doc-null": Refused(BadRequestError, 400, ("body.max_tokens_per_doc",)),
    "max_tokens_per_doc-too-big": Refused(
        BadRequestError, 400, ("max_tokens_per_doc (4096) must be less than max_model_len (128)",)
    ),
    "missing-query": Refused(BadRequestError, 400, ("body.query", "Field required")),
    "models": Refused(ResponseParseError, 200, ("the reply has no 'results'",)),
    "no-model": Read(BOTH, "score-a3e7d830873cda6d"),
    "notfound": Refused(NotFoundError, 404, ("Not Found", "--runner pooling", "api_base")),
    "priority": Read(BOTH, "score-bcce5bd28df49e1e"),
    "return_documents-false": Read(BOTH, "score-b82fd5f0daaed57e"),
    "root-default": Read(BATCHED, "score-a77234521e3a7034"),
    "root-no-key": Read(BOTH, "score-96aadb3b76de470e"),
    "score-text": Refused(ResponseParseError, 200, ("the reply has no 'results'",)),
    "string-document": Read([(0, 0.4872077703475952)], "score-95f7774efec0945b", 17),
    "too-long": Refused(
        BadRequestError, 400, ("maximum context length is 128 tokens", "truncate_prompt_tokens=-1")
    ),
    "too-long-truncate-minus1": Read([(0, 0.0)], "score-8b3979235a822328", 128),
    "top_n-1": Read(BATCHED[:1], "score-8c668b6bd57e9481"),
    "top_n-negative": Refused(BadRequestError, 400, ("greater than or equal to 0",)),
    "top_n-null": Refused(BadRequestError, 400, ("body.top_n", "valid integer")),
    "truncate-too-big": Refused(BadRequestError, 400, ("greater than max_model_len",)),
    "unknown-model": Refused(
        NotFoundError, 404, ("The model `nope` does not exist", "GET /v1/models")
    ),
    "use_activation-false": Read(
        [(1, -0.05118020623922348), (0, -1.7527949810028076)], "score-91358e27d8a2663c"
    ),
    "user-request_id": Read(BOTH, "score-my-req-1"),
    "v1-default": Read(BOTH, "score-99ee3641193a7c46"),
    "v1-no-key": Refused(AuthenticationError, 401, ("Unauthorized", "api_key=")),
    "v1-wrong-key": Refused(AuthenticationError, 401, ("Unauthorized", "api_key=")),
    "v2-default": Read(BOTH, "score-935f5bb033658d51"),
    "wrong-content-type": Refused(BadRequestError, 400, ("Unsupported Media Type",)),
}
# Requests that cannot be made here at all, or whose body was too large to keep.
NOT_MADE = {
    "bad-json",
    "dict-text",
    "empty-documents",
    "max_tokens_per_doc",
    "max_tokens_per_doc-null",
    "missing-query",
    "models",
    "no-model",
    "return_documents-false",
    "score-text",
    "string-document",
    "too-long",
    "too-long-truncate-minus1",
    "top_n-negative",
    "top_n-null",
    "wrong-content-type",
}


def rank(asked: Any) -> dict[str, Any]:
    """Rank the documents in the order in which they were sent, and send the server's own back."""
    rows = [
        {
            "index": at,
            "document": {"text": "the server's own", "multi_modal": None},
            "relevance_score": 0.9 - at / 10000,
        }
        for at in range(asked.get("top_n") or len(asked["documents"]))
    ]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return {"id": "score-1", "results": rows, "usage": usage}


ask = asking("vllm/tiny-reranker", query=QUERY, documents=DOCUMENTS)
bare_environment = without_variables("HOSTED_VLLM_API_KEY", "VLLM_API_KEY", "HOSTED_VLLM_API_BASE")
waits = noting_waits()

CASE = Case(
    plugin=rerank_vllm,
    model="tiny-reranker",
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2, "max_tokens_per_doc": 64},
        url="http://localhost:8000/rerank",
        json={
            "model": "tiny-reranker",
            "query": QUERY,
            "documents": DOCUMENTS,
            "top_n": 2,
            "max_tokens_per_doc": 64,
        },
        reply=load("hosted_vllm-realserver-v1-default")["response"]["json"],
        ranking=BOTH,
        id="score-99ee3641193a7c46",
        meta=Meta(billed_units=BilledUnits(total_tokens=32), tokens=Tokens(input_tokens=32)),
    ),
    encode=lambda ranking, documents, _: {
        "id": "score-1",
        "model": "tiny-reranker",
        "usage": {"prompt_tokens": 32, "total_tokens": 32},
        "results": [
            {
                "index": at,
                "document": {"text": documents[0], "multi_modal": None},
                "relevance_score": score,
            }
            for at, score in ranking
        ],
    },
    encode_error=lambda message: {
        "error": {"message": message, "type": "BadRequestError", "param": None, "code": 400}
    },
    params={
        "max_tokens_per_query": 16,
        "truncate_prompt_tokens": -1,
        "truncation_side": "left",
        "use_activation": False,
        "instruction": "find it",
        "chat_template_kwargs": {"a": 1},
        "padding": True,
        "mm_processor_kwargs": {"a": 1},
        "cache_salt": "salt",
        "priority": 1,
        "request_id": "mine",
        "user": "me",
    },
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "http://localhost:8000/rerank"),
        ("http://gpu:8000", "http://gpu:8000/rerank"),
        ("http://gpu:8000/", "http://gpu:8000/rerank"),
        ("http://gpu:8000/v1", "http://gpu:8000/v1/rerank"),
        ("http://gpu:8000/v2/", "http://gpu:8000/v2/rerank"),
        ("http://gpu:8000/rerank", "http://gpu:8000/rerank"),
        ("http://gpu:8000/v1/rerank/", "http://gpu:8000/v1/rerank"),
        ("http://gpu:8000/v2/rerank", "http://gpu:8000/v2/rerank"),
        ("https://gateway.internal/a/v1?tenant=c", "https://gateway.internal/a/v1/rerank?tenant=c"),
    ],
)
def test_a_base_url_is_completed_and_stays_on_its_path(base: str | None, url: str) -> None:
    """What lies below `/v1` and `/v2` is guarded, and stays so."""
    service = Service(rank)

    ask(service, api_base=base)

    assert service.url == url


def test_without_a_key_no_header_is_sent() -> None:
    """A server has none by default, and no made-up one is sent."""
    service = Service(rank)

    ask(service)

    assert "authorization" not in service.requests[0].headers


@pytest.mark.parametrize("prefix", ["vllm", "hosted_vllm"])
def test_both_names_lead_here(prefix: str) -> None:
    """Its own and litellm's; a model's name may hold slashes."""
    service = Service(rank)

    response = ask(service, model=f"{prefix}/BAAI/bge-reranker-base")

    assert service.body["model"] == "BAAI/bge-reranker-base"
    assert response.provider == "vllm"


def test_nothing_is_sent_that_was_not_asked_for() -> None:
    """No null, which the server would answer with 400, and no default restated."""
    service = Service(rank)

    ask(service, top_n=None, max_tokens_per_doc=None, truncate_prompt_tokens=None)

    assert service.body == {"model": "tiny-reranker", "query": QUERY, "documents": DOCUMENTS}


@pytest.mark.parametrize(
    "params",
    [
        {"top_n": 1},
        {"max_tokens_per_doc": 64},
        {"max_tokens_per_query": 16},
        {"truncate_prompt_tokens": -1, "truncation_side": "left"},
        {"use_activation": False},
        {"instruction": "find it"},
        {"chat_template_kwargs": {"a": 1}},
        {"padding": True},
        {"mm_processor_kwargs": {"a": 1}},
        {"cache_salt": "salt"},
        {"priority": 0},
        {"request_id": "mine", "user": "me"},
    ],
    ids=" ".join,
)
def test_parameters_of_the_server_are_sent_by_name(params: dict[str, Any]) -> None:
    """Those of the call and those that only vLLM knows."""
    service = Service(rank)

    ask(service, **params)

    sent = service.body
    assert sent.keys() == {"model", "query", "documents", *params}
    assert {name: sent[name] for name in params} == params


def test_what_the_server_would_ignore_is_refused_unless_allowed() -> None:
    """It drops unknown fields without a word; a warning says what was left out."""
    check_refused_unless_allowed(ask, Service(rank), "vllm", "max_chunks_per_doc")


PARTS = {"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}]}


@pytest.mark.parametrize(
    ("documents", "rank_fields", "sent"),
    [
        (["a", {"text": "b"}], None, ["a", "b"]),
        ([{"text": "b", "title": "t"}], None, ["text: b\ntitle: t"]),
        ([{"text": "b", "title": "t"}, "c"], ["title"], ["title: t", "c"]),
        ([{"content": "words", "year": 1}], None, ["content: words\nyear: 1"]),
        ([PARTS, {"text": "b"}, "c"], None, [PARTS, "b", "c"]),
        ([PARTS, {"title": "t", "text": "b"}], ["title", "content"], [PARTS, "title: t"]),
        ([PARTS | {"title": "p"}, "c"], ["title"], ["title: p", "c"]),
    ],
)
def test_mappings_are_text_unless_they_have_parts(
    documents: Any, rank_fields: list[str] | None, sent: Any
) -> None:
    """A list of parts is what multimodal models rank; the server refuses any other mapping."""
    service = Service(rank)

    response = ask(service, documents, rank_fields=rank_fields)

    assert service.body["documents"] == sent
    assert "rank_fields" not in service.body
    for result in response.results:
        given = documents[result.index]
        assert result.document is not None
        assert result.document.fields is (None if isinstance(given, str) else given)


def test_documents_of_the_server_are_not_the_caller_s() -> None:
    """It always sends them back, as `null` where they have parts."""
    response = ask(Service(rank), return_documents=False)

    assert [result.document for result in response.results] == [None, None]


def test_usage_is_read() -> None:
    """Tokens of all pairs, and no price: the server is the caller's own."""
    response = ask(Service(rank))

    assert response.meta.billed_units.total_tokens == 7
    assert response.meta.tokens.input_tokens == 7
    assert response.cost is None


def test_usage_of_older_servers_is_read() -> None:
    """They have only the total."""
    rows = [{"index": at, "relevance_score": 0.5} for at in (0, 1)]
    reply = {"id": "rerank-1", "results": rows, "usage": {"total_tokens": 9}}

    response = ask(Service(reply))

    assert response.meta.billed_units.total_tokens == 9


def test_a_list_is_split_only_as_told() -> None:
    """The server states no limit."""
    service = Service(rank)

    ask(service, ["a"] * 3000)
    ask(service, ["a"] * 30, max_documents=10)

    assert len(service.requests) == 4


def test_a_listwise_model_is_not_split() -> None:
    """Its scores depend on the other documents."""
    with pytest.raises(InvalidRequestError, match="split_listwise=True"):
        ask(Service(rank), model="vllm/jinaai/jina-reranker-v3", max_documents=1)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, {"object": "error", "message": "old form", "code": 400}, BadRequestError, "old form"),
        (405, {"detail": "Method Not Allowed"}, APIStatusError, "Method Not Allowed"),
        (422, {"error": {"message": "no"}}, BadRequestError, "no"),
        (429, {"error": {"message": "busy"}}, RateLimitError, "busy"),
        (500, {"error": {"message": "engine dead"}}, ServerError, "engine dead"),
        (503, {"error": {"message": "later"}}, ServerError, "later"),
    ],
)
def test_errors_of_every_form_are_read(
    status: int, body: Any, kind: type[Exception], words: str
) -> None:
    """Nested, flat and from the framework."""
    with pytest.raises(kind, match=words) as caught:
        ask(Service(body, status))

    assert type(caught.value) is kind


LITELLM_ALL, LITELLM_DEFAULT = "hosted_vllm-litellm-all", "hosted_vllm-litellm-default"
# What this project sends otherwise than litellm, on purpose: where, what instead, why, in which
# captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "path",
        "/v1/rerank",
        "litellm moves a guarded /v1/rerank to where no key is checked",
        (LITELLM_ALL,),
    ),
    (
        "json.return_documents",
        NOTHING,
        "the server ignores it",
        (LITELLM_ALL, LITELLM_DEFAULT),
    ),
    (
        "json.rank_fields",
        NOTHING,
        "honoured by rendering; the server does not know it",
        (LITELLM_ALL,),
    ),
    (
        "json.documents",
        ["title: a", "title: b"],
        "mappings are answered with 400",
        (LITELLM_ALL,),
    ),
    ("json.use_activation", False, "litellm loses it", (LITELLM_ALL,)),
    (
        "headers.authorization",
        NOTHING,
        "litellm makes up a key where none is given",
        (LITELLM_DEFAULT,),
    ),
)


@both_ways
@pytest.mark.parametrize("name", [LITELLM_ALL, LITELLM_DEFAULT])
def test_litellm_s_call_sends_the_same_but_for_the_differences(name: str, send: Send) -> None:
    """Method, path, query, headers and every field of the body."""
    service = Service(rank)

    ask(service, send=send, **call_of(name))

    assert differing(name, service) == stated(name, DIFFERENCES)


def replay(name: str) -> tuple[Service, dict[str, Any]]:
    """A stand-in that answers as the real one did, and the call that this belongs to."""
    capture = load(f"hosted_vllm-realserver-{name}")
    request, response = capture["request"], capture["response"]
    asked = request["json"] if name not in NOT_MADE else {}
    params = {name: asked[name] for name in asked if name not in {"model", "query", "documents"}}
    documents = asked.get("documents", DOCUMENTS)
    if isinstance(expected := REPLIES[name], Read) and name in NOT_MADE:
        documents = DOCUMENTS[: len(expected.ranking)]
    call = {
        "model": f"vllm/{asked.get('model', 'tiny-reranker')}",
        "query": QUERY,
        "documents": documents,
        "api_base": "http://gpu:8000" + request["path"].removesuffix("/rerank"),
        "api_key": request["headers"].get("authorization", "").removeprefix("Bearer "),
        **params,
    }
    return Service(json.dumps(response["json"]), response["status"]), call


@pytest.mark.parametrize("name", [name for name in REPLIES if isinstance(REPLIES[name], Read)])
@both_ways
def test_a_ranking_of_the_real_server_is_read(name: str, send: Send) -> None:
    """Its results, its id and its usage."""
    expected, (service, call) = REPLIES[name], replay(name)
    assert isinstance(expected, Read)

    response = send(**call, http_client=service)

    ranking = [(result.index, result.relevance_score) for result in response.results]
    if expected.ranking[0][1]:
        assert ranking == expected.ranking
    assert len(ranking) == len(expected.ranking)
    assert response.id == expected.id
    assert response.meta.billed_units.total_tokens == expected.tokens
    assert response.meta.tokens.input_tokens == expected.tokens


@pytest.mark.parametrize("name", [name for name in REPLIES if isinstance(REPLIES[name], Refused)])
def test_any_other_reply_of_the_real_server_is_an_error(name: str) -> None:
    """Of the right kind, with the words that a person needs, and short."""
    expected, (service, call) = REPLIES[name], replay(name)
    assert isinstance(expected, Refused)

    with pytest.raises(expected.kind) as caught:
        rerank(**call, http_client=service)

    assert type(caught.value) is expected.kind
    assert getattr(caught.value, "status_code", None) == expected.status
    assert all(word in str(caught.value) for word in expected.words)
    assert len(str(caught.value)) < 700
    assert len(service.requests) == 1  # none of them is worth a retry


@pytest.mark.parametrize("name", sorted(REPLIES.keys() - NOT_MADE))
def test_the_same_request_is_made_as_of_the_real_server(name: str) -> None:
    """Where the call can be made here: the same path, key and body."""
    service, call = replay(name)
    captured = load(f"hosted_vllm-realserver-{name}")["request"]

    try:
        rerank(**call, http_client=service)
    except APIStatusError as error:
        assert error.status_code != 200  # noqa: PT017 - what is sent matters here, not the reply
    (request,) = service.requests

    assert request.method == captured["method"]
    assert request.url.path == captured["path"]
    assert request.headers.get("authorization") == captured["headers"].get("authorization")
    assert json.loads(request.content) == captured["json"]


def test_every_capture_is_covered() -> None:
    """A file that is added must be made the same call of, or stand among the replies."""
    files = {path.stem for path in CAPTURES.glob("hosted_vllm-*.json")}
    replies = {f"hosted_vllm-realserver-{name}" for name in REPLIES}

    assert files == {*replies, LITELLM_ALL, LITELLM_DEFAULT}


def test_the_facts_are_stated() -> None:
    """What listings and documentation show."""
    facts = rerank_vllm.resolve_provider("tiny-reranker")

    assert facts.name == "vllm"
    assert facts.score_kind == "opaque"
    assert not facts.api_key_required
    assert not facts.listwise
    assert facts.price is None
    assert facts.docs_url.startswith("https://docs.vllm.ai/")
