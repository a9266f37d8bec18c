"""Where Azure has Cohere's API, and the header that a key goes in there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

_RESOURCE = re.compile(
    r"https?://[^/?#]*\.(services\.ai|cognitiveservices)\.azure\.com(:\d*)?([/?#]|$)"
)
# What people copy from the portal besides: the resource itself, its chat API, their project.
_NOT_COHERES = re.compile(r"(^|/models|/openai(/v1)?|/api/projects/[^/]+)$")


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
    if is_resource(base_url) and _NOT_COHERES.search(path):
        path = "/providers/cohere"
    if path.endswith("/providers/cohere"):
        path += "/v2"
    return base._replace(path=path)
