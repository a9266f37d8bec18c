"""Which of DashScope's two APIs a call goes to, and where that is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rerank_core import ConfigurationError, Provider, RerankRequest, wire

PATHS = {
    "compatible": "/compatible-api/v1/reranks",
    "native": "/api/v1/services/rerank/text-rerank/text-rerank",
}
# How the path of a base URL may end, and the API that this means.
_ENDINGS = {
    "/reranks": "compatible",
    "/compatible-api/v1": "compatible",
    "/text-rerank": "native",
    "/api/v1": "native",
}
# The chat's own paths, often copied, have no rerank behind them: they say no more than the host.
_CHAT = re.compile(
    r"(/api/v2/apps/protocols)?/compatible-mode(/v1(/(?!reranks$).*)?)?$|/apps/anthropic(/.*)?$"
    r"|/api/v1/services/(?!rerank(/|$)).*$"
)
# A part of an endpoint, or a near miss of one: the API is plain.
_PARTS = {
    re.compile(r"/compatible-api(/v1/reranking|/v1/rerank)?$"): "/compatible-api/v1",
    re.compile(r"/api/v1/services(/rerank(/text-rerank)?)?$"): "/api/v1",
}
BEIJING = "https://dashscope.aliyuncs.com"
OF_REGION = "https://{workspace}.{region}.maas.aliyuncs.com"
_ELSEWHERE = "https://dashscope-intl.aliyuncs.com"
_HOSTS = {
    "cn-beijing": BEIJING,
    "cn-hongkong": "https://cn-hongkong.dashscope.aliyuncs.com",
    **dict.fromkeys(("ap-southeast-1", "us-east-1", "eu-central-1", "ap-northeast-1"), _ELSEWHERE),
}


def find_base(provider: Provider, options: Mapping[str, Any]) -> tuple[str, bool]:
    """The base URL, and whether its host is the workspace's own: only where none was stated."""
    for name in ("region", "workspace"):
        value = options.get(name, "none")
        if not (isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]+", value)):
            message = f"{name} must be of letters, digits and dashes, not {value!r}"
            raise ConfigurationError(message)
    if not provider.options["region"] and provider.base_url != OF_REGION:
        return provider.base_url or "", False
    region, workspace = options.get("region") or "cn-beijing", options.get("workspace")
    if workspace:
        return OF_REGION.format(workspace=workspace, region=region), True
    if region not in _HOSTS:
        message = f"no shared host is known for region {region!r}: give workspace=, or api_base="
        raise ConfigurationError(message)
    return _HOSTS[region], False


def without_chat(base_url: str) -> str:
    """The base URL, without the path of another API than the two."""
    parts = urlsplit(base_url)
    path = wire.OTHER_TASKS.sub("", _CHAT.sub("", parts.path.rstrip("/")))
    for part, base in _PARTS.items():
        path = part.sub(base, path)
    return urlunsplit(parts._replace(path=path))


def choose_api(base: str, request: RerankRequest) -> str:
    """What the caller chose, what the base URL's end means, or where the model is documented."""
    chosen = request.options.get("api")
    if chosen not in (None, *PATHS):
        message = f"api must be 'native' or 'compatible', not {chosen!r}"
        raise ConfigurationError(message)
    path = urlsplit(base).path.rstrip("/")
    stated = next((api for ending, api in _ENDINGS.items() if path.endswith(ending)), None)
    if chosen and stated and chosen != stated:
        message = f"api={chosen!r} contradicts the base URL, whose path is the {stated} API's"
        raise ConfigurationError(message)
    return chosen or stated or ("compatible" if request.model == "qwen3-rerank" else "native")
