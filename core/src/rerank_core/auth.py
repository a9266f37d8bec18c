"""How a key is sent, as `httpx.Auth`: the same code under the blocking and the async client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from rerank_core._facts import APIKeyHeader
from rerank_core.errors import RerankError

if TYPE_CHECKING:
    from collections.abc import Generator

    from rerank_core._target import Target


class HeaderAuth(httpx.Auth):
    """Sends a key in one header."""

    def __init__(self, header: str, value: str) -> None:
        self.header, self.value = header, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Set the header."""
        request.headers[self.header] = self.value
        yield request

    def __repr__(self) -> str:
        """The header's name, never its value."""
        return f"HeaderAuth({self.header!r})"


def make_auth(target: Target) -> httpx.Auth | None:
    """The authentication that the provider's facts ask for, or `None` where there is no key.

    Raises:
        PluginError: The plugin's own `auth` returned something else.
    """
    how, key = target.provider.auth, target.api_key
    if how is None or (isinstance(how, APIKeyHeader) and not key):
        return None
    if isinstance(how, APIKeyHeader):
        return HeaderAuth(how.header, f"{how.scheme} {key.value}".strip() if key else "")
    secrets = {name: secret.value for name, secret in target.secrets.items()}
    options = {**target.provider_options, **secrets}
    try:
        auth = how(key.value if key else None, target.provider, options)
    except RerankError:
        raise
    except Exception as error:
        message = f"auth raised {type(error).__name__}: {error}"
        raise target.hooks.source.error(message) from error
    if auth is None or isinstance(auth, httpx.Auth):
        return auth
    raise target.hooks.source.error(f"auth returned {type(auth).__name__}, not an httpx.Auth")
