"""What holds of every address, whoever's service it is, and addresses that no README names."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from .plugins import BY_NAME, Plugin
from .test_addresses import ROWS, url_asked

FOUNDRY, SERVERLESS = (
    "https://r.services.ai.azure.com",
    "https://d.eastus2.models.ai.azure.com",
)
OF_FOUNDRY = f"{FOUNDRY}/providers/cohere/v2/rerank"
ACCOUNT = "https://api.cloudflare.com/client/v4/accounts/acc1"
AI_GATEWAY = "https://gateway.ai.cloudflare.com/v1/acc1/my-gateway"
RUN = f"{ACCOUNT}/ai/run/@cf/baai/bge-reranker-base"
QWEN = "Qwen/Qwen3-Reranker-0.6B"
ROUTER = "https://router.huggingface.co"
ROUTED = f"{ROUTER}/hf-inference/models/BAAI/bge-reranker-base/pipeline/text-ranking"
NVIDIA = "https://ai.api.nvidia.com"
HOSTED = f"{NVIDIA}/v1/retrieval/nvidia/llama-nemotron-rerank-1b-v2/reranking"
CONTEXTUAL = "https://api.contextual.ai/v1"
DASHSCOPE = "https://dashscope.aliyuncs.com"
RERANKS = f"{DASHSCOPE}/compatible-api/v1/reranks"
NATIVE = "/api/v1/services/rerank/text-rerank/text-rerank"
KNOWLEDGE = "https://api-knowledgebase.mlp.cn-beijing.volces.com/api/knowledge"
ELASTIC = "https://es.test/_inference"
WATSONX = "https://us-south.ml.cloud.ibm.com"
# Where requests go beside what READMEs say: what is appended to the address, or a whole URL.
MORE: Mapping[str, Mapping[str, str]] = {
    "azure_ai": {
        f"{SERVERLESS}/v1/rerank": "",
        f"{FOUNDRY}/models/v1/rerank": "",
        f"{SERVERLESS}/v1": "/rerank",
        f"{SERVERLESS}/v2": "/rerank",
        f"{FOUNDRY}/providers/cohere/v2": "/rerank",
        f"{FOUNDRY}/providers/cohere": "/v2/rerank",
        "https://gateway.test/ai/providers/cohere": "/v2/rerank",
        f"{FOUNDRY}/models": OF_FOUNDRY,
        f"{FOUNDRY}/openai": OF_FOUNDRY,
        f"{FOUNDRY}/openai/v1": OF_FOUNDRY,
        "https://r.cognitiveservices.azure.com": "/providers/cohere/v2/rerank",
        "https://name.eastus2.inference.ai.azure.com": "/v2/rerank",
        "https://gateway.test/ai": "/v2/rerank",
        "https://gateway.test/openai/v1": "/rerank",
        "https://gateway.test/ai/rerank": "",
    },
    "cloudflare": {
        ACCOUNT: RUN,
        f"{ACCOUNT}/ai": RUN,
        f"{ACCOUNT}/ai/run": RUN,
        f"{ACCOUNT}/ai/run/@cf/meta/llama-3.1-8b-instruct": RUN,
        f"{ACCOUNT}/ai/models/search": RUN,
        **dict.fromkeys(
            (f"{AI_GATEWAY}/openai", f"{AI_GATEWAY}/anthropic/v1/messages", f"{AI_GATEWAY}/compat"),
            f"{AI_GATEWAY}/workers-ai/@cf/baai/bge-reranker-base",
        ),
        "https://proxy.test/ai": "/run/@cf/baai/bge-reranker-base",
        "https://proxy.test/ai/v1": "https://proxy.test/ai/run/@cf/baai/bge-reranker-base",
    },
    "cohere": {
        "https://api.cohere.ai": "/v2/rerank",
        "https://api.cohere.com/v2": "/rerank",
        # The official SDK drops it on these two hosts.
        "https://api.cohere.com/v1": "https://api.cohere.com/v2/rerank",
        "https://vault.internal/v1": "/rerank",
        "https://vault.internal/v2/chat": "https://vault.internal/v2/rerank",
        "https://vault.internal/v1/embed": "https://vault.internal/v1/rerank",
        "https://api.cohere.com/v1/models": "https://api.cohere.com/v2/rerank",
        "https://vault.internal/v1/rerank": "",
        "https://vault.internal:8443": "/v2/rerank",
        "https://gateway.internal/providers/cohere": "/v2/rerank",
    },
    "compatible": {
        "http://gpustack/v1-openai": "http://gpustack/v1/rerank",
        "http://server:8080/v1/models": "http://server:8080/v1/rerank",
    },
    "contextual": dict.fromkeys(
        (f"{CONTEXTUAL}/generate", f"{CONTEXTUAL}/agents", f"{CONTEXTUAL}/agents/a1/query"),
        f"{CONTEXTUAL}/rerank",
    ),
    "dashscope": {
        f"{DASHSCOPE}/compatible-api": RERANKS,
        f"{DASHSCOPE}/compatible-api/v1/rerank": RERANKS,
        f"{DASHSCOPE}/api/v1": f"{DASHSCOPE}{NATIVE}",
        f"{DASHSCOPE}/api/v1/services": f"{DASHSCOPE}{NATIVE}",
        f"{DASHSCOPE}/api/v1/services/rerank": f"{DASHSCOPE}{NATIVE}",
        f"{DASHSCOPE}/api/v1/services/rerank/text-rerank": f"{DASHSCOPE}{NATIVE}",
    },
    "deepinfra": {
        "https://api.deepinfra.com/v1": f"/inference/{QWEN}",
        "https://api.deepinfra.com/v1/inference": f"/{QWEN}",
        "https://api.deepinfra.com/v1/inference/abc123": "",
        "https://gateway.internal/openai": f"https://gateway.internal/inference/{QWEN}",
        "https://gateway.internal/a": f"/v1/inference/{QWEN}",
    },
    "elastic": {
        f"{ELASTIC}/_all": f"{ELASTIC}/rerank/.rerank-v1-elasticsearch",
        f"{ELASTIC}/rerank/_all": f"{ELASTIC}/rerank/.rerank-v1-elasticsearch",
    },
    "fireworks": {
        "https://api.fireworks.ai/inference/v1/models": (
            "https://api.fireworks.ai/inference/v1/rerank"
        ),
        "http://gateway:8080/fw": "/inference/v1/rerank",
        "http://gateway:8080/fw/v1": "/rerank",
    },
    "huggingface": {
        "http://tei:3000/rerank": "",
        "http://tei:3000/invocations": "http://tei:3000/rerank",
        "http://tei:3000/similarity": "http://tei:3000/rerank",
        "http://tei:3000/v1/models": "http://tei:3000/rerank",
        f"{ROUTER}/hf-inference/models/BAAI/bge-reranker-base/pipeline/feature-extraction": ROUTED,
        f"{ROUTER}/hf-inference/models/BAAI/bge-reranker-base/v1/chat/completions": ROUTED,
        "https://gateway.internal/a": "/rerank",
        "https://abc.us-east-1.aws.endpoints.huggingface.cloud": "/rerank",
        ROUTER: ROUTED,
        f"{ROUTER}/hf-inference": ROUTED,
        f"{ROUTER}/v1/models": ROUTED,
        f"{ROUTER}/hf-inference/models/me/mine": "/pipeline/text-ranking",
        f"{ROUTER}/hf-inference/models/me/v1": "/pipeline/text-ranking",
    },
    "infinity": {
        "http://gpu:7997/v1/rerank": "",
        "http://gpu:7997/models": "http://gpu:7997/rerank",
        "http://gpu:7997/v1/classify": "http://gpu:7997/v1/rerank",
        "http://models": "/rerank",
        "https://gateway.internal/a/b": "/rerank",
    },
    "jina": {
        "http://gateway:8080/custom/path": "/v1/rerank",
        "https://api.jina.ai/v1/classify": "https://api.jina.ai/v1/rerank",
    },
    "litellm_proxy": {
        "http://proxy:4000/v2": "/rerank",
        "http://proxy:4000/ui/login": "http://proxy:4000/v1/rerank",
        "http://proxy:4000/v1/models": "http://proxy:4000/v1/rerank",
        "https://gateway.internal/ui/v1": "/rerank",
        "https://gateway.internal/ui/llm/v1/rerank": "",
        "https://gateway.internal/openai/deployments/m/rerank": "",
        "http://proxy:4000/openai/deployments/m/chat/completions": "http://proxy:4000/v1/rerank",
        "http://proxy:4000/rerank": "",
        "https://gateway.internal/llm/v1": "/rerank",
    },
    "llamacpp": {
        "http://gpu:8080/reranking": "",
        "http://gpu:8080/completion": "http://gpu:8080/v1/rerank",
        "http://gpu:8080/health": "http://gpu:8080/v1/rerank",
        "http://gateway/llama": "/v1/rerank",
    },
    "nvidia_nim": {
        "https://gateway.internal/nim": "/v1/ranking",
        "http://nim:8000/v1/models": "http://nim:8000/v1/ranking",
        "https://integrate.api.nvidia.com/v1/ranking": HOSTED,
        "https://gateway.internal/x/reranking": "",
        NVIDIA: HOSTED,
        f"{NVIDIA}/v1": HOSTED,
        f"{NVIDIA}/v1/retrieval/nvidia/other/reranking": "",
    },
    "scaleway": {
        "https://api.scaleway.ai/my-project": "/v1/rerank",
        "https://my-deployment.ifr.fr-par.scaleway.com": "/v1/rerank",
        "http://gateway:8080/scw": "/v1/rerank",
    },
    "together": {"http://gateway:8080/together": "/v1/rerank"},
    "vllm": {
        "http://gpu:8000/v2": "/rerank",
        "http://gpu:8000/invocations": "http://gpu:8000/rerank",
        "http://gpu:8000/v1/score?team=a": "http://gpu:8000/v1/rerank?team=a",
        "http://gpu:8000/health": "http://gpu:8000/rerank",
        "http://score": "/rerank",  # a container may be called so
        "http://gpu:8000/rerank": "",
        "http://gpu:8000/v1/rerank": "",
    },
    "volcengine": {
        f"{KNOWLEDGE}/collection/search": f"{KNOWLEDGE}/service/rerank",
        f"{KNOWLEDGE}/service/chat": f"{KNOWLEDGE}/service/rerank",
    },
    "watsonx": {
        "https://cpd.test/zen": "/ml/v1/text/rerank?version=2026-10-14",
        **dict.fromkeys(
            (f"{WATSONX}/ml/v4", f"{WATSONX}/ml/v1/foundation_model_specs", f"{WATSONX}/ml/v1"),
            f"{WATSONX}/ml/v1/text/rerank?version=2026-10-14",
        ),
    },
    "xinference": {
        "http://ui": "/v1/rerank",
        "http://gpu:9997/docs": "http://gpu:9997/v1/rerank",
        "http://gpu:9997/ui": "http://gpu:9997/v1/rerank",
    },
}
_MODELS = {plugin.name: model for plugin, model, *_ in ROWS}
_MORE = [
    (BY_NAME[name], _MODELS[name], address, url if "://" in url else f"{address}{url}")
    for name, rows in MORE.items()
    for address, url in rows.items()
]
_NAMED = [
    (plugin, model, address, url) for plugin, model, address, url, _ in ROWS if address and url
]
LEADING = [*_MORE, *_NAMED]
of_each = pytest.mark.parametrize(
    ("plugin", "model", "address", "url"),
    LEADING,
    ids=[f"{plugin.name}-{address}" for plugin, _, address, _ in LEADING],
)
# Where the address is a part of the endpoint, and not exchanged for the service's own.
OWN = [
    row
    for row in LEADING
    if row[3].startswith(row[2].partition("?")[0].rstrip("/")) and row[3] not in {ROUTED, HOSTED}
]
# Whoever speaks to any server knows none well enough to correct an endpoint.
VERBATIM = {"compatible"}
ENDPOINTS = {
    *((plugin.name, model, url) for plugin, model, _, url in LEADING),
    *((plugin.name, model, url) for plugin, model, _, url, _ in ROWS if url),
}


@of_each
def test_slashes_at_the_end_make_no_difference(
    plugin: Plugin, model: str, address: str, url: str
) -> None:
    """People copy addresses with and without."""
    base, mark, query = address.partition("?")
    keeps = plugin.name in VERBATIM and url == address  # its endpoints' slashes, too
    for slashes in ("",) if keeps else ("", "/", "//"):
        assert url_asked(plugin, f"{base.rstrip('/')}{slashes}{mark}{query}", model=model) == url


@pytest.mark.parametrize(
    ("plugin", "model", "address", "url"),
    OWN,
    ids=[f"{plugin.name}-{address}" for plugin, _, address, _ in OWN],
)
def test_a_query_and_a_fragment_are_kept_apart(
    plugin: Plugin, model: str, address: str, url: str
) -> None:
    """A gateway's query stays, and what no server sees goes."""
    base = address.partition("?")[0]
    asked = url_asked(plugin, f"{base}?tenant=a%20b#top", model=model)

    assert "tenant=a%20b" in asked.partition("?")[2]
    assert asked.partition("?")[0] == url.partition("?")[0]


@pytest.mark.parametrize(("name", "model", "url"), sorted(ENDPOINTS))
def test_a_whole_endpoint_is_asked_as_it_is(name: str, model: str, url: str) -> None:
    """It is what others' documentation names; a slash at its end is nobody's, or kept."""
    plugin = BY_NAME[name]
    assert url_asked(plugin, url, model=model) == url
    if "?" not in url:
        wanted = f"{url}/" if name in VERBATIM else url
        assert url_asked(plugin, f"{url}/", model=model) == wanted
