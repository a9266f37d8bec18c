"""A response behaves in a notebook, in pandas and in JSON, and points to what is ours."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import numpy as np
import pytest

from core.cases.plain import KEY, Ask, Plain, Service, ask, rows
from rerank_core import (
    ConfigurationError,
    InvalidRequestError,
    ProviderNotFoundError,
    Reranker,
    RerankResponse,
    RerankResult,
    rerank,
)

LONG = [f"document {at} " + "with many words " * 1_000 for at in range(50)]


@pytest.fixture
def response() -> RerankResponse:
    """Fifty long documents, ranked from the last to the first."""
    results = [{"index": at, "relevance_score": (at + 1) / 100} for at in range(50)]
    reply = httpx.Response(200, json={"results": results}, headers={"x-secret": "of the vendor"})
    return ask(rerank, Service(reply), LONG)


# U8: notebooks.


def test_a_response_is_a_sequence_of_its_results(response: RerankResponse) -> None:
    """Length, order, positions from both ends, slices."""
    assert len(response) == 50
    assert list(response) == response.results
    assert response[0] is response.results[0]
    assert response[0].index == 49
    assert response[-1].index == 0
    assert [result.index for result in response[:3]] == [49, 48, 47]
    assert [result.index for result in response[-2:]] == [1, 0]
    assert [result.index for result in response[::25]] == [49, 24]
    assert response[0] in response


def test_a_position_that_is_not_there_is_an_index_error(response: RerankResponse) -> None:
    """As of any sequence; a name that is not there is a key error."""
    with pytest.raises(IndexError):
        response[50]
    with pytest.raises(KeyError):
        response["nothing"]
    with pytest.raises(TypeError):
        response[None]


def test_a_position_may_be_a_number_of_numpys(response: RerankResponse) -> None:
    """As `argmax` gives it, and as any list takes it."""
    assert response[np.int64(1)] is response.results[1]


def test_a_response_answers_by_names_too(response: RerankResponse) -> None:
    """As those write it who come from dictionaries."""
    assert [row["index"] for row in response["results"]] == [row.index for row in response]
    assert response["results"][0]["index"] == 49
    assert response["results"][0]["document"]["text"] == LONG[49]
    assert response["id"] == response.id
    assert response[0]["relevance_score"] == response.results[0].relevance_score


def test_results_are_a_plain_list(response: RerankResponse) -> None:
    """Of the public record."""
    assert type(response.results) is list
    assert {type(result) for result in response.results} == {RerankResult}


def test_an_empty_response_is_an_answer(call: Ask) -> None:
    """It has no results, and is not mistaken for a failure by `if response.results`."""
    empty = ask(call, Service(), [])

    assert len(empty) == 0
    assert list(empty) == []
    assert empty.results == []
    assert empty.payload is None


def test_a_repr_stays_within_a_screen(response: RerankResponse) -> None:
    """Whatever the documents' length and number; the best is in it."""
    shown = repr(response)

    assert len(shown) < 2_000
    assert shown.count("\n") < 40
    assert "49" in shown
    assert len(repr(response.results[0])) < 1_000
    assert len(str(response)) < 2_000


def test_a_notebook_gets_a_table(response: RerankResponse) -> None:
    """With rank, score and the beginning of each text, escaped."""
    shown = response._repr_html_()

    assert "<table" in shown
    assert "0.5" in shown
    assert "document 49" in shown
    assert len(shown) < 50_000


def test_the_table_of_a_notebook_is_escaped(call: Ask) -> None:
    """A document is a text, not a page."""
    found: Any = ask(call, Service(), ["<script>alert(1)</script>", "b & c"])
    shown = found._repr_html_()

    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_pandas_gets_columns(response: RerankResponse) -> None:
    """`DataFrame(response)` has a row for each result, and its fields as columns."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(response)

    assert len(frame) == 50
    assert {"index", "relevance_score"} <= {*frame.columns}
    assert list(frame["index"])[:2] == [49, 48]


# U10, U11: JSON, litellm's names, web frameworks.


def test_a_dictionary_of_a_response_is_json(response: RerankResponse) -> None:
    """`dict(result)`, and `to_dict()` of the whole."""
    written = json.loads(json.dumps(response.to_dict()))
    first = json.loads(json.dumps(dict(response.results[0])))

    assert written["results"][0]["index"] == first["index"] == 49
    assert len(written["results"]) == 50


def test_a_dictionary_shows_only_the_ranking(response: RerankResponse) -> None:
    """Neither the vendor's headers nor the raw reply go to a client."""
    written = json.dumps(response.to_dict())

    assert "of the vendor" not in written
    assert "payload" not in response.to_dict()
    assert "headers" not in response.to_dict()


@pytest.mark.parametrize(
    "name", ["model_dump", "model_dump_json", "json", "dict", "_hidden_params"]
)
def test_litellms_names_point_to_ours(response: RerankResponse, name: str) -> None:
    """An `AttributeError`, so that `hasattr` says no, with what to write instead."""
    with pytest.raises(AttributeError, match=r"to_dict\(\)") as caught:
        getattr(response, name)

    assert not hasattr(response, name)
    assert re.search(r"litellm|migrat", str(caught.value))


def test_other_unknown_names_are_plain_attribute_errors(response: RerankResponse) -> None:
    """They name the attribute, and nothing else is said."""
    with pytest.raises(AttributeError, match="no_such_name") as caught:
        response.no_such_name  # noqa: B018 - on purpose

    assert "litellm" not in str(caught.value)


# U16: each says what to write.


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("jina_ia/m", ["pip install rerank-jina-ia", "jina_ai", "docs/providers.md"]),
        ("coher/m", ["cohere"]),
        ("some_company/m", ["pip install rerank-some-company"]),
        ("rerank-v3.5", ["provider/rerank-v3.5"]),
        ("/m", ["provider/m"]),
    ],
)
def test_a_provider_that_is_not_there_says_how_to_get_it(model: str, words: list[str]) -> None:
    """The line to type, the nearest name."""
    with pytest.raises(ConfigurationError) as caught:
        rerank(model, "q", ["a"])

    assert [word for word in words if word not in str(caught.value)] == []


def test_what_is_installed_is_told() -> None:
    """So that a typo shows."""
    with pytest.raises(ProviderNotFoundError, match="local"):
        rerank("nothing_like_it/m", "q", ["a"])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("k", "top_n"),
        ("top_k", "top_n"),
        ("topk", "top_n"),
        ("topN", "top_n"),
        ("TopN", "top_n"),
        ("limit", "top_n"),
        ("max_results", "top_n"),
        ("num_results", "top_n"),
        ("topn", "top_n"),
        ("return_document", "return_documents"),
        ("rank_field", "rank_fields"),
    ],
)
def test_a_parameter_of_another_name_says_which_is_meant(call: Ask, name: str, meant: str) -> None:
    """The words that other libraries use are known; `drop_params` is named."""
    service = Service()
    with pytest.raises(ConfigurationError, match=rf"\b{meant}\b") as caught:
        ask(call, service, **{name: 5})

    assert "max_retries" not in str(caught.value)
    assert service.requests == []


@pytest.mark.parametrize("name", ["metadata", "something_else"])
def test_a_parameter_that_nobody_knows_names_drop_params(call: Ask, name: str) -> None:
    """That leaves it out, with a warning."""
    service = Service()
    with pytest.raises(ConfigurationError, match="drop_params"):
        ask(call, service, **{name: {"a": 1}})
    response = ask(call, service, drop_params=True, **{name: {"a": 1}})

    assert any(name in warning for warning in response.warnings)


@pytest.mark.parametrize("top_n", [0, -1, "3", 2.5, True])
def test_a_top_n_that_makes_no_sense_is_refused(call: Ask, top_n: Any) -> None:
    """Before anything is sent."""
    service = Service()
    with pytest.raises(InvalidRequestError, match="top_n"):
        ask(call, service, top_n=top_n)

    assert service.requests == []


def test_a_reranker_shows_what_it_resolved() -> None:
    """Provider, model, base URL and facts, before it is called."""
    facts = Plain(max_documents=7)
    with Reranker("m/n", provider=facts, api_key=KEY, http_client=Service()) as reranker:
        response = reranker.rerank("q", ["a"])

    assert (reranker.provider, reranker.model) == ("plain", "m/n")
    assert reranker.base_url == "https://plain.test"
    assert reranker.facts.max_documents == 7
    assert response.provider == reranker.provider
    assert len(rows(1)) == len(response)
