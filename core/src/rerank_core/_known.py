"""Which distribution brings which provider, for the message on one that is not installed.

Only what this project publishes, with the names that litellm has for it: to advise installing
whatever name was asked for would send people to whoever has taken it. Nothing else reads this.
"""

from __future__ import annotations

from collections.abc import Mapping

DISTRIBUTIONS: Mapping[str, str] = {
    "azure_ai": "rerank-azure-ai",
    "bedrock": "rerank-bedrock",
    "cohere": "rerank-cohere",
    "dashscope": "rerank-dashscope",
    "deepinfra": "rerank-deepinfra",
    "fireworks": "rerank-fireworks",
    "fireworks_ai": "rerank-fireworks",
    "hosted_vllm": "rerank-vllm",
    "huggingface": "rerank-huggingface",
    "infinity": "rerank-infinity",
    "jina": "rerank-jina",
    "jina_ai": "rerank-jina",
    "litellm_proxy": "rerank-litellm-proxy",
    "local": "rerank-local",
    "nvidia_nim": "rerank-nvidia-nim",
    "scaleway": "rerank-scaleway",
    "together": "rerank-together",
    "together_ai": "rerank-together",
    "vertex_ai": "rerank-vertex-ai",
    "vllm": "rerank-vllm",
    "voyage": "rerank-voyage",
    "watsonx": "rerank-watsonx",
}
