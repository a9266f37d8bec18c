"""What comes back: the caller's own documents, and usage and cost where the service states them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rerank_core import BilledUnits, Tokens
from service import Send, Service, both_ways

from .plugins import DOCUMENTS, Plugin, every_plugin
from .test_promises import longest, splitting

# US dollars for the documented example, by the service's word or its price list.
COSTS: Mapping[str, float] = {
    "azure_ai": 0.0025,
    "bedrock": 0.002,
    "cohere": 0.002,
    "dashscope": 79 * 0.1e-6,
    "deepinfra": 4.2e-07,
    "fireworks": 152 * 0.2e-6,
    "mixedbread": 120 * 0.15e-6,
    "openrouter": 0.001,
    "vertex_ai": 0.001,
    "voyage": 41 * 0.05e-6,
}
# Services that say nothing of units, which are counted here as their price lists count them.
RECKONED = {"bedrock", "vertex_ai"}
# Where usage, an identifier and a version stand.
BESIDE = {
    *("id", "request_id", "meta", "usage", "tokens", "input_token_count", "input_tokens"),
    *("inference_status", "token_usage"),
}


@both_ways
@every_plugin
def test_the_documented_reply_is_read(plugin: Plugin, send: Send) -> None:
    """With the caller's own documents, an id, and its cost where one is known."""
    call = dict(plugin.case.example.call)
    documents = [_as_object(document) for document in call.pop("documents")]
    response = plugin.ask(Service(plugin.case.example.reply), documents, send=send, **call)

    assert [(r.index, r.relevance_score) for r in response.results] == [
        *map(tuple, plugin.case.example.ranking)
    ]
    for result in response.results:
        assert result.document is not None
        assert result.document.original is documents[result.index]
    assert response.cost == (pytest.approx(cost) if (cost := COSTS.get(plugin.name)) else None)
    assert (response.provider, response.model) == (plugin.name, plugin.case.model)
    assert response.id


def _as_object(document: Any) -> Any:
    return {"text": document} if isinstance(document, str) else document


@both_ways
@every_plugin
def test_no_documents_come_back_where_none_are_wanted(plugin: Plugin, send: Send) -> None:
    """Whatever the service sends back unasked."""
    response = plugin.ask(
        Service(plugin.case.example.reply),
        plugin.case.example.call["documents"],
        top_n=len(plugin.case.example.ranking),
        return_documents=False,
        send=send,
    )

    assert {result.document for result in response.results} == {None}


@every_plugin
def test_a_service_that_ignores_the_count_is_cut(plugin: Plugin) -> None:
    """Never more than `top_n`."""
    best = plugin.ask(Service(plugin.reply())).results[0].index
    response = plugin.ask(Service(plugin.reply()), top_n=1)

    assert [result.index for result in response.results] == [best]


@every_plugin
@pytest.mark.parametrize("odd", ["absent", "in words", None, {}, "many", [], -1])
def test_usage_that_is_not_stated_is_not_made_up(plugin: Plugin, odd: Any) -> None:
    """Nor is a cost; an id is, so that every call has one."""
    response = plugin.ask(Service(_without_usage(plugin.reply(), odd)))

    assert len(response.results) == len(DOCUMENTS)
    assert response.id
    if plugin.name not in RECKONED:
        assert (response.meta.billed_units, response.meta.tokens) == (BilledUnits(), Tokens())
        assert response.cost is None


def _without_usage(reply: Any, odd: Any) -> Any:
    """The reply with what stands beside its ranking lost, or replaced."""
    if not isinstance(reply, dict):
        return reply
    kept = {name: _without_usage(value, odd) for name, value in reply.items() if name not in BESIDE}
    for name in BESIDE & reply.keys() if odd != "absent" else ():
        kept[name] = _in_words(reply[name]) if odd == "in words" else odd
    return kept


def _in_words(value: Any) -> Any:
    """The value with texts where it has numbers."""
    if isinstance(value, dict):
        return {name: _in_words(inner) for name, inner in value.items()}
    return "many" if isinstance(value, (int, float)) else value


@splitting
def test_what_the_parts_of_a_list_used_is_added_up(plugin: Plugin) -> None:
    """As the service would have counted the whole."""
    one, whole = (
        plugin.ask(
            Service(lambda asked: plugin.reply(longest(asked))), ["x"] * count, max_documents=100
        )
        for count in (100, 200)
    )

    for name in ("total_tokens", "search_units"):
        used = getattr(one.meta.billed_units, name)
        assert getattr(whole.meta.billed_units, name) == (used and 2 * used)
    assert whole.cost == (one.cost and pytest.approx(2 * one.cost))
