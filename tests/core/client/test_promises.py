"""What core promises for every provider, through the public API."""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import threading
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from core.conftest import KEY, Ask, Plugin, Service, rank_as_sent, ranking
from rerank_core import (
    APIStatusError,
    InvalidRequestError,
    Price,
    ProviderNotFoundError,
    Reranker,
    RerankResponse,
    RerankResult,
    ResponseParseError,
    UnsupportedParamError,
    hookimpl,
    rerank,
)
from rerank_core.wire import read_results

TOP_N = {"params": {"top_n": "limit"}}
BLANK = ["", " ", "\n\t", {}, {"text": " "}, {"text": None}]


def rows(*pairs: tuple[Any, Any]) -> httpx.Response:
    """The reply with these indices and scores."""
    listed = [{"index": index, "relevance_score": score} for index, score in pairs]
    return httpx.Response(200, json={"results": listed})


def raw(score: str) -> httpx.Response:
    """The reply whose one score is written so in its JSON."""
    return httpx.Response(200, text=f'{{"results": [{{"index": 0, "relevance_score": {score}}}]}}')


def indices(response: Any) -> list[int]:
    """The order that the response gives the caller's documents."""
    return [result.index for result in response.results]


# --- the ranking ---------------------------------------------------------------------------------


def test_results_are_sorted_by_descending_score(ask: Ask) -> None:
    """Whatever order the service lists them in."""
    response = ask(Service(ranking(0.1, 0.9, -0.5)))

    assert [(r.index, r.relevance_score) for r in response.results] == [
        (1, 0.9),
        (0, 0.1),
        (2, -0.5),
    ]


@pytest.mark.parametrize("listed", list(itertools.permutations(range(3))))
def test_equal_scores_keep_the_callers_order(ask: Ask, listed: tuple[int, ...]) -> None:
    """The order in which the service lists ties means nothing."""
    response = ask(Service(rows(*((at, 0.5) for at in listed))))

    assert indices(response) == [0, 1, 2]


@pytest.mark.parametrize("facts", [{}, TOP_N], ids=["emulated", "native"])
@pytest.mark.parametrize(
    ("top_n", "expected"),
    [(None, [2, 0, 1]), (1, [2]), (2, [2, 0]), (3, [2, 0, 1]), (9, [2, 0, 1])],
)
def test_never_more_than_top_n(
    ask: Ask, facts: dict[str, Any], top_n: int | None, expected: list[int]
) -> None:
    """The best ones stay, also where the service ignores `top_n` or does not know it."""
    response = ask(Service(ranking(0.5, 0.1, 0.9)), plugin=Plugin(**facts), top_n=top_n)

    assert indices(response) == expected


def test_native_top_n_is_sent_and_fewer_results_are_enough(ask: Ask) -> None:
    """A service that honours `top_n` owes no more than that."""
    service = Service(rows((2, 0.9)))

    response = ask(service, plugin=Plugin(**TOP_N), top_n=1)

    assert service.bodies[0]["limit"] == 1
    assert indices(response) == [2]


def test_top_n_is_not_sent_to_a_service_that_does_not_know_it(ask: Ask) -> None:
    """Core cuts the list itself."""
    service = Service()

    ask(service, top_n=1)

    assert service.bodies[0].keys() == {"model", "query", "documents"}


def test_top_n_on_the_wire_is_at_most_the_number_of_documents(ask: Ask) -> None:
    """Services refuse more."""
    service = Service()

    response = ask(service, plugin=Plugin(**TOP_N), top_n=10)

    assert service.bodies[0]["limit"] == 3
    assert indices(response) == [0, 1, 2]


@pytest.mark.parametrize("index", [-1, 3, 1.0, 1.5, "1", True, None, [1], 10**30])
def test_an_index_that_is_no_position_is_refused(ask: Ask, index: Any) -> None:
    """No document is guessed: not the last one for -1, nor the second for true."""
    with pytest.raises(ResponseParseError) as caught:
        ask(Service(rows((0, 0.3), (index, 0.2), (2, 0.1))))

    assert caught.value.path == "results[1].index"
    assert "results[1].index" in str(caught.value)


def test_an_index_that_stands_twice_is_refused(ask: Ask) -> None:
    """One of the two must be wrong."""
    with pytest.raises(ResponseParseError, match="twice") as caught:
        ask(Service(rows((0, 0.3), (1, 0.2), (1, 0.1))))

    assert caught.value.path == "results[2].index"


@pytest.mark.parametrize("score", ["0.5", True, False, None, [0.5], {"value": 0.5}])
def test_a_score_that_is_no_number_is_refused(ask: Ask, score: Any) -> None:
    """Neither text that looks like one nor a boolean counts."""
    with pytest.raises(ResponseParseError) as caught:
        ask(Service(ranking(0.9, score, 0.1)))

    assert caught.value.path == "results[1].relevance_score"


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 400])
def test_a_score_that_is_not_finite_is_refused(ask: Ask, score: str) -> None:
    """Sorting by it would be undefined."""
    with pytest.raises(ResponseParseError):
        ask(Service(raw(score)), ["a"])


@pytest.mark.parametrize("count", ["1e400", "1" + "0" * 400])
def test_a_count_that_no_float_holds_costs_no_ranking(ask: Ask, count: str) -> None:
    """What a service says beside its ranking is absent where it makes no sense."""
    reply = raw("0.5").content[:-1] + b',"usage":{"total_tokens":%s}}' % count.encode()

    response = ask(Service(httpx.Response(200, content=reply)), ["a"])

    assert (response.results[0].relevance_score, dict(response.meta.tokens)) == (0.5, {})


@pytest.mark.parametrize(
    ("score", "expected"),
    [("1", 1.0), ("-3", -3.0), ("0", 0.0), ("1e300", 1e300), ("1" + "0" * 30, 1e30)],
)
def test_a_score_is_a_float(ask: Ask, score: str, expected: float) -> None:
    """Integers become floats, however large, as long as they fit."""
    result = ask(Service(raw(score)), ["a"]).results[0]

    assert type(result.relevance_score) is float
    assert result.relevance_score == expected


@pytest.mark.parametrize("scores", [(), (0.5,), (0.5, 0.4)])
def test_missing_documents_are_refused(ask: Ask, scores: tuple[float, ...]) -> None:
    """Nothing is an empty or a partial success."""
    with pytest.raises(ResponseParseError, match=f"ranks {len(scores)} documents where 3"):
        ask(Service(ranking(*scores)))


def test_fewer_than_a_native_top_n_are_refused(ask: Ask) -> None:
    """A service owes as many as it was asked for."""
    with pytest.raises(ResponseParseError, match="ranks 1 documents where 2"):
        ask(Service(rows((0, 0.5))), plugin=Plugin(**TOP_N), top_n=2)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"5",
        b'"ok"',
        b"{}",
        b'{"results": null}',
        b'{"results": {}}',
        b'{"results": "none"}',
        b'{"results": [null, null, null]}',
        b'{"results": [0, 1, 2]}',
        b'{"results": [{"index": 0}, {"index": 1}, {"index": 2}]}',
        b'{"results": [{"relevance_score": 0.1}]}',
        b'{"results": [{"index": 0, "relevance',
        b'{"error": null}',
        b"\xff\xfe",
        b"<!doctype html><title>Sign in to the guest network</title>",
    ],
)
def test_an_unreadable_reply_is_never_a_success(ask: Ask, body: bytes) -> None:
    """A status of 200 promises nothing about the body."""
    with pytest.raises(ResponseParseError) as caught:
        ask(Service(httpx.Response(200, content=body)))

    assert (caught.value.provider, caught.value.model) == ("test", "m")
    assert caught.value.status_code == 200
    assert caught.value.response is not None
    assert caught.value.response.content == body


@pytest.mark.parametrize("rest", [{}, {"results": []}, ranking(0.3, 0.2, 0.1).json()])
@pytest.mark.parametrize(
    "error", ["overloaded", {"message": "overloaded"}, {"detail": "overloaded"}]
)
def test_an_error_with_a_good_status_is_an_error(ask: Ask, error: Any, rest: Any) -> None:
    """Even where results stand beside it."""
    service = Service(httpx.Response(200, json={**rest, "error": error}))

    with pytest.raises(APIStatusError, match="overloaded") as caught:
        ask(service)

    assert caught.value.status_code == 200
    assert len(service.requests) == 1


# --- the documents -------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [True, False])
def test_documents_are_the_callers_own_objects(ask: Ask, native: bool) -> None:  # noqa: FBT001 - a fact
    """A mapping comes back itself, not a copy, and not what the service sent."""
    documents = ["plain", {"text": "body", "id": 7}, MappingProxyType({"title": "t"})]
    echoed = [
        {"index": at, "relevance_score": at, "document": {"text": "of the service"}}
        for at in range(3)
    ]
    service = Service(httpx.Response(200, json={"results": echoed}))

    response = ask(service, documents, plugin=Plugin(takes_mappings=native))

    by_index = {result.index: result.document for result in response.results}
    assert by_index[0] is not None
    assert (by_index[0].text, by_index[0].fields) == ("plain", None)
    assert by_index[1] is not None
    assert by_index[1].text == "body"
    assert by_index[1].fields is documents[1]
    assert by_index[2] is not None
    assert by_index[2].text == "title: t"
    assert by_index[2].fields is documents[2]


@pytest.mark.parametrize(("wanted", "given"), [(True, True), (None, True), (False, False)])
def test_return_documents_is_honoured_by_core_alone(
    ask: Ask,
    wanted: bool | None,  # noqa: FBT001 - what the call takes
    given: bool,  # noqa: FBT001 - what it answers
) -> None:
    """The wire is the same either way: bytes that are here already are not paid for twice."""
    service = Service()

    response = ask(service, return_documents=wanted)

    assert [result.document is not None for result in response.results] == [given] * 3
    assert service.bodies[0].keys() == {"model", "query", "documents"}


def test_what_the_caller_handed_over_is_left_unchanged(ask: Ask) -> None:
    """Neither list nor mappings, also where documents are rendered, held back and split."""
    documents = ["b", {"title": "t", "tags": ["x"], "none": None}, "", {"text": "c"}]
    kept, before = list(documents), copy.deepcopy(documents)
    fields, body, headers = ["title", "text"], {"user": {"id": 1}}, {"x-team": "a"}

    ask(
        Service(),
        documents,
        plugin=Plugin(max_documents=2),
        rank_fields=fields,
        extra_body=body,
        extra_headers=headers,
    )

    assert documents == before
    assert all(ours is theirs for ours, theirs in zip(documents, kept, strict=True))
    assert (fields, body, headers) == (["title", "text"], {"user": {"id": 1}}, {"x-team": "a"})


@pytest.mark.parametrize(
    ("document", "rank_fields", "sent"),
    [
        ("plain", None, "plain"),
        ("plain", ["title"], "plain"),
        ({"text": "only"}, None, "only"),
        ({"text": "only", "title": None}, None, "only"),
        ({"title": "t", "text": "x"}, None, "title: t\ntext: x"),
        ({"title": "t", "text": "x"}, ["text", "title"], "text: x\ntitle: t"),
        ({"title": "t", "text": "x"}, ["title"], "title: t"),
        ({"title": "t", "text": "x"}, ["text"], "x"),
        ({"title": "t", "text": None}, None, "title: t"),
        ({"title": "t", "none": None}, ["none", "title"], "title: t"),
        ({"title": "t"}, ["title", "title"], "title: t"),
        ({"n": 1, "f": 1.5, "b": True}, None, "n: 1\nf: 1.5\nb: true"),
        ({"tags": ["a", "b"], "in": {"k": "ü"}}, None, 'tags: ["a","b"]\nin: {"k":"ü"}'),
        ({"text": ["a"]}, None, '["a"]'),
    ],
)
def test_a_service_of_strings_is_sent_rendered_mappings(
    ask: Ask, document: Any, rank_fields: list[str] | None, sent: str
) -> None:
    """As `field: value` lines in the order of `rank_fields`; one with only `text` is that text."""
    service = Service()

    # The second names every field, so that each is one that some document has.
    response = ask(
        service,
        [document, {"title": "x", "text": "y", "none": "z"}],
        rank_fields=rank_fields,
    )

    assert service.bodies[0]["documents"][0] == sent
    assert service.bodies[0].keys() == {"model", "query", "documents"}
    assert response.warnings == ()


def test_a_service_of_mappings_is_sent_them_as_they_are(ask: Ask) -> None:
    """And `rank_fields` by its own name for it."""
    service = Service()
    plugin = Plugin(takes_mappings=True, params={"rank_fields": "rank_by"})
    documents = [{"title": "t", "none": None}, "plain", MappingProxyType({"title": "u"})]

    ask(service, documents, plugin=plugin, rank_fields=["title"])

    assert service.bodies[0]["documents"] == [
        {"title": "t"},
        "plain",
        {"title": "u"},
    ]
    assert service.bodies[0]["rank_by"] == ["title"]


def test_rank_fields_without_a_mapping_is_said_to_have_no_effect(ask: Ask) -> None:
    """The call goes on, with a warning and without the parameter."""
    service = Service()
    plugin = Plugin(params={"rank_fields": "rank_by"})

    response = ask(service, ["a", "b"], plugin=plugin, rank_fields=["title"])

    assert "rank_fields has no effect" in response.warnings[0]
    assert "rank_by" not in service.bodies[0]
    assert plugin.asked[0].rank_fields is None


# --- nothing dropped, nothing added --------------------------------------------------------------


def test_a_parameter_that_nobody_can_honour_is_refused(ask: Ask) -> None:
    """The error names it and the provider; nothing was sent."""
    service = Service()

    with pytest.raises(UnsupportedParamError) as caught:
        ask(service, max_tokens_per_doc=5)

    assert caught.value.param == "max_tokens_per_doc"
    assert caught.value.provider == "test"
    assert "'max_tokens_per_doc'" in str(caught.value)
    assert "test does not take" in str(caught.value)
    assert service.requests == []


@pytest.mark.parametrize("name", ["max_tokens_per_doc", "max_chunks_per_doc", "priority"])
def test_drop_params_leaves_it_out_with_a_warning(ask: Ask, name: str) -> None:
    """A parameter of the call as well as one that only some provider knows."""
    service = Service()

    response = ask(service, drop_params=True, **{name: 5})

    assert service.bodies[0].keys() == {"model", "query", "documents"}
    assert len(response.warnings) == 1
    assert name in response.warnings[0]
    assert "test" in response.warnings[0]


def test_drop_params_leaves_out_what_only_a_hook_can_refuse(call: Ask) -> None:
    """Cohere has no version that takes both limits."""
    service = Service()
    limits = {"max_chunks_per_doc": 2, "max_tokens_per_doc": 9}

    response = call(
        "cohere/m",
        "q",
        ["a"],
        **limits,
        api_key=KEY,
        http_client=service,
        drop_params=True,
    )

    assert len(limits.keys() & service.bodies[0].keys()) == 1
    assert "left out" in response.warnings[0]
    with pytest.raises(UnsupportedParamError):
        call("cohere/m", "q", ["a"], **limits, api_key=KEY, http_client=service)


def test_parameters_go_by_the_services_own_names(ask: Ask) -> None:
    """Those of the call, and those that only this provider knows."""
    service = Service()
    plugin = Plugin(
        params={"top_n": "limit", "max_tokens_per_doc": "cut"},
        extra_params={"priority": "prio", "flag": "flag", "zero": "zero"},
    )

    ask(
        service,
        plugin=plugin,
        top_n=2,
        max_tokens_per_doc=9,
        priority=3,
        flag=False,
        zero=0,
    )

    assert service.bodies[0] == {
        "model": "m",
        "query": "q",
        "documents": ["a", "b", "c"],
        "limit": 2,
        "cut": 9,
        "prio": 3,
        "flag": False,
        "zero": 0,
    }


@pytest.mark.parametrize("value", [False, 0, "", 5], ids=repr)
def test_an_option_of_the_provider_reaches_its_hooks_whatever_its_value(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    """What the caller says wins over the environment, also where it says no."""
    monkeypatch.setenv("TEST_FLAG", "from the environment")
    plugin = Plugin(options={"flag": ("TEST_FLAG",)})

    ask(Service(), plugin=plugin, flag=value)

    assert plugin.asked[0].options == {"flag": value}


def test_an_option_of_the_provider_comes_from_the_environment_otherwise(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first variable that is set; an option that nobody gives is absent."""
    monkeypatch.setenv("TEST_REGION_2", "north")
    plugin = Plugin(options={"region": ("TEST_REGION_1", "TEST_REGION_2"), "zone": ("TEST_ZONE",)})

    ask(Service(), plugin=plugin, region=None)

    assert plugin.asked[0].options == {"region": "north"}


def test_a_reranker_says_what_can_change_its_ranking() -> None:
    """Options, parameters, headers and fields without a secret, and who is asked in its stead."""
    fallback = Reranker("other", provider=Plugin(name="second"), api_key=KEY)
    options: dict[str, Any] = {
        "api_key": KEY,
        "region": "north",
        "mode": "fast",
        "extra_body": {"user": 1, "api_key": KEY, "upstream": [{"token": KEY, "model": "x"}]},
        "extra_headers": {"x-model-version": "2", "x-api-key": KEY},
        "drop_params": True,
        "split_listwise": True,
        "max_documents": 7,
        "fallbacks": [fallback],
    }
    plugin = Plugin(options={"region": ()}, extra_params={"mode": "mode"})

    assert Reranker("m", provider=plugin, **options).options == {
        "region": "north",
        "mode": "fast",
        "extra_body": {"user": 1, "upstream": [{"model": "x"}]},
        "extra_headers": {"x-model-version": "2"},
        "drop_params": True,
        "split_listwise": True,
        "max_documents": 7,
        "fallbacks": ("second/other",),
    }


@pytest.mark.parametrize(
    ("keywords", "path", "sent"),
    [
        ({}, "/v2/rerank", {}),
        ({"top_n": None, "rank_fields": None, "max_chunks_per_doc": None}, "/v2/rerank", {}),
        ({"return_documents": False}, "/v2/rerank", {}),
        ({"return_documents": True}, "/v2/rerank", {}),
        ({"priority": None}, "/v2/rerank", {}),
        ({"top_n": 1}, "/v2/rerank", {"top_n": 1}),
        ({"top_n": 5}, "/v2/rerank", {"top_n": 2}),
        ({"max_tokens_per_doc": 9}, "/v2/rerank", {"max_tokens_per_doc": 9}),
        ({"max_chunks_per_doc": 2}, "/v1/rerank", {"max_chunks_per_doc": 2}),
        ({"priority": 3}, "/v2/rerank", {"priority": 3}),
    ],
)
def test_nothing_is_sent_that_was_not_asked_for(
    call: Ask, keywords: dict[str, Any], path: str, sent: dict[str, Any]
) -> None:
    """No null, no default restated, no name that the service does not know."""
    service = Service(ranking(0.2, 0.1))

    call("cohere/m", "q", ["a", "b"], api_key=KEY, http_client=service, **keywords)

    assert service.requests[0].url.path == path
    assert service.bodies == [{"model": "m", "query": "q", "documents": ["a", "b"], **sent}]


def test_a_request_is_one_json_body_of_known_length(ask: Ask) -> None:
    """Not a stream, and in UTF-8."""
    service = Service()

    ask(service, ["ü", "b"])

    request = service.requests[0]
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"] == "application/json"
    assert request.headers["content-length"] == str(len(request.content))
    assert "transfer-encoding" not in request.headers
    assert "ü".encode() in request.content


# --- empty and blank -----------------------------------------------------------------------------


@pytest.mark.parametrize("documents", [[], (), iter(())])
def test_no_documents_are_no_request(ask: Ask, documents: Any) -> None:
    """The answer is an empty ranking, with an id, a model and a provider."""
    service = Service()

    response = ask(service, documents, top_n=3)

    assert service.requests == []
    assert response.results == []
    assert response.reranked is True
    assert (response.provider, response.model) == ("test", "m")
    assert response.id


@pytest.mark.parametrize("blank", BLANK, ids=repr)
def test_blank_documents_are_held_back_where_they_are_refused(ask: Ask, blank: Any) -> None:
    """They come last, without a claim about relevance, and indices stay the caller's."""
    service = Service(ranking(0.1, 0.9))

    response = ask(service, [blank, "a", blank, "b"])

    assert service.bodies[0]["documents"] == ["a", "b"]
    assert [(r.index, r.relevance_score) for r in response.results] == [
        (3, 0.9),
        (1, 0.1),
        (0, None),
        (2, None),
    ]
    assert response.results[-1].document is not None
    assert response.reranked is True
    assert "2 of 4 documents are blank: not sent" in response.warnings[0]


@pytest.mark.parametrize("facts", [{}, TOP_N], ids=["emulated", "native"])
@pytest.mark.parametrize(
    ("top_n", "expected"), [(1, [1]), (2, [1, 0]), (3, [1, 0, 2]), (9, [1, 0, 2])]
)
def test_top_n_cuts_blank_documents_first(
    ask: Ask, facts: dict[str, Any], top_n: int, expected: list[int]
) -> None:
    """They fill what is left, and are never asked for on the wire."""
    service = Service(ranking(0.9))

    response = ask(service, ["", "a", ""], plugin=Plugin(**facts), top_n=top_n)

    assert indices(response) == expected
    assert service.bodies[0].get("limit", 1) == 1


@pytest.mark.parametrize("blank", BLANK, ids=repr)
def test_blank_documents_are_sent_where_they_are_taken(ask: Ask, blank: Any) -> None:
    """The service has its own opinion of them."""
    service = Service(ranking(0.9, 0.1))

    response = ask(service, [blank, "a"], plugin=Plugin(takes_blank_documents=True))

    assert len(service.bodies[0]["documents"]) == 2
    assert [r.relevance_score for r in response.results] == [0.9, 0.1]
    assert response.warnings == ()


def test_a_mapping_without_anything_in_rank_fields_is_blank(ask: Ask) -> None:
    """What counts is what would be ranked."""
    service = Service()

    response = ask(service, [{"text": "x"}, {"title": "t"}], rank_fields=["title"])

    assert service.bodies[0]["documents"] == ["title: t"]
    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 1.0), (0, None)]
    assert "1 of 2 documents are blank, or have no text under 'title'" in response.warnings[0]


def test_what_is_blank_has_no_text_in_any_field(ask: Ask) -> None:
    """Where fields were chosen, they are named for blank strings as well."""
    documents = ["", {"text": "x"}, {"title": "t", "body": "b"}]
    response = ask(Service(), documents, rank_fields=["title", "body"])

    assert (
        "2 of 3 documents are blank, or have no text under 'title', 'body'" in response.warnings[0]
    )


def test_only_blank_documents_are_no_request(ask: Ask) -> None:
    """Nothing was reranked, and the response says so."""
    service = Service()

    response = ask(service, ["", " ", ""], top_n=2)

    assert service.requests == []
    assert [r.index for r in response.results] == [0, 1]
    assert all(r.relevance_score is None for r in response.results)
    assert response.reranked is False
    assert "3 of 3 documents are blank" in response.warnings[0]


# --- lists that are longer than one request ------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "most", "parts"),
    [(3, 3, 1), (4, 3, 2), (6, 3, 2), (7, 3, 3), (10, 3, 4), (5, 1, 5), (5, None, 1)],
)
def test_a_long_list_is_split_evenly(ask: Ask, count: int, most: int | None, parts: int) -> None:
    """Into as few requests as possible, each about as long as the others."""
    service = Service()
    documents = [f"d{at}" for at in range(count)]

    response = ask(service, documents, plugin=Plugin(max_documents=most))

    sizes = [len(body["documents"]) for body in service.bodies]
    assert len(sizes) == parts
    assert max(sizes) - min(sizes) <= 1
    assert sorted(d for body in service.bodies for d in body["documents"]) == sorted(documents)
    assert sorted(indices(response)) == list(range(count))


def test_a_list_of_many_bytes_is_split(ask: Ask) -> None:
    """Where the service bounds the size of a request rather than the number of documents."""
    service = Service()
    documents = ["a" * 40, "b" * 40, "c" * 40, "ü" * 20]

    response = ask(service, documents, plugin=Plugin(max_request_bytes=100))

    assert sorted(body["documents"] for body in service.bodies) == [documents[:2], documents[2:]]
    assert indices(response) == [0, 2, 1, 3]


def test_the_caller_may_know_how_many_documents_their_server_takes(ask: Ask) -> None:
    """More or fewer than the provider's documented number."""
    more, fewer = Service(), Service()

    ask(more, plugin=Plugin(max_documents=1), max_documents=3)
    ask(fewer, plugin=Plugin(max_documents=3), max_documents=1)

    assert (len(more.requests), len(fewer.requests)) == (1, 3)


def score_by_number(request: httpx.Request) -> httpx.Response:
    """Score a document by the number that it is."""
    return ranking(*(float(document) for document in json.loads(request.content)["documents"]))


@pytest.mark.parametrize("facts", [{}, TOP_N], ids=["emulated", "native"])
@pytest.mark.parametrize("top_n", [None, 1, 4, 9])
def test_a_split_list_is_merged_exactly(ask: Ask, facts: dict[str, Any], top_n: int | None) -> None:
    """The same ranking as one request would give, ties and blanks included."""
    documents = ["1", "5", "", "3", "5", "2", "", "9", "0", "5"]

    split = ask(
        Service(score_by_number), documents, plugin=Plugin(max_documents=3, **facts), top_n=top_n
    )
    whole = ask(Service(score_by_number), documents, plugin=Plugin(**facts), top_n=top_n)

    assert indices(whole) == [7, 1, 4, 9, 3, 5, 0, 8, 2, 6][:top_n]
    assert split.results == whole.results


def test_top_n_of_a_split_list_holds_for_each_part(ask: Ask) -> None:
    """Each may hold all of the best; none is asked for more than it has."""
    service = Service(score_by_number)

    response = ask(
        service, ["1", "2", "3", "4", "5"], plugin=Plugin(max_documents=3, **TOP_N), top_n=3
    )

    assert sorted((len(body["documents"]), body["limit"]) for body in service.bodies) == [
        (2, 2),
        (3, 3),
    ]
    assert indices(response) == [4, 3, 2]


def test_usage_of_a_split_list_is_added_up(ask: Ask) -> None:
    """And every reply is kept."""

    def answer(request: httpx.Request) -> httpx.Response:
        count = len(json.loads(request.content)["documents"])
        meta = {
            "api_version": {"version": "2"},
            "billed_units": {"search_units": 1, "total_tokens": 10 * count},
            "tokens": {"input_tokens": count, "output_tokens": 1},
        }
        return httpx.Response(200, json={**rank_as_sent(request).json(), "meta": meta})

    response = ask(Service(answer), list("abcde"), plugin=Plugin(max_documents=3))

    assert response.meta.billed_units.search_units == 2
    assert response.meta.billed_units.total_tokens == 50
    assert response.meta.tokens.input_tokens == 5
    assert response.meta.tokens.output_tokens == 2
    assert response.meta.api_version == "2"
    assert isinstance(response.payload, list)
    assert [len(payload["results"]) for payload in response.payload] == [2, 3]


def test_usage_that_one_part_does_not_report_is_unknown(ask: Ask) -> None:
    """A sum of some would be taken for the sum of all."""

    def answer(request: httpx.Request) -> httpx.Response:
        ranked = rank_as_sent(request).json()
        if json.loads(request.content)["documents"] == ["a"]:
            ranked["usage"] = {"total_tokens": 5}
        return httpx.Response(200, json=ranked)

    response = ask(Service(answer), ["a", "b"], plugin=Plugin(max_documents=1))

    assert response.meta.billed_units.total_tokens is None


class Crowd(httpx.MockTransport):
    """Counts how many requests are under way at once."""

    def __init__(self) -> None:
        super().__init__(rank_as_sent)
        self.now = self.most = 0
        self._lock = threading.Lock()

    def _enter(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def _leave(self) -> None:
        with self._lock:
            self.now -= 1

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer after a moment."""
        self._enter()
        threading.Event().wait(0.01)
        self._leave()
        return super().handle_request(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer after a moment."""
        self._enter()
        await asyncio.sleep(0.01)
        self._leave()
        return await super().handle_async_request(request)


@pytest.mark.parametrize(
    ("options", "most"), [({}, 4), ({"max_concurrency": 1}, 1), ({"max_concurrency": 3}, 3)]
)
def test_parts_run_side_by_side_within_a_bound(
    ask: Ask, options: dict[str, int], most: int
) -> None:
    """Four at once unless told otherwise."""
    crowd = Crowd()

    response = ask(crowd, list("abcdefgh"), plugin=Plugin(max_documents=1), **options)

    assert crowd.most == most
    assert len(response.results) == 8


def test_one_failed_part_fails_the_call(ask: Ask) -> None:
    """Half a ranking is none."""

    def answer(request: httpx.Request) -> httpx.Response:
        bad = "c" in json.loads(request.content)["documents"]
        return httpx.Response(400, json={"message": "no c"}) if bad else rank_as_sent(request)

    with pytest.raises(APIStatusError, match="no c"):
        ask(Service(answer), list("abcd"), plugin=Plugin(max_documents=2))


def test_nothing_is_sent_where_a_later_part_cannot_be_written(ask: Ask) -> None:
    """A call that makes no sense is refused whole."""
    service = Service()
    plugin = Plugin(max_documents=1, takes_mappings=True)
    documents = [{"text": "a"}, {"text": "b"}, {"text": "c", "tag": object()}]

    with pytest.raises(InvalidRequestError, match=r"documents\[2\]\['tag'\]"):
        ask(service, documents, plugin=plugin, max_concurrency=1)

    assert service.requests == []


def test_splitting_is_refused_where_scores_depend_on_the_other_documents(ask: Ask) -> None:
    """Unless it is asked for."""
    service = Service()
    plugin = Plugin(max_documents=2, listwise=True)

    with pytest.raises(InvalidRequestError, match="split_listwise=True"):
        ask(service, plugin=plugin)

    assert service.requests == []
    assert len(ask(service, plugin=plugin, split_listwise=True).results) == 3
    assert len(ask(service, ["a", "b"], plugin=plugin).results) == 2


@pytest.mark.parametrize(
    ("billed", "cost"), [({"search_units": 3}, 0.006), ({"total_tokens": 3}, None), ({}, None)]
)
def test_the_cost_is_what_is_billed_by_the_list_price(
    ask: Ask, billed: dict[str, int], cost: float | None
) -> None:
    """Unknown where the service does not say what it bills."""
    plugin = Plugin(price=Price(0.002, "search_units", "2026-11-22"))

    response = ask(Service(ranking(1.0, meta={"billed_units": billed})), ["a"], plugin=plugin)

    assert response.cost == (None if cost is None else pytest.approx(cost))


# --- redirects -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(ask: Ask, status: int) -> None:
    """The error says where it points, without any secret in that URL."""
    location = "https://user:hunter2@elsewhere.test/new?key=hunter2#hunter2"
    service = Service(httpx.Response(status, headers={"location": location}))

    with pytest.raises(APIStatusError) as caught:
        ask(service)

    assert len(service.requests) == 1
    assert caught.value.status_code == status
    assert "https://elsewhere.test/new" in str(caught.value)
    assert "api_base" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_relative_redirect_is_named(ask: Ask) -> None:
    """As the service wrote it."""
    service = Service(httpx.Response(308, headers={"location": "/v9/rerank"}))

    with pytest.raises(APIStatusError, match=r"points to /v9/rerank: correct api_base"):
        ask(service)


def test_a_client_that_follows_redirects_does_not_here() -> None:
    """The key must not travel on, whatever the caller's client does elsewhere."""
    service = Service(httpx.Response(307, headers={"location": "https://elsewhere.test/"}))

    with (
        httpx.Client(transport=service, follow_redirects=True) as client,
        pytest.raises(APIStatusError),
    ):
        rerank("m", "q", ["a"], provider=Plugin(), api_key=KEY, http_client=client)

    assert [request.url.host for request in service.requests] == ["rerank.test"]


def test_an_async_client_that_follows_redirects_does_not_here() -> None:
    """The key must not travel on, whatever the caller's client does elsewhere."""
    service = Service(httpx.Response(307, headers={"location": "https://elsewhere.test/"}))

    async def run() -> None:
        async with httpx.AsyncClient(transport=service, follow_redirects=True) as client:
            reranker = Reranker("m", provider=Plugin(), api_key=KEY, http_client=client)
            await reranker.arerank("q", ["a"])

    with pytest.raises(APIStatusError):
        asyncio.run(run())

    assert [request.url.host for request in service.requests] == ["rerank.test"]


# --- the call ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "keywords", "sent"),
    [
        ("cohere/m", {}, "m"),
        ("cohere/org/m", {}, "org/m"),
        ("m", {"custom_llm_provider": "cohere"}, "m"),
        ("cohere/m", {"custom_llm_provider": "cohere"}, "cohere/m"),
        ("other/m", {"custom_llm_provider": "cohere"}, "other/m"),
        ("M-Exact ", {"custom_llm_provider": "cohere"}, "M-Exact "),
    ],
)
def test_the_model_is_split_at_the_first_slash_unless_a_provider_is_named(
    call: Ask, model: str, keywords: dict[str, str], sent: str
) -> None:
    """What is not the provider's name reaches the service as it was written."""
    service = Service()

    response = call(model, "q", ["a"], api_key=KEY, http_client=service, **keywords)

    assert service.bodies[0]["model"] == sent
    assert (response.provider, response.model) == ("cohere", sent)


@pytest.mark.parametrize("name", ["Cohere", "COHERE", "cohere "])
def test_provider_names_are_exact(call: Ask, name: str) -> None:
    """Another spelling is not guessed, but the nearest name is told."""
    with pytest.raises(ProviderNotFoundError, match="cohere"):
        call(f"{name}/m", "q", ["a"], api_key=KEY)


def test_litellms_order_of_arguments_is_taken(call: Ask) -> None:
    """Nine positions."""
    service = Service()

    response = call(
        "m",
        "q",
        ["a", "b"],
        "cohere",
        1,
        None,
        False,  # noqa: FBT003 - the signature
        None,
        7,
        api_key=KEY,
        http_client=service,
    )

    assert service.bodies[0] == {
        "model": "m",
        "query": "q",
        "documents": ["a", "b"],
        "top_n": 1,
        "max_tokens_per_doc": 7,
    }
    assert response.results[0].document is None


@pytest.mark.parametrize("name", ["extra_headers", "headers"])
def test_headers_of_the_caller_are_sent_as_well(ask: Ask, name: str) -> None:
    """By our name or litellm's."""
    service = Service()

    ask(service, **{name: {"X-Team": "search"}})

    assert service.requests[0].headers["x-team"] == "search"
    assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_an_authorization_of_the_caller_replaces_the_key(ask: Ask, name: str) -> None:
    """So that no key is needed either."""
    service = Service()

    ask(service, api_key=None, extra_headers={name: "Custom abc"})

    assert service.requests[0].headers.get_list("authorization") == ["Custom abc"]


def test_extra_body_is_added(ask: Ask) -> None:
    """To what stands there."""
    service = Service()

    ask(service, extra_body={"user": {"id": 1}})

    assert service.bodies[0] == {
        "model": "m",
        "query": "q",
        "documents": ["a", "b", "c"],
        "user": {"id": 1},
    }


def test_extra_body_may_not_repeat_what_stands_there(ask: Ask) -> None:
    """It would be unclear who wins."""
    service = Service()

    with pytest.raises(InvalidRequestError, match="documents, query"):
        ask(service, extra_body={"query": "other", "documents": [], "new": 1})

    assert service.requests == []


@pytest.mark.parametrize("name", ["max_retries", "num_retries"])
def test_retries_are_set_by_our_name_or_litellms(ask: Ask, waits: list[float], name: str) -> None:
    """None is none."""
    service = Service(httpx.Response(503))

    with pytest.raises(APIStatusError):
        ask(service, **{name: 0})

    assert len(service.requests) == 1
    assert waits == []


def test_what_the_service_says_of_the_call_is_kept(ask: Ask) -> None:
    """Identifier, headers, reply, its own warnings."""
    reply = ranking(0.3, 0.2, 0.1, id="id-1", warnings=["slow"])
    reply.headers["X-Request-Id"] = "r-1"

    response = ask(Service(reply))

    assert response.id == "id-1"
    assert response.headers["x-request-id"] == "r-1"
    assert response.payload == reply.json()
    assert response.warnings == ("slow",)
    assert response.reranked is True


def test_a_response_without_an_identifier_is_given_one(ask: Ask) -> None:
    """Each its own."""
    assert ask(Service()).id != ask(Service()).id


def test_to_dict_is_the_response_in_coheres_shape(ask: Ask) -> None:
    """Plain, ready for JSON, and without what nobody set."""
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    service = Service(ranking(0.1, 0.9, id="id-1", meta=meta))

    written = ask(service, ["a", {"title": "t", "text": "x"}]).to_dict()

    assert written["results"] == [
        {"index": 1, "relevance_score": 0.9, "document": {"title": "t", "text": "x"}},
        {"index": 0, "relevance_score": 0.1, "document": {"text": "a"}},
    ]
    assert written["id"] == "id-1"
    assert written["meta"] == meta
    assert json.loads(json.dumps(written)) == written
    assert written.keys() <= {"results", "id", "meta", "model", "provider"}


def test_to_dict_says_what_claims_nothing(ask: Ask) -> None:
    """A score of None stays; a document that was not wanted is absent."""
    written = ask(Service(), ["", ""], return_documents=False).to_dict()

    assert written["results"] == [
        {"index": 0, "relevance_score": None},
        {"index": 1, "relevance_score": None},
    ]
    assert written["reranked"] is False
    assert "blank" in written["warnings"][0]


def test_results_answer_as_litellms_do(ask: Ask) -> None:
    """By subscript and `get`, down to the fields of a mapping."""
    service = Service(ranking(0.9, 0.1, meta={"billed_units": {"search_units": 1}}))

    response = ask(service, [{"title": "t", "text": "x"}, "b"])

    assert response["results"][0]["index"] == 0
    assert response["results"][0]["relevance_score"] == 0.9
    assert response["results"][0]["document"]["text"] == "x"
    assert response["results"][0]["document"]["title"] == "t"
    assert response["results"][1]["document"]["text"] == "b"
    assert response["meta"]["billed_units"]["search_units"] == 1
    assert response.get("results") == response["results"]
    assert response.results[0].get("nothing", "else") == "else"


def test_a_reranker_takes_params_of_the_provider_for_all_calls_or_for_one(
    call: Ask, registered: Callable[[Plugin], str]
) -> None:
    """The one of the call wins."""
    service, plugin = Service(), Plugin(extra_params={"priority": "prio"})
    name = registered(plugin)
    reranker = Reranker(f"{name}/m", api_key=KEY, http_client=service, priority=1)

    reranker.rerank("q", ["a"])
    reranker.rerank("q", ["a"], priority=2)
    call(f"{name}/m", "q", ["a"], api_key=KEY, http_client=service, priority=3)

    assert [body["prio"] for body in service.bodies] == [1, 2, 3]


def test_results_that_a_plugin_keeps_stay_as_they_are() -> None:
    """What is sorted, cut and completed is a copy."""
    kept = [RerankResult(0, 0.1), RerankResult(1, 0.9)]
    plugin: Any = Plugin()
    plugin.parse_response = hookimpl(lambda: RerankResponse(kept))

    response = rerank("m", "q", ["a", "b"], provider=plugin, api_key=KEY, http_client=Service())

    assert [result.index for result in response] == [1, 0]
    assert kept == [RerankResult(0, 0.1), RerankResult(1, 0.9)]


def test_another_model_than_was_asked_is_told(ask: Ask) -> None:
    """Whatever the service puts around its name."""
    plugin: Any = Plugin()
    models = iter(["org/M:latest", "", "other"])
    plugin.parse_response = hookimpl(
        lambda payload: RerankResponse(read_results(payload["results"]), model=next(models))
    )

    told = [ask(Service(), plugin=plugin).warnings for _ in range(3)]

    assert told == [(), (), ("the service answered with the model 'other', not 'm'",)]
