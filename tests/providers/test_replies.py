"""A good ranking is read whatever stands beside it, and who answered it is said."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rerank_core import Meta, ResponseParseError
from service import Service

from .plugins import ALL, BY_NAME, DOCUMENTS, Plugin, every_plugin

# Where replies say which model answered.
_SAID_IN = {
    "compatible": "model",
    "dashscope": "model",
    "fireworks": "model",
    "infinity": "model",
    "jina": "model",
    "llamacpp": "model",
    "mixedbread": "model",
    "openrouter": "model",
    "pinecone": "model",
    "scaleway": "model",
    "vllm": "model",
    "voyage": "model",
    "watsonx": "model_id",
}
# Where a body has the call's identifier; some services have none so far.
_IDENTIFIED_BY = {
    "azure_ai": "id",
    "cohere": "id",
    "compatible": "request_id",
    "deepinfra": "request_id",
    "fireworks": "id",
    "infinity": "id",
    "jina": "id",
    "litellm_proxy": "id",
    "oci": "id",
    "openrouter": "id",
    "scaleway": "id",
    "together": "id",
    "vllm": "id",
    "volcengine": "request_id",
    "voyage": "id",
    "xinference": "id",
}
told = pytest.mark.parametrize(("name", "field"), _SAID_IN.items(), ids=_SAID_IN)
_ODD: tuple[Any, ...] = (
    None,
    1.5,
    True,
    "text",
    [None],
    ["text"],
    {},
    {"message": 1},
    [{"message": 1}],
)
_BESIDE = ("id", "request_id", "meta", "usage", "system", "model", "model_id", "inference_status")
_HEADERS = (
    "nvcf-reqid",
    "x-amzn-bedrock-input-token-count",
    "x-amzn-bedrock-output-token-count",
    "x-amzn-requestid",
    "x-compute-tokens",
    "x-global-transaction-id",
    "x-litellm-response-cost",
    "x-ratelimit-reset",
    "x-request-id",
)


def _ranking(plugin: Plugin, reply: Any) -> list[int] | ResponseParseError:
    try:
        return [result.index for result in plugin.ask(Service(reply)).results]
    except ResponseParseError as error:
        return error


@pytest.mark.slow
@every_plugin
@pytest.mark.parametrize("field", _BESIDE)
def test_what_stands_beside_a_ranking_never_costs_it(plugin: Plugin, field: str) -> None:
    """An identifier, usage, warnings or a model's name of a kind that nobody documents."""
    good = plugin.reply()
    odd = _ODD if isinstance(good, dict) else ()  # beside a bare list nothing stands

    lost = [value for value in odd if _ranking(plugin, {**good, field: value}) != [0, 1, 2]]

    assert lost == []


@pytest.mark.slow
@every_plugin
@pytest.mark.parametrize("field", ["warnings", "billed_units", "tokens", "api_version"])
def test_what_stands_in_meta_never_costs_a_ranking(plugin: Plugin, field: str) -> None:
    """One level further down."""
    good = plugin.reply()
    odd = _ODD if isinstance(good, dict) else ()
    bodies = [{**good, name: {field: value}} for name in ("meta", "system") for value in odd]

    lost = [body for body in bodies if _ranking(plugin, body) != [0, 1, 2]]

    assert lost == []


@every_plugin
@pytest.mark.parametrize("odd", ["9" * 5000, "-1", "1e999", "nan", "²", "", "text", '{"a": 1}'])
def test_what_headers_say_never_costs_a_ranking(plugin: Plugin, odd: str) -> None:
    """A count of more digits than Python reads, and what is none."""
    headers = [(name.encode(), odd.encode()) for name in _HEADERS]
    reply = httpx.Response(200, headers=headers, json=plugin.reply())

    assert _ranking(plugin, reply) == [0, 1, 2]


@told
def test_another_model_than_was_asked_for_is_a_warning(name: str, field: str) -> None:
    """A server with one model answers whatever it is asked for, and a gateway may choose."""
    plugin = BY_NAME[name]
    response = plugin.ask(Service({**plugin.reply(), field: "another/reranker"}))

    (warning,) = response.warnings
    assert "'another/reranker'" in warning
    assert repr(plugin.case.model) in warning or plugin.case.model in warning


@told
@pytest.mark.parametrize("served", ["{}", "owner/{}", "OWNER/{}", "", None, 7, ["other"]])
def test_the_same_model_is_no_warning(name: str, field: str, served: object) -> None:
    """With an owner in front as well, in any case of letters, and where none is named."""
    plugin = BY_NAME[name]
    said = served.format(plugin.case.model) if isinstance(served, str) else served

    assert plugin.ask(Service({**plugin.reply(), field: said})).warnings == ()


def test_who_is_not_asked_here_is_never_told_the_model() -> None:
    """A plugin whose documented reply names a model stands in the table."""
    known = {
        plugin.name
        for plugin in ALL
        if isinstance(reply := plugin.case.example.reply, dict) and {*reply} & {"model", "model_id"}
    }

    assert known - {*_SAID_IN} <= {"together"}  # there it is the name of an engine


def test_usage_in_characters_is_no_count_of_tokens() -> None:
    """Infinity without `--lengths-via-tokenize`; odd usage is not compared."""
    plugin = BY_NAME["infinity"]
    count = len("a query") * len(DOCUMENTS) + sum(map(len, DOCUMENTS))
    good = plugin.reply()
    usages: tuple[Any, ...] = ({"total_tokens": count}, "text", [], None)

    for usage in usages:
        response = plugin.ask(Service({**good, "usage": usage}))
        assert response.meta == Meta()


def test_bedrock_s_cost_is_counted_in_units_of_a_hundred_documents() -> None:
    """It reports none; a list that comes in pages is billed once."""
    plugin = BY_NAME["bedrock"]
    documents = [f"text {at}" for at in range(101)]
    rows = [{"index": at, "relevanceScore": 0.5} for at in range(101)]
    pages = iter([{"results": rows[:60], "nextToken": "t"}, {"results": rows[60:]}])

    whole = plugin.ask(Service({"results": rows}), documents, model="cohere.rerank-v3-5:0")
    paged = plugin.ask(Service(lambda _: next(pages)), documents, model="cohere.rerank-v3-5:0")

    assert whole.meta.billed_units.search_units == paged.meta.billed_units.search_units == 2
    assert whole.cost == paged.cost == pytest.approx(0.004)


@pytest.mark.parametrize(("name", "field"), _IDENTIFIED_BY.items(), ids=_IDENTIFIED_BY)
def test_the_identifier_is_the_service_s_own(name: str, field: str) -> None:
    """Or one that is made, where the body has none, null or an empty one."""
    plugin = BY_NAME[name]
    reply = plugin.reply()
    bodies = [{**reply, field: value} for value in ("own-7", 7, None, "")]

    own, counted, *made = (plugin.ask(Service(body)).id for body in bodies)

    assert (own, counted) == ("own-7", "7")
    assert all(made)
