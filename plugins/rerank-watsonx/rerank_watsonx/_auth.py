"""How watsonx.ai is told who calls: a token, a Zen key, or a key exchanged for a token.

https://cloud.ibm.com/docs/account?topic=account-iamtoken_from_apikey
"""

from __future__ import annotations

import base64
import functools
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import anyio
import httpx
from anyio.lowlevel import current_token
from attrs import field, frozen

from rerank_core import (
    AuthenticationError,
    ConfigurationError,
    HTTPResponse,
    MissingAPIKeyError,
    Provider,
    RerankError,
    ResponseParseError,
    TransportError,
    wire,
)
from rerank_core.auth import HeaderAuth

_IAM = "https://iam.cloud.ibm.com"
_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
# Their keys go to a token service of another kind, which is not documented well enough to be used.
_OTHER_TOKEN_SERVICES = (".wxai.ibm.com", "wxai.ibmforusgov.com")
_EARLY = 60.0  # seconds before its end at which a token is replaced
_TRANSIENT = frozenset({408, 425, 429, *range(500, 600)})
_UNAUTHORIZED = 401


def make_auth(key: str | None, provider: Provider, options: Mapping[str, Any]) -> httpx.Auth:
    """The first of a token, a Zen key and a key; what the caller gives before the environment's.

    Raises:
        MissingAPIKeyError: There is none of them.
        ConfigurationError: The host takes no token that a key can be exchanged for here.
    """
    known = {"token": options.get("token"), "zen_api_key": options.get("zen_api_key"), "key": key}
    variables = {**provider.secret_options, "key": provider.api_key_env}
    # What stands in one of its variables was not given, or might as well not have been.
    given = {
        name: value
        for name, value in known.items()
        if value and value not in map(os.environ.get, variables[name])
    }
    for name, value in (given or known).items():
        if not value:
            continue
        if name == "token":
            return HeaderAuth("Authorization", f"Bearer {_checked(value, name)}")
        if name == "zen_api_key":
            return _zen(_checked(value, name))
        return _of_key(value, provider, options)
    looked_at = ", ".join(name for names in variables.values() for name in names)
    message = f"no API key: give api_key=, token= or zen_api_key=, or set one of: {looked_at}"
    raise MissingAPIKeyError(message)


def _of_key(key: str, provider: Provider, options: Mapping[str, Any]) -> httpx.Auth:
    if username := options.get("username"):
        return _zen(f"{username}:{key}")
    host = urlsplit(provider.base_url or "").hostname or ""
    if "iam_url" not in options and host.endswith(_OTHER_TOKEN_SERVICES):
        message = f"{host} takes no token of {_IAM}: give token=, or iam_url= if you know better"
        raise ConfigurationError(message)
    return iam_auth(options.get("iam_url") or _IAM, key)


@functools.lru_cache(maxsize=64)
def iam_auth(iam_url: str, key: str) -> TokenAuth:
    """The one object, with its one token, for a key at a token service."""
    url = wire.join_endpoint(iam_url, "/identity/token")
    form = {"grant_type": _GRANT, "apikey": key}
    headers = {"accept": "application/json"}
    return TokenAuth(lambda: httpx.Request("POST", url, data=form, headers=headers), read_token)


@frozen
class Token:
    """A token, and when it ends in seconds since 1970."""

    value: str = field(repr=False)
    ends: float


class TokenAuth(httpx.Auth):
    """Sends a token: asks for it first, again shortly before it ends, and once after a 401.

    Those who need it at the same time ask for it once: all threads, and all tasks of a loop.

    Args:
        ask: Makes the request for a token.
        read: Reads the token from the reply.
    """

    def __init__(
        self, ask: Callable[[], httpx.Request], read: Callable[[httpx.Response], Token]
    ) -> None:
        self._ask, self._read = ask, read
        self._token = Token("", 0.0)
        self._lock = threading.Lock()
        self._locks: WeakKeyDictionary[Any, anyio.Lock] = WeakKeyDictionary()

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Get a token where one is needed, and send the request with it."""
        refused = None
        for _ in range(2):
            if self._is_due(refused):
                with self._lock:
                    if self._is_due(refused):
                        reply = yield self._question(request)
                        reply.read()
                        self._token = self._read(reply)
            token = self._token
            request.headers["Authorization"] = f"Bearer {token.value}"
            reply = yield request
            if reply.status_code != _UNAUTHORIZED:
                return
            refused = token

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The same, awaited."""
        refused = None
        for _ in range(2):
            if self._is_due(refused):
                async with self._locks.setdefault(current_token().native_token, anyio.Lock()):
                    if self._is_due(refused):
                        reply = yield self._question(request)
                        await reply.aread()
                        self._token = self._read(reply)
            token = self._token
            request.headers["Authorization"] = f"Bearer {token.value}"
            reply = yield request
            if reply.status_code != _UNAUTHORIZED:
                return
            refused = token

    def _is_due(self, refused: Token | None) -> bool:
        return self._token is refused or self._token.ends - _EARLY <= time.time()

    def _question(self, request: httpx.Request) -> httpx.Request:
        """The request for a token, within the same bounds of time as the request it is for."""
        question = self._ask()
        question.extensions = {**request.extensions}
        return question


def read_token(reply: httpx.Response) -> Token:
    """Read a token service's reply.

    Raises:
        AuthenticationError: It refuses.
        TransportError: It fails in a way that may pass.
        ResponseParseError: There is no token in the reply.
    """
    if not reply.is_success:
        raise _refusal(reply)
    try:
        payload = wire.decode_json(reply.content)
        now = time.time()
        ends = now + payload["expires_in"] if "expires_in" in payload else payload["expiration"]
        return Token(_checked(payload["access_token"], "access_token"), float(ends))
    except (ResponseParseError, ConfigurationError, LookupError, TypeError, ValueError):
        # Not chained: what was read may hold a token.
        message = f"{reply.request.url.host} answered with no token that can be used"
        raise ResponseParseError(message) from None


def _refusal(reply: httpx.Response) -> RerankError:
    record = HTTPResponse(reply.status_code, dict(reply.headers.items()), reply.content)
    said = wire.read_error_message(record)
    where = reply.request.url.host
    message = f"{where} gave no token for the API key: status {reply.status_code}: {said}"
    if reply.status_code not in _TRANSIENT:
        return AuthenticationError(message, response=record)
    wait = reply.headers.get("retry-after", "")
    # No reply of the service that was asked: core tries again.
    return TransportError(
        message, response=record, retry_after=float(wait) if wait.isdecimal() else None
    )


def _zen(value: str) -> httpx.Auth:
    """`user:apikey`, in base64 where it is not yet."""
    text = base64.b64encode(value.encode()).decode() if ":" in value else value
    return HeaderAuth("Authorization", f"ZenApiKey {text}")


def _checked(value: Any, name: str) -> str:
    """A value that can stand in a header; it is not shown where it cannot."""
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and value.strip() == value
    ):
        return value
    message = f"{name} must be a string with no space or line break at an end; copy it again"
    raise ConfigurationError(message)
