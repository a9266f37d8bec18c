"""Responses in what applications hand them to: pydantic, FastAPI, pandas, help()."""

from __future__ import annotations

import copy
import datetime as dt
import importlib
import json
import pickle
import pydoc
from typing import Any

import pytest

import rerank_core
from rerank_core import Document, Meta, Reranker, RerankResponse, RerankResult, rerank

DOCUMENTS = ["the red fox", {"text": "the blue sky", "seen": dt.date(2026, 11, 28)}]


@pytest.fixture
def response() -> RerankResponse:
    """A ranking with a payload, which is nobody else's business."""
    return rerank("local/bm25", "red fox", DOCUMENTS)


def test_pydantic_writes_the_ranking_alone(response: RerankResponse) -> None:
    """As `to_dict` does: neither the service's payload nor its headers."""
    pydantic = pytest.importorskip("pydantic")
    adapter = pydantic.TypeAdapter(RerankResponse)
    written = json.loads(adapter.dump_json(response))

    assert written == adapter.dump_python(response) == response.to_dict()
    assert not {"payload", "headers"} & written.keys()
    assert written["results"][1]["document"]["seen"] == "2026-11-28"


@pytest.mark.parametrize("mode", ["serialization", "validation"])
def test_a_response_has_a_schema(mode: Any) -> None:
    """Without one FastAPI fails at start."""
    pydantic = pytest.importorskip("pydantic")

    assert pydantic.TypeAdapter(RerankResponse).json_schema(mode=mode)["type"] == "object"


def test_pydantic_writes_pieces_of_a_response_too(response: RerankResponse) -> None:
    """An application may answer with the results alone, or with one document."""
    pydantic = pytest.importorskip("pydantic")
    results = pydantic.TypeAdapter(list[RerankResult])
    document = pydantic.TypeAdapter(Document)
    written = json.loads(results.dump_json(response.results))

    assert written == results.dump_python(response.results) == response.to_dict()["results"]
    assert document.dump_python(response[1].document) == written[1]["document"]
    assert results.json_schema()["items"]["type"] == "object"
    assert pydantic.TypeAdapter(Meta).dump_python(response.meta) == {}


def test_a_model_takes_a_response_as_it_is(response: RerankResponse) -> None:
    """And refuses what is none."""
    pydantic = pytest.importorskip("pydantic")
    adapter = pydantic.TypeAdapter(RerankResponse)

    assert adapter.validate_python(response) is response
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_python({"results": []})


def test_a_column_of_a_data_frame_is_ranked_by_position() -> None:
    """Whatever its index says."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["blue sky", "red fox"]}, index=[7, 9])
    best = rerank("local/bm25", "red fox", frame["text"])[0]

    assert (best.index, frame["text"].iloc[best.index]) == (1, "red fox")


def test_a_table_of_results_has_columns(response: RerankResponse) -> None:
    """By the line that the README has."""
    pandas = pytest.importorskip("pandas")

    assert list(pandas.DataFrame(map(dict, response)).columns) == [
        "index",
        "relevance_score",
        "document",
    ]


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],  # noqa: S301 - ours
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_is_equal(response: RerankResponse, copied: Any) -> None:
    """Asking a response for names it lacks must not hinder it."""
    assert copied(response) == response


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_a_reranker_is_of_one_process(copied: Any) -> None:
    """It has sockets and locks: whoever copies it is told what to do instead."""
    with (
        Reranker("local/bm25") as reranker,
        pytest.raises(TypeError, match="make another one instead"),
    ):
        copied(reranker)


@pytest.mark.parametrize("suffix", ["", ".testing", ".hookspecs", ".events", ".wire", ".tokens"])
def test_help_shows_a_page(suffix: str) -> None:
    """As the documentation tells people to ask."""
    module = importlib.import_module(f"rerank_core{suffix}")
    shown = pydoc.plain(pydoc.render_doc(module))

    assert module.__doc__
    assert module.__doc__.strip().splitlines()[0] in shown
    assert pydoc.render_doc(rerank_core.rerank)
