"""Elasticsearch's inference API, as its specification and its client have it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

import rerank_elastic
from failures import Failure, failing
from rerank_core import ConfigurationError, ResponseParseError
from rerank_core.testing import CANARY, Case, Check, Example, conformance
from service import (
    NOTHING,
    Difference,
    Send,
    Service,
    asking,
    both_ways,
    by,
    captures,
    without_variables,
)

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France.", "Madrid is in Spain."]
BASE = "https://cluster.test:9200"
BUILT_IN = ".rerank-v1-elasticsearch"


def answer(asked: Any) -> dict[str, Any]:
    """Rank as sent."""
    count = asked.get("top_n", len(asked["input"]))
    return {"rerank": [{"index": at, "relevance_score": 2.5 - at} for at in range(count)]}


ask = asking(
    "elastic/my-rerank", api_key="test-key", api_base=BASE, query=QUERY, documents=DOCUMENTS
)
bare_environment = without_variables(of="elastic")

CASE = Case(
    plugin=rerank_elastic,
    model=BUILT_IN,
    options={"api_base": BASE},
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        url=f"{BASE}/_inference/rerank/{BUILT_IN}",
        headers={"Authorization": f"ApiKey {CANARY}"},
        json={"query": QUERY, "input": DOCUMENTS, "top_n": 2},
        reply={
            "rerank": [
                {"index": 1, "relevance_score": 0.9534, "text": DOCUMENTS[1]},
                {"index": 0, "relevance_score": 0.0112},
            ]
        },
        ranking=[(1, 0.9534), (0, 0.0112)],
    ),
    encode=lambda ranking, _, __: {
        "rerank": [{"index": at, "relevance_score": score} for at, score in ranking]
    },
    encode_error=lambda message: {
        "error": {"type": "status_exception", "reason": message},
        "status": 400,
    },
    params={"task_settings": {"top_n": 5}},
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


CALLS: Mapping[str, Mapping[str, Any]] = {
    "elastic-elasticsearch-strings": {
        "api_base": "http://127.0.0.1",
        "top_n": 2,
        "return_documents": True,
    }
}
JSON = "application/json"
DIFFERENCES: tuple[Difference, ...] = (
    ("headers.accept", JSON, "every version takes it", tuple(CALLS)),
    ("headers.content-type", JSON, "every version takes it", tuple(CALLS)),
    (
        "json.return_documents",
        NOTHING,
        "core attaches the caller's own documents",
        tuple(CALLS),
    ),
)


test_what_others_send_is_sent = captures("elastic", CALLS, DIFFERENCES, by(ask, answer))


@pytest.mark.parametrize("name", ["elastic", "elasticsearch", "eis"])
def test_it_answers_to_three_names(name: str) -> None:
    """The product's, the server's, and the service's."""
    service = Service(answer)
    ask(service, model=f"{name}/my-rerank")

    assert service.url == f"{BASE}/_inference/rerank/my-rerank"


@pytest.mark.parametrize(
    ("model", "options", "url"),
    [
        (BUILT_IN, {}, f"{BASE}/_inference/rerank/{BUILT_IN}"),
        ("a b/c", {}, f"{BASE}/_inference/rerank/a%20b%2Fc"),
        ("m", {"api_base": f"{BASE}/"}, f"{BASE}/_inference/rerank/m"),
        ("m", {"api_base": f"{BASE}/es"}, f"{BASE}/es/_inference/rerank/m"),
        ("m", {"api_base": f"{BASE}/_inference/rerank/other"}, f"{BASE}/_inference/rerank/other"),
        ("m", {"inference_timeout": "2m"}, f"{BASE}/_inference/rerank/m?timeout=2m"),
        (
            "m",
            {"api_base": f"{BASE}?a=b", "inference_timeout": "60s"},
            f"{BASE}/_inference/rerank/m?a=b&timeout=60s",
        ),
    ],
)
def test_the_endpoint_s_id_is_one_segment_of_the_path(
    model: str, options: dict[str, Any], url: str
) -> None:
    """And the cluster's own time limit stands in the query string."""
    service = Service(answer)
    ask(service, model=f"elastic/{model}", **options)

    assert service.url == url


def test_a_time_limit_needs_its_unit() -> None:
    """A number says no unit."""
    with pytest.raises(ConfigurationError, match="inference_timeout must be a duration"):
        ask(Service(answer), inference_timeout=60)


IN_URL = "https://u:p%40ss@cluster.test:9200"


def basic(pair: str) -> str:
    """The header of a user and a password, or of an id and a key, without the word before it."""
    return base64.b64encode(pair.encode()).decode()


@both_ways
@pytest.mark.parametrize(
    ("variables", "options", "header"),
    [
        ({}, {"api_key": "bXkta2V5"}, "ApiKey bXkta2V5"),
        ({}, {"api_key": "my-id:my-key"}, f"ApiKey {basic('my-id:my-key')}"),
        ({}, {"username": "elastic", "password": "se:cret"}, f"Basic {basic('elastic:se:cret')}"),
        ({}, {"bearer_token": "my-token"}, "Bearer my-token"),
        ({}, {}, None),
        ({}, {"api_base": IN_URL}, f"Basic {basic('u:p@ss')}"),
        ({"ELASTIC_API_KEY": "first"}, {"api_base": IN_URL}, f"Basic {basic('u:p@ss')}"),
        ({}, {"api_base": IN_URL, "api_key": "given"}, "ApiKey given"),
        ({"ELASTICSEARCH_API_KEY": "second"}, {}, "ApiKey second"),
        ({"ELASTIC_API_KEY": "first", "ELASTICSEARCH_API_KEY": "second"}, {}, "ApiKey first"),
        ({"ELASTIC_API_KEY": "first"}, {"bearer_token": "my-token"}, "Bearer my-token"),
        (
            {"ELASTIC_API_KEY": "first"},
            {"username": "u", "password": "p"},
            f"Basic {basic('u:p')}",
        ),
    ],
)
def test_a_cluster_is_told_who_asks(
    send: Send,
    variables: dict[str, str],
    options: dict[str, Any],
    header: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a key, a user or a token; one without security by none."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    service = Service(answer)
    ask(service, send=send, **{"api_key": None, **options})

    assert service.requests[0].headers.get("authorization") == header


@pytest.mark.parametrize(
    "options", [{"username": "u"}, {"password": "p"}, {"username": "u", "password": 5}]
)
def test_half_a_user_is_refused(options: dict[str, Any]) -> None:
    """Rather than sent without."""
    service = Service(answer)
    with pytest.raises(ConfigurationError, match="belong together"):
        ask(service, **options)

    assert service.requests == []


def test_numbers_that_are_written_as_strings_are_read() -> None:
    """As in an official example."""
    rows = [
        {"index": "2", "relevance_score": "0.9"},
        {"index": 0, "relevance_score": "5.614787E-4"},
    ]
    response = ask(Service({"rerank": rows}), top_n=2)

    assert [(r.index, r.relevance_score) for r in response.results] == [(2, 0.9), (0, 5.614787e-4)]


@pytest.mark.parametrize(
    "row",
    [
        {"index": "one", "relevance_score": 0.5},
        {"index": "1.5", "relevance_score": 0.5},
        {"index": 0, "relevance_score": "high"},
        {"index": 0, "relevance_score": "nan"},
        {"index": 0, "relevance_score": None},
        {"index": None, "relevance_score": 0.5},
        {"index": 0},
    ],
)
def test_what_is_no_number_is_an_error(row: dict[str, Any]) -> None:
    """Never another document, never a 0."""
    with pytest.raises(ResponseParseError):
        ask(Service({"rerank": [row]}), top_n=1)


@pytest.mark.parametrize(
    ("rows", "words", "path"),
    [
        ({}, "rerank is an object, not a list", "rerank"),
        (
            [{"index": 0, "relevance_score": 1}, {"index": 1}],
            "rerank[1] is an object without",
            "rerank[1]",
        ),
        (
            [{"index": 0, "relevance_score": 1}],
            "1 documents where 3 were asked for: if the endpoint or task_settings= has a top_n",
            "rerank",
        ),
    ],
)
def test_a_reply_that_lacks_something_says_what(rows: Any, words: str, path: str) -> None:
    """An endpoint may be set up to rank only so many."""
    with pytest.raises(ResponseParseError) as caught:
        ask(Service({"rerank": rows}))

    assert words in caught.value.message
    assert caught.value.path == path


def test_settings_of_the_service_are_sent() -> None:
    """Whatever they are."""
    service = Service(answer)
    ask(service, task_settings={"return_documents": True}, top_n=2)

    assert service.body["task_settings"] == {"return_documents": True}
    assert service.body["top_n"] == 2


def reply(status: int, kind: str, reason: str) -> dict[str, Any]:
    """An error as Elasticsearch writes it."""
    cause = {"type": kind, "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": status}


ERRORS = [
    Failure(
        400,
        reply(400, "x_content_parse_exception", "[1:9] [inference] unknown field [top_n]"),
        ("unknown field [top_n]", "leave it out"),
    ),
    Failure(400, reply(400, "status_exception", "bad"), "bad"),
    Failure(401, reply(401, "security_exception", "who?"), ("who?", "give api_key=")),
    Failure(403, reply(403, "security_exception", "no"), ("no", "monitor_inference")),
    Failure(
        404,
        reply(404, "resource_not_found_exception", "Inference endpoint not found [m]"),
        ("Inference endpoint not found [m]", "_inference/rerank/_all"),
    ),
    Failure(
        400,
        {
            "error": {
                "type": "status_exception",
                "reason": "Failed to rerank",
                "caused_by": {
                    "type": "x",
                    "reason": "between",
                    "caused_by": {"type": "y", "reason": "the upstream's words"},
                },
            },
            "status": 400,
        },
        "Failed to rerank; between; the upstream's words",
    ),
    Failure(429, {"error": "too many"}, "too many"),
    Failure(503, reply(503, "status_exception", "starting"), "starting"),
]
test_errors_are_of_their_kind = failing(ask, "elastic/my-rerank", ERRORS)
