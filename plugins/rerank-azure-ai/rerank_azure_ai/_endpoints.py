"""Where Azure has Cohere's API, and the header that a key goes in there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from rerank_core import wire

_RESOURCE = re.compile(
    r"https?://[^/?#]*\.(services\.ai|cognitiveservices|openai)\.azure\.(com|us|cn)"
    r"(:\d*)?([/?#]|$)"
)
# What people copy from the portal besides: the resource itself, its chat APIs, their project.
_NOT_COHERES = re.compile(
    r"(^|/models|(^|/api/projects/[^/]+)/openai(/v1|/deployments/[^/]+)?|/api/projects/[^/]+"
    r"|/anthropic(/v1)?|/providers/cohere/v[12]/(chat|embed))"
    r"(/((chat/)?completions|responses|messages|embeddings))?$"
)
_MODEL = re.compile(r"\.(models|inference)\.ai\.azure\.com$")
# The chat's; Cohere's API has none there and answers 400 to one.
_API_VERSION = re.compile(r"(^|&)api-version=[^&]*")


def is_resource(base_url: Any) -> bool:
    """Whether a URL is a Foundry resource's, which has several APIs beside one another."""
    return bool(_RESOURCE.match(str(base_url).lower()))


def choose_header(options: Mapping[str, Any], base_url: Any) -> str:
    """The header for a key: the chosen one, else what most people found to work there."""
    return options.get("auth_header") or ("api-key" if is_resource(base_url) else "bearer")


def find_api(base_url: str) -> SplitResult:
    """The base URL, down to Cohere's API where it stops before or beside it."""
    base = urlsplit(base_url)
    path = base.path.rstrip("/")
    is_model, of_resource = bool(_MODEL.search(base.hostname or "")), is_resource(base_url)
    if of_resource:
        if _NOT_COHERES.search(path):
            path = "/providers/cohere"
    elif wire.OTHER_TASKS.search(path):
        path = wire.OTHER_TASKS.sub("", path)
        if is_model:
            path = path.removesuffix("/v1")
    if is_model or of_resource:
        base = base._replace(query=_API_VERSION.sub("", base.query))
    if path.endswith("/providers/cohere"):
        path += "/v2"
    return base._replace(path=path)
