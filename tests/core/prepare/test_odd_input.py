"""Input that is odd rather than wrong: the right answer or a clear refusal, and nothing changed."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from core.conftest import KEY, Ask, Plugin, Service, refuse
from rerank_core import (
    ConfigurationError,
    HTTPRequest,
    InvalidRequestError,
    PluginError,
    Provider,
    Reranker,
    RerankError,
    RerankRequest,
    hookimpl,
)

MEGABYTE = 1_000_000
PARAMS = {"top_n": "top_n", "max_chunks_per_doc": "chunks", "max_tokens_per_doc": "tokens"}


class Series:
    """What pandas' Series is here: iterable, without a truth value."""

    def __init__(self, *values: Any) -> None:
        self._values = values

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __bool__(self) -> bool:
        message = "the truth value is ambiguous"
        raise ValueError(message)


# --- right answers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "documents",
    [
        {"a": 1, "b": 2}.keys(),
        {1: "a", 2: "b"}.values(),
        np.array(["a", "b"]),
        np.array(["a", "b"], dtype=object),
        Series("a", "b"),
    ],
    ids=["keys", "values", "array", "objects", "series"],
)
def test_whatever_gives_strings_is_a_list(ask: Ask, documents: Any) -> None:
    """In its own order."""
    service = Service()

    response = ask(service, documents)

    assert service.bodies[0]["documents"] == ["a", "b"]
    assert [result["document"]["text"] for result in response.results] == ["a", "b"]


@pytest.mark.parametrize("value", [np.int64(1), np.uint8(1)], ids=repr)
@pytest.mark.parametrize("name", PARAMS)
def test_an_integer_of_numpy_s_is_an_integer(ask: Ask, name: str, value: Any) -> None:
    """On the wire as well, where JSON knows none of theirs."""
    service = Service()

    ask(service, ["a", "b"], plugin=Plugin(params=PARAMS), **{name: value})

    assert service.bodies[0][PARAMS[name]] == 1


def test_a_top_n_of_numpy_s_cuts(ask: Ask) -> None:
    """Where core does it, because the service does not know the parameter."""
    assert len(ask(Service(), ["a", "b"], top_n=np.int64(1)).results) == 1


def test_more_results_than_documents_are_all(ask: Ask) -> None:
    """However many more."""
    response = ask(Service(), ["a", "b"], top_n=10**30, plugin=Plugin(params=PARAMS))

    assert [result.index for result in response.results] == [0, 1]


def _digests(documents: list[str]) -> list[str]:
    """Short enough for a failing test to show."""
    return [sha256(document.encode()).hexdigest()[:16] for document in documents]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 50])
def test_fifty_megabytes_are_sent_whole(ask: Ask, count: int) -> None:
    """In one document or in many, no two places of which are alike."""
    service, chance = Service(), random.Random(count)  # noqa: S311 - no secret
    documents = [chance.randbytes(25 * MEGABYTE // count).hex() for _ in range(count)]

    response = ask(service, documents)

    assert len(service.requests[0].content) > 50 * MEGABYTE
    assert _digests(service.bodies[0]["documents"]) == _digests(documents)
    assert len(response.results) == count


def test_fields_may_be_nested(ask: Ask) -> None:
    """They are rendered as JSON, without what says that there is nothing."""
    service = Service()

    ask(service, [{"a": {"b": [1, None, {"c": "ä"}]}}])

    assert service.bodies[0]["documents"] == ['a: {"b":[1,{"c":"ä"}]}']


def test_nothing_of_the_callers_is_changed(ask: Ask) -> None:
    """Neither by a call that succeeds nor by one that is refused."""
    document = {"title": "t", "tags": ["x", {"y": 1}], "text": "words"}
    given: dict[str, Any] = {
        "documents": ["a", document, {"text": "b"}, " "],
        "rank_fields": ["title", "text"],
        "extra_headers": {"x-one": "1"},
        "extra_body": {"more": {"deep": [1]}},
    }
    before = copy.deepcopy(given)

    response = ask(Service(), top_n=2, plugin=Plugin(params=PARAMS), **given)
    with pytest.raises(RerankError):
        ask(Service(), top_n=0, **given)

    assert given == before
    assert response.results
    assert response.results[1].document
    assert response.results[1].document.fields is document


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        (bytearray(b"ab"), r"documents\[0\] must be a string, a mapping, or an object"),
        (memoryview(b"ab"), r"documents\[0\] must be a string, a mapping, or an object"),
        (
            np.array([["a", "b"]]),
            r"documents\[0\] must be a string, a mapping, or an object .*, not ndarray",
        ),
        (np.array("a"), r"documents must be a list .*; write \[document\] for a single one"),
        (np.array([1.5, 2.5]), r"documents\[0\] must be a string, a mapping, or an object"),
        (
            Series("a", float("nan")),
            r"documents\[1\] must be a string, a mapping, or an object .*, not nan",
        ),
        (
            ["a", None, {"x": 1}, 5],
            r"documents\[1\] must be a string, a mapping, or an object .*, not None",
        ),
    ],
    ids=["bytearray", "memoryview", "table", "single", "numbers", "gap", "mixed"],
)
def test_what_is_no_document_is_named(ask: Ask, documents: Any, said: str) -> None:
    """By its place, before anything is sent."""
    error = refuse(ask, documents)

    assert type(error) is InvalidRequestError
    assert re.search(said, str(error))


@pytest.mark.usefixtures("no_garbage")
def test_a_document_that_holds_itself_is_refused(ask: Ask) -> None:
    """By its place, without a stack overflow."""
    document: dict[str, Any] = {"text": "a"}
    document["self"] = document

    assert "documents[1]" in str(refuse(ask, ["a", document]))


@pytest.mark.parametrize("value", [np.bool_(True), np.float64(2), np.int64(0)], ids=repr)  # noqa: FBT003 - the value under test
@pytest.mark.parametrize("name", PARAMS)
def test_a_number_of_numpy_s_that_is_no_count_is_named_by_its_type(
    ask: Ask, name: str, value: Any
) -> None:
    """It may look like an integer."""
    error = refuse(ask, plugin=Plugin(params=PARAMS), **{name: value})

    assert f"{name} must be an integer from 1, not " in str(error)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("timeout", float("inf"), "more than 0 seconds, not inf"),
        ("timeout", float("-inf"), "more than 0 seconds"),
        ("timeout", np.float32(5), "timeout must be seconds"),
        ("timeout", {"connect": 1, "read": 1, "write": 1, "pool": "x"}, "more than 0 seconds"),
        ("deadline", float("-inf"), "deadline must be more than 0 seconds"),
        ("deadline", {"connect": 5}, "deadline must be more than 0 seconds"),
        ("deadline", {}, "deadline must be more than 0 seconds"),
        ("extra", 5, "does not take 'extra'"),
        ("timeout", "sk-a-key-of-mine", "not str"),
        ("deadline", "sk-a-key-of-mine", "not str"),
        ("fallbacks", [{"model": "local/bm25", "api_key": "sk-a-key-of-mine"}], "dict is neither"),
        ("max_retries", float("nan"), "max_retries must be an integer from 0"),
        ("max_retries", np.int64(1), "max_retries must be an integer from 0"),
        ("fallbacks", "local/bm25", "fallbacks must be a list"),
        ("fallbacks", 5, "fallbacks must be a list"),
        ("fallbacks", {"local/bm25"}, "fallbacks must be a list"),
        ("fallbacks", [["local/bm25"]], "is neither"),
        ("fallbacks", [None], "None is neither"),
        ("fallbacks", b"local/bm25", "is neither"),
        ("fallbacks", ["bm25"], "names no provider"),
        ("api_key", "k\0", "copy it again"),
        ("api_key", "k\x7f", "copy it again"),
        ("api_key", "k\ud800", "copy it again"),
        ("extra_headers", {"x": "a\0"}, "no header can hold"),
        ("extra_headers", {"x\0": "a"}, "no header can hold"),
        ("extra_headers", {"x": "a\ud800"}, "no header can hold"),
        ("extra_headers", {"x": b"a"}, "'x' does not"),
        ("extra_headers", {b"x": "a"}, "does not"),
        ("extra_headers", {"x": ["a"]}, "'x' does not"),
        ("api_base", "https://h.test/\0", "api_base"),
        ("api_base", "https://h\0.test", "api_base"),
        ("api_base", f"https://h.test/{'a' * 70_000}", "api_base"),
        ("extra_body", {"x": "\ud800"}, "surrogates not allowed"),
        ("extra_body", {1: "x"}, "key must be str"),
        ("extra_body", {"x": {1}}, "extra_body: the request cannot be written as JSON"),
        ("extra_body", 5, "extra_body must be a mapping"),
        ("extra_body", {"x": float("nan")}, "nan has no JSON form"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_an_odd_option_is_refused_before_anything_is_sent(
    ask: Ask, option: str, value: Any, said: str
) -> None:
    """With what to do."""
    assert said in str(refuse(ask, **{option: value}))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("deadline", 1e308),
        ("deadline", 10**400),
        ("timeout", 1e10),
        ("api_base", "https://h.test/\ud800"),
        ("api_base", "https://xn--a.test"),
        ("api_base", "https://h.test/\nx"),
        ("api_base", "https://h .test"),
        ("extra_headers", {"x y": "a"}),
        ("extra_headers", {"": "a"}),
        ("extra_headers", {"x:y": "a"}),
        ("extra_headers", {"Content-Length": "3"}),
        ("extra_headers", {"transfer-encoding": "chunked"}),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_an_option_that_no_request_can_honour_is_refused(ask: Ask, option: str, value: Any) -> None:
    """As an error of ours."""
    assert option in str(refuse(ask, **{option: value}))


def test_what_is_changed_after_a_reranker_was_made_is_not_sent() -> None:
    """Headers and body were checked as they were then."""
    service = Service()
    headers = {"x-team": "search"}
    body: dict[str, Any] = {"user": {"tags": ["a"]}, "pair": ("b", {"c": 1})}
    options: dict[str, Any] = {"extra_headers": headers, "extra_body": body}
    reranker = Reranker("m", provider=Plugin(), api_key=KEY, http_client=service, **options)
    headers |= {"x-team": "a\r\nb", "content-length": "1"}
    body["user"]["tags"].append("changed")
    body["pair"][1]["c"] = 2
    body["query"] = "another"

    reranker.rerank("q", ["a"])

    assert service.requests[0].headers["x-team"] == "search"
    sent = service.bodies[0]
    assert (sent["query"], sent["user"], sent["pair"]) == ("q", {"tags": ["a"]}, ["b", {"c": 1}])


@pytest.mark.usefixtures("no_garbage")
def test_a_body_that_holds_itself_is_refused(ask: Ask) -> None:
    """There is no end to it."""
    body: dict[str, Any] = {}
    body["user"] = [body]

    assert "cannot be written as JSON" in str(refuse(ask, extra_body=body))


@pytest.mark.parametrize(
    "options",
    [{"provider": Plugin()}, {"custom_llm_provider": "cohere"}, {"custom_llm_provider": "\ud800"}],
    ids=["plugin", "name", "odd name"],
)
def test_an_error_can_always_be_printed(call: Ask, options: dict[str, Any]) -> None:
    """Even where the model cannot."""
    with pytest.raises(ConfigurationError, match="lone surrogate") as caught:
        call("m\ud800", "q", ["a"], api_key=KEY, http_client=Service(), **options)

    assert str(caught.value).encode()


class Headed(Plugin):
    """Sends headers that a function makes of its options."""

    def __init__(self, headers: Callable[[Mapping[str, Any]], dict[str, str]], option: str) -> None:
        super().__init__(options={option: ()})
        self.headers = headers

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        """Build a request that is all header."""
        del provider, params
        return HTTPRequest("https://rerank.test", headers=self.headers(request.options))


def test_a_header_that_an_option_spoils_is_the_callers_to_mend() -> None:
    """Any other is the plugin's; its value is not shown."""
    plugin = Headed(lambda options: {"x-title": options.get("title", "its own \n")}, "title")
    with pytest.raises(ConfigurationError, match="no header can hold 'x-title' or its value"):
        Reranker("m", provider=plugin, api_key=KEY, title="ä \n").rerank("q", ["a"])
    with pytest.raises(PluginError, match="no header can hold 'x-title' or its value"):
        Reranker("m", provider=plugin, api_key=KEY).rerank("q", ["a"])


def test_a_header_beside_that_of_an_option_is_the_plugins_to_mend() -> None:
    """That an option is sent as well does not make it the caller's."""
    plugin = Headed(lambda options: {"x-region": options["region"], "x-bad": "\u00e9"}, "region")
    reranker = Reranker("m", provider=plugin, api_key=KEY, region="eu")
    with pytest.raises(PluginError, match="no header can hold 'x-bad'"):
        reranker.rerank("q", ["a"])


class Sending(Plugin):
    """Sends whatever body it was made with."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        """Build a request of that body."""
        del provider, request, params
        return HTTPRequest("https://rerank.test", self.body)


def test_nothing_can_be_added_to_a_body_that_is_no_object(ask: Ask) -> None:
    """It is the caller's to leave out, before anything is sent."""
    error = refuse(ask, plugin=Sending(["q", "a"]), extra_body={"user": 1})

    assert isinstance(error, InvalidRequestError)
    assert "extra_body cannot be added" in error.message


@pytest.mark.parametrize("body", [{"weight": float("nan")}, {"when": {1, 2}}], ids=["nan", "set"])
def test_a_body_that_is_no_json_is_the_plugins_to_mend(ask: Ask, body: Any) -> None:
    """Where the documents and what the caller adds are JSON."""
    service = Service()
    with pytest.raises(PluginError, match="build_request made what is no JSON"):
        ask(service, plugin=Sending(body))

    assert service.requests == []
