"""One call for every rerank service: `rerank()` and `arerank()`, providers as plugins."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rerank_core._version import __version__

if TYPE_CHECKING:
    from rerank_core._client import arerank, rerank
    from rerank_core._facts import APIKeyHeader, Price, Provider
    from rerank_core._hooks import PluginSource
    from rerank_core._models import (
        BilledUnits,
        Compute,
        Document,
        HTTPRequest,
        HTTPResponse,
        Meta,
        NextRequest,
        RerankRequest,
        RerankResponse,
        RerankResult,
        Tokens,
    )
    from rerank_core._plugins import InstalledProvider, list_providers, register, unregister
    from rerank_core._reranker import Reranker
    from rerank_core.errors import (
        APIStatusError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        InvalidRequestError,
        MissingAPIKeyError,
        NotFoundError,
        PermissionDeniedError,
        PluginError,
        ProviderNotFoundError,
        RateLimitError,
        RequestTimeoutError,
        RerankError,
        ResponseParseError,
        ServerError,
        TransportError,
        UnsupportedParamError,
    )
    from rerank_core.hookspecs import HOOKSPEC_VERSION, hookimpl

__all__ = [  # noqa: RUF022 - plainly sorted; a constant is a name like others
    "APIKeyHeader",
    "APIStatusError",
    "AuthenticationError",
    "BadRequestError",
    "BilledUnits",
    "Compute",
    "ConfigurationError",
    "Document",
    "HOOKSPEC_VERSION",
    "HTTPRequest",
    "HTTPResponse",
    "InstalledProvider",
    "InvalidRequestError",
    "Meta",
    "MissingAPIKeyError",
    "NextRequest",
    "NotFoundError",
    "PermissionDeniedError",
    "PluginError",
    "PluginSource",
    "Price",
    "Provider",
    "ProviderNotFoundError",
    "RateLimitError",
    "RequestTimeoutError",
    "RerankError",
    "RerankRequest",
    "RerankResponse",
    "RerankResult",
    "Reranker",
    "ResponseParseError",
    "ServerError",
    "Tokens",
    "TransportError",
    "UnsupportedParamError",
    "__version__",
    "arerank",
    "hookimpl",
    "list_providers",
    "register",
    "rerank",
    "unregister",
]

# Where each name is imported from when it is first used: a program that only may rerank starts at
# once.
_HOMES = {
    "APIKeyHeader": "_facts",
    "APIStatusError": "errors",
    "AuthenticationError": "errors",
    "BadRequestError": "errors",
    "BilledUnits": "_models",
    "Compute": "_models",
    "ConfigurationError": "errors",
    "Document": "_models",
    "HOOKSPEC_VERSION": "hookspecs",
    "HTTPRequest": "_models",
    "HTTPResponse": "_models",
    "InstalledProvider": "_plugins",
    "InvalidRequestError": "errors",
    "Meta": "_models",
    "MissingAPIKeyError": "errors",
    "NextRequest": "_models",
    "NotFoundError": "errors",
    "PermissionDeniedError": "errors",
    "PluginError": "errors",
    "PluginSource": "_hooks",
    "Price": "_facts",
    "Provider": "_facts",
    "ProviderNotFoundError": "errors",
    "RateLimitError": "errors",
    "RequestTimeoutError": "errors",
    "RerankError": "errors",
    "RerankRequest": "_models",
    "RerankResponse": "_models",
    "RerankResult": "_models",
    "Reranker": "_reranker",
    "ResponseParseError": "errors",
    "ServerError": "errors",
    "Tokens": "_models",
    "TransportError": "errors",
    "UnsupportedParamError": "errors",
    "arerank": "_client",
    "hookimpl": "hookspecs",
    "list_providers": "_plugins",
    "register": "_plugins",
    "rerank": "_client",
    "unregister": "_plugins",
}


def __getattr__(name: str) -> Any:
    """The public name, imported now."""
    if name in {"errors", "hookspecs", "wire"}:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
