"""The plugins' tables say what the services' own pages said, read until 28 November 2026.

Prices of Cohere's v3 and v4 models stood on its pages on 22 November, and do no more.
"""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen

from service import facts

from .plugins import ALL, BY_NAME, Plugin, every_plugin

UNKNOWN = None
PER_UNIT, PER_TOKEN = "search_units", "total_tokens"


@frozen
class Pages:
    """What a provider's pages say of all its models.

    Attributes:
        base_url: Where requests go; empty where nobody but the caller knows.
        keys: The variables that official tools and litellm read, in the order of their standing.
        bases: The same of base URLs.
        most: Documents in a request.
    """

    base_url: str | None
    keys: tuple[str, ...]
    bases: tuple[str, ...]
    most: int | None = UNKNOWN


PAGES = {
    "azure_ai": Pages(None, ("AZURE_AI_API_KEY",), ("AZURE_AI_API_BASE",), 1000),
    "bedrock": Pages(
        "https://bedrock-agent-runtime.{region}.amazonaws.com",
        (),
        (
            "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME",
            "AWS_ENDPOINT_URL",
            "AWS_BEDROCK_RUNTIME_ENDPOINT",
            "BEDROCK_API_BASE",
        ),
        1000,
    ),
    "cloudflare": Pages(
        "https://api.cloudflare.com/client/v4",
        ("CLOUDFLARE_API_KEY", "CLOUDFLARE_API_TOKEN"),
        ("CLOUDFLARE_API_BASE",),
    ),
    "cohere": Pages(
        "https://api.cohere.com",
        ("COHERE_API_KEY", "CO_API_KEY"),
        ("COHERE_API_BASE", "CO_API_URL"),
        1000,
    ),
    "contextual": Pages(
        "https://api.contextual.ai/v1",
        ("CONTEXTUAL_API_KEY", "CONTEXTUAL_AI_API_KEY"),
        ("CONTEXTUAL_API_BASE", "CONTEXTUAL_AI_BASE_URL"),
    ),
    "dashscope": Pages(
        "https://dashscope.aliyuncs.com",
        ("DASHSCOPE_API_KEY",),
        (
            "DASHSCOPE_API_BASE_RERANK",
            "DASHSCOPE_API_BASE",
            "DASHSCOPE_BASE_URL",
            "DASHSCOPE_HTTP_BASE_URL",
        ),
    ),
    "deepinfra": Pages(
        "https://api.deepinfra.com/v1/inference",
        ("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
        ("DEEPINFRA_API_BASE", "DEEPINFRA_BASE_URL"),
        1000,
    ),
    "elastic": Pages(
        None,
        ("ELASTIC_API_KEY", "ELASTICSEARCH_API_KEY"),
        ("ELASTICSEARCH_URL", "ELASTIC_API_BASE"),
    ),
    "fireworks": Pages(
        "https://api.fireworks.ai/inference/v1",
        (
            "FIREWORKS_API_KEY",
            "FIREWORKS_AI_API_KEY",
            "FIREWORKSAI_API_KEY",
            "FIREWORKS_AI_TOKEN",
        ),
        ("FIREWORKS_API_BASE", "FIREWORKS_AI_API_BASE"),
    ),
    "huggingface": Pages(
        "https://router.huggingface.co",
        ("HF_TOKEN", "HUGGINGFACE_API_KEY", "HUGGING_FACE_HUB_TOKEN"),
        ("HF_API_BASE", "HUGGINGFACE_API_BASE"),
        32,
    ),
    "infinity": Pages("http://localhost:7997", ("INFINITY_API_KEY",), ("INFINITY_API_BASE",), 2048),
    "isaacus": Pages(
        "https://api.isaacus.com/v1",
        ("ISAACUS_API_KEY",),
        ("ISAACUS_API_BASE", "ISAACUS_BASE_URL"),
    ),
    "jina": Pages(
        "https://api.jina.ai/v1",
        ("JINA_AI_API_KEY", "JINA_API_KEY", "JINA_AI_TOKEN"),
        ("JINA_AI_API_BASE",),
    ),
    "litellm_proxy": Pages(None, ("LITELLM_PROXY_API_KEY",), ("LITELLM_PROXY_API_BASE",)),
    "llamacpp": Pages(
        "http://127.0.0.1:8080", ("LLAMACPP_API_KEY", "LLAMA_API_KEY"), ("LLAMACPP_API_BASE",)
    ),
    "mixedbread": Pages(
        "https://api.mixedbread.com",
        ("MXBAI_API_KEY", "MIXEDBREAD_API_KEY"),
        ("MIXEDBREAD_API_BASE", "MIXEDBREAD_BASE_URL"),
        1000,
    ),
    "nvidia_nim": Pages(
        "https://ai.api.nvidia.com",
        ("NVIDIA_NIM_API_KEY", "NVIDIA_API_KEY"),
        ("NVIDIA_NIM_API_BASE", "NVIDIA_BASE_URL"),
        512,
    ),
    "oci": Pages("https://inference.generativeai.{region}.oci.{domain}", (), ("OCI_API_BASE",)),
    "openrouter": Pages(
        "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",), ("OPENROUTER_API_BASE",)
    ),
    "pinecone": Pages(
        "https://api.pinecone.io",
        ("PINECONE_API_KEY",),
        ("PINECONE_API_BASE", "PINECONE_CONTROLLER_HOST"),
        100,
    ),
    "sagemaker": Pages(
        "https://runtime.sagemaker.{region}.amazonaws.com",
        (),
        ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "AWS_ENDPOINT_URL", "SAGEMAKER_API_BASE"),
        32,
    ),
    "scaleway": Pages("https://api.scaleway.ai/v1", ("SCW_SECRET_KEY",), ("SCALEWAY_API_BASE",)),
    "siliconflow": Pages(
        "https://api.siliconflow.com/v1", ("SILICONFLOW_API_KEY",), ("SILICONFLOW_API_BASE",)
    ),
    "together": Pages(
        "https://api.together.ai/v1",
        ("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"),
        ("TOGETHER_AI_API_BASE", "TOGETHER_BASE_URL"),
    ),
    "vertex_ai": Pages(
        "https://discoveryengine.googleapis.com", (), ("DISCOVERYENGINE_API_BASE",), 200
    ),
    "vllm": Pages(
        "http://localhost:8000", ("HOSTED_VLLM_API_KEY", "VLLM_API_KEY"), ("HOSTED_VLLM_API_BASE",)
    ),
    "volcengine": Pages(
        "https://api-knowledgebase.mlp.cn-beijing.volces.com",
        ("VOLCENGINE_API_KEY",),
        ("VOLCENGINE_API_BASE",),
        50,
    ),
    "voyage": Pages(
        "https://api.voyageai.com/v1",
        ("VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_AI_TOKEN"),
        ("VOYAGE_API_BASE",),
        1000,
    ),
    "watsonx": Pages(
        None,
        ("WATSONX_APIKEY", "WATSONX_API_KEY", "WX_API_KEY"),
        ("WATSONX_API_BASE", "WATSONX_URL", "WX_URL", "WML_URL"),
        1000,
    ),
    "xinference": Pages(
        "http://127.0.0.1:9997",
        ("XINFERENCE_API_KEY",),
        ("XINFERENCE_API_BASE", "XINFERENCE_SERVER_URL"),
    ),
}
# When prices were seen, unless on 22 November.
SEEN = {"contextual": "2026-06-30", "mixedbread": "2026-11-28"}
# The model; its context in tokens; US dollars for a million of what; from when it is gone.
MODELS: list[tuple[str, int | None, float | None, str | None, str | None]] = [
    ("azure_ai/Cohere-rerank-v4.0-pro", 32_768, 2500, PER_UNIT, None),
    ("azure_ai/Cohere-rerank-v4.0-fast", 32_768, 2000, PER_UNIT, None),
    ("azure_ai/Cohere-rerank-v3.5", 4096, 2000, PER_UNIT, None),
    ("azure_ai/Cohere-rerank-v3-english", 4096, 2000, PER_UNIT, "2025-06-30"),
    ("azure_ai/Cohere-rerank-v3-multilingual", 4096, 2000, PER_UNIT, "2025-06-30"),
    ("bedrock/amazon.rerank-v1:0", UNKNOWN, 1000, PER_UNIT, None),
    ("bedrock/cohere.rerank-v3-5:0", 4096, 2000, PER_UNIT, None),
    ("cloudflare/@cf/baai/bge-reranker-base", 512, UNKNOWN, None, None),
    ("cohere/rerank-v5.0-pro", 32_768, UNKNOWN, None, None),
    ("cohere/rerank-v5.0-fast", 32_768, UNKNOWN, None, None),
    ("cohere/rerank-v4.0-pro", 32_768, 2500, PER_UNIT, None),
    ("cohere/rerank-v4.0-fast", 32_768, 2000, PER_UNIT, None),
    ("cohere/rerank-v3.5", 4096, 2000, PER_UNIT, None),
    ("cohere/rerank-english-v3.0", 4096, 2000, PER_UNIT, None),
    ("cohere/rerank-multilingual-v3.0", 4096, 2000, PER_UNIT, None),
    ("contextual/ctxl-rerank-v2-instruct-multilingual", UNKNOWN, 0.05, PER_TOKEN, None),
    ("contextual/ctxl-rerank-v2-instruct-multilingual-mini", UNKNOWN, 0.02, PER_TOKEN, None),
    ("contextual/ctxl-rerank-v1-instruct", UNKNOWN, UNKNOWN, None, None),
    ("dashscope/qwen3-rerank", 4000, 0.1, PER_TOKEN, None),
    ("dashscope/qwen3.7-text-rerank", 32_768, UNKNOWN, None, None),
    ("dashscope/gte-rerank-v2", 4000, 0.115, PER_TOKEN, None),
    ("dashscope/qwen3-vl-rerank", 8000, UNKNOWN, None, None),
    ("dashscope/gte-rerank", UNKNOWN, UNKNOWN, None, "2026-05-30"),
    ("deepinfra/Qwen/Qwen3-Reranker-0.6B", 32_768, 0.01, PER_TOKEN, None),
    ("deepinfra/Qwen/Qwen3-Reranker-4B", 32_768, UNKNOWN, None, None),
    ("deepinfra/Qwen/Qwen3-Reranker-8B", 32_768, 0.05, PER_TOKEN, None),
    ("deepinfra/nvidia/Nemotron-3.5-Rerank-8B-BF16", 32_768, 0.05, PER_TOKEN, None),
    ("elastic/.rerank-v1-elasticsearch", 512, UNKNOWN, None, None),
    ("elastic/.jina-reranker-v2-base-multilingual", UNKNOWN, UNKNOWN, None, None),
    ("elastic/.jina-reranker-v3", UNKNOWN, UNKNOWN, None, None),
    ("elastic/.jina-reranker-v3.5", UNKNOWN, UNKNOWN, None, None),
    ("fireworks/qwen3-reranker-8b", 40_960, 0.2, PER_TOKEN, None),
    ("fireworks/accounts/fireworks/models/qwen3-reranker-8b", 40_960, 0.2, PER_TOKEN, None),
    ("fireworks/qwen3-reranker-4b", 40_960, UNKNOWN, None, None),
    ("fireworks/qwen3-reranker-0p6b", 40_960, UNKNOWN, None, None),
    ("fireworks/voyage-rerank-2-5", 32_000, UNKNOWN, None, None),
    ("huggingface/BAAI/bge-reranker-base", 512, UNKNOWN, None, None),
    ("isaacus/kanon-2-reranker", 16_384, UNKNOWN, None, None),
    ("isaacus/kanon-universal-classifier", UNKNOWN, UNKNOWN, None, None),
    ("jina/jina-reranker-v3.5", 131_072, UNKNOWN, None, None),
    ("jina/jina-reranker-v3", 131_072, UNKNOWN, None, None),
    ("jina/jina-reranker-m0", 10_240, UNKNOWN, None, None),
    ("jina/jina-reranker-v2-base-multilingual", 1024, 0.05, PER_TOKEN, None),
    ("mixedbread/mixedbread-ai/mxbai-rerank-large-v2", 8192, 0.15, PER_TOKEN, None),
    ("mixedbread/mixedbread-ai/mxbai-rerank-base-v2", 8192, 0.15, PER_TOKEN, None),
    ("mixedbread/mixedbread-ai/mxbai-rerank-large-v1", 512, UNKNOWN, None, None),
    ("mixedbread/mixedbread-ai/mxbai-rerank-base-v1", 512, 0.15, PER_TOKEN, None),
    ("mixedbread/mixedbread-ai/mxbai-rerank-xsmall-v1", 512, UNKNOWN, None, None),
    ("nvidia_nim/nvidia/llama-nemotron-rerank-1b-v2", 8192, UNKNOWN, None, None),
    ("nvidia_nim/nvidia/llama-nemotron-rerank-vl-1b-v2", 8192, UNKNOWN, None, None),
    ("nvidia_nim/nvidia/llama-nemotron-rerank-500m-v2", 8192, UNKNOWN, None, None),
    ("nvidia_nim/nvidia/llama-3.2-nv-rerankqa-1b-v2", 8192, UNKNOWN, None, None),
    ("nvidia_nim/nvidia/llama-3.2-nemoretriever-500m-rerank-v2", 8192, UNKNOWN, None, None),
    ("nvidia_nim/nvidia/llama-3.2-nv-rerankqa-1b-v1", 512, UNKNOWN, None, None),
    ("nvidia_nim/nvidia/nv-rerankqa-mistral-4b-v3", 512, UNKNOWN, None, None),
    ("nvidia_nim/nv-rerank-qa-mistral-4b:1", 512, UNKNOWN, None, None),
    ("scaleway/qwen3-embedding-8b", UNKNOWN, UNKNOWN, None, None),
    ("oci/cohere.rerank-v3.5", UNKNOWN, UNKNOWN, None, None),
    ("oci/cohere.rerank-v4.0-fast", UNKNOWN, UNKNOWN, None, None),
    ("oci/cohere.rerank-v4.0-pro", UNKNOWN, UNKNOWN, None, None),
    ("pinecone/bge-reranker-v2-m3", 1024, UNKNOWN, None, None),
    ("pinecone/cohere-rerank-4-fast", UNKNOWN, UNKNOWN, None, None),
    ("pinecone/cohere-rerank-3.5", UNKNOWN, UNKNOWN, None, "2026-08-01"),
    ("pinecone/pinecone-rerank-v0", 512, UNKNOWN, None, None),
    ("siliconflow/Qwen/Qwen3-Reranker-8B", 32_768, UNKNOWN, None, None),
    ("siliconflow/Qwen/Qwen3-Reranker-4B", 32_768, UNKNOWN, None, None),
    ("siliconflow/Qwen/Qwen3-Reranker-0.6B", 32_768, UNKNOWN, None, None),
    ("siliconflow/Qwen/Qwen3-VL-Reranker-8B", UNKNOWN, UNKNOWN, None, None),
    ("siliconflow/BAAI/bge-reranker-v2-m3", 8192, UNKNOWN, None, None),
    ("siliconflow/Pro/BAAI/bge-reranker-v2-m3", 8192, UNKNOWN, None, None),
    ("siliconflow/netease-youdao/bce-reranker-base_v1", 512, UNKNOWN, None, None),
    ("together/me/my-endpoint", 8192, UNKNOWN, None, None),
    ("together/Salesforce/Llama-Rank-V1", 8192, UNKNOWN, None, None),
    ("together/mixedbread-ai/Mxbai-Rerank-Large-V2", 8192, UNKNOWN, None, None),
    ("volcengine/doubao-seed-rerank", UNKNOWN, UNKNOWN, None, None),
    ("volcengine/Doubao-pro-4k-rerank", UNKNOWN, UNKNOWN, None, None),
    ("volcengine/base-multilingual-rerank", UNKNOWN, UNKNOWN, None, None),
    ("vertex_ai/semantic-ranker-default-004", UNKNOWN, 1000, PER_UNIT, None),
    ("vertex_ai/semantic-ranker-fast-004", UNKNOWN, 1000, PER_UNIT, None),
    ("vertex_ai/semantic-ranker-default@latest", UNKNOWN, 1000, PER_UNIT, None),
    ("vertex_ai/semantic-ranker-fast@latest", UNKNOWN, 1000, PER_UNIT, None),
    ("vertex_ai/semantic-ranker-default-003", 512, 1000, PER_UNIT, None),
    ("vertex_ai/semantic-ranker-default-002", 512, 1000, PER_UNIT, None),
    ("vertex_ai/semantic-ranker-512@latest", 512, 1000, PER_UNIT, None),
    ("voyage/rerank-3", 32_000, 0.05, PER_TOKEN, None),
    ("voyage/rerank-3-lite", 32_000, 0.02, PER_TOKEN, None),
    ("voyage/rerank-2.5", 32_000, 0.05, PER_TOKEN, None),
    ("voyage/rerank-2.5-lite", 32_000, 0.02, PER_TOKEN, None),
    ("voyage/rerank-2", 16_000, 0.05, PER_TOKEN, None),
    ("voyage/rerank-2-lite", 8000, 0.02, PER_TOKEN, None),
    ("voyage/rerank-1", 8000, 0.05, PER_TOKEN, None),
    ("voyage/rerank-lite-1", 4000, 0.02, PER_TOKEN, None),
    ("watsonx/cross-encoder/ms-marco-minilm-l-12-v2", 512, UNKNOWN, None, None),
]
# Of these, what is another spelling, a customer's own or gone; no page lists it.
UNLISTED = {
    "azure_ai/Cohere-rerank-v3-english",
    "azure_ai/Cohere-rerank-v3-multilingual",
    "fireworks/accounts/fireworks/models/qwen3-reranker-8b",
    "together/me/my-endpoint",
}
# Jina's oldest, which its list of models has, and no page of their own.
OLDEST = {
    "jina/jina-colbert-v2",
    "jina/jina-colbert-v1-en",
    "jina/jina-reranker-v1-base-en",
    "jina/jina-reranker-v1-turbo-en",
    "jina/jina-reranker-v1-tiny-en",
}
# What a score is, and whether it depends on the other documents of a request.
SCORES: dict[str, tuple[str, bool]] = {
    "azure_ai": ("probability", False),
    "bedrock": ("probability", False),
    "cloudflare": ("logit", False),
    "cohere": ("probability", False),
    "compatible": ("opaque", False),  # only the caller knows the model
    "contextual": ("probability", True),  # how is not documented, and instructions weigh recency
    "dashscope": ("probability", True),
    "deepinfra": ("probability", False),
    "elastic": ("opaque", False),  # that of the service behind an endpoint
    "fireworks": ("probability", False),
    "huggingface": ("probability", False),
    "infinity": ("probability", False),
    "isaacus": ("probability", False),
    "jina": ("probability", False),
    "litellm_proxy": ("opaque", False),
    "llamacpp": ("opaque", False),  # a logit of most models, a probability of Qwen3's
    "mixedbread": ("opaque", False),
    "nvidia_nim": ("logit", False),
    "oci": ("probability", False),
    "openrouter": ("opaque", False),  # that of whoever answers
    "pinecone": ("probability", False),
    "sagemaker": ("probability", False),
    "scaleway": ("opaque", False),
    "siliconflow": ("opaque", False),
    "together": ("opaque", False),
    "vertex_ai": ("probability", False),
    "vllm": ("opaque", False),
    "volcengine": ("opaque", False),
    "voyage": ("probability", False),
    "watsonx": ("logit", False),
    "xinference": ("opaque", False),
}
OTHER_SCORES: dict[str, tuple[str, bool]] = {
    "compatible/jina-reranker-v3": ("opaque", True),
    "deepinfra/nvidia/Nemotron-3.5-Rerank-8B-BF16": ("opaque", False),
    "elastic/.rerank-v1-elasticsearch": ("logit", False),
    "elastic/.jina-reranker-v3": ("opaque", True),
    "elastic/.jina-reranker-v3.5": ("opaque", True),
    "jina/jina-reranker-v3": ("opaque", True),  # a cosine, from -1 to 1
    "jina/jina-reranker-v3.5": ("opaque", True),
    "jina/jina-colbert-v1-en": ("opaque", False),
    "jina/jina-colbert-v2": ("opaque", False),
    "mixedbread/mixedbread-ai/mxbai-rerank-large-v1": ("probability", False),
    "mixedbread/mixedbread-ai/mxbai-rerank-base-v1": ("probability", False),
    "mixedbread/mixedbread-ai/mxbai-rerank-xsmall-v1": ("probability", False),
    "mixedbread/mxbai-rerank-v3-listwise": ("opaque", True),
    "openrouter/jinaai/jina-reranker-v3": ("opaque", True),
    "openrouter/mixedbread-ai/mxbai-rerank-v3-listwise": ("opaque", True),
    "together/Salesforce/Llama-Rank-V1": ("probability", False),
    "xinference/jina-reranker-v3": ("opaque", True),
    "xinference/jina-reranker-v3.5": ("opaque", True),
}


def _facts(model: str) -> Any:
    required = BY_NAME[model.partition("/")[0]].facts.base_url_required
    return facts(model, **({"api_base": "https://gateway.test/v1"} if required else {}))


def test_every_provider_has_pages() -> None:
    """A new one is read before it is written; what speaks to any server has none of its own."""
    assert {plugin.name for plugin in ALL} == {*PAGES, "compatible"} == {*SCORES}


@pytest.mark.parametrize("name", PAGES)
def test_a_provider_is_reached_as_its_pages_say(name: str) -> None:
    """Base URL, variables in their order, documents in a request."""
    known, pages = BY_NAME[name].facts, PAGES[name]

    assert known.base_url == pages.base_url
    assert known.base_url_required is (pages.base_url is None)
    assert known.api_key_env == pages.keys
    assert known.base_url_env == pages.bases
    assert known.max_documents == pages.most
    assert known.docs_url.startswith("https://")


@pytest.mark.filterwarnings("ignore:.*was switched off:FutureWarning")
@every_plugin
def test_scores_are_what_the_pages_say(plugin: Plugin) -> None:
    """Of every model that is known: only such lists are split whose scores can be compared."""
    others = {name for name in OTHER_SCORES if name.startswith(f"{plugin.name}/")}
    listed = {f"{plugin.name}/{model}" for model in plugin.facts.models or ("any",)}

    for model in others | listed:
        known = _facts(model)
        wanted = OTHER_SCORES.get(model, SCORES[plugin.name])
        assert (known.score_kind, known.listwise) == wanted, model


@pytest.mark.filterwarnings("ignore:.*was switched off:FutureWarning")
@pytest.mark.parametrize(("model", "tokens", "usd", "unit", "gone"), MODELS)
def test_a_model_is_what_its_page_says(
    model: str, tokens: int | None, usd: float | None, unit: str | None, gone: str | None
) -> None:
    """Its context, its list price with the day it was seen, the day it was switched off."""
    known = _facts(model)

    assert known.max_tokens == tokens
    assert (known.price and known.price.unit) == unit
    assert known.price is None or known.price.usd * 1e6 == pytest.approx(usd)
    assert known.price is None or known.price.as_of == SEEN.get(known.name, "2026-11-22")
    assert known.retires == gone


@every_plugin
def test_a_plugin_lists_the_models_that_were_looked_up(plugin: Plugin) -> None:
    """No other, and all of them; Hugging Face's are anybody's, and stand for many."""
    listed = {f"{plugin.name}/{model}" for model in plugin.facts.models}
    rows = {model for model, *_ in MODELS} | OLDEST
    known = {model for model in rows - UNLISTED if model.startswith(f"{plugin.name}/")}

    assert known <= listed
    assert plugin.name == "huggingface" or listed == known
