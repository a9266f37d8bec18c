"""What a person is told to try after a status, as the services' own pages explain it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rerank_core import APIStatusError
from service import Service

from .plugins import BY_NAME, Plugin, every_plugin

# What the advice names: the permission, the option, the address that mends it.
ADVICE: Mapping[str, Mapping[int, str]] = {
    "azure_ai": {
        401: "auth_header='api-key'",
        403: "Cognitive Services User",
        404: "the name of the deployment",
        500: "/providers/cohere",
    },
    "cloudflare": {
        401: "Workers AI: Read",
        403: "Workers AI: Read",
        404: "account_id",
        429: "00:00 UTC",
    },
    "compatible": {
        401: "COMPATIBLE_API_BASE",
        404: "endpoint_url=",
        405: "endpoint_url=",
        422: "documents_field=",
        501: "--rerank",
    },
    "dashscope": {401: "region=", 404: "/compatible-api/v1"},
    "deepinfra": {402: "balance", 404: "owner/name", 429: "200 requests at once"},
    "elastic": {
        401: "bearer_token=",
        403: "monitor_inference",
        404: "GET /_inference/rerank/_all",
        408: "inference_timeout=",
    },
    "fireworks": {402: "usage limit", 404: "a deployment of your own", 412: "suspended"},
    "huggingface": {
        401: "a Hub token",
        402: "month's credits",
        404: "without /v1",
        413: "max_documents=",
        422: "truncate=True",
        429: "512 by default",
        503: "scaled to zero",
    },
    "infinity": {401: "--api-key", 404: "--url-prefix", 429: "max_concurrency="},
    "jina": {402: "top it up"},
    "litellm_proxy": {
        400: "max_documents=",
        404: "switched /rerank off",
        422: "max_documents=",
        500: "api_key=",
    },
    "llamacpp": {
        401: "LLAMACPP_API_KEY",
        404: "/v1/rerank",
        500: "--ubatch-size",
        501: "--rerank",
        503: "still being loaded",
    },
    "nvidia_nim": {400: "truncate='END'", 402: "credits", 404: "owner/name"},
    "oci": {404: "not every region"},
    "openrouter": {402: "credits", 404: "output_modalities=rerank"},
    "pinecone": {400: "truncate='END'", 402: "billing", 403: "deprecated"},
    "scaleway": {403: "IAM policy", 422: "GET /v1/models"},
    "siliconflow": {
        400: "siliconflow.cn",
        401: "api_base='https://api.siliconflow.cn/v1'",
        404: "siliconflow.cn",
    },
    "together": {
        400: "a dedicated endpoint",
        402: "spending limit",
        403: "too large for the model",
        404: "a dedicated endpoint",
    },
    "vertex_ai": {401: "Google", 403: "discoveryengine.googleapis.com", 404: "vertex_location"},
    "vllm": {401: "HOSTED_VLLM_API_KEY", 404: "--runner pooling"},
    "volcengine": {401: "secret key", 403: "VikingDB"},
    "voyage": {401: "https://ai.mongodb.com", 403: "IP address", 429: "payment method"},
    "watsonx": {401: "it ends after an hour"},
    "xinference": {400: "GET /v1/models", 401: "XINFERENCE_API_KEY", 500: "still being launched"},
}
_ROWS = [
    (name, status, advice)
    for name, statuses in ADVICE.items()
    for status, advice in statuses.items()
]


@pytest.mark.parametrize(("name", "status", "advice"), _ROWS)
def test_a_status_comes_with_advice(name: str, status: int, advice: str) -> None:
    """Where no code of the error says more, and beside the words of whoever answered."""
    plugin = BY_NAME[name]
    with pytest.raises(APIStatusError, match="odd") as caught:
        plugin.ask(Service({"detail": "odd"}, status))

    assert advice in str(caught.value)


@every_plugin
def test_no_advice_is_left_unread(plugin: Plugin) -> None:
    """Each that hangs on a status has a row above."""
    statuses = {key for key in plugin.facts.hints if isinstance(key, int)}

    assert statuses == {*ADVICE.get(plugin.name, {})}
