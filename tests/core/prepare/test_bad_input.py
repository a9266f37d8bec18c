"""Everything in a call that makes no sense: refused before anything is sent, saying what to do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

import pytest

from core.conftest import KEY, Ask, Plugin, Service, refuse
from rerank_core import (
    ConfigurationError,
    InvalidRequestError,
    MissingAPIKeyError,
    ProviderNotFoundError,
    Reranker,
    UnsupportedParamError,
)

_NOT_OPTIONS = {"model", "_connections", "extra"}
SURROGATE = "a lone \ud83d surrogate"
CONTROLS = "nul \0, bell \a, escape \x1b, delete \x7f, separator \u2028, bom \ufeff, joiner \u200d"


# --- query ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [None, "", " ", "\n\t ", 5, True, b"bytes", ["list"], {"a": 1}])
def test_a_query_is_a_string_that_is_not_blank(ask: Ask, query: Any) -> None:
    """The error says so, where the call went, and what was given instead."""
    error = refuse(ask, query=query)

    assert type(error) is InvalidRequestError
    assert ("query is blank" if isinstance(query, str) else "query must be a string") in str(error)
    assert (error.provider, error.model) == ("test", "m")


def test_a_query_may_hold_any_character(ask: Ask) -> None:
    """Also those that nobody types."""
    service = Service()

    ask(service, query=CONTROLS)

    assert service.bodies[0]["query"] == CONTROLS


# --- documents -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("documents", "shown"),
    [
        (None, "None"),
        ("text", "str"),
        ("", "str"),
        (b"bytes", "bytes"),
        ({"text": "x"}, "dict"),
        (5, "5"),
        (True, "True"),
        (object(), "object"),
    ],
)
def test_documents_are_a_list(ask: Ask, documents: Any, shown: str) -> None:
    """Neither a string, of which each character would be one, nor a single document."""
    error = refuse(ask, documents)

    assert type(error) is InvalidRequestError
    assert "documents must be a list" in str(error)
    assert shown in str(error)


@pytest.mark.parametrize(
    "wrap",
    [
        list,
        tuple,
        iter,
        lambda documents: (document for document in documents),
        lambda documents: dict.fromkeys(documents).keys(),
    ],
    ids=["list", "tuple", "iterator", "generator", "keys"],
)
def test_documents_may_be_any_iterable(ask: Ask, wrap: Callable[[list[str]], Any]) -> None:
    """One that can be read only once is read only once."""
    service = Service()

    response = ask(service, wrap(["a", "b"]))

    assert service.bodies[0]["documents"] == ["a", "b"]
    assert [result["document"]["text"] for result in response.results] == ["a", "b"]


def test_an_error_of_the_callers_own_iterable_is_theirs(ask: Ask) -> None:
    """It is not dressed up as one of ours."""

    def documents() -> Iterator[str]:
        yield "a"
        message = "of the caller"
        raise LookupError(message)

    with pytest.raises(LookupError, match="of the caller"):
        ask(Service(), documents())


@pytest.mark.parametrize("document", [None, 5, True, b"bytes", ["list"], object()])
def test_a_document_is_a_string_or_a_mapping(ask: Ask, document: Any) -> None:
    """The error names its position."""
    error = refuse(ask, ["a", document])

    assert type(error) is InvalidRequestError
    assert "documents[1] must be a string, a mapping, or an object with text" in str(error)


@pytest.mark.parametrize("name", [5, None, ("a",), b"text"])
def test_field_names_are_strings(ask: Ask, name: Any) -> None:
    """JSON has no others."""
    error = refuse(ask, ["a", {name: "x"}])

    assert "documents[1] has a field whose name is not a string" in str(error)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    "document",
    [
        SURROGATE,
        {"text": SURROGATE},
        {"title": SURROGATE},
        {SURROGATE: "x"},
        {"in": [SURROGATE]},
    ],
)
def test_a_lone_surrogate_is_named_by_its_document(
    ask: Ask,
    document: Any,
    native: bool,  # noqa: FBT001 - a fact
) -> None:
    """Text that was decoded wrongly has no UTF-8 form."""
    error = refuse(ask, ["a", document], plugin=Plugin(takes_mappings=native))

    assert type(error) is InvalidRequestError
    assert "documents[1]" in str(error)
    assert "surrogate" in str(error)


def test_a_lone_surrogate_is_named_by_its_position(ask: Ask) -> None:
    """In a document and in the query."""
    assert "documents[1] has a lone surrogate at position 7" in str(refuse(ask, ["a", SURROGATE]))
    assert "query has a lone surrogate at position 7" in str(refuse(ask, query=SURROGATE))


@pytest.mark.parametrize("document", [CONTROLS, {"text": CONTROLS}])
def test_a_document_may_hold_any_character(ask: Ask, document: Any) -> None:
    """Nothing is stripped or replaced."""
    service = Service()

    ask(service, [document])

    assert service.bodies[0]["documents"] == [CONTROLS]


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", 2**70, float("inf")],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("native", [False, True])
def test_a_field_that_json_cannot_hold_is_refused(
    ask: Ask,
    native: bool,  # noqa: FBT001 - a fact
    value: Any,
) -> None:
    """Rather than sent as something else."""
    error = refuse(ask, ["a", {"field": value}], plugin=Plugin(takes_mappings=native))

    assert type(error) is InvalidRequestError


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"max_document_chars": 3}, r"documents\[1\] has 5 characters; at most 3"),
        ({"max_query_chars": 3}, "query has 5 characters; at most 3"),
        ({"max_request_bytes": 14}, r"documents\[1\] is too large"),
    ],
)
def test_what_is_longer_than_the_service_takes_is_refused(
    ask: Ask, facts: dict[str, int], said: str
) -> None:
    """Where the service would refuse it or silently cut it."""
    error = refuse(ask, ["a", "bcdef"], query="12345", plugin=Plugin(**facts))

    assert type(error) is InvalidRequestError
    assert re.search(said, str(error))


# --- the other parameters ------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, True, False, 1.0, 1.5, "3", [1], float("nan")], ids=repr)
@pytest.mark.parametrize("name", ["top_n", "max_chunks_per_doc", "max_tokens_per_doc"])
def test_counts_are_integers_from_one(ask: Ask, name: str, value: Any) -> None:
    """`True` is no number, and 0 is not "all"."""
    plugin = Plugin(params={name: name})

    error = refuse(ask, plugin=plugin, **{name: value})

    assert type(error) is InvalidRequestError
    assert f"{name} must be an integer from 1" in str(error)


@pytest.mark.parametrize(
    "value",
    ["title", b"title", 5, True, [], [""], [None], [5], ["a", 5], [["a"]], [{"a": 1}], {"a", "b"}],
)
def test_rank_fields_are_names(ask: Ask, value: Any) -> None:
    """At least one, in a list: a set has no order, and the order counts."""
    error = refuse(ask, [{"a": "x"}], rank_fields=value)

    assert type(error) is InvalidRequestError
    assert "rank_fields must" in str(error)


@pytest.mark.parametrize("native", [False, True])
def test_rank_fields_that_no_document_has_are_refused(
    ask: Ask,
    native: bool,  # noqa: FBT001 - a fact
) -> None:
    """A misspelt field would leave nothing to rank by."""
    plugin = Plugin(takes_mappings=native, params={"rank_fields": "rank_fields"})

    error = refuse(ask, [{"title": "t"}, "b"], plugin=plugin, rank_fields=["title", "titel"])

    assert "rank_fields names 'titel'" in str(error)


@pytest.mark.parametrize("value", ["yes", 1, 0, "", []])
def test_return_documents_is_true_or_false(ask: Ask, value: Any) -> None:
    """Whatever is truthy elsewhere."""
    error = refuse(ask, return_documents=value)

    assert type(error) is InvalidRequestError
    assert "return_documents must be True or False" in str(error)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("top_nn", "top_n"),
        ("topK", "top_n"),
        ("maxResults", "top_n"),
        ("n_results", "top_n"),
        ("return_document", "return_documents"),
        ("max_token_per_doc", "max_tokens_per_doc"),
        ("priorty", "priority"),
        ("regoin", "region"),
        ("max_retrys", "max_retries"),
        ("time_out", "timeout"),
        ("client", "http_client"),
        ("base_url", "api_base"),
        ("request_timeout", "timeout"),
    ],
)
def test_an_unknown_keyword_is_answered_with_the_nearest_name(
    ask: Ask, name: str, nearest: str
) -> None:
    """Of the call, of the provider, and of the connection."""
    plugin = Plugin(
        params={"max_tokens_per_doc": "max_tokens"},
        extra_params={"priority": "priority"},
        options={"region": ()},
    )

    error = refuse(ask, plugin=plugin, **{name: 5})

    assert type(error) is UnsupportedParamError
    assert error.param == name
    assert f"test does not take {name!r}; did you mean {nearest!r}?" in str(error)


@pytest.mark.parametrize("name", ["qwxz", "mock_response"])
def test_a_keyword_like_no_other_is_refused_without_a_guess(ask: Ask, name: str) -> None:
    """A wrong guess would mislead."""
    error = refuse(ask, **{name: 5})

    assert str(error).endswith(f"test does not take {name!r}; drop_params=True leaves it out")


def test_no_parameter_is_proposed_that_the_provider_refuses_as_well(ask: Ask) -> None:
    """As `max_chunks_per_doc` would be for `max_tokens_per_doc`."""
    neither = refuse(ask, max_tokens_per_doc=5)
    one = refuse(ask, plugin=Plugin(params={"max_chunks_per_doc": "c"}), max_tokens_per_doc=5)

    assert "did you mean" not in str(neither)
    assert str(one).endswith("did you mean 'max_chunks_per_doc'?")


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize(
    "name", ["region", "token", *sorted(signature(Reranker).parameters.keys() - _NOT_OPTIONS)]
)
def test_an_option_of_the_connection_has_no_place_in_a_call(
    name: str,
    drop: bool,  # noqa: FBT001 - a policy
) -> None:
    """The message says where it belongs, not that it does not exist."""
    service = Service()
    plugin = Plugin(options={"region": ()}, secret_options={"token": ()})
    reranker = Reranker("m", provider=plugin, api_key=KEY, http_client=service, drop_params=drop)
    param: dict[str, Any] = {name: 5}

    with pytest.raises(UnsupportedParamError) as caught:
        reranker.rerank("q", ["a"], **param)
    said = str(caught.value)

    assert f"{name!r} belongs to the connection" in said
    assert caught.value.param == name
    assert f"did you mean {name!r}" not in said


def test_a_keyword_in_no_latin_letters_is_near_no_option(ask: Ask) -> None:
    """So that `drop_params` leaves it out."""
    plugin = Plugin(options={"region": ()})

    response = ask(Service(), plugin=plugin, drop_params=True, приоритет=1)

    assert response.warnings == ("test does not take 'приоритет': left out",)


def test_a_document_that_cannot_be_encoded_is_found_before_any_part_is_sent(ask: Ask) -> None:
    """In whichever part it is: they are sent side by side."""
    error = refuse(ask, ["a", "b", "c", "\ud800"], max_documents=2, max_concurrency=1)

    assert "documents[3]" in error.message


@pytest.mark.parametrize("name", ["top_n", "rank_fields", "max_tokens_per_doc"])
def test_a_parameter_of_the_call_has_no_place_in_the_connection(name: str) -> None:
    """The message does not propose the very name that it refuses."""
    param: dict[str, Any] = {name: 5}

    with pytest.raises(UnsupportedParamError) as caught:
        Reranker("m", provider=Plugin(), api_key=KEY, **param)

    assert name in str(caught.value)
    assert f"did you mean {name!r}" not in str(caught.value)


# --- model and provider --------------------------------------------------------------------------


@pytest.mark.parametrize("model", [None, "", " ", 5, b"cohere/m", ["cohere/m"]])
def test_a_model_is_a_string(call: Ask, model: Any) -> None:
    """Such as the message shows."""
    with pytest.raises(ConfigurationError, match="model must be a string such as 'local/bm25'"):
        call(model, "q", ["a"], api_key=KEY)


@pytest.mark.parametrize("model", ["rerank-v3.5", "/rerank-v3.5", "/"])
def test_a_model_names_its_provider(call: Ask, model: str) -> None:
    """Or `custom_llm_provider` does."""
    with pytest.raises(ConfigurationError, match="names no provider") as caught:
        call(model, "q", ["a"], api_key=KEY)

    assert "custom_llm_provider=" in str(caught.value)
    assert f"model='provider/{model.strip('/')}'" in str(caught.value)


def test_the_model_may_be_what_is_missing(call: Ask) -> None:
    """The message does not say that it is the provider."""
    with pytest.raises(ConfigurationError, match="'cohere/' names no model:"):
        call("cohere/", "q", ["a"], api_key=KEY)


@pytest.mark.parametrize(
    ("model", "keywords"),
    [("coheer/m", {}), ("m", {"custom_llm_provider": "coheer"}), ("COHEER/m", {})],
)
def test_a_misspelt_provider_is_answered_with_the_nearest(
    call: Ask, model: str, keywords: dict[str, str]
) -> None:
    """With what is installed, and the package by convention."""
    with pytest.raises(ProviderNotFoundError) as caught:
        call(model, "q", ["a"], api_key=KEY, **keywords)

    assert "did you mean 'cohere'?" in str(caught.value)
    assert "local" in str(caught.value)
    assert "pip install rerank-coheer" in str(caught.value)


@pytest.mark.parametrize("provider", ["", 5, ["cohere"], b"cohere", True])
def test_a_provider_is_named_by_a_string(call: Ask, provider: Any) -> None:
    """Anything else is a mistake of the call."""
    with pytest.raises(ConfigurationError):
        call("m", "q", ["a"], custom_llm_provider=provider, api_key=KEY)


# --- the connection ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("timeout", 0, "more than 0 seconds"),
        ("timeout", -1, "more than 0 seconds"),
        ("timeout", float("nan"), "more than 0 seconds"),
        ("timeout", "5", "timeout must be seconds"),
        ("timeout", True, "timeout must be more than 0 seconds"),
        ("timeout", (5, 10), "timeout must be seconds"),
        ("deadline", 0, "deadline must be"),
        ("deadline", -1, "deadline must be"),
        ("deadline", float("nan"), "deadline must be"),
        ("deadline", float("inf"), "deadline must be"),
        ("deadline", "5", "deadline must be"),
        ("deadline", True, "deadline must be"),
        ("max_retries", -1, "max_retries must be an integer from 0"),
        ("max_retries", 1.5, "max_retries must be an integer from 0"),
        ("max_retries", "2", "max_retries must be an integer from 0"),
        ("max_retries", True, "max_retries must be an integer from 0"),
        ("num_retries", -1, "max_retries must be an integer from 0"),
        ("max_concurrency", 0, "max_concurrency must be an integer from 1"),
        ("max_concurrency", True, "max_concurrency must be an integer from 1"),
        ("max_documents", 0, "max_documents must be an integer from 1"),
        ("max_documents", True, "max_documents must be an integer from 1"),
        ("extra_headers", "x: y", "extra_headers must be a mapping"),
        ("extra_headers", [("x", "y")], "extra_headers must be a mapping"),
        ("extra_headers", {"x": 5}, "'x' does not"),
        ("extra_headers", {"x": None}, "'x' does not"),
        ("extra_headers", {5: "x"}, "5 does not"),
        ("extra_headers", {"x\ny": "z"}, "no header can hold"),
        ("extra_headers", {"x": "ü"}, "no header can hold"),
        ("headers", {"x": 5}, "'x' does not"),
        ("extra_body", [1], "extra_body must be a mapping"),
        ("extra_body", "x", "extra_body must be a mapping"),
        ("api_key", 5, "api_key must be a string"),
        ("api_key", b"key", "api_key must be a string"),
        ("api_base", 5, "api_base must be a URL"),
        ("api_base", "rerank.test", "absolute URL"),
        ("api_base", "//rerank.test", "absolute URL"),
        ("api_base", "/v1", "absolute URL"),
        ("api_base", "ftp://rerank.test", "absolute URL"),
        ("api_base", "https://", "absolute URL"),
        ("api_base", "https://[::1", "api_base"),
        ("api_base", "https://rerank.test:port", "api_base"),
        ("on_failure", "ignore", "on_failure must be 'raise' or 'passthrough'"),
        ("on_failure", None, "on_failure must be 'raise' or 'passthrough'"),
        ("on_failure", ["raise"], "on_failure must be 'raise' or 'passthrough'"),
        ("drop_params", "no", "drop_params must be"),
        ("split_listwise", "no", "split_listwise must be"),
        ("http_client", "httpx", "http_client must be"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    ask: Ask, option: str, value: Any, said: str
) -> None:
    """By its name, with what it must be."""
    assert said in str(refuse(ask, **{option: value}))


@pytest.mark.parametrize(
    "pair",
    [
        {"extra_headers": {"x": "y"}, "headers": {"x": "z"}},
        {"max_retries": 1, "num_retries": 2},
    ],
)
def test_an_option_is_given_by_one_of_its_names(ask: Ask, pair: dict[str, Any]) -> None:
    """It would be unclear who wins."""
    error = refuse(ask, **pair)

    assert "give one of them" in str(error)
    assert all(name in str(error) for name in pair)


def test_an_option_equal_to_another_is_not_taken_for_it(
    call: Ask, registered: Callable[[Plugin], str], shared_pool: Callable[[Service], None]
) -> None:
    """1 and True are equal, but one of them is no number of retries, and they differ in JSON."""
    service = Service()
    name = registered(Plugin(extra_params={"level": "level"}))
    shared_pool(service)

    call(f"{name}/m", "q", ["a"], api_key=KEY, max_retries=1, level=1)
    call(f"{name}/m", "q", ["a"], api_key=KEY, max_retries=1, level=True)
    with pytest.raises(ConfigurationError):
        call(f"{name}/m", "q", ["a"], api_key=KEY, max_retries=True, level=1)

    assert [body["level"] for body in service.bodies] == [1, True]
    assert type(service.bodies[1]["level"]) is bool


def test_a_base_url_that_is_needed_is_asked_for(ask: Ask) -> None:
    """By argument and variable."""
    error = refuse(
        ask, plugin=Plugin(base_url=None, base_url_required=True, base_url_env=("TEST_URL",))
    )

    assert "no base URL: give api_base=, or set TEST_URL" in str(error)


def test_an_empty_key_is_none_for_the_services_own_host(ask: Ask) -> None:
    """For a host of one's own it means that none is sent."""
    service = Service()

    error = refuse(ask, api_key="")
    ask(service, api_key="", api_base="https://own.test")

    assert type(error) is MissingAPIKeyError
    assert "authorization" not in service.requests[0].headers


def test_a_reranker_refuses_at_once_what_no_call_could_mend() -> None:
    """Where it is made, not where it is used."""
    with pytest.raises(UnsupportedParamError):
        Reranker("m", provider=Plugin(), api_key=KEY, nothing=1)
    with pytest.raises(MissingAPIKeyError):
        Reranker("m", provider=Plugin())
    with pytest.raises(ProviderNotFoundError):
        Reranker("coheer/m")
    with pytest.raises(ConfigurationError):
        Reranker("m", provider=Plugin(), api_key=KEY, timeout=0)


def test_a_reranker_reads_a_call_as_the_functions_do() -> None:
    """Both of its methods."""
    service = Service()
    reranker = Reranker("m", provider=Plugin(), api_key=KEY, http_client=service)

    with pytest.raises(InvalidRequestError, match="top_n"):
        reranker.rerank("q", ["a"], top_n=0)
    with pytest.raises(InvalidRequestError, match="top_n"):
        asyncio.run(reranker.arerank("q", ["a"], top_n=0))

    assert service.requests == []
