"""Which host is asked, and for which location: each region has hosts of its own."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from rerank_core import ConfigurationError

BASE = "https://discoveryengine.googleapis.com"
_REGIONS = ("us", "eu")
# The service's own hosts, in its older and its newer way to name a region.
_HOST = re.compile(r"(?:(us|eu)-)?discoveryengine(?:\.mtls|\.(us|eu)\.rep)?\.googleapis\.com")
# What stands behind a version there: a part of the endpoint, or another method's.
_METHOD = re.compile(r"(?<=/v1)(alpha|beta)?/projects/.*$")
_LOCATION = re.compile(r"/locations/(us|eu)(?=/|$)")
# Where the same people have their chat models.
_CHAT_HOST = re.compile(r"([a-z0-9-]+-)?aiplatform(\.[a-z]+\.rep)?\.googleapis\.com")
_GEMINI_HOST = "generativelanguage.googleapis.com"


def find_host(base_url: str, location: str | None, *, is_given: bool) -> tuple[SplitResult, str]:
    """The base URL, at the host of the location, and the location, which the URL may say, too.

    Raises:
        ConfigurationError: A location is given that is another's, or the URL is Gemini's.
    """
    parts = urlsplit(_without_models(base_url))
    own = _HOST.fullmatch(parts.hostname or "")
    if not own or parts.path.rstrip("/").endswith(":rank"):
        return parts, location or "global"
    in_path = _LOCATION.search(parts.path)
    stated = own[1] or own[2] or (in_path[1] if in_path else None)
    if stated and is_given and location in _REGIONS and location != stated:
        message = f"the base URL is that of {stated!r}, but vertex_location is {location!r}"
        raise ConfigurationError(f"{message}: give one of them")
    location = stated or location or "global"
    if location in _REGIONS and parts.netloc == urlsplit(BASE).netloc:
        parts = parts._replace(netloc=f"{location}-{parts.netloc}")
    return parts._replace(path=_METHOD.sub(r"\1", parts.path.rstrip("/"))), location


def _without_models(base_url: str) -> str:
    """The base URL; that of Google's chat models says no more than that Google is meant.

    Raises:
        ConfigurationError: It is Gemini's, whose keys are of no use here.
    """
    host = urlsplit(base_url).hostname or ""
    if host == _GEMINI_HOST:
        message = f"{host} does not rerank: leave api_base out, and sign with Google Cloud"
        raise ConfigurationError(message)
    return BASE if _CHAT_HOST.fullmatch(host) else base_url
