"""vLLM as a real server 0.32.0 was seen to behave; its replies are among the captures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import frozen

import rerank_vllm
from failures import Failure, failing
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    Meta,
    NotFoundError,
    ResponseParseError,
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
    by,
    call_of,
    captures,
    load,
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
bare_environment = without_variables(of="vllm")

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


@pytest.mark.parametrize("prefix", ["vllm", "hosted_vllm"])
def test_both_names_lead_here(prefix: str) -> None:
    """Its own and litellm's; a model's name may hold slashes."""
    service = Service(rank)

    response = ask(service, model=f"{prefix}/BAAI/bge-reranker-base")

    assert service.body["model"] == "BAAI/bge-reranker-base"
    assert response.provider == "vllm"


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


ERRORS = [
    Failure(400, {"object": "error", "message": "old form", "code": 400}, "old form"),
    Failure(405, {"detail": "Method Not Allowed"}, "Method Not Allowed"),
    Failure(422, {"error": {"message": "no"}}, "no"),
    Failure(429, {"error": {"message": "busy"}}, "busy"),
    Failure(500, {"error": {"message": "engine dead"}}, "engine dead"),
    Failure(503, {"error": {"message": "later"}}, "later"),
]
test_errors_of_every_form_are_read = failing(ask, "vllm/tiny-reranker", ERRORS)


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


CALLS = {name: call_of(name) for name in (LITELLM_ALL, LITELLM_DEFAULT)}
test_what_others_send_is_sent = captures("hosted_vllm", CALLS, DIFFERENCES, by(ask, rank, key=None))


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


def test_every_reply_is_read() -> None:
    """A file that is added must stand in the table."""
    files = {path.stem for path in CAPTURES.glob("hosted_vllm-realserver-*.json")}

    assert files == {f"hosted_vllm-realserver-{name}" for name in REPLIES}
