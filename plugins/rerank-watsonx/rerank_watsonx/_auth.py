"""How watsonx.ai is told who calls: a token, a Zen key, or a key exchanged for a token.

https://cloud.ibm.com/docs/account?topic=account-iamtoken_from_apikey
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from rerank_core import ConfigurationError, MissingAPIKeyError, Provider, wire
from rerank_core.auth import AuthOptions, HeaderAuth
from rerank_core.tokens import Steps, TokenAuth, check_token, read_token

_IAM = "https://iam.cloud.ibm.com"
_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
# Their keys go to a token service of another kind, which is not documented well enough to be used.
_OTHER_TOKEN_SERVICES = (".wxai.ibm.com", "wxai.ibmforusgov.com")


def make_auth(key: str | None, provider: Provider, options: AuthOptions) -> httpx.Auth | TokenAuth:
    """The first of a token, a Zen key and a key; what the caller gives before the environment's.

    Raises:
        MissingAPIKeyError: There is none of them.
        ConfigurationError: The host takes no token that a key can be exchanged for here.
    """
    stated = {
        "token": options.get("token"),
        "zen_api_key": options.get("zen_api_key"),
        "api_key": key,
    }
    known = {name: value for name, value in stated.items() if value is not None}
    candidates = {n: v for n, v in known.items() if n in options.given} or known
    if "token" in candidates:
        return HeaderAuth("Authorization", f"Bearer {check_token(candidates['token'], 'token')}")
    if "zen_api_key" in candidates:
        return _zen(check_token(candidates["zen_api_key"], "zen_api_key"))
    if "api_key" in candidates:
        return _of_key(candidates["api_key"], provider, options)
    variables = (*provider.secret_options.values(), provider.api_key_env)
    looked_at = ", ".join(name for names in variables for name in names)
    message = f"no API key: give api_key=, token= or zen_api_key=, or set one of: {looked_at}"
    raise MissingAPIKeyError(message)


def _of_key(key: str, provider: Provider, options: Mapping[str, Any]) -> httpx.Auth | TokenAuth:
    if username := options.get("username"):
        return _zen(f"{username}:{key}")
    host = urlsplit(provider.base_url or "").hostname or ""
    if "iam_url" not in options and host.endswith(_OTHER_TOKEN_SERVICES):
        message = f"{host} takes no token of {_IAM}: give token=, or iam_url= if you know better"
        raise ConfigurationError(message)
    iam_url = options.get("iam_url") or _IAM
    if not (isinstance(iam_url, str) and urlsplit(iam_url).hostname):
        raise ConfigurationError(f"iam_url must be an absolute URL such as {_IAM!r}")
    return iam_auth(iam_url, key)


@functools.lru_cache(maxsize=64)
def iam_auth(iam_url: str, key: str) -> TokenAuth:
    """The one object, with its one token, for a key at a token service."""
    url = wire.join_endpoint(iam_url, "/identity/token")
    form = {"grant_type": _GRANT, "apikey": key}
    headers = {"accept": "application/json"}

    # A function of its own, so that no frame that an error has passed through holds the key.
    def ask() -> httpx.Request:
        return httpx.Request("POST", url, data=form, headers=headers)

    def exchange() -> Steps:
        return read_token((yield ask()), given="the API key", end="expiration")

    return TokenAuth(exchange)


def _zen(value: str) -> httpx.Auth:
    """`user:apikey`, in base64 where it is not yet."""
    text = base64.b64encode(value.encode()).decode() if ":" in value else value
    return HeaderAuth("Authorization", f"ZenApiKey {text}")
