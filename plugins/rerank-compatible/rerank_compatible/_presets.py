"""The settings of servers and services that many people have, as data.

Those of a service hold its address and the variable of its key; those of a server that you run,
the address it listens on by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # Servers of your own.
        "baseten": {"dialect": "tei", "api_key_env": "BASETEN_API_KEY"},
        "gpustack": {"api_base": "http://localhost"},
        "infinity": {"api_base": "http://localhost:7997/rerank"},
        "lemonade": {"api_base": "http://localhost:13305"},
        "llamacpp": {"api_base": "http://localhost:8080"},
        "localai": {"api_base": "http://localhost:8080"},
        "sglang": {
            "api_base": "http://localhost:30000",
            "dialect": "sglang",
            "extra_params": ("instruct",),
        },
        "tei": {"api_base": "http://localhost:8080", "dialect": "tei"},
        "vllm": {"api_base": "http://localhost:8000"},
        "xinference": {"api_base": "http://localhost:9997"},
        # Services.
        "ai302": {"api_base": "https://api.302.ai/jina/v1", "api_key_env": "AI302_API_KEY"},
        "aihubmix": {"api_base": "https://aihubmix.com/v1", "api_key_env": "AIHUBMIX_API_KEY"},
        "gitee_ai": {"api_base": "https://api.moark.com/v1", "api_key_env": "GITEE_AI_API_KEY"},
        "huawei_maas": {
            "api_base": "https://api.modelarts-maas.com/v1",
            "api_key_env": "HUAWEI_MAAS_API_KEY",
        },
        "jiekou": {
            "api_base": "https://api.jiekou.ai/openai/v1",
            "api_key_env": "JIEKOU_API_KEY",
        },
        "novita": {"api_base": "https://api.novita.ai/openai/v1", "api_key_env": "NOVITA_API_KEY"},
        "ppio": {"api_base": "https://api.ppio.com/openai/v1", "api_key_env": "PPIO_API_KEY"},
        "prime_intellect": {
            "api_base": "https://api.pinference.ai/api/v1",
            "api_key_env": "PRIME_API_KEY",
            "max_documents": 1000,
            "max_request_bytes": 16_700_000,  # of 16 MiB in all
            "extra_params": ("instruction",),
        },
        "qianfan": {
            "api_base": "https://qianfan.baidubce.com/v2",
            "api_key_env": "QIANFAN_API_KEY",
        },
        "zhipu": {
            "api_base": "https://open.bigmodel.cn/api/paas/v4",
            "api_key_env": "ZHIPU_API_KEY",
            "extra_params": ("return_raw_scores",),
        },
    }
)
