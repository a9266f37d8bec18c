"""The pure helpers that providers share."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from rerank_core import InvalidRequestError, Meta, RerankResult, ResponseParseError
from rerank_core.wire import (
    add_extra,
    decode_json,
    encode_json,
    join_endpoint,
    read_meta,
    read_results,
    read_strings,
    rename_params,
    render_document,
    render_documents,
    render_fields,
    render_value,
    shorten,
)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ({"a": [1, 1.5, True, None, "ü"]}, '{"a":[1,1.5,true,null,"ü"]}'),
        (MappingProxyType({"a": (1, 2)}), '{"a":[1,2]}'),
        (range(3), "[0,1,2]"),
        ("\0\u2028", '"\\u0000\u2028"'),
        (None, "null"),
        ({}, "{}"),
    ],
)
def test_json_is_compact_utf_8(value: Any, encoded: str) -> None:
    """Of any mapping and any sequence."""
    assert encode_json(value) == encoded.encode()


@pytest.mark.parametrize(
    "value",
    [
        "\ud800",
        {"\ud800": 1},
        {1: "x"},
        {1, 2},
        b"bytes",
        bytearray(b"bytes"),
        object(),
        2**70,
        float("nan"),
        float("inf"),
        {"a": [float("-inf")]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    """Nothing is written as something else."""
    with pytest.raises(InvalidRequestError, match="JSON"):
        encode_json(value)


def test_what_contains_itself_is_refused() -> None:
    """It has no end."""
    value: list[Any] = []
    value.append(value)

    with pytest.raises(InvalidRequestError, match="JSON"):
        encode_json(value)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"", None),
        (b"null", None),
        (b' {"a": [1, 2.5]}\n', {"a": [1, 2.5]}),
        ('"ü"'.encode(), "ü"),
        ('"ü"'.encode("utf-8-sig"), "ü"),
        (rb'"\ud83d"'.join([b"\xef\xbb\xbf[", b"]"]), ["\ud83d"]),
        (b"[1e400, %d]" % 10**400, [float("inf"), 10**400]),
    ],
)
def test_json_is_decoded(content: bytes, value: Any) -> None:
    """An empty body is None."""
    assert decode_json(content) == value


@pytest.mark.parametrize(
    "content",
    [b" ", b"{", b"<html>", b"NaN", b"[Infinity]", b"\xff", b"{'a': 1}", b"[" * 5000],
)
def test_what_is_not_json_is_refused(content: bytes) -> None:
    """With what is wrong, and a cause."""
    with pytest.raises(ResponseParseError, match="not JSON") as caught:
        decode_json(content)

    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("base", "path", "joined"),
    [
        ("https://h", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h/", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h//", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h/v1", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h/v1/", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h/v1/rerank", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h/v1/rerank/", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h/rerank", "/v1/rerank", "https://h/rerank"),
        ("https://h/proxy", "/v1/rerank", "https://h/proxy/v1/rerank"),
        ("https://h/proxy/v1", "/v1/rerank", "https://h/proxy/v1/rerank"),
        ("https://h/v2", "/v1/rerank", "https://h/v2/v1/rerank"),
        ("https://h/api/v1", "/api/v1/rerank", "https://h/api/v1/rerank"),
        ("https://h/api", "/api/v1/rerank", "https://h/api/v1/rerank"),
        ("https://h", "rerank", "https://h/rerank"),
        ("https://h/v1", "rerank", "https://h/v1/rerank"),
        ("https://h?key=1", "/rerank", "https://h/rerank?key=1"),
        ("https://h/v1/?a=1&b=2", "/v1/rerank", "https://h/v1/rerank?a=1&b=2"),
        ("https://h/v1#part", "/v1/rerank", "https://h/v1/rerank"),
        ("http://user:pw@h:8080", "/rerank", "http://user:pw@h:8080/rerank"),
        ("http://[::1]:80/v1", "/v1/rerank", "http://[::1]:80/v1/rerank"),
        ("https://h/a%2Fb", "/rerank", "https://h/a%2Fb/rerank"),
        ("https://h/v1/rerankings", "/v1/rerank", "https://h/v1/rerankings"),
        *(
            (f"https://h/v1/{task}", "/v1/rerank", "https://h/v1/rerank")
            for task in ("chat/completions", "completions", "responses", "messages/", "embeddings")
        ),
        ("https://h/v1/chat", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h/v1/models", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h/v2/embed/", "/v2/rerank", "https://h/v2/rerank"),
        ("https://h/models", "/v1/rerank", "https://h/models/v1/rerank"),
        ("https://h/chat", "/rerank", "https://h/chat/rerank"),
        ("https://h/v1/multimodalembeddings", "/v1/rerank", "https://h/v1/rerank"),
    ],
)
def test_a_base_url_is_completed_to_the_endpoint(base: str, path: str, joined: str) -> None:
    """However much of the path it has already; a query string stays."""
    assert join_endpoint(base, path) == joined


def test_params_take_the_names_of_the_wire() -> None:
    """Those that no table knows are left out; the order is the caller's."""
    params = {"b": 2, "top_n": 0, "unknown": 1, "a": None}

    renamed = rename_params(params, {"top_n": "limit", "a": "alpha"}, {"b": "beta"})

    assert renamed == {"beta": 2, "limit": 0, "alpha": None}
    assert list(renamed) == ["beta", "limit", "alpha"]
    assert rename_params({}, {"a": "b"}) == {}
    assert rename_params({"a": 1}) == {}


@pytest.mark.parametrize(
    ("document", "rank_fields", "text"),
    [
        ("plain", None, "plain"),
        ("plain", ["title"], "plain"),
        ({"text": "only"}, None, "only"),
        ({"text": "x", "title": None}, None, "x"),
        ({"title": "t", "text": "x"}, None, "title: t\ntext: x"),
        ({"title": "t", "text": "x"}, ("text", "title"), "text: x\ntitle: t"),
        ({"title": "t", "text": "x"}, ("missing", "title"), "title: t"),
        ({"title": "t", "text": "x"}, ("missing",), ""),
        ({"title": "t"}, (), ""),
        ({"title": ""}, None, "title: "),
        ({}, None, ""),
        ({"a": 1, "b": [1, {"c": None}]}, None, 'a: 1\nb: [1,{"c":null}]'),
        ({"a": "two\nlines"}, None, "a: two\nlines"),
    ],
)
def test_a_document_is_rendered_as_lines(
    document: Any, rank_fields: tuple[str, ...] | None, text: str
) -> None:
    """In the order of `rank_fields` or its own; the list does the same for each."""
    assert render_document(document, rank_fields) == text
    assert render_documents([document, "b"], rank_fields) == [text, "b"]


def test_fields_are_rendered_each_for_itself() -> None:
    """In the order of the names or the mapping's own; what is missing or null is left out."""
    document = {"title": "t", "year": 1990, "note": None}

    assert render_fields(document) == {"title": "t", "year": "1990"}
    assert list(render_fields(document, ["year", "title", "note", "other"])) == ["year", "title"]


@pytest.mark.parametrize(
    ("value", "text"),
    [("as it is", "as it is"), ("", ""), (5, "5"), (None, "null"), (["ü"], '["ü"]')],
)
def test_a_value_is_rendered_as_text(value: object, text: str) -> None:
    """A string as it is, anything else as JSON."""
    assert render_value(value) == text


def test_results_are_read_as_they_stand() -> None:
    """By the service's own names; core checks the values afterwards."""
    rows = [{"i": "1", "s": None, "more": 1}, {"i": 0, "s": 0.5}]

    assert read_results(rows, index="i", score="s") == [
        RerankResult("1", None),  # type: ignore[arg-type]  # checked later
        RerankResult(0, 0.5),
    ]
    assert read_results([]) == []


@pytest.mark.parametrize(
    ("rows", "path", "said"),
    [
        (None, "data", "data is null, not a list"),
        ({}, "data", "data is an object, not a list"),
        ("x", "data", "data is a string, not a list"),
        (5, "data", "data is a number"),
        (True, "data", "data is "),
        ([{"index": 0, "score": 1}, None], "data[1]", "data[1] is null without"),
        ([{"index": 0}], "data[0]", "data[0] is an object without 'index' and 'score'"),
        ([{"score": 0}], "data[0]", "data[0] is an object without"),
        ([[0, 0.5]], "data[0]", "data[0] is a list without"),
        (["index score"], "data[0]", "data[0] is a string without"),
        ([{"index": 0, "score": 1}, 5], "data[1]", "data[1] is a number"),
    ],
)
def test_what_is_no_list_of_results_is_refused_with_its_path(
    rows: Any, path: str, said: str
) -> None:
    """The first fault is named."""
    with pytest.raises(ResponseParseError) as caught:
        read_results(rows, "data", score="score")

    assert caught.value.path == path
    assert said in str(caught.value)


def test_a_field_of_the_rows_stands_in_extra() -> None:
    """Under the service's name, beside what stands there; not where it is missing or null."""
    rows: list[dict[str, Any]] = [
        {"index": 1, "relevance_score": 0.9, "spans": [[0, 3]], "page": 2},
        {"index": 0, "relevance_score": 0.5, "spans": None, "page": 0},
        {"index": 2, "relevance_score": 0.1},
    ]
    read = read_results(rows)

    found = add_extra(add_extra(read, rows, "spans"), rows, "page")

    assert found == [
        RerankResult(1, 0.9, extra={"spans": [[0, 3]], "page": 2}),
        RerankResult(0, 0.5, extra={"page": 0}),
        RerankResult(2, 0.1),
    ]


def test_what_somebody_changed_stays_when_a_field_is_added() -> None:
    """Results may have been looked at, and changed, before."""
    rows = [{"index": 0, "relevance_score": 0.5, "page": 2}]
    read = read_results(rows)
    read[0].relevance_score = 0.7

    assert add_extra(read, rows, "page") == [RerankResult(0, 0.7, extra={"page": 2})]


@pytest.mark.parametrize("row", [{}, {"spans": None}], ids=["missing", "null"])
def test_a_field_that_no_row_has_changes_nothing(row: dict[str, Any]) -> None:
    """The usual case costs nothing afterwards."""
    rows = [{"index": 0, "relevance_score": 0.5, **row}]
    read = read_results(rows)

    assert add_extra(read, rows, "spans") == [RerankResult(0, 0.5)]


def test_results_of_other_rows_are_refused() -> None:
    """A field would stand beside another document's score."""
    rows = [{"index": 0, "relevance_score": 0.5, "spans": []}]

    with pytest.raises(ValueError, match="zip"):
        add_extra(read_results(rows), rows * 2, "spans")


def test_meta_is_read_in_coheres_shape_and_in_openais() -> None:
    """Cohere's counts before OpenAI's."""
    cohere = {
        "api_version": {"version": "2", "is_experimental": True},
        "billed_units": {"search_units": 1.5, "total_tokens": 7.0},
        "tokens": {"input_tokens": 5, "output_tokens": 0},
    }
    usage = {"total_tokens": 9, "prompt_tokens": 8, "completion_tokens": 1}

    meta = read_meta({"meta": cohere, "usage": usage})
    other = read_meta({"usage": usage})

    assert meta.api_version == "2"
    assert (meta.billed_units.search_units, meta.billed_units.total_tokens) == (1.5, 7)
    assert type(meta.billed_units.total_tokens) is int
    assert (meta.tokens.input_tokens, meta.tokens.output_tokens) == (5, 0)
    assert other.api_version is None
    assert (other.billed_units.search_units, other.billed_units.total_tokens) == (None, 9)
    assert (other.tokens.input_tokens, other.tokens.output_tokens) == (8, 1)


def test_tokens_of_text_are_what_went_in() -> None:
    """What Cohere may bill beside images."""
    meta = read_meta({"meta": {"billed_units": {"text_tokens": 118}}})

    assert (meta.billed_units.total_tokens, meta.tokens.input_tokens) == (118, 118)


@pytest.mark.parametrize(
    "odd", [None, "7", True, -1, 1.5, [], {}, float("nan"), float("inf")], ids=repr
)
def test_a_count_that_is_none_is_absent(odd: Any) -> None:
    """Usage is no reason to lose a ranking."""
    counts = {"total_tokens": odd, "prompt_tokens": odd, "completion_tokens": odd}

    assert read_meta({"usage": counts}) == Meta()
    assert read_meta({"meta": {"tokens": {"input_tokens": odd, "output_tokens": odd}}}) == Meta()


@pytest.mark.parametrize("odd", [None, "x", 5, True, [], [1]], ids=repr)
def test_usage_in_another_shape_is_absent(odd: Any) -> None:
    """Wherever the shape differs."""
    shapes = [
        odd,
        {"meta": odd, "usage": odd},
        {"meta": {"api_version": odd, "billed_units": odd, "tokens": odd}},
        {"meta": {"api_version": {"version": [odd]}}},
    ]

    assert [read_meta(shape) for shape in shapes] == [Meta()] * 4


@pytest.mark.parametrize(
    "odd", [None, "7", True, [], {}, -1, -0.5, 1e300, float("nan"), float("inf")], ids=repr
)
def test_search_units_that_are_no_number_are_absent(odd: Any) -> None:
    """As any other count; a price by them would be none."""
    assert read_meta({"meta": {"billed_units": {"search_units": odd}}}) == Meta()


def test_warnings_of_a_service_are_strings() -> None:
    """Nothing else is taken for one; core cuts each, when it holds no key any more."""
    assert read_strings(["a", 5, None, "b"]) == ("a", "b")
    assert read_strings("text") == ()
    assert read_strings(None) == ()
    assert read_strings(["x" * 9999]) == ("x" * 9999,)


def test_text_is_cut_where_it_is_too_long() -> None:
    """With a mark, and never longer than asked for."""
    assert shorten("x" * 500) == "x" * 500
    assert shorten("x" * 501) == "x" * 498 + " …"
    assert shorten("abcdef", 4) == "ab …"
    assert shorten("abcd", 4) == "abcd"
