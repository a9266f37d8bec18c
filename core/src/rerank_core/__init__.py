"""One call for every rerank service: `rerank()` and `arerank()`, providers as plugins."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from rerank_core._client.functions import arerank, rerank
from rerank_core._client.reranker import Reranker
from rerank_core._resolve.discovery import InstalledProvider, list_providers, register, unregister
from rerank_core._resolve.hooks import PluginSource
from rerank_core._version import __version__
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
from rerank_core.facts import APIKeyHeader, Price, Provider
from rerank_core.hookspecs import HOOKSPEC_VERSION, hookimpl
from rerank_core.records import (
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

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """`rerank_core.testing`, which is imported when it is asked for."""
        if name == "testing":
            return import_module("rerank_core.testing")
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message, name=name, obj=sys.modules[__name__])
