"""How Azure is told who calls: a key, or a token of Entra ID.

https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/configure-entra-id
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx
from attrs import field, frozen

from rerank_azure_ai._endpoints import choose_header
from rerank_core import ConfigurationError, MissingAPIKeyError, Provider
from rerank_core.auth import AuthOptions, HeaderAuth
from rerank_core.tokens import Steps, Token, TokenAuth, check_token, fetch, read_token

# What Microsoft documents today. https://cognitiveservices.azure.com/.default is older, and
# reported to be taken as well.
_SCOPE = "https://ai.azure.com/.default"
_AUTHORITY = "https://login.microsoftonline.com"
_TRIO = ("tenant_id", "client_id", "client_secret")
# Of azure-core: the token service could not be reached, or broke off.
_UNREACHABLE = frozenset({"ServiceRequestError", "ServiceResponseError"})


@frozen
class _Environment:
    """What the variables hold that the chain reads, passwords among it."""

    values: tuple[str | None, ...] = field(repr=False)


def make_auth(key: str | None, provider: Provider, options: AuthOptions) -> httpx.Auth | TokenAuth:
    """The first of: a key, what gives tokens, a token, a registered application, the chain.

    What the caller gives comes before all that the environment has.

    Raises:
        MissingAPIKeyError: There is none of them.
        ConfigurationError: What is given is not enough.
    """
    known = {**options, "api_key": key}
    given = {name: value for name, value in known.items() if name in options.given}
    applies = bool(given.keys() & set(_TRIO))
    auth = _sign_with(given, provider, known)
    if auth is None and not applies:
        auth = _sign_with(known, provider, known)
    if auth is None and (applies or all(known.get(name) for name in _TRIO)):
        auth = _apply(known)
    if auth is not None:
        return auth
    scope, authority = known.get("azure_scope") or _SCOPE, known.get("azure_authority_host")
    return chain_auth(scope, authority, read_environment(provider))


def _sign_with(
    candidates: Mapping[str, Any], provider: Provider, options: Mapping[str, Any]
) -> httpx.Auth | TokenAuth | None:
    """The first of the candidates that are a key, what gives tokens, or a token."""
    if key := candidates.get("api_key"):
        header = choose_header(options, provider.base_url)
        return HeaderAuth("api-key", key) if header == "api-key" else _bearer(key)
    scope = options.get("azure_scope") or _SCOPE
    for name in ("azure_ad_token_provider", "azure_credential", "azure_ad_token"):
        if (found := candidates.get(name)) is not None:
            if isinstance(found, str):
                return _bearer(check_token(found, name))
            return _ask(found, scope)
    return None


def _bearer(value: str) -> httpx.Auth:
    return HeaderAuth("Authorization", f"Bearer {value}")


def _ask(given: Any, scope: str) -> TokenAuth:
    """Ask a credential of azure-identity, or any function, blocking or not."""
    get_token = getattr(given, "get_token", None)
    if get_token is not None:
        return _call(functools.partial(get_token, scope))
    if not callable(given):
        message = "azure_credential must have get_token, azure_ad_token_provider be a function"
        raise ConfigurationError(message)
    return _call(given)


def _call(function: Callable[[], Any]) -> TokenAuth:
    """Ask a function; where it returns a string, it keeps that itself."""

    def exchange() -> Steps:
        found = yield from fetch(
            function,
            "the credential or token provider raised",
            library="azure",
            may_pass=_is_unreachable,
        )
        if isinstance(found, str):
            return Token(found)
        ends = getattr(found, "expires_on", None) or 0.0
        return Token(getattr(found, "token", None), float(ends))  # type: ignore[arg-type]  # checked

    return TokenAuth(exchange)


def _is_unreachable(error: Exception) -> bool:
    return bool(_UNREACHABLE & {kind.__name__ for kind in type(error).__mro__})


def _apply(known: Mapping[str, Any]) -> TokenAuth:
    """Sign as a registered application."""
    if missing := [name for name in _TRIO if not known.get(name)]:
        message = f"{', '.join(missing)} is missing: an application needs {', '.join(_TRIO)}"
        raise ConfigurationError(message)
    authority = known.get("azure_authority_host") or _AUTHORITY
    scope = known.get("azure_scope") or _SCOPE
    return application_auth(authority, *(known[name] for name in _TRIO), scope)


@functools.lru_cache(maxsize=64)
def application_auth(
    authority: str, tenant_id: str, client_id: str, client_secret: str, scope: str
) -> TokenAuth:
    """The one object, with its one token, for a registered application."""
    host = authority if "://" in authority else f"https://{authority}"
    url = f"{host.rstrip('/')}/{quote(tenant_id, safe='')}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
        "scope": scope,
    }
    headers = {"accept": "application/json"}

    # A function of its own, so that no frame that an error has passed through holds the secret.
    def ask() -> httpx.Request:
        return httpx.Request("POST", url, data=form, headers=headers)

    def exchange() -> Steps:
        return read_token((yield ask()))

    return TokenAuth(exchange)


def read_environment(provider: Provider) -> _Environment:
    """What decides whose credentials the chain finds: the plugin's variables and its own."""
    rows = (*provider.options.values(), *provider.secret_options.values(), provider.watched_env)
    return _Environment(tuple(os.environ.get(name) for names in rows for name in names))


@functools.lru_cache(maxsize=8)
def chain_auth(scope: str, authority: str | None, environment: _Environment) -> TokenAuth:
    """The default chain: environment, workload, managed identity, developers' tools.

    It reads the environment once, when it is made, so that another one needs another chain.
    """
    del environment
    try:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - an extra
    except ImportError:
        message = (
            "no API key: give api_key=, azure_ad_token=, azure_ad_token_provider= or"
            " azure_credential=; or set AZURE_AI_API_KEY, AZURE_AD_TOKEN, or AZURE_TENANT_ID,"
            " AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; or pip install 'rerank-azure-ai[entra]' for"
            " Azure's default chain of credentials"
        )
        raise MissingAPIKeyError(message) from None
    make: Callable[..., Any] = DefaultAzureCredential
    credential = make(authority=authority) if authority else make()
    return _call(functools.partial(credential.get_token, scope))
