"""SiliconFlow's rerank API as its reference and its replies have it."""

from __future__ import annotations

from typing import Any

import pytest

import rerank_siliconflow
from failures import Failure, failing
from rerank_core import BilledUnits, Meta, NotFoundError, Tokens, UnsupportedParamError
from rerank_core.testing import Case, Check, Example, conformance
from service import Send, Service, asking, both_ways, without_variables

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
QWEN, BGE = "Qwen/Qwen3-Reranker-8B", "Pro/BAAI/bge-reranker-v2-m3"
RESULTS = [
    {"index": 1, "relevance_score": 0.9951, "document": {"text": DOCUMENTS[1]}},
    {"index": 0, "relevance_score": 0.0021},
]
TOKENS = {"input_tokens": 28, "output_tokens": 0}
REPLY = {
    "id": "01939dfe33fa788c97e2ed3f1ea3e4c1",
    "results": RESULTS,
    "meta": {"billed_units": {**TOKENS, "search_units": 0, "classifications": 0}, "tokens": TOKENS},
}
COUNTED = Meta(billed_units=BilledUnits(total_tokens=28), tokens=Tokens(28, 0))
CASE = Case(
    plugin=rerank_siliconflow,
    model=QWEN,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2, "instruction": "Be exact."},
        url="https://api.siliconflow.com/v1/rerank",
        json={
            "model": QWEN,
            "query": QUERY,
            "documents": DOCUMENTS,
            "top_n": 2,
            "instruction": "Be exact.",
        },
        reply=REPLY,
        ranking=[(1, 0.9951), (0, 0.0021)],
        id="01939dfe33fa788c97e2ed3f1ea3e4c1",
        meta=COUNTED,
    ),
    encode=lambda ranking, _, __: {
        "results": [{"index": at, "relevance_score": score} for at, score in ranking],
        "meta": {"tokens": TOKENS},
    },
    encode_error=lambda message: message,
    params={"instruction": "Be exact."},
)
ask = asking(f"siliconflow/{QWEN}", api_key="sk-0123456789", query=QUERY, documents=DOCUMENTS)
bare_environment = without_variables(of="siliconflow")
SITES = ("siliconflow.cn",)
ERRORS = [
    Failure(400, {"code": 20012, "message": "no model", "data": None}, SITES),
    Failure(
        400,
        {"code": 20012, "message": "Model does not exist. Please check it.", "data": None},
        SITES,
        kind=NotFoundError,
    ),
    Failure(401, '"Invalid token"', ("Invalid token", *SITES)),
    Failure(404, '"404 page not found"', ("404 page not found", *SITES)),
    Failure(429, {"code": 50603, "message": "busy", "data": None}, "busy"),
    Failure(503, '"overloaded"', "overloaded"),
    Failure(504, "upstream request timeout", "upstream"),
]


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


@pytest.mark.parametrize(
    ("model", "taken"),
    [
        (QWEN, {"instruction"}),
        (BGE, {"max_chunks_per_doc", "overlap_tokens"}),
        ("netease-youdao/bce-reranker-base_v1", {"max_chunks_per_doc", "overlap_tokens"}),
        ("Qwen/Qwen3-VL-Reranker-8B", set()),
        ("new/reranker", {"instruction", "max_chunks_per_doc", "overlap_tokens"}),
    ],
)
def test_each_family_takes_its_own_parameters(model: str, taken: set[str]) -> None:
    """A model that is not known may take them all; the service's word stands then."""
    given: dict[str, Any] = {"instruction": "x", "max_chunks_per_doc": 3, "overlap_tokens": 5}
    service = Service()

    ask(service, model=f"siliconflow/{model}", drop_params=True, **given)

    assert service.body.keys() - {"model", "query", "documents"} == taken
    for name in given.keys() - taken:
        with pytest.raises(UnsupportedParamError, match=name):
            ask(service, model=f"siliconflow/{model}", **{name: given[name]})


@both_ways
@pytest.mark.parametrize(
    ("usage", "meta"),
    [
        ({"meta": REPLY["meta"]}, COUNTED),
        ({"tokens": TOKENS}, COUNTED),
        ({"meta": {"tokens": None}, "tokens": TOKENS}, COUNTED),
        (
            {"usage": {"prompt_tokens": 28, "completion_tokens": 0, "total_tokens": 28}},
            COUNTED,
        ),
        ({"meta": {"billed_units": {**TOKENS, "search_units": 0}}}, COUNTED),
        ({"meta": {"billed_units": TOKENS, "tokens": {}}}, COUNTED),
        ({"meta": {"billed_units": {"search_units": 0}}}, Meta()),
        ({}, Meta()),
        ({"tokens": {"input_tokens": "many"}}, Meta()),
    ],
)
def test_tokens_are_counted_wherever_they_stand(usage: Any, meta: Meta, send: Send) -> None:
    """And the search units, which are always 0, are no count."""
    response = ask(Service({"results": RESULTS, **usage}), send=send)

    assert response.meta == meta
    assert response.cost is None


def test_an_id_may_stand_in_a_header() -> None:
    """Where the body has none."""
    service = Service({"results": RESULTS}, headers={"x-siliconcloud-trace-id": "ti_1"})

    assert ask(service).id == "ti_1"


test_an_error_says_what_to_do = failing(ask, f"siliconflow/{QWEN}", ERRORS)
