"""A call sends what was asked for, by the service's names, and nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rerank_core import PluginError, RerankError
from service import Send, Service, both_ways, check_refused_unless_allowed

from .plugins import ALL, Plugin, every_plugin

# Who takes what others, litellm or the service's own reference call so; all others refuse it.
TAKEN: Mapping[str, set[str]] = {
    "instruction": {
        *("contextual", "dashscope", "deepinfra", "fireworks", "litellm_proxy"),
        *("siliconflow", "vllm", "volcengine", "voyage"),
    },
    "max_chunks_per_doc": {"azure_ai", "cohere", "litellm_proxy", "oci"},
    "max_doc_length": set(),
    "max_tokens_per_doc": {
        *("azure_ai", "bedrock", "cohere", "jina", "litellm_proxy", "oci", "vllm", "watsonx"),
    },
    "priority": {"azure_ai", "cohere", "vllm"},
    "raw_scores": {"huggingface", "infinity", "sagemaker"},
    "return_embeddings": {"jina"},
    "return_text": set(),
    "top_k": set(),
    "truncate_prompt_tokens": {"litellm_proxy", "vllm"},
    "truncation": {"jina", "voyage"},
    "webhook": set(),
}
# What the body of a documented example has for its parameters alone.
ASKED: Mapping[str, set[str]] = {
    "azure_ai": {"top_n"},
    "cloudflare": {"top_k"},
    "cohere": {"top_n", "max_tokens_per_doc"},
    "compatible": {"top_n"},
    "contextual": {"top_n", "instruction"},
    "dashscope": {"top_n"},
    "deepinfra": {"instruction"},
    "elastic": {"top_n"},
    "fireworks": {"top_n"},
    "huggingface": {"truncate"},
    "infinity": {"top_n"},
    "isaacus": {"top_n"},
    "jina": {"top_n"},
    "llamacpp": {"top_n"},
    "mixedbread": {"top_k", "rewrite_query"},
    "nvidia_nim": {"truncate"},
    "oci": {"topN", "maxChunksPerDocument", "maxTokensPerDocument"},
    "openrouter": {"top_n"},
    "pinecone": {"parameters"},
    "sagemaker": {"truncate"},
    "siliconflow": {"top_n", "instruction"},
    "together": {"rank_fields"},
    "vertex_ai": {"topN"},
    "vllm": {"top_n", "max_tokens_per_doc"},
    "volcengine": {"rerank_instruction"},
    "voyage": {"top_k", "truncation"},
    "watsonx": {"parameters"},
    "xinference": {"top_n", "return_len"},
}
# Demands a number of results in every call, which test_counts.py is about.
COUNTED = {"bedrock"}
NULLS = {"top_n": None, "max_tokens_per_doc": None, "max_chunks_per_doc": None}


@both_ways
@every_plugin
def test_nothing_is_sent_that_was_not_asked_for(plugin: Plugin, send: Send) -> None:
    """The documented body without what its parameters bring; `None` is as good as not given."""
    example, service = plugin.case.example, Service(plugin.reply(len(_documents(plugin))))
    nothing = {**NULLS, **dict.fromkeys(plugin.case.params)}

    plugin.ask(service, _documents(plugin), query=example.call["query"], send=send, **nothing)

    assert isinstance(example.json, dict)
    plain = {
        name: value
        for name, value in example.json.items()
        if name not in ASKED.get(plugin.name, set())
    }
    if plugin.name in COUNTED:
        assert service.body.keys() == plain.keys()
    else:
        assert service.body == plain
    headers = service.requests[0].headers
    assert headers["accept"] == headers["content-type"] == "application/json"


def test_every_example_asks_for_something_or_for_nothing_at_all() -> None:
    """A row that leaves nothing out is left over."""
    for plugin in ALL:
        body = plugin.case.example.json
        assert isinstance(body, dict)
        assert ASKED.get(plugin.name, set()) <= body.keys(), plugin.name


@every_plugin
def test_what_a_service_does_not_know_is_refused_unless_allowed(plugin: Plugin) -> None:
    """The error names parameter and provider; a warning says what was left out."""
    for param, takers in TAKEN.items():
        if plugin.name not in takers:
            service = Service(plugin.reply())
            check_refused_unless_allowed(plugin.ask, service, plugin.name, param)


def _documents(plugin: Plugin) -> Any:
    return plugin.case.example.call["documents"]


@every_plugin
@pytest.mark.parametrize("value", [5, 1.5, [1], {"a": 1}], ids=repr)
def test_an_option_or_parameter_of_another_type_is_no_fault_of_the_plugin(
    plugin: Plugin, value: Any
) -> None:
    """It is refused with words about it, or sent for the service to judge."""
    facts = plugin.facts
    # The last is what compatible keeps apart from `api_base` for itself.
    names = {*facts.options, *facts.secret_options, *facts.extra_params} - {"environment_api_base"}
    faults = {}
    for name in sorted(names):
        try:
            plugin.ask(Service(plugin.reply()), **{name: value})
        except PluginError as error:
            faults[name] = error
        except RerankError:
            continue

    assert faults == {}
