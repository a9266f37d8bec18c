"""Documents are what Python users have; what has no order or text is refused with a way out."""

from __future__ import annotations

import array
import dataclasses
import datetime as dt
import enum
import json
import math
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import attrs
import httpx
import numpy as np
import pytest

from core.cases.plain import Ask, Service, ask
from rerank_core import Document, InvalidRequestError, RerankError, RerankResult

# U1 to U3: shapes.


@dataclasses.dataclass
class Row:
    """A dataclass as applications have them."""

    title: str
    body: str


@attrs.define
class Attributes:
    """An attrs class."""

    title: str
    body: str


class PageContent:
    """As LangChain's documents."""

    def __init__(self, text: str) -> None:
        self.page_content = text
        self.metadata = {"source": "somewhere"}


class Content:
    """As Haystack's documents."""

    def __init__(self, text: str) -> None:
        self.content = text
        self.meta = {"source": "somewhere"}
        self.id = "1"


class Text:
    """As LlamaIndex's nodes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.metadata = {"source": "somewhere"}


@pytest.mark.parametrize("kind", [PageContent, Content, Text])
def test_objects_with_a_text_are_ranked_by_it(call: Ask, kind: Any) -> None:
    """The text alone is sent, and `document` leads back to the caller's own object."""
    documents = [kind("red shoes"), kind("blue hats")]
    service = Service()
    response = ask(call, service, documents)

    assert service.sent == ["red shoes", "blue hats"]
    for result in response.results:
        assert result.document is not None
        assert result.document.original is documents[result.index]
        assert result.document.text == service.sent[result.index]


@pytest.mark.parametrize("kind", [Row, Attributes])
def test_other_records_are_mappings_of_their_fields(call: Ask, kind: Any) -> None:
    """As if `{"title": …, "body": …}` had been given; `rank_fields` chooses among them."""
    documents = [kind("red", "shoes"), kind("blue", "hats")]
    service, plain = Service(), Service()
    response = ask(call, service, documents)
    ask(call, plain, [{"title": "red", "body": "shoes"}, {"title": "blue", "body": "hats"}])
    ask(call, service_of_fields := Service(), documents, rank_fields=["body"])

    assert service.sent == plain.sent
    assert "shoes" in str(service_of_fields.sent[0])
    assert "red" not in str(service_of_fields.sent[0])
    assert response.results[0].document is not None
    assert response.results[0].document.original is documents[response.results[0].index]


def test_pydantic_models_are_mappings_of_their_fields(call: Ask) -> None:
    """Unless they have a text."""
    pydantic = pytest.importorskip("pydantic")

    class Product(pydantic.BaseModel):  # type: ignore[misc, name-defined]  # imported above
        title: str
        price: Decimal

    class Chunk(pydantic.BaseModel):  # type: ignore[misc, name-defined]  # likewise
        page_content: str
        source: str

    service, plain = Service(), Service()
    ask(
        call,
        service,
        [Product(title="red", price=Decimal("1.50")), Chunk(page_content="x", source="s")],
    )
    ask(call, plain, [{"title": "red", "price": "1.50"}, "x"])

    assert service.sent == plain.sent


@pytest.mark.parametrize("wrap", [lambda row: {"row": row}, lambda row: Row(row, "x")])
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("kind", [Row, Attributes])
def test_records_within_are_mappings_too(call: Ask, kind: Any, wrap: Any, *, many: bool) -> None:
    """At whatever depth, as those of pydantic are."""
    row, fields = kind("red", "shoes"), {"title": "red", "body": "shoes"}
    documents = [wrap([row] if many else row)]
    response = ask(call, service := Service(), documents)
    ask(call, plain := Service(), [wrap([fields] if many else fields)])

    assert service.sent == plain.sent
    assert '{"title":"red","body":"shoes"}' in service.sent[0]
    assert response.results[0].document.original is documents[0]
    json.dumps(response.to_dict(), allow_nan=False)


def test_a_model_of_pydantic_s_within_a_mapping_is_one_too(call: Ask) -> None:
    """With its fields, as it is within another model; a list alone has none."""
    pydantic = pytest.importorskip("pydantic")

    class Product(pydantic.BaseModel):  # type: ignore[misc, name-defined]  # imported above
        title: str
        price: Decimal

    class Lines(pydantic.RootModel[list[str]]):  # type: ignore[misc, name-defined]  # likewise
        pass

    ask(call, service := Service(), [{"item": Product(title="red", price=Decimal("1.50"))}])
    with pytest.raises(InvalidRequestError, match=r"documents\[0\]\['item'\]"):
        ask(call, Service(), [{"item": Lines(["a"])}])

    assert service.sent == ['item: {"title":"red","price":"1.50"}']


@dataclasses.dataclass
class Money:
    """A dataclass that says itself how it is written."""

    amount: int

    def __str__(self) -> str:
        return f"{self.amount} EUR"


def test_a_record_with_a_text_of_its_own_is_that(call: Ask) -> None:
    """As `str()` writes it."""
    ask(call, service := Service(), [{"price": Money(5)}])

    assert service.sent == ["price: 5 EUR"]


def test_a_pydantic_model_of_a_list_is_no_document(call: Ask) -> None:
    """It has neither a text nor fields."""
    pydantic = pytest.importorskip("pydantic")

    class Lines(pydantic.RootModel[list[str]]):  # type: ignore[misc, name-defined]  # imported above
        pass

    with pytest.raises(InvalidRequestError, match=r"documents\[0\] must be a string"):
        ask(call, Service(), [Lines(["a"])])


def test_an_earlier_ranking_is_ranked_by_its_documents(call: Ask) -> None:
    """However often it was ranked: the text is the caller's own."""
    documents: Any = [Row("red", "shoes"), Row("blue", "hats")]
    ask(call, first := Service(), documents)
    for _ in range(12):
        documents = ask(call, again := Service(), documents).results

    assert sorted(again.sent) == sorted(first.sent)


@pytest.mark.usefixtures("no_garbage")
def test_a_result_that_leads_back_to_itself_is_refused(call: Ask) -> None:
    """Like any document that holds itself."""
    result = RerankResult(0, 0.5)
    result.document = Document("x", None, result)

    with pytest.raises(InvalidRequestError, match="holds itself"):
        ask(call, Service(), [result])


def test_a_result_without_its_document_is_refused(call: Ask) -> None:
    """Its index and its score are no text to rank by."""
    earlier = ask(call, Service(), ["a", "b"], return_documents=False)
    service = Service()
    with pytest.raises(InvalidRequestError, match=r"documents\[0\] must be"):
        ask(call, service, earlier.results)

    assert service.requests == []


class Unwilling:
    """As a node of a framework that has no text, and says so by an error."""

    @property
    def text(self) -> str:
        """Refuse."""
        message = "the node must be one of text"
        raise ValueError(message)


def test_a_document_that_fails_when_it_is_read_is_named(call: Ask) -> None:
    """By its place and with its own words."""
    service = Service()
    with pytest.raises(InvalidRequestError, match=r"documents\[1\] .*must be one of text") as told:
        ask(call, service, ["a", Unwilling()])

    assert isinstance(told.value.__cause__, ValueError)
    assert service.requests == []


class Dollars(float):
    """A number that has no text of its own."""


def test_a_number_of_a_kind_of_its_own_is_a_number(call: Ask) -> None:
    """As any other float."""
    ask(call, service := Service(), [{"text": "a", "price": Dollars(2.5)}])

    assert "price: 2.5" in service.sent[0]


class Ambiguous:
    """As torch's tensors: compared, it has no truth of its own."""

    ndim = 1

    def __eq__(self, _: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        return 0

    def tolist(self) -> list[float]:
        """As arrays have it."""
        return [1.0, 2.0]


def test_a_tensor_is_left_out_like_any_vector(call: Ask) -> None:
    """Whatever comparing it raises."""
    response = ask(call, service := Service(), [{"text": "a", "vector": Ambiguous()}])

    assert service.sent == ["a"]
    assert "'vector' is a list of numbers" in response.warnings[0]


def test_why_documents_are_held_back_is_true_of_each(call: Ask) -> None:
    """A blank string has no fields that could lack a text."""
    response = ask(call, Service(), ["", {"a": "x"}, {"b": "y"}], rank_fields=["a"])

    assert "2 of 3 documents are blank, or have no text under 'a'" in response.warnings[0]


def test_a_string_of_a_kind_of_its_own_is_its_text(call: Ask) -> None:
    """Whatever `str()` says of it."""
    response = ask(call, service := Service(), [Colour.RED, "blue"])

    assert service.sent == ["dark red", "blue"]
    assert {result.document.text for result in response} == {"dark red", "blue"}


def test_a_name_of_a_kind_of_its_own_is_its_text(call: Ask) -> None:
    """That of a field and one to rank by; `str()` would say the member's name."""
    document = {Colour.RED: "a", "text": "b"}
    ask(call, service := Service(), [document])
    ask(call, chosen := Service(), [document], rank_fields=[Colour.RED])

    assert service.sent == ["dark red: a\ntext: b"]
    assert chosen.sent == ["dark red: a"]


def test_an_array_of_pyarrow_is_taken(call: Ask) -> None:
    """Strings as they are, structures as mappings; what is null in one is absent."""
    pyarrow = pytest.importorskip("pyarrow")
    rows = [{"text": "a", "note": None, "vector": [0.5, 1.5]}]
    for documents in (pyarrow.array(["a", "b"]), pyarrow.chunked_array([["a"], ["b"]])):
        ask(call, service := Service(), documents)

        assert service.sent == ["a", "b"]

    ask(call, service := Service(), pyarrow.array(rows))

    assert service.sent == ["a"]


def test_kinds_may_be_mixed(call: Ask) -> None:
    """One list may hold them all."""
    documents = ["a", {"text": "b"}, PageContent("c"), Content("d"), Text("e")]
    response = ask(call, service := Service(), documents)

    assert len(service.sent) == 5
    assert service.sent[2:] == ["c", "d", "e"]
    assert len(response.results) == 5


@pytest.mark.parametrize(
    "make",
    [
        lambda: ("a", "b"),
        lambda: (text for text in "ab"),
        {"x": "a", "y": "b"}.values,
        lambda: np.array(["a", "b"]),
        lambda: np.array(["a", "b"], dtype=object),
    ],
    ids=["tuple", "generator", "values", "numpy", "numpy objects"],
)
def test_what_has_an_order_is_taken(call: Ask, make: Callable[[], Any]) -> None:
    """Any iterable of rows."""
    ask(call, service := Service(), make())

    assert service.sent == ["a", "b"]


@pytest.mark.parametrize(
    ("documents", "instead"),
    [
        ({"a", "b"}, "list"),
        (frozenset({"a", "b"}), "list"),
        ("a text", "list"),
        (b"bytes", "list"),
        ({"a": "x", "b": "y"}, "list"),
        ({"a": "x"}.keys() & {"a"}, "list"),
        (5, "list"),
        (None, "list"),
        (np.array([["a", "b"], ["c", "d"]]), "document|list"),
        (np.array([1.5, 2.5]), "document|list"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_none_is_refused(call: Ask, documents: Any, instead: str) -> None:
    """With what to write; nothing is sent."""
    service = Service()
    with pytest.raises(InvalidRequestError, match=instead or None):
        ask(call, service, documents)

    assert service.requests == []


def test_a_data_frame_is_refused_with_what_gives_rows(call: Ask) -> None:
    """It iterates over its columns' names; a column of it is taken."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["red", "blue"], "price": [1.5, math.nan]})
    service = Service()
    with pytest.raises(InvalidRequestError, match=r"to_dict\(.records.\)") as caught:
        ask(call, service, frame)
    sent_before = len(service.requests)
    ask(call, service, frame["text"])
    column = service.sent
    ask(call, service, frame.to_dict("records"))

    assert "tolist()" in str(caught.value)
    assert sent_before == 0
    assert column == ["red", "blue"]
    assert "1.5" in str(service.sent[0])
    assert "nan" not in str(service.sent[1]).lower()


@pytest.mark.parametrize("bad", [5, 1.5, None, object(), ["a"], b"a", True])
def test_a_document_without_a_text_is_refused_by_its_place(call: Ask, bad: Any) -> None:
    """The position says which of many it is."""
    service = Service()
    with pytest.raises(InvalidRequestError, match="1"):
        ask(call, service, ["a", bad])

    assert service.requests == []


# U4: lists of numbers are no text.


@pytest.mark.parametrize(
    "numbers",
    [
        [0.25] * 1536,
        [0] * 1536,
        (0.25,) * 1536,
        np.zeros(1536),
        np.zeros(8, dtype=np.float32),
        [*np.zeros(8, dtype=np.float32)],
        [Decimal("0.25")] * 64,
        array.array("f", [0.25] * 64),
        [[0.25] * 64, [0.5] * 64],
    ],
    ids=["floats", "ints", "tuple", "numpy", "float32", "scalars", "decimals", "array", "matrix"],
)
def test_an_embedding_is_left_out_with_a_warning(call: Ask, numbers: Any) -> None:
    """It would be sent, billed and ranked as text."""
    documents = [{"text": "red shoes", "embedding": numbers}, {"text": "blue"}]
    response = ask(call, service := Service(), documents)

    assert len(str(service.sent[0])) < 100
    assert "red shoes" in str(service.sent[0])
    (warning,) = response.warnings
    assert "'embedding' is a list of numbers" in warning
    assert "in 1 documents" in warning


def test_an_embedding_that_is_asked_for_is_refused(call: Ask) -> None:
    """`rank_fields` that names it cannot be honoured."""
    service = Service()
    with pytest.raises(RerankError, match="embedding"):
        ask(
            call,
            service,
            [{"text": "red", "embedding": [0.1] * 64}],
            rank_fields=["text", "embedding"],
        )

    assert service.requests == []


def test_fields_with_words_are_sent(call: Ask) -> None:
    """Lists of words are text."""
    response = ask(call, service := Service(), [{"text": "red", "tags": ["summer", "sale"]}])

    assert "summer" in str(service.sent[0])
    assert response.warnings in ((), [])


# C23: fields that are no JSON.

ABSENT = [None, math.nan, float("nan"), np.float32("nan"), np.datetime64("NaT", "s")]


class ObjectId:
    """As a database's identifier: no text itself, written by `str()`."""

    def __str__(self) -> str:
        return "65f0c0ffee"


class Colour(str, enum.Enum):  # noqa: UP042 - says its name, not its text
    """Text with a name, as models of applications have it."""

    RED = "dark red"


WRITTEN: list[tuple[Any, str]] = [
    (ObjectId(), "65f0c0ffee"),
    (Decimal("12.50"), "12.50"),
    (dt.date(2026, 11, 28), "2026-11-28"),
    (dt.datetime(2026, 11, 28, 12, 30, tzinfo=dt.UTC), "2026-11-28 12:30:00+00:00"),
    (dt.time(12, 30), "12:30:00"),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (np.int64(7), "7"),
    (np.float64(1.5), "1.5"),
    (np.str_("red"), "red"),
    (Colour.RED, "dark red"),
]


@pytest.mark.parametrize("value", ABSENT, ids=repr)
def test_what_is_missing_is_left_out(call: Ask, value: Any) -> None:
    """As if the field were not there; in silence, for tables are full of it."""
    response = ask(call, service := Service(), [{"text": "red", "price": value}, {"text": "b"}])
    ask(call, without := Service(), [{"text": "red"}, {"text": "b"}])

    assert service.sent == without.sent
    assert list(response.warnings) == []


@pytest.mark.parametrize("inner", [None, math.nan, [None], [0.1, 0.2], {"deeper": None}], ids=repr)
def test_a_mapping_of_what_is_left_out_is_left_out(call: Ask, inner: Any) -> None:
    """A table's row without the struct has all of its fields, each of them null."""
    documents = [{"text": "red", "size": {"unit": inner}}, {"size": {"unit": inner}}, {"text": "b"}]
    response = ask(call, service := Service(), documents)

    assert service.sent == ["red", "b"]
    assert [result.index for result in response] == [0, 2, 1]


@pytest.mark.parametrize(("value", "text"), WRITTEN, ids=lambda value: repr(value)[:30])
def test_values_of_tables_and_databases_are_written_as_text(
    call: Ask, value: Any, text: str
) -> None:
    """As `str()` writes them; the caller's own value stays in the result."""
    documents = [{"text": "red", "price": value}]
    response = ask(call, service := Service(), documents)
    for_bm25 = call("local/bm25", "red", documents)

    assert text in str(service.sent[0])
    assert response.results[0].document is not None
    assert response.results[0].document.original is documents[0]
    assert for_bm25.reranked
    json.dumps(response.to_dict())


def test_missing_values_of_pandas_are_left_out(call: Ask) -> None:
    """`NA` and `NaT`, too; a `Timestamp` is written."""
    pandas = pytest.importorskip("pandas")
    when = pandas.Timestamp("2026-11-28 12:00")
    documents = [{"text": "red", "a": pandas.NA, "b": pandas.NaT, "c": when}]
    ask(call, service := Service(), documents)

    shown = str(service.sent[0])
    assert "NA" not in shown
    assert "NaT" not in shown
    assert "2026-11-28 12:00:00" in shown


@pytest.mark.parametrize(
    "value",
    [object(), b"bytes", len, 1j],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("model", [None, "local/bm25"])
def test_what_is_no_text_is_refused_by_the_fields_name(
    call: Ask, value: Any, model: str | None
) -> None:
    """And `rank_fields=` is named, which leaves it out."""
    documents = [{"text": "red", "strange_field": value}]
    service = Service()
    with pytest.raises(RerankError, match="strange_field") as caught:
        ask(call, service, documents) if model is None else call(model, "red", documents)

    assert "rank_fields" in str(caught.value)
    assert service.requests == []


@pytest.mark.parametrize(
    "value", [object(), b"bytes", {1, 2}], ids=lambda value: type(value).__name__
)
def test_what_is_not_ranked_by_may_be_anything(call: Ask, value: Any) -> None:
    """With `rank_fields` that leave it out."""
    documents = [{"text": "red", "strange_field": value}]
    response = ask(call, service := Service(), documents, rank_fields=["text"])
    local = call("local/bm25", "red", documents, rank_fields=["text"])

    assert "red" in str(service.sent[0])
    assert response.reranked
    assert local.reranked


# C17: the dictionary is JSON-ready always.


@pytest.mark.parametrize(
    "value",
    [
        dt.date(2026, 11, 28),
        Decimal("1.5"),
        math.nan,
        np.float32(1.5),
        np.array([1, 2]),
        {1, 2},
        b"bytes",
        object(),
        PurePosixPath("a/b"),
        {"nested": [dt.date(2026, 1, 1)]},
        {5: "a key that is no text"},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_response_as_a_dictionary_is_json(call: Ask, value: Any) -> None:
    """Strict JSON: no NaN either."""
    response = ask(call, Service(), [{"text": "red", "other": value}], rank_fields=["text"])
    written = json.dumps(response.to_dict(), allow_nan=False)

    assert json.loads(written)["results"][0]["document"]["text"]


@pytest.mark.parametrize(
    "value",
    [*ABSENT, Decimal("NaN"), type("NAType", (), {})()],
    ids=lambda value: f"{type(value).__name__} {value}"[:12],
)
def test_what_is_missing_is_null_in_the_dictionary(call: Ask, value: Any) -> None:
    """However a table or a database says it, as in what is ranked; in lists as well."""
    documents = [{"text": "red", "other": value, "more": [value, "x"]}]
    (row,) = ask(call, Service(), documents).to_dict()["results"]

    assert row["document"] == {"text": "red", "other": None, "more": [None, "x"]}


def test_a_column_of_dates_has_null_where_there_is_none(call: Ask) -> None:
    """Pandas writes NaT."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["a", "b"], "seen": pandas.to_datetime(["2026-11-28", None])})
    rows = ask(call, Service(), frame.to_dict("records")).to_dict()["results"]

    assert [row["document"]["seen"] for row in rows] == ["2026-11-28 00:00:00", None]


def test_a_field_that_cannot_be_written_costs_no_dictionary(call: Ask) -> None:
    """A record whose session is gone, for example; it was not ranked."""

    class Detached:
        def __repr__(self) -> str:
            raise LookupError

    documents = [{"text": "red", "owner": Detached(), "size": 5}]
    (row,) = ask(call, Service(), documents, rank_fields=["text"]).to_dict()["results"]

    assert row["document"] == {
        "text": "red",
        "owner": "Detached, cannot be written: LookupError",
        "size": 5,
    }


@pytest.mark.usefixtures("no_garbage")
@pytest.mark.parametrize("kind", ["dict", "list", "deep"])
def test_a_field_without_an_end_costs_no_dictionary(call: Ask, kind: str) -> None:
    """It was not ranked: the dictionary says what it is, and has all else."""
    endless: Any = {} if kind == "dict" else []
    if kind == "dict":
        endless["again"] = endless
    elif kind == "list":
        endless.append(endless)
    else:
        for _ in range(5_000):
            endless = [endless]
    documents = [{"text": "red", "other": endless, "size": 5}]
    response = ask(call, Service(), documents, rank_fields=["text"])
    document = json.loads(json.dumps(response.to_dict()))["results"][0]["document"]

    assert (document["text"], document["size"]) == ("red", 5)
    assert document["other"] == f"{type(endless).__name__}, cannot be written: RecursionError"


def test_blank_documents_in_the_dictionary_are_stated(call: Ask) -> None:
    """A blank document comes last and has no score; the dictionary is JSON all the same."""
    response = ask(
        call,
        Service(httpx.Response(200, json={"results": [{"index": 0, "relevance_score": 0.5}]})),
        ["a", " "],
    )
    shown = json.loads(json.dumps(response.to_dict(), allow_nan=False))

    assert [row["index"] for row in shown["results"]] == [0, 1]
    assert response.results[1].relevance_score is None
