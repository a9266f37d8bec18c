"""Jina's rerank API as its documentation and its replies have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import rerank_jina
from failures import Failure, failing
from rerank_core import (
    BilledUnits,
    ConfigurationError,
    InvalidRequestError,
    Meta,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    Tokens,
    UnsupportedParamError,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import NOTHING, Difference, Service, asking, by, captures, facts, without_variables

KEY = "jina_0123456789abcdef"
QUERY = "What is the capital of France?"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
IMAGE = {"image": "https://example.com/eiffel.png"}
M0 = "jina/jina-reranker-m0"
V2 = "jina/jina-reranker-v2-base-multilingual"
REPLY = {
    "model": "jina-reranker-v3",
    "object": "list",
    "usage": {"total_tokens": 265},
    "results": [
        {"index": 1, "relevance_score": 0.3417, "document": "Paris is the capital of France."},
        {"index": 0, "relevance_score": -0.0832, "document": "Berlin is in Germany."},
    ],
}

CASE = Case(
    plugin=rerank_jina,
    model="jina-reranker-v3",
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        url="https://api.jina.ai/v1/rerank",
        json={
            "model": "jina-reranker-v3",
            "query": QUERY,
            "documents": DOCUMENTS,
            "return_documents": False,
            "top_n": 2,
        },
        reply=REPLY,
        ranking=[(1, 0.3417), (0, -0.0832)],
        meta=Meta(billed_units=BilledUnits(total_tokens=265), tokens=Tokens(input_tokens=265)),
    ),
    encode=lambda ranking, _, __: {
        "results": [{"index": at, "relevance_score": score} for at, score in ranking],
        "usage": {"total_tokens": 265},
    },
    encode_error=lambda message: {"detail": message, "code": "INPUT_INVALID"},
    params={"truncation": False, "return_embeddings": True},
)

ask = asking("jina/jina-reranker-v3", api_key=KEY, query=QUERY, documents=DOCUMENTS)
bare_environment = without_variables(of="jina")

# The captured call in this project's words.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "jina_ai-litellm-full": {
        "model": "jina_ai/jina-reranker-v2-base-multilingual",
        "query": "capital of France?",
        "documents": ["Paris is the capital of France.", "Berlin is in Germany."],
        "top_n": 2,
        "return_documents": True,
        "rank_fields": ["a"],
        "max_tokens_per_doc": 5,
        "api_base": "https://jina.test/custom/path/v1",
        "drop_params": True,
    },
}
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "path",
        "/custom/path/v1/rerank",
        "litellm loses the path of the base URL",
        ("jina_ai-litellm-full",),
    ),
    (
        "json.return_documents",
        False,
        "core attaches the caller's own documents: asking for them back pays for them twice",
        ("jina_ai-litellm-full",),
    ),
)


def error(code: str, detail: str = "What went wrong.") -> dict[str, Any]:
    """An error reply as documented."""
    return {"detail": detail, "code": code, "request_id": "req_0f8e"}


WORDS = ("What went wrong.",)
INVALID = {
    "detail": "Request validation failed",
    "errors": [
        {
            "field": "documents",
            "message": "List should have at least 1 item",
            "type": "too_short",
            "input": [],
        }
    ],
}
OLDER = {"detail": [{"loc": ["body", "top_n"], "msg": "not an integer", "type": "int_type"}]}
NO_TOKENS = (*WORDS, "no tokens left: top it up")
ERRORS = [
    # As a gateway may hand them on.
    Failure(200, error("AUTHZ_INSUFFICIENT_BALANCE"), NO_TOKENS, kind=PermissionDeniedError),
    Failure(200, error("AUTHZ_RESOURCE_LIMIT_EXCEEDED"), WORDS, kind=PermissionDeniedError),
    Failure(200, error("RATE_REQUEST_LIMIT_EXCEEDED"), WORDS, kind=RateLimitError, retried=True),
    Failure(200, error("RATE_TOKEN_LIMIT_EXCEEDED"), WORDS, kind=RateLimitError, retried=True),
    Failure(
        200, error("RATE_CONCURRENCY_LIMIT_EXCEEDED"), WORDS, kind=RateLimitError, retried=True
    ),
    Failure(200, error("RATE_IP_LIMIT_EXCEEDED"), WORDS, kind=RateLimitError, retried=True),
    Failure(200, error("SERVICE_TIMEOUT"), WORDS, kind=ServerError, retried=True),
    Failure(400, error("INPUT_INVALID"), WORDS),
    Failure(400, error("INPUT_MODEL_NOT_FOUND"), WORDS, kind=NotFoundError),
    Failure(401, error("AUTH_MISSING_API_KEY"), WORDS),
    Failure(401, error("AUTH_INVALID_API_KEY"), WORDS),
    Failure(401, error("AUTH_INVALID_FORMAT"), WORDS),
    Failure(402, error("AUTHZ_INSUFFICIENT_BALANCE"), NO_TOKENS),
    Failure(402, "What went wrong.", NO_TOKENS),
    Failure(403, error("AUTHZ_INSUFFICIENT_BALANCE"), NO_TOKENS),
    Failure(403, error("AUTHZ_RESOURCE_LIMIT_EXCEEDED"), WORDS),
    Failure(404, error("RESOURCE_NOT_FOUND"), WORDS),
    Failure(409, error("CONFLICT_RESOURCE_BUSY"), WORDS, retried=True),
    Failure(422, INVALID, "List should have at least 1 item"),
    Failure(422, OLDER, "body.top_n: not an integer"),
    Failure(429, error("RATE_REQUEST_LIMIT_EXCEEDED"), WORDS),
    Failure(429, error("RATE_TOKEN_LIMIT_EXCEEDED"), WORDS),
    Failure(429, error("RATE_CONCURRENCY_LIMIT_EXCEEDED"), WORDS),
    Failure(429, error("RATE_IP_LIMIT_EXCEEDED"), WORDS),
    Failure(500, error("INTERNAL_ERROR"), WORDS),
    Failure(503, error("SERVICE_UNAVAILABLE"), WORDS),
    Failure(504, error("SERVICE_TIMEOUT"), WORDS),
    Failure(502, "<html>Bad gateway</html>", "Bad gateway"),
]


# --- What every plugin must keep --------------------------------------------------------------


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


# --- What others were seen to send ------------------------------------------------------------


test_what_others_send_is_sent = captures("jina_ai", CALLS, DIFFERENCES, by(ask))


# --- What is sent -----------------------------------------------------------------------------


def test_every_parameter_is_sent_by_jina_s_name() -> None:
    """`max_tokens_per_doc` is `max_doc_length`."""
    service = Service()
    params: dict[str, Any] = {
        "max_tokens_per_doc": 512,
        "truncation": False,
        "return_embeddings": True,
    }

    ask(service, top_n=1, **params)

    assert service.body == {
        "model": "jina-reranker-v3",
        "query": QUERY,
        "documents": DOCUMENTS,
        "return_documents": False,
        "top_n": 1,
        "max_doc_length": 512,
        "truncation": False,
        "return_embeddings": True,
    }


@pytest.mark.parametrize("host", ["deepsearch.jina.ai", "r.jina.ai", "s.jina.ai"])
def test_a_host_that_has_no_rerank_is_refused(host: str) -> None:
    """Those of Jina's that read and search; nothing is sent there."""
    service = Service(REPLY)

    with pytest.raises(ConfigurationError, match=f"{host} does not rerank"):
        ask(service, api_base=f"https://{host}/v1")

    assert service.requests == []


@pytest.mark.parametrize(
    "model", ["jina/jina-ai/jina-reranker-v3", "jina_ai/jina-ai/jina-reranker-v3"]
)
def test_the_owner_in_a_model_s_name_is_left_out(model: str) -> None:
    """The list of models has it, the endpoint does not."""
    service = Service()

    ask(service, model=model, max_tokens_per_doc=512)

    assert service.body["model"] == "jina-reranker-v3"


@pytest.mark.parametrize("model", ["jina-reranker-v3", "jina-reranker-v3.5"])
def test_v3_takes_its_own_parameters(model: str) -> None:
    """Both of its versions."""
    service = Service()

    ask(service, model=f"jina/{model}", max_tokens_per_doc=512, return_embeddings=True)

    assert service.body["max_doc_length"] == 512
    assert service.body["return_embeddings"] is True


@pytest.mark.parametrize("model", [V2, M0, "jina/jina-colbert-v2", "jina/jina-reranker-v1-tiny-en"])
@pytest.mark.parametrize("param", ["max_tokens_per_doc", "return_embeddings"])
def test_other_models_do_not_take_what_only_v3_knows(model: str, param: str) -> None:
    """The error says who does; a warning says what was left out."""
    service = Service()
    given: dict[str, Any] = {param: 1}

    with pytest.raises(UnsupportedParamError, match=r"only jina-reranker-v3 and v3\.5") as caught:
        ask(service, model=model, **given)
    response = ask(service, model=model, truncation=True, drop_params=True, **given)

    assert caught.value.param == param
    assert param in caught.value.message
    assert len(service.requests) == 1
    assert service.body.keys() == {
        "model",
        "query",
        "documents",
        "return_documents",
        "truncation",
    }
    assert [warning for warning in response.warnings if param in warning]


# --- Documents --------------------------------------------------------------------------------


def test_mappings_without_an_image_are_text_for_m0_too() -> None:
    """In the API's objects, fields other than the text carry no relevance."""
    documents = ["Plain.", {"text": "Only text."}, {"title": "A", "text": "B", "none": None}]
    service = Service()

    response = ask(service, documents, model=M0)
    whole = service.body["documents"]
    ask(service, documents, model=M0, rank_fields=["text", "title"])

    assert whole == ["Plain.", "Only text.", "title: A\ntext: B"]
    assert service.body["documents"] == ["Plain.", "Only text.", "text: B\ntitle: A"]
    assert "rank_fields" not in service.body
    assert [result.document and result.document.fields for result in response.results] == [
        None,
        *documents[1:],
    ]


def test_images_go_to_m0_as_objects() -> None:
    """Beside texts, and with their image alone."""
    service = Service()
    documents = [IMAGE, "Plain.", {"text": "Only text."}, {"image": "aGk=", "caption": None}]

    response = ask(service, documents, model=M0)

    assert service.body["documents"] == [IMAGE, "Plain.", "Only text.", {"image": "aGk="}]
    assert response.results[0].document is not None
    assert response.results[0].document.fields is IMAGE


def test_rank_fields_choose_between_an_image_and_its_text() -> None:
    """What is not chosen is not sent."""
    service = Service()
    documents = [IMAGE | {"caption": "A tower."}, "Plain."]

    ask(service, documents, model=M0, rank_fields=["image"])
    images = service.body["documents"]
    ask(service, documents, model=M0, rank_fields=["caption"])

    assert images == [IMAGE, "Plain."]
    assert service.body["documents"] == ["caption: A tower.", "Plain."]


def test_an_image_beside_other_fields_is_refused() -> None:
    """They would be lost without a word; the error says how to choose."""
    service = Service()

    with pytest.raises(InvalidRequestError, match=r"documents\[1\].*rank_fields=\['image'\]"):
        ask(service, ["Plain.", IMAGE | {"caption": "A tower."}], model=M0)

    assert service.requests == []


def test_other_models_take_no_images() -> None:
    """A field of that name is text like any other."""
    service = Service()

    ask(service, [IMAGE], model=V2)

    assert service.body["documents"] == ["image: https://example.com/eiffel.png"]


def test_blank_documents_are_held_back() -> None:
    """What the service makes of them is not documented."""
    service = Service()

    response = ask(service, ["", "a", {"image": None}, "b"], model=M0)

    assert service.body["documents"] == ["a", "b"]
    assert [result.index for result in response.results] == [1, 3, 0, 2]


# --- What comes back --------------------------------------------------------------------------


def test_older_replies_state_the_tokens_that_went_in() -> None:
    """Then theirs is the number."""
    reply = REPLY | {"usage": {"total_tokens": 815, "prompt_tokens": 800}}

    response = ask(Service(reply), model=V2)

    assert response.meta == Meta(
        billed_units=BilledUnits(total_tokens=815), tokens=Tokens(input_tokens=800)
    )
    assert response.cost == pytest.approx(815 * 0.05e-6)


@pytest.mark.parametrize(
    "document",
    ["another text", {"text": "another text"}, IMAGE, None, NOTHING],
    ids=["string", "text", "image", "null", "absent"],
)
def test_a_document_of_any_shape_is_no_fault(document: object) -> None:
    """The caller's own is attached in its stead."""
    row = {"index": 0, "relevance_score": 0.5, "document": document}
    if document is NOTHING:
        del row["document"]

    response = ask(Service({"results": [row]}), ["The caller's."])

    assert response.results[0]["document"]["text"] == "The caller's."
    assert response.meta == Meta()


def test_embeddings_are_kept_beside_their_results() -> None:
    """Under the service's name."""
    rows = [
        {"index": 0, "relevance_score": 0.1, "embedding": [0.5, -0.5]},
        {"index": 1, "relevance_score": 0.9, "embedding": None},
    ]

    response = ask(Service({"results": rows, "id": "r-1"}), return_embeddings=True)

    assert [(r.index, r.extra) for r in response.results] == [
        (1, None),
        (0, {"embedding": [0.5, -0.5]}),
    ]
    assert response.id == "r-1"


test_an_error_says_what_to_do = failing(ask, "jina/jina-reranker-v3", ERRORS)


# --- Facts ------------------------------------------------------------------------------------


def test_the_price_of_one_model_is_known() -> None:
    """That of all others is unknown, not nothing."""
    priced = V2.removeprefix("jina/")

    models = facts(V2).models
    assert [name for name in models if facts(f"jina/{name}").price] == [priced]
