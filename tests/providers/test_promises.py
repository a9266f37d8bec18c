"""What every provider's plugin promises, whatever its service: one test for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rerank_core import APIKeyHeader, APIStatusError, MissingAPIKeyError, ResponseParseError
from service import Service

from .plugins import ALL, FINAL_500, KEY, Plugin, every_plugin

_RANKING = {
    "results",
    "result",
    "rerank",
    "documentRanks",
    "data",
    "scores",
    "rankings",
    "records",
    "output",
}
# Statuses that are worth another attempt beside 408, 425, 429 and 5xx, by the services' words.
_RETRIED_TOO = {
    "cohere": {409},
    "dashscope": {409},
    "huggingface": {424},
    "isaacus": {409},
    "jina": {409},
    "together": {409},
}
with_a_key = pytest.mark.parametrize(
    "plugin",
    [plugin for plugin in ALL if isinstance(plugin.facts.auth, APIKeyHeader)],
    ids=lambda plugin: plugin.name,
)
taking_text = pytest.mark.parametrize(
    "plugin",
    [plugin for plugin in ALL if not plugin.facts.takes_mappings],
    ids=lambda plugin: plugin.name,
)
splitting = pytest.mark.parametrize(
    "plugin",
    [plugin for plugin in ALL if plugin.facts.max_documents and not plugin.facts.listwise],
    ids=lambda plugin: plugin.name,
)


def _auth_of(plugin: Plugin) -> APIKeyHeader:
    """The header that a key goes in; Pinecone's, for one, is `Api-Key`."""
    assert isinstance(plugin.facts.auth, APIKeyHeader)
    return plugin.facts.auth


def _parts(value: Any) -> list[Any]:
    """What an object or a list holds."""
    if isinstance(value, dict):
        return [*value.values()]
    return value if isinstance(value, list) else []


def _strings(value: Any) -> Iterator[str]:
    """Every string in a body."""
    if isinstance(value, str):
        yield value
    for inner in _parts(value):
        yield from _strings(inner)


def longest(value: Any) -> int:
    """The length of the longest list in a body: so many documents are in it."""
    own = len(value) if isinstance(value, list) else 0
    return max(own, *map(longest, _parts(value)), 0)


@with_a_key
def test_the_first_variable_with_a_key_wins(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the argument; an empty one counts as not set."""
    service, variables = Service(plugin.reply()), plugin.facts.api_key_env
    base = plugin.facts.base_url or "https://gateway.test"
    monkeypatch.setenv(variables[0], "")
    for name in reversed(variables):
        monkeypatch.setenv(name, f"key-of-{name}")
        plugin.ask(service, api_key=None, api_base=base)
    plugin.ask(service)

    sent = [request.headers[_auth_of(plugin).header] for request in service.requests]
    before = f"{_auth_of(plugin).scheme} ".lstrip()
    assert sent == [f"{before}{key}" for key in (*(f"key-of-{n}" for n in variables[::-1]), KEY)]


@with_a_key
def test_a_call_without_a_key_is_refused_or_has_none(plugin: Plugin) -> None:
    """Where one is needed nothing is sent, and the error names every variable."""
    service = Service(plugin.reply())
    if not plugin.facts.api_key_required:
        plugin.ask(service, api_key=None)
        assert _auth_of(plugin).header not in service.requests[0].headers
        return
    with pytest.raises(MissingAPIKeyError) as caught:
        plugin.ask(service, api_key=None, api_base=None)

    assert ", ".join(plugin.facts.api_key_env) in str(caught.value)
    assert service.requests == []


@every_plugin
def test_the_first_variable_with_a_base_url_wins(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the argument; a region that is given would come before them, too."""
    service, variables = Service(plugin.reply()), plugin.facts.base_url_env
    place: dict[str, Any] = {"oci_region": None} if "oci_region" in plugin.facts.options else {}
    hosts = [f"{name.lower().replace('_', '-')}.test" for name in variables]
    for name, host in zip(reversed(variables), reversed(hosts), strict=True):
        monkeypatch.setenv(name, f"https://{host}/v1")
        plugin.ask(service, api_base=None, **place)
    plugin.ask(service, api_base="https://argument.test")

    assert [request.url.host for request in service.requests] == [*hosts[::-1], "argument.test"]


@every_plugin
def test_blank_documents_are_held_back_and_come_last(plugin: Plugin) -> None:
    """Without a score, in the caller's order; a service that takes them gets them."""
    documents = ["", "a text", " \n", "b text"]
    if plugin.facts.takes_blank_documents:
        service = Service(plugin.reply(4))
        assert len(plugin.ask(service, documents).results) == 4
        assert "" in _strings(service.body)
        return
    service = Service(plugin.reply(2))

    response = plugin.ask(service, documents)

    assert {"a text", "b text"} <= {*_strings(service.body)}
    assert not {"", " \n"} & {*_strings(service.body)}
    assert [result.index for result in response.results] == [1, 3, 0, 2]
    assert [result.relevance_score is None for result in response.results] == [
        False,
        False,
        True,
        True,
    ]


@every_plugin
def test_documents_without_any_of_their_rank_fields_are_counted(plugin: Plugin) -> None:
    """They are held back, or ranked as blank where a server takes that: it is said."""
    blank = plugin.facts.takes_blank_documents
    service = Service(plugin.reply(3 if blank else 2))
    documents = [{"title": "A"}, {"text": "not chosen"}, {"title": "B", "text": "not chosen"}]

    (warning,) = plugin.ask(service, documents, rank_fields=["title"]).warnings

    assert warning.startswith("1 of 3 documents are blank, or have no text under 'title': ")
    assert warning.endswith("ranked as blank" if blank else "they come last without a score")


@every_plugin
def test_no_documents_are_no_request(plugin: Plugin) -> None:
    """There is nothing to rank, and nothing to pay."""
    service = Service(plugin.reply(0))

    assert plugin.ask(service, []).results == []
    assert service.requests == []


@taking_text
def test_mappings_are_sent_as_text_and_given_back_as_they_were(plugin: Plugin) -> None:
    """A service that takes only strings gets `field: value` lines."""
    documents = [
        "Plain.",
        {"text": "Only text."},
        {"title": "A", "text": "B", "none": None, "year": 1999},
    ]
    service = Service(plugin.reply())

    response = plugin.ask(service, documents)

    sent = {*_strings(service.body)}
    assert {"Plain.", "Only text.", "title: A\ntext: B\nyear: 1999"} <= sent
    given = {
        result.index: result.document and result.document.fields for result in response.results
    }
    assert given[0] is None
    assert given[1] is documents[1]
    assert given[2] is documents[2]


@taking_text
def test_rank_fields_choose_what_is_sent(plugin: Plugin) -> None:
    """In their order; the service, which does not know them, is not told."""
    service = Service(plugin.reply(2))

    plugin.ask(
        service, [{"title": "A", "text": "B", "id": 7}, "Plain."], rank_fields=["text", "title"]
    )

    assert {"text: B\ntitle: A", "Plain."} <= {*_strings(service.body)}
    assert "rank_fields" not in service.body


@splitting
def test_a_longer_list_than_the_service_takes_is_split(plugin: Plugin) -> None:
    """In two requests, and every document is ranked once."""
    count = (plugin.facts.max_documents or 0) + 1
    service = Service(lambda body: plugin.reply(longest(body)))

    response = plugin.ask(service, [f"text {at}" for at in range(count)])

    assert len(service.requests) == 2
    assert sorted(result.index for result in response.results) == list(range(count))


@every_plugin
def test_only_what_may_pass_is_retried(plugin: Plugin) -> None:
    """By its status, unless the service says otherwise."""
    statuses = (400, 402, 403, 404, 408, 409, 413, 422, 424, 425, 429, 500, 501, 502, 503, 504)
    retried = set()
    for status in statuses:
        service = Service(plugin.case.encode_error("no"), status, {"retry-after-ms": "1"})
        with pytest.raises(APIStatusError):
            plugin.ask(service, max_retries=1)
        if len(service.requests) > 1:
            retried.add(status)

    usual = {408, 425, 429, 502, 503, 504} | (set() if plugin.name in FINAL_500 else {500})
    assert retried == usual | _RETRIED_TOO.get(plugin.name, set())


@every_plugin
def test_what_is_no_ranking_is_an_error(plugin: Plugin) -> None:
    """And never an empty success."""
    good = plugin.reply()
    bodies: list[Any] = [{}, {"other": good}, [], [7], 7, "text", "<html>", {"scores": None}]
    odd: tuple[Any, ...] = (None, [], "x")
    if isinstance(good, dict):
        bodies += [{**good, name: value} for name in {*good} & _RANKING for value in odd]

    for body in bodies:
        with pytest.raises(ResponseParseError):
            plugin.ask(Service(body if body == "<html>" else json.dumps(body)))


@every_plugin
@pytest.mark.parametrize("error", [{"message": "went wrong"}, "went wrong"], ids=["object", "text"])
def test_an_error_in_a_good_reply_is_that_error(plugin: Plugin, error: Any) -> None:
    """In the service's words."""
    with pytest.raises(APIStatusError, match="went wrong"):
        plugin.ask(Service({"error": error}))


@every_plugin
def test_what_a_documented_reply_has_beside_its_ranking_it_may_lack(plugin: Plugin) -> None:
    """Absent or null."""
    good = plugin.case.example.reply
    names = {*good} - _RANKING if isinstance(good, dict) else set()
    call = dict(plugin.case.example.call)
    documents, _ = call.pop("documents"), call.pop("query")

    for name in names:
        for body in ({key: good[key] for key in good if key != name}, {**good, name: None}):
            response = plugin.ask(Service(body), documents, **call)
            assert [result.index for result in response.results] == [
                index for index, _ in plugin.case.example.ranking
            ]
            assert response.id
