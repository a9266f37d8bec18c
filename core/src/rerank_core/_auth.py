"""How a key is sent, as `httpx.Auth`: the same code under the blocking and the async client."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING

import httpx

from rerank_core._facts import APIKeyHeader
from rerank_core._http.reply_streams import bound_reply
from rerank_core._http.transports import MAX_BYTES
from rerank_core._keys import values_of
from rerank_core._secrets import named_secrets
from rerank_core._token_reply import form_secrets
from rerank_core.auth import HeaderAuth
from rerank_core.errors import RerankError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from rerank_core._target import Target

_MAX_NOTED = 64  # signatures differ from request to request; tokens are few


class RecordingAuth(httpx.Auth):
    """A plugin's own authentication; what it sends is noted, so that no error shows it.

    Args:
        auth: What the plugin returned.
    """

    def __init__(self, auth: httpx.Auth) -> None:
        self.auth = auth
        self._noted: dict[str, None] = {}

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Authorize as the plugin does."""
        with closing(self.auth.sync_auth_flow(request)) as steps:
            try:
                step = next(steps)
                while True:
                    reply = yield self._note(step, request)
                    _bound(reply, step, request)
                    step = steps.send(reply)
            except StopIteration:
                return

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The same, awaited."""
        async with aclosing(self.auth.async_auth_flow(request)) as steps:
            try:
                step = await anext(steps)
                while True:
                    reply = yield self._note(step, request)
                    _bound(reply, step, request)
                    step = await steps.asend(reply)
            except StopAsyncIteration:
                return

    def __repr__(self) -> str:
        """The plugin's own."""
        return repr(self.auth)

    def secrets(self) -> list[str]:
        """What errors must not show: of the latest requests, exchanges of tokens among them."""
        return list(self._noted)

    def _note(self, step: httpx.Request, request: httpx.Request) -> httpx.Request:
        exchanged = () if step is request else form_secrets(step)
        for secret in (*named_secrets(step.headers), *exchanged):
            self._noted.pop(secret, None)
            self._noted[secret] = None  # the latest stand last
        for secret in list(self._noted)[:-_MAX_NOTED]:
            self._noted.pop(secret, None)
        return step


def _bound(reply: httpx.Response, step: httpx.Request, request: httpx.Request) -> None:
    """Bound the reply to a step before anybody reads it: httpx does, where another step follows."""
    most = request.extensions.get(MAX_BYTES)
    bound_reply(reply, step.extensions.get(MAX_BYTES, most))


def make_auth(target: Target) -> HeaderAuth | RecordingAuth | None:
    """The authentication that the provider's facts ask for, or `None` where there is no key.

    Raises:
        PluginError: The plugin's own `auth` returned something else.
    """
    how, key = target.provider.auth, target.api_key
    if how is None or (isinstance(how, APIKeyHeader) and not key):
        return None
    if isinstance(how, APIKeyHeader):
        return HeaderAuth(how.header, f"{how.scheme} {key.value}".strip() if key else "")
    try:
        auth = how(
            key.value if key else None,
            target.provider,
            {**target.provider_options, **values_of(target.secrets)},
        )
    except RerankError:
        raise
    except Exception as error:
        message = f"auth raised {type(error).__name__}: {error}"
        raise target.hooks.source.error(message) from error
    if auth is None or isinstance(auth, HeaderAuth):
        return auth
    if isinstance(auth, httpx.Auth):
        return RecordingAuth(auth)
    raise target.hooks.source.error(f"auth returned {type(auth).__name__}, not an httpx.Auth")
