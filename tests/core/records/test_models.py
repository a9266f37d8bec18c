"""The records."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from rerank_core import (
    BilledUnits,
    Document,
    HTTPRequest,
    HTTPResponse,
    Meta,
    NextRequest,
    RerankRequest,
    RerankResponse,
    RerankResult,
    Tokens,
    rerank,
)

FIELDS = {"title": "t", "text": "x", "index": 7}
NO_SCORE: Any = None  # as after a passthrough; typed as a float
RESPONSE = RerankResponse(
    [RerankResult(0, 0.5, Document("x", FIELDS)), RerankResult(1, NO_SCORE)],
    id="id-1",
    model="m",
    provider="test",
    meta=Meta("2", BilledUnits(1.0, 5), Tokens(4, 1)),
    payload={"secret": "payload"},
    headers={"x-secret": "header"},
)


@pytest.mark.parametrize(
    ("record", "name", "value"),
    [
        (RESPONSE, "id", "id-1"),
        (RESPONSE, "results", RESPONSE.to_dict()["results"]),
        (RESPONSE.results[0], "relevance_score", 0.5),
        (RESPONSE.results[1], "document", None),
        (RESPONSE.results[0].document, "title", "t"),
        (RESPONSE.results[0].document, "text", "x"),
        (RESPONSE.results[0].document, "index", 7),
        (RESPONSE.results[0].document, "fields", FIELDS),
        (Document("plain"), "text", "plain"),
        (RESPONSE.meta, "api_version", "2"),
        (RESPONSE.meta.billed_units, "total_tokens", 5),
        (RESPONSE.meta.tokens, "output_tokens", 1),
    ],
)
def test_a_field_is_read_by_subscript(record: Any, name: str, value: object) -> None:
    """As from the dicts of litellm."""
    assert record[name] == value
    assert record.get(name, "other") == value


@pytest.mark.parametrize("name", ["nothing", "to_dict", "get", "_private", "__class__", ""])
@pytest.mark.parametrize("record", [RESPONSE, RESPONSE.results[0], Document("x", FIELDS), Meta()])
def test_what_is_no_field_is_a_key_error(record: Any, name: Any) -> None:
    """Neither methods nor anything private."""
    with pytest.raises(KeyError, match=f"^{name!r}$"):
        record[name]

    assert record.get(name) is None
    assert record.get(name, "other") == "other"


def test_whether_there_is_a_field_can_be_asked() -> None:
    """With `in`, as of the dicts of litellm."""
    document = Document("x", {"title": "t"})

    assert "index" in RESPONSE.results[0]
    assert "title" in document
    assert "text" in document
    assert "nothing" not in document
    assert "to_dict" not in RESPONSE


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        (Tokens(4), {"input_tokens": 4}),
        (RerankResult(1, 0.5), {"index": 1, "relevance_score": 0.5}),
        (Document("x"), {"text": "x"}),
        (
            Document("x", {"title": "t", "note": None}),
            {"text": "x", "fields": {"title": "t", "note": None}, "title": "t"},
        ),
        (Document("x", {"text": "own"}), {"text": "own", "fields": {"text": "own"}}),
    ],
)
def test_a_record_becomes_a_dict_of_what_it_says(record: Any, wanted: dict[str, Any]) -> None:
    """With `dict(...)` and `**`, as the dicts of litellm; `in` says yes to each of them."""
    assert dict(record) == dict(**record) == wanted
    assert all(name in record for name in wanted)
    assert len(record) == len(wanted)


def test_a_response_becomes_a_dict() -> None:
    """Of its own fields, ready for JSON."""
    plain = dict(RESPONSE)

    assert plain["results"] == RESPONSE.to_dict()["results"]
    assert plain["id"] == "id-1"
    assert "cost" not in plain


def test_a_field_of_the_mapping_comes_before_one_of_the_document() -> None:
    """The caller's own words win, also where core has them too."""
    document = Document("rendered", {"fields": "own", "text": None})

    assert document["fields"] == "own"
    assert document["text"] is None
    assert document.text == "rendered"


@pytest.mark.parametrize(
    "record",
    [RESPONSE, Meta(), BilledUnits(), Tokens(), RerankRequest("m", "q", ["a"]), HTTPResponse(200)],
    ids=lambda record: type(record).__name__,
)
def test_a_record_cannot_be_changed(record: Any) -> None:
    """So that it can be shared between threads."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(record, attrs.fields(type(record))[0].name, None)


@pytest.mark.parametrize(
    "record",
    [RESPONSE, RESPONSE.results[0], RerankRequest("m", "q", ["a"]), HTTPRequest("https://h")],
    ids=lambda record: type(record).__name__,
)
def test_a_record_can_be_copied_and_pickled(record: Any) -> None:
    """Across processes."""
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301 - our own bytes
    assert copy.deepcopy(record) == record


def test_a_repr_shows_the_beginnings_of_the_first_warnings() -> None:
    """A service may warn at length."""
    shown = repr(RerankResponse([], warnings=[letter * 1000 for letter in "abcdef"]))

    assert len(shown) < 500
    assert "eeeee" in shown
    assert "f" * 5 not in shown


def test_a_repr_shows_neither_texts_nor_headers() -> None:
    """They may be long, and they may be secret."""
    shown = repr(
        [
            RESPONSE,
            RerankRequest("m", "secret query", ["secret document"]),
            HTTPRequest("https://h", body={"q": "secret"}, headers={"x-key": "secret"}),
            HTTPResponse(200, {"x": "secret"}, b"secret"),
        ]
    )

    assert "secret" not in shown
    assert "x-key" in shown


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (RerankResponse, {"results": ()}),
        (RerankResponse, {"results": None}),
        (RerankResponse, {"results": [], "meta": {"tokens": 5}}),
        (Meta, {"billed_units": None}),
        (Meta, {"tokens": {}}),
        (HTTPRequest, {"url": None}),
        (HTTPRequest, {"url": "https://h", "method": None}),
        (NextRequest, {"request": "https://h"}),
    ],
)
def test_a_record_of_a_plugin_is_validated(kind: Any, arguments: dict[str, Any]) -> None:
    """The mistake shows where it is made."""
    with pytest.raises(TypeError):
        kind(**arguments)


def test_a_numeric_id_is_text() -> None:
    """A service that counts its calls is no reason to lose a ranking."""
    assert RerankResponse([], id=17).id == "17"


_ODD = ["7", True, [], {}, -1, -0.5, 2**53 + 1, 1e300, float("nan"), float("inf")]


@pytest.mark.parametrize("odd", [None, *_ODD], ids=repr)
def test_usage_that_is_no_count_is_absent(odd: Any) -> None:
    """Whatever a plugin hands on: it is no reason to lose a ranking, and nobody adds it up."""
    assert Tokens(odd, odd) == Tokens()
    assert BilledUnits(odd, odd) == BilledUnits()


def test_usage_is_counted() -> None:
    """Tokens whole, and units in parts where the service bills so."""
    assert attrs.astuple(BilledUnits(1.5, 7)) == (1.5, 7)
    assert attrs.astuple(BilledUnits(0, 1.5)) == (0, None)
    assert Tokens(1.5, 0.5) == Tokens()
    assert attrs.astuple(Tokens(2**53, 0.0)) == (2**53, 0)
    assert [type(count) for count in attrs.astuple(Tokens(4.0, 0.0))] == [int, int]


def test_the_text_of_a_reply_replaces_what_is_not_utf_8() -> None:
    """It is for people."""
    assert HTTPResponse(200, {}, "ü".encode() + b"\xff").text == "ü\ufffd"


def test_to_dict_leaves_out_what_nobody_set() -> None:
    """But for results, scores and the identifier."""
    response = RerankResponse([RerankResult(0, NO_SCORE), RerankResult(1, 0.5, Document("b"))])

    assert response.to_dict() == {
        "id": "",
        "results": [
            {"index": 0, "relevance_score": None},
            {"index": 1, "relevance_score": 0.5, "document": {"text": "b"}},
        ],
    }


def test_to_dict_has_everything_that_is_not_raw() -> None:
    """Neither payload nor headers."""
    response = attrs.evolve(RESPONSE, warnings=("w",), reranked=False, cost=0.5)

    assert response.to_dict() == {
        "id": "id-1",
        "results": [
            {
                "index": 0,
                "relevance_score": 0.5,
                "document": {"title": "t", "text": "x", "index": 7},
            },
            {"index": 1, "relevance_score": None},
        ],
        "model": "m",
        "provider": "test",
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"search_units": 1.0, "total_tokens": 5},
            "tokens": {"input_tokens": 4, "output_tokens": 1},
        },
        "warnings": ["w"],
        "cost": 0.5,
        "reranked": False,
    }


def test_a_request_shows_neither_password_nor_query_of_its_url() -> None:
    """Nor body and headers' values, as neither `Provider` nor the options do."""
    request = HTTPRequest("https://u:password@h.test/x?key=abcdef", {"q": 1}, headers={"a": "bcd"})

    assert repr(request) == (
        "HTTPRequest(url='https://h.test/x', method='POST', headers=['a'], delay=0.0)"
    )


def test_a_response_as_a_dict_is_plain_all_the_way_down() -> None:
    """Whatever mappings and sequences a document is made of; it shares none with the caller."""
    tags, inner = ["a"], MappingProxyType({"x": ({"y": 1},)})
    fields = {"text": "t", "tags": tags, "inner": inner, "counts": {1: 2, None: math.inf}}
    response = RerankResponse([RerankResult(0, 0.5, Document("t", fields))])

    document = response.to_dict()["results"][0]["document"]
    tags.append("b")
    assert json.loads(json.dumps(document)) == document
    assert document == {
        "text": "t",
        "tags": ["a"],
        "inner": {"x": [{"y": 1}]},
        "counts": {"1": 2, "None": None},
    }


def test_a_document_is_made_once_and_belongs_to_its_result() -> None:
    """It is made when it is first read; what the caller changes of it stays."""
    (result,) = rerank("local/bm25", "red", ["a red fox"]).results
    document = result.document
    document.text = "changed"

    assert result.document is document
    assert result["document"] == {"text": "changed"}
    assert _pickled(result).document == Document("changed")


def _pickled(record: Any) -> Any:
    return pickle.loads(pickle.dumps(record))  # noqa: S301 - our own


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, attrs.evolve, _pickled])
def test_a_result_that_nobody_has_read_is_like_one_that_was(copied: Callable[[Any], Any]) -> None:
    """Compared, shown, copied and written alike."""
    unread, read = rerank("local/bm25", "fox", ["a red fox", "a fox"]).results
    made = RerankResult(read.index, read.relevance_score, Document(read.document.text))
    unread = copied(unread)

    assert read == made
    assert made == copied(read)
    assert unread == RerankResult(unread.index, unread.relevance_score, unread.document)
    assert unread != RerankResult(unread.index, unread.relevance_score, Document("another"))
    assert repr(copied(made)) == repr(read)
    assert dict(copied(made)) == dict(read)


def test_a_result_that_nobody_has_read_is_a_record_of_attrs_like_any_other() -> None:
    """Its fields have their public names and values, for attrs, patterns and tools on them."""

    def unread() -> RerankResult:
        return rerank("local/bm25", "red", ["a red fox"]).results[0]

    document = Document("a red fox")

    assert attrs.fields(RerankResult).document.type
    assert attrs.asdict(unread())["document"] == attrs.asdict(document)
    assert attrs.astuple(unread(), recurse=False)[2] == document
    match unread():
        case RerankResult(_, _, found):
            assert found == document
    assert Document("a", original=1).original == 1


def test_a_result_takes_another_document() -> None:
    """In the place of its own, also of one that nobody has read."""
    (result,) = rerank("local/bm25", "red", ["a red fox"]).results
    result.document = Document("another", {"text": "another", "n": 1})

    assert result.document["n"] == 1
    assert attrs.evolve(result, document=Document("a third")).document.text == "a third"
