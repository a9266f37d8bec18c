"""What is known of a model's scores: their scale, and whether lists may be split.

A listwise model's score depends on the documents beside it.
"""

from __future__ import annotations

import json

import pytest

from rerank_core import InvalidRequestError, Provider
from service import Service, facts

from .plugins import ALL, BY_NAME, Plugin, every_plugin
from .test_promises import longest

PROBABILITY = (
    *("bedrock/amazon.rerank-v1:0", "bedrock/cohere.rerank-v3-5:0", "bedrock/my-own"),
    *("cohere/rerank-v3.5", "cohere/rerank-v5.0-pro", "cohere/my-own-model"),
    *("dashscope/qwen3-rerank", "dashscope/gte-rerank-v2", "dashscope/qwen3-vl-rerank"),
    *("dashscope/qwen3.7-text-rerank", "dashscope/my-own"),
    *("deepinfra/Qwen/Qwen3-Reranker-0.6B", "deepinfra/Qwen/Qwen3-Reranker-8B"),
    *("fireworks/qwen3-reranker-8b", "fireworks/accounts/me/models/mine"),
    *("huggingface/BAAI/bge-reranker-base", "isaacus/kanon-2-reranker"),
    *("jina/jina-reranker-m0", "jina/jina-reranker-v2-base-multilingual"),
    *("jina/jina-reranker-v1-base-en", "mixedbread/mxbai-rerank-xsmall-v1"),
    *("together/Salesforce/Llama-Rank-V1", "vertex_ai/semantic-ranker-default-004"),
    *("voyage/rerank-3", "voyage/rerank-2.5", "voyage/rerank-lite-1", "voyage/rerank-9"),
)
LOGIT = (
    *("elastic/.rerank-v1-elasticsearch", "nvidia_nim/nvidia/llama-nemotron-rerank-1b-v2"),
    *("nvidia_nim/ranking/nvidia/llama-3.2-nv-rerankqa-1b-v2",),
    *("watsonx/cross-encoder/ms-marco-minilm-l-12-v2",),
)
OPAQUE = (
    *("deepinfra/nvidia/Nemotron-3.5-Rerank-8B-BF16", "deepinfra/me/mine"),
    *("elastic/.jina-reranker-v2-base-multilingual", "elastic/.jina-reranker-v3"),
    *("elastic/.jina-reranker-v3.5", "elastic/my-rerank"),
    *("jina/jina-reranker-v3", "jina/jina-reranker-v3.5", "jina/jina-ai/jina-reranker-v3"),
    *("jina/jina-colbert-v2", "jina/jina-reranker-v9", "litellm_proxy/my-rerank"),
    *("mixedbread/mixedbread-ai/mxbai-rerank-large-v2", "scaleway/qwen3-embedding-8b"),
    *("scaleway/bge-multilingual-gemma2", "siliconflow/Pro/BAAI/bge-reranker-v2-m3"),
    *("together/mixedbread-ai/Mxbai-Rerank-Large-V2", "together/me/my-endpoint"),
    *("vllm/tiny-reranker", "watsonx/ibm/slate-125m-english-rtrvr-v2"),
)
KINDS = {
    **dict.fromkeys(PROBABILITY, "probability"),
    **dict.fromkeys(LOGIT, "logit"),
    **dict.fromkeys(OPAQUE, "opaque"),
}
LISTWISE = (
    "contextual/ctxl-rerank-v2-instruct-multilingual",
    *("dashscope/qwen3-rerank", "dashscope/gte-rerank-v2", "dashscope/qwen3-vl-rerank"),
    *("dashscope/qwen3.7-text-rerank", "dashscope/my-own"),
    *("elastic/.jina-reranker-v3", "elastic/.jina-reranker-v3.5"),
    *("jina/jina-reranker-v3", "jina/jina-reranker-v3.5", "jina/jina-ai/jina-reranker-v3"),
    *("jina/jina-ai/jina-reranker-v3.5", "mixedbread/mxbai-rerank-v3-listwise"),
    *("vllm/jinaai/jina-reranker-v3", "xinference/Jina-Reranker-v3.5"),
)
# Models that no list has: they go through, and nothing is made up of them.
UNKNOWN = (
    *("azure_ai/my-deployment", "bedrock/my-own", "cohere/my-own-model", "dashscope/my-own"),
    *("cohere/cohere/rerank-v3.5", "deepinfra/me/mine", "fireworks/qwen3-reranker-8b#me/d1"),
    *("fireworks/accounts/me/models/mine", "jina/jina-reranker-v9", "jina/jina-colbert-v2"),
    *("litellm_proxy/my-rerank", "scaleway/bge-multilingual-gemma2", "vllm/tiny-reranker"),
    *("voyage/rerank-9", "watsonx/ibm/slate-125m-english-rtrvr-v2"),
)


def _facts(model: str) -> Provider:
    required = BY_NAME[model.partition("/")[0]].facts.base_url_required
    return facts(model, **({"api_base": "https://gateway.test/v1"} if required else {}))


@pytest.mark.parametrize(("model", "kind"), KINDS.items(), ids=KINDS)
def test_the_scale_of_scores_is_stated(model: str, kind: str) -> None:
    """As far as it is documented; a listwise model's comparison is no other scale."""
    known = _facts(model)

    assert known.score_kind == kind
    assert known.listwise is (model in LISTWISE)


@pytest.mark.parametrize("model", UNKNOWN)
def test_of_a_model_that_no_list_has_nothing_is_made_up(model: str) -> None:
    """An unknown price is not nothing, and an unknown context no limit."""
    known = _facts(model)

    assert (known.price, known.retires) == (None, None)
    assert known.max_tokens is None or known.name in {"cohere", "fireworks"}


@pytest.mark.parametrize("model", LISTWISE)
def test_a_listwise_model_s_list_is_not_split_unless_allowed(model: str) -> None:
    """Scores of different requests could not be compared."""
    name, _, rest = model.partition("/")
    plugin, service = _answering(BY_NAME[name])

    with pytest.raises(InvalidRequestError, match="split_listwise=True"):
        plugin.ask(service, ["x"] * 5, model=rest, max_documents=3)
    assert service.requests == []
    plugin.ask(service, ["x"] * 5, model=rest, max_documents=3, split_listwise=True)

    assert sorted(longest(json.loads(each.content)) for each in service.requests) == [2, 3]


@every_plugin
def test_a_list_is_split_as_the_caller_says(plugin: Plugin) -> None:
    """Where the scores can be compared."""
    _, service = _answering(plugin)

    response = plugin.ask(service, ["x"] * 5, max_documents=3, split_listwise=True)

    assert len(service.requests) == 2
    assert sorted(result.index for result in response.results) == [0, 1, 2, 3, 4]


def _answering(plugin: Plugin) -> tuple[Plugin, Service]:
    return plugin, Service(lambda asked: plugin.reply(longest(asked)))


def test_every_provider_s_scale_is_looked_up() -> None:
    """But of those whose models are anybody's."""
    known = {model.partition("/")[0] for model in KINDS}
    assert {plugin.name for plugin in ALL} - known <= {
        *("azure_ai", "cloudflare", "compatible", "contextual", "infinity", "llamacpp", "oci"),
        *("openrouter", "pinecone", "sagemaker", "volcengine", "xinference"),
    }
