"""Cohere's rerank API as its documentation and its official SDK have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import rerank_cohere
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    InvalidRequestError,
    MissingAPIKeyError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    Reranker,
    RerankResponse,
    ServerError,
    UnsupportedParamError,
)
from rerank_core.testing import Case, Check, Example, Ranking, conformance
from service import Service, facts, without_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "test-key-0123456789"
QUERY = "What is the capital of the United States?"
DOCUMENTS = [
    "Carson City is the capital city of the American state of Nevada.",
    "Washington, D.C. is the capital of the United States.",
    "Capital punishment is legal in 30 of the 50 states.",
]
V1 = {"api_version": "v1"}


def encode(ranking: Ranking, documents: Sequence[str], top_n: int | None) -> dict[str, Any]:
    """Write the reply of v2 for a ranking."""
    del documents, top_n
    return {
        "id": "5b1c6f3e-2f6a-4d0e-9a52-0c7c9fbf7a11",
        "results": [{"index": index, "relevance_score": score} for index, score in ranking],
        "meta": {
            "api_version": {"version": "2", "is_experimental": False},
            "billed_units": {"search_units": 1.0},
        },
    }


CASE = Case(
    plugin=rerank_cohere,
    model="rerank-v3.5",
    params={"priority": 10, "relevant_spans": {"mode": "enabled"}},
    encode=encode,
    encode_error=lambda message: {"id": "d0f6", "message": message},
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2, "max_tokens_per_doc": 1024},
        url="https://api.cohere.com/v2/rerank",
        json={
            "model": "rerank-v3.5",
            "query": QUERY,
            "documents": DOCUMENTS,
            "top_n": 2,
            "max_tokens_per_doc": 1024,
        },
        reply=encode([(1, 0.9731), (0, 0.0412)], DOCUMENTS, 2),
        ranking=[(1, 0.9731), (0, 0.0412)],
    ),
)


bare_environment = without_variables(of="cohere")


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The plugin keeps what every plugin must."""
    check()


def ask(
    service: Service,
    documents: Any = DOCUMENTS,
    *,
    model: str = "cohere/rerank-v3.5",
    options: dict[str, Any] | None = None,
    **params: Any,
) -> RerankResponse:
    """Ask for a ranking."""
    given = {"api_key": KEY, "max_retries": 0, **(options or {})}
    with Reranker(model, http_client=service, **given) as reranker:
        return reranker.rerank(QUERY, documents, **params)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "https://api.cohere.com/v1/rerank"),
        ("https://api.cohere.com/v1", "https://api.cohere.com/v1/rerank"),
        ("https://gateway.internal/cohere", "https://gateway.internal/cohere/v1/rerank"),
        ("https://vault.internal/v1", "https://vault.internal/v1/rerank"),
    ],
)
def test_a_parameter_that_only_v1_knows_chooses_v1(base: str | None, url: str) -> None:
    """Where the base URL states no version, or the same."""
    service = Service()

    ask(service, options={"api_base": base}, max_chunks_per_doc=3)

    assert service.url == url
    assert service.body["max_chunks_per_doc"] == 3


def test_version_1_has_a_limit_of_chunks() -> None:
    """As many documents go as may be made of chunks; Cohere refuses more."""
    service = Service()

    with pytest.raises(InvalidRequestError, match=r"1,000 documents of up to 11 .* max_documents="):
        ask(service, ["d"] * 1000, max_chunks_per_doc=11)
    assert service.requests == []

    ask(service, ["d"] * 1000, max_chunks_per_doc=10)
    ask(service, ["d"] * 1000, options={"max_documents": 900}, max_chunks_per_doc=11)

    assert len(service.requests) == 3


@pytest.mark.parametrize("model", ["our-own", "voyage/rerank-3"])
def test_the_context_of_another_model_is_not_known(model: str) -> None:
    """One of a private deployment, or of a gateway's other makers."""
    assert Reranker(f"cohere/{model}", api_key=KEY).facts.max_tokens is None


def test_vercel_s_gateway_is_a_base_url() -> None:
    """Its models have their maker's name, its replies perhaps no `meta`, and no price is known."""
    ranked = [{"index": at, "relevance_score": 0.5} for at in range(3)]
    service = Service({"id": "gw-1", "results": ranked})

    response = ask(
        service,
        model="cohere/cohere/rerank-v3.5",
        options={"api_base": "https://ai-gateway.vercel.sh"},
    )

    assert service.url == "https://ai-gateway.vercel.sh/v2/rerank"
    assert service.body["model"] == "cohere/rerank-v3.5"
    assert response.cost is None
    assert facts("cohere/cohere/rerank-v3.5").price is None


@pytest.mark.parametrize("status", [401, 429, 500])
def test_an_error_of_vercel_s_gateway_is_read(status: int) -> None:
    """It is written as OpenAI writes them, where Cohere has a message alone."""
    error = {"message": "what is wrong", "type": "some_error", "code": "some_code"}

    with pytest.raises(APIStatusError, match="what is wrong"):
        ask(
            Service({"error": error}, status),
            options={"api_base": "https://ai-gateway.vercel.sh"},
        )


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_caller_may_choose_the_version(version: str) -> None:
    """By an option of the connection."""
    service = Service()

    ask(service, options={"api_version": version})

    assert service.url == f"https://api.cohere.com/{version}/rerank"


def test_a_version_that_contradicts_the_base_url_is_refused() -> None:
    """Neither is guessed to be meant."""
    options = {"api_base": "https://vault.internal/v2", **V1}

    with pytest.raises(ConfigurationError, match="contradicts the base URL, which ends") as caught:
        ask(Service(), options=options)

    assert type(caught.value) is ConfigurationError


@pytest.mark.parametrize("version", ["1", "v3", 2])
def test_an_unknown_version_is_refused(version: object) -> None:
    """With the two that there are."""
    with pytest.raises(ConfigurationError, match="'v1' or 'v2'") as caught:
        ask(Service(), options={"api_version": version})

    assert type(caught.value) is ConfigurationError


CLASHES = [
    ({"api_base": "https://vault.internal/v1"}, {"max_tokens_per_doc": 512}, "max_tokens_per_doc"),
    (V1, {"max_tokens_per_doc": 512}, "max_tokens_per_doc"),
    (V1, {"priority": 5}, "priority"),
    (V1, {"relevant_spans": {"mode": "enabled"}}, "relevant_spans"),
    ({"api_base": "https://vault.internal/v2"}, {"max_chunks_per_doc": 3}, "max_chunks_per_doc"),
    ({"api_version": "v2"}, {"max_chunks_per_doc": 3}, "max_chunks_per_doc"),
    ({}, {"max_chunks_per_doc": 3, "max_tokens_per_doc": 512}, "max_chunks_per_doc"),
    ({}, {"max_chunks_per_doc": 3, "priority": 5}, "priority"),
]


@pytest.mark.parametrize(("options", "params", "refused"), CLASHES)
def test_a_parameter_of_the_other_version_is_refused(
    options: dict[str, Any], params: dict[str, Any], refused: str
) -> None:
    """The error names it and the version that knows it, and nothing is sent."""
    service = Service()

    with pytest.raises(UnsupportedParamError) as caught:
        ask(service, options=options, **params)

    other = "v1" if refused == "max_chunks_per_doc" else "v2"
    assert caught.value.param == refused
    assert f"{refused!r} only in {other}" in caught.value.message
    assert service.requests == []


@pytest.mark.parametrize(("options", "params", "refused"), CLASHES)
def test_a_parameter_of_the_other_version_is_left_out_where_allowed(
    options: dict[str, Any], params: dict[str, Any], refused: str
) -> None:
    """The rest goes, and a warning says what did not."""
    service = Service()

    response = ask(service, options={**options, "drop_params": True}, **params)

    assert refused not in service.body
    assert all(name in service.body for name in params if name != refused)
    assert [warning for warning in response.warnings if refused in warning]


def test_every_parameter_of_v2_is_sent() -> None:
    """By its own name."""
    service = Service()
    spans = {"mode": "enabled", "threshold": 0.2, "max_spans": 3}

    ask(service, top_n=2, max_tokens_per_doc=1024, priority=0, relevant_spans=spans)

    assert service.body == {
        "model": "rerank-v3.5",
        "query": QUERY,
        "documents": DOCUMENTS,
        "top_n": 2,
        "max_tokens_per_doc": 1024,
        "priority": 0,
        "relevant_spans": spans,
    }


def test_strings_go_to_v1_as_they_are() -> None:
    """It takes them beside mappings, but not among them."""
    service = Service()

    ask(service, options=V1)

    assert service.body["documents"] == DOCUMENTS


@pytest.mark.parametrize(
    ("documents", "rank_fields", "sent"),
    [
        (
            [{"text": "a"}, "b"],
            None,
            [{"text": "a"}, {"text": "b"}],
        ),
        (
            [{"text": "a", "year": 1990, "tags": ["x", "y"], "new": True}],
            None,
            [{"text": "a", "year": "1990", "tags": '["x","y"]', "new": "true"}],
        ),
        (
            [{"text": "a", "note": None}],
            None,
            [{"text": "a"}],
        ),
        (
            [{"title": "a", "body": "b"}, {"text": "c"}],
            None,
            [{"text": "title: a\nbody: b"}, {"text": "c"}],
        ),
        (
            [{"title": "a", "text": None}],
            None,
            [{"text": "title: a"}],
        ),
        (
            [{"title": "a", "body": "b"}],
            ["title"],
            [{"title": "a", "body": "b"}],
        ),
    ],
    ids=["mixed", "values", "null", "without-text", "null-text", "rank_fields"],
)
def test_mappings_are_normalised_for_v1(
    documents: list[Any], rank_fields: list[str] | None, sent: list[Any]
) -> None:
    """All of one kind, every value a string, and a text to rank by."""
    service = Service()

    ask(service, documents, options=V1, rank_fields=rank_fields)

    assert service.body["documents"] == sent
    assert service.body.get("rank_fields") == rank_fields


@pytest.mark.parametrize(
    ("documents", "rank_fields", "sent"),
    [
        ([{"text": "a"}, "b"], None, ["a", "b"]),
        ([{"title": "a", "text": "b"}], None, ["title: a\ntext: b"]),
        ([{"title": "a", "text": "b"}], ["text", "title"], ["text: b\ntitle: a"]),
        ([{"title": "a", "text": "b"}], ["text"], ["b"]),
        ([{"title": "a", "text": "b"}, "c"], ["title"], ["title: a", "c"]),
        ([{"b": "zwei", "a": "größer"}], None, ["b: zwei\na: größer"]),
        ([{"year": 1990, "tags": ["x"], "note": None}], None, ['year: 1990\ntags: ["x"]']),
        ([{"text": "word " * 50}], None, ["word " * 50]),
    ],
    ids=["text", "all", "order", "only-text", "mixed", "unsorted", "values", "unwrapped"],
)
def test_mappings_are_rendered_for_v2(
    documents: list[Any], rank_fields: list[str] | None, sent: list[str]
) -> None:
    """It takes only strings: `field: value` lines, in order; rank_fields is not sent."""
    service = Service()

    ask(service, documents, rank_fields=rank_fields)

    assert service.body["documents"] == sent
    assert "rank_fields" not in service.body


V2_REPLY = {
    "id": "5b1c6f3e-2f6a-4d0e-9a52-0c7c9fbf7a11",
    "results": [
        {
            "index": 1,
            "relevance_score": 0.9731,
            "relevant_spans": [
                {"start": 0, "end": 22, "score": 0.88},
                {"start": 40, "end": 53, "score": 0.31},
            ],
        },
        {"index": 0, "relevance_score": 0.0412},
        {"index": 2, "relevance_score": 0.000085},
    ],
    "meta": {
        "api_version": {"version": "2", "is_experimental": False},
        "billed_units": {"search_units": 1.0},
        "tokens": {"input_tokens": 118, "output_tokens": 0},
        "warnings": ["example warning"],
    },
}


def test_the_documented_reply_is_read() -> None:
    """Results, id, version, usage and warnings."""
    response = ask(Service(V2_REPLY))

    ranking = [(result.index, result.relevance_score) for result in response.results]
    assert ranking == [(1, 0.9731), (0, 0.0412), (2, 0.000085)]
    assert response.id == "5b1c6f3e-2f6a-4d0e-9a52-0c7c9fbf7a11"
    assert response.meta.api_version == "2"
    assert response.meta.billed_units.search_units == 1.0
    assert response.meta.tokens.input_tokens == 118
    assert response.meta.tokens.output_tokens == 0
    assert tuple(response.warnings) == ("example warning",)
    assert response.payload == V2_REPLY


def test_relevant_spans_stand_beside_their_result() -> None:
    """In `extra`, by the service's own name and in its order."""
    response = ask(Service(V2_REPLY))

    assert response.results[0].extra == {"relevant_spans": V2_REPLY["results"][0]["relevant_spans"]}  # type: ignore[index]
    assert response.results[1].extra is None


def test_the_documented_reply_of_v1_is_read() -> None:
    """Its documents may have no text, and are not needed: the caller's own are attached."""
    document = {"title": "DC", "body": "Washington, D.C. is the capital."}
    row = {"document": {"title": "DC"}, "index": 0, "relevance_score": 0.98}
    meta = {"api_version": {"version": "1"}, "billed_units": {"search_units": 1}}
    reply = {"id": "0c1d", "results": [row], "meta": meta}

    response = ask(Service(reply), [document], options=V1)

    assert response.results[0].document is not None
    assert response.results[0].document.fields is document
    assert response.meta.api_version == "1"
    assert response.meta.billed_units.search_units == 1


def test_the_name_of_the_client_is_a_header() -> None:
    """As in the official SDK."""
    service = Service()

    ask(service, options={"client_name": "my-project"})
    ask(service)

    named, unnamed = (request.headers for request in service.requests)
    assert named["x-client-name"] == "my-project"
    assert "x-client-name" not in unnamed
    assert b"client_name" not in service.requests[0].content


@pytest.mark.parametrize("name", ["Zürich", "two\nlines", 5])
def test_a_client_name_that_no_header_can_hold_is_refused(name: object) -> None:
    """Before it is sent."""
    service = Service()

    with pytest.raises(ConfigurationError):
        ask(service, options={"client_name": name})

    assert service.requests == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, PermissionDeniedError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, APIStatusError),
        (422, BadRequestError),
        (429, RateLimitError),
        (498, AuthenticationError),
        (499, APIStatusError),
        (500, ServerError),
        (501, ServerError),
        (503, ServerError),
        (504, ServerError),
    ],
)
def test_an_error_is_of_its_kind(status: int, kind: type[APIStatusError]) -> None:
    """With Cohere's own message."""
    reply = {"id": "d0f6", "message": "this is what is wrong"}

    with pytest.raises(APIStatusError) as caught:
        ask(Service(reply, status))

    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert str(caught.value) == f"cohere/rerank-v3.5: status {status}: this is what is wrong"


def test_a_page_of_a_firewall_is_quoted() -> None:
    """It answers 403 with HTML where an API would answer with JSON."""
    page = (
        "<html>\n<head><title>403 Forbidden</title></head>\n<body>" + "x" * 2000 + "</body></html>"
    )

    with pytest.raises(PermissionDeniedError) as caught:
        ask(Service(page, 403, {"content-type": "text/html"}))

    assert "403 Forbidden" in caught.value.message
    assert len(caught.value.message) < 600


DATE = {"date": "Mon, 23 Nov 2026 10:00:00 GMT"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after": "7", "x-ratelimit-reset": "1795428030"}, 7.0),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:20 GMT", **DATE}, 20.0),
        ({"x-ratelimit-reset": "1795428030", **DATE}, 30.0),
        ({}, None),
    ],
)
def test_the_time_to_wait_is_read_as_the_official_sdk_reads_it(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Milliseconds, then seconds or a date, then the end of the rate limit."""
    service = Service({"message": "trial key"}, 429, headers)

    with pytest.raises(RateLimitError) as caught:
        ask(service)

    assert caught.value.retry_after == seconds


def test_a_model_nobody_has_heard_of_is_passed_on() -> None:
    """Private models exist; the service answers 404 where there is none."""
    service = Service()

    ask(service, model="cohere/my/own-model")

    assert service.body["model"] == "my/own-model"


def test_an_empty_key_is_for_deployments_of_one_s_own() -> None:
    """There no header is sent, as by the official SDK; the public host would refuse it."""
    service = Service()

    ask(service, options={"api_key": "", "api_base": "https://vault.internal"})

    assert "authorization" not in service.requests[0].headers
    with pytest.raises(MissingAPIKeyError):
        ask(service, options={"api_key": ""})


@pytest.mark.filterwarnings("ignore:.*was switched off:FutureWarning")
@pytest.mark.parametrize("model", ["rerank-english-v2.0", "rerank-multilingual-v2.0"])
def test_the_models_before_v3_are_gone(model: str) -> None:
    """Which much code still names."""
    assert facts(f"cohere/{model}").retires == "2025-04-30"
