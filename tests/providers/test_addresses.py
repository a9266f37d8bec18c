"""The addresses that people hold lead to the service's rerank endpoint, or are refused with words.

The table is that of each plugin's README.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from rerank_core import ConfigurationError
from service import Service

from .plugins import ALL, BY_NAME, Plugin, every_plugin

_TABLE = re.compile(
    r"^## Addresses\n.*?where a request for `\w+/([^`]+)` then goes.*?\|---\|---\|\n(.*?)\n\n",
    re.DOTALL | re.MULTILINE,
)
_ROW = re.compile(r"\| (?:none|`([^`]+)`).* \| (?:`([^`]+)`|refused: (.+)) \|")


def _rows(plugin: Plugin) -> Iterator[tuple[str, str | None, str | None, str | None]]:
    """The model, the address, where requests go with them, and the words of a refusal."""
    table = _TABLE.search(plugin.readme)
    assert table, plugin.name
    for line in table[2].splitlines():
        found = _ROW.fullmatch(line)
        assert found, line
        yield table[1], found[1], found[2], found[3]


ROWS = [(plugin, *row) for plugin in ALL for row in _rows(plugin)]
_IDS = [f"{plugin.name}-{address}" for plugin, _, address, *_ in ROWS]


def url_asked(plugin: Plugin, address: str | None, **keywords: Any) -> str:
    """Where a request goes."""
    service = Service(plugin.reply())
    plugin.ask(service, api_base=address, **keywords)
    return service.url


@every_plugin
def test_a_readme_says_what_becomes_of_the_addresses_that_people_hold(plugin: Plugin) -> None:
    """The default, or that there is none, the chat's, and a gateway's or server's."""
    assert len(list(_rows(plugin))) >= 5


@pytest.mark.parametrize(("plugin", "model", "address", "url", "words"), ROWS, ids=_IDS)
def test_an_address_leads_where_the_readme_says(
    plugin: Plugin, model: str, address: str | None, url: str | None, words: str | None
) -> None:
    """Or it is refused, before anything is sent, with words that lead on."""
    if words is None:
        assert url_asked(plugin, address, model=model) == url
        return
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        url_asked(plugin, address, model=model)


@pytest.mark.parametrize(
    ("plugin", "model", "address", "url"),
    [row[:4] for row in ROWS if row[2] and row[3] and row[2].rstrip("/").endswith("/v1")],
    ids=lambda value: value.name if isinstance(value, Plugin) else "",
)
@pytest.mark.parametrize("task", ["chat/completions", "completions", "responses", "embeddings"])
def test_the_whole_endpoint_of_another_task_is_taken_for_its_base(
    plugin: Plugin, model: str, address: str, url: str, task: str
) -> None:
    """People copy it from an example."""
    assert url_asked(plugin, f"{address.rstrip('/')}/{task}", model=model) == url


@pytest.mark.parametrize(
    ("name", "model", "variable", "address", "url"),
    [
        (
            "dashscope",
            "gte-rerank-v2",
            "DASHSCOPE_BASE_URL",
            "https://dashscope.aliyuncs.com/compatible-mode/v1",
            "https://dashscope.aliyuncs.com/api/v1/services/rerank/text-rerank/text-rerank",
        ),
        (
            "nvidia_nim",
            "nvidia/llama-nemotron-rerank-1b-v2",
            "NVIDIA_BASE_URL",
            "https://integrate.api.nvidia.com/v1",
            "https://ai.api.nvidia.com/v1/retrieval/nvidia/llama-nemotron-rerank-1b-v2/reranking",
        ),
        (
            "bedrock",
            "amazon.rerank-v1:0",
            "AWS_BEDROCK_RUNTIME_ENDPOINT",
            "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1",
            "https://bedrock-agent-runtime.us-west-2.amazonaws.com/rerank",
        ),
    ],
)
def test_an_address_that_the_environment_has_for_the_chat_leads_there_too(
    name: str, model: str, variable: str, address: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is given."""
    monkeypatch.setenv(variable, address)

    assert url_asked(BY_NAME[name], None, model=model) == url


def test_the_chat_s_address_contradicts_no_choice_of_an_api() -> None:
    """It states no more than the host."""
    plugin, base = BY_NAME["dashscope"], "https://dashscope.aliyuncs.com/compatible-mode/v1"

    assert url_asked(plugin, base, api="native").endswith("/text-rerank")
    assert url_asked(plugin, base, api="compatible").endswith("/compatible-api/v1/reranks")


@pytest.mark.parametrize("query", ["?api-version=2024-05-01-preview", "?api-version=1&tier=a"])
def test_the_chat_s_version_goes_from_an_azure_resource_s_address(query: str) -> None:
    """What else the query has stays."""
    base = f"https://my-resource.openai.azure.com/openai/v1{query}"

    url = url_asked(BY_NAME["azure_ai"], base)

    assert "api-version" not in url
    assert ("tier=a" in url) is ("tier" in query)
