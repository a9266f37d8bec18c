"""More documents than any usual default are all ranked, with or without `top_n`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service import Service

from .plugins import ALL, BY_NAME, Plugin, every_plugin

MANY = 31
# What services call the number of results that they send back.
_NAMES = ("top_n", "top_k", "topN", "numberOfResults")
# Services that demand it, or are known to send fewer than all without it.
_DEMAND = {"bedrock", "scaleway"}


def _find(body: Any, names: tuple[str, ...]) -> list[Any]:
    """The values of these names, wherever in a body they stand."""
    if isinstance(body, list):
        return [found for item in body for found in _find(item, names)]
    if not isinstance(body, dict):
        return []
    here = [value for name, value in body.items() if name in names]
    return here + [found for value in body.values() for found in _find(value, names)]


@every_plugin
def test_all_documents_are_ranked_where_no_number_is_asked_for(plugin: Plugin) -> None:
    """A service that demands a number is given that of the documents; others get none."""
    documents = [f"text {at}" for at in range(MANY)]
    service = Service(plugin.reply(MANY))

    response = plugin.ask(service, documents)

    assert len(response.results) == MANY
    sent = _find(json.loads(service.requests[-1].content), _NAMES)
    assert sent == ([MANY] if plugin.name in _DEMAND else [])


@pytest.mark.parametrize(
    "plugin", [plugin for plugin in ALL if plugin.name in _DEMAND], ids=lambda plugin: plugin.name
)
def test_a_number_that_is_asked_for_is_the_one_that_is_sent(plugin: Plugin) -> None:
    """And not a second one beside it; documents that are held back do not count."""
    service = Service(plugin.reply(2))

    plugin.ask(service, ["a", " ", "b", "c"], top_n=2)
    plugin.ask(service, ["a", " ", "b"])

    for request in service.requests:
        assert _find(json.loads(request.content), _NAMES) == [2]


@pytest.mark.parametrize(("count", "units"), [(1, 1), (100, 1), (101, 2), (200, 2)])
@pytest.mark.parametrize("name", ["bedrock", "vertex_ai"])
def test_each_hundred_documents_that_are_begun_are_a_search_unit(
    name: str, count: int, units: int
) -> None:
    """AWS and Google bill a query with up to 100 documents as one; replies say nothing of it."""
    plugin = BY_NAME[name]

    response = plugin.ask(Service(plugin.reply(count)), [f"text {at}" for at in range(count)])

    assert response.meta.billed_units.search_units == units
