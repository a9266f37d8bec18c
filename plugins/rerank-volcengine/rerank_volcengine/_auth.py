"""Authentication: a signature by Volcengine's SDK, or an API key.

https://www.volcengine.com/docs/6369/67269
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import httpx

from rerank_core import ConfigurationError, MissingAPIKeyError, Provider
from rerank_core.auth import AuthOptions, HeaderAuth
from rerank_core.tokens import check_token

_SERVICE = "air"  # the knowledge service's name in signatures
_PAIR = ("volcengine_access_key", "volcengine_secret_key")


def make_auth(
    key: str | None, provider: Provider, options: AuthOptions, *, region: str
) -> httpx.Auth:
    """A pair of keys that signs, or an API key; first what the caller gave.

    Raises:
        MissingAPIKeyError: There is neither.
        ConfigurationError: Half of a pair is missing, or is no text.
    """
    known = {"api_key": key, **{name: options.get(name) for name in provider.secret_options}}
    given = {name: value for name, value in known.items() if name in options.given}
    for found in (given, known):
        if any(found.get(name) for name in _PAIR):
            # Parts of one source: a token of the environment belongs to the environment's keys.
            return _sign_with(found, region)
        if api_key := found.get("api_key"):
            return HeaderAuth("Authorization", f"Bearer {api_key}")
    variables = (*provider.secret_options.values(), provider.api_key_env)
    looked_at = ", ".join(name for names in variables for name in names)
    message = (
        "nothing to sign with: give volcengine_access_key= and volcengine_secret_key=, or api_key=,"
        f" or set some of: {looked_at}"
    )
    raise MissingAPIKeyError(message)


def _sign_with(known: Mapping[str, Any], region: str) -> httpx.Auth:
    access, secret = (known.get(name) for name in _PAIR)
    token = known.get("volcengine_session_token")
    if not access or not secret:
        raise ConfigurationError(f"{' and '.join(_PAIR)} belong together: one of them is missing")
    for name, value in zip(
        (*_PAIR, "volcengine_session_token"), (access, secret, token), strict=True
    ):
        if value is not None:
            check_token(value, name)
    return SignatureAuth(access, secret, token, region)


class SignatureAuth(httpx.Auth):
    """Signs each attempt anew, the bytes and the URL as they are sent."""

    requires_request_body = True

    def __init__(self, access: str, secret: str, token: str | None, region: str) -> None:
        from volcengine.Credentials import (  # type: ignore[import-untyped]  # noqa: PLC0415 - late
            Credentials,
        )

        self._credentials = Credentials(access, secret, _SERVICE, region, token or "")

    def __repr__(self) -> str:
        return "SignatureAuth()"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the request."""
        from volcengine.auth.SignerV4 import SignerV4  # type: ignore[import-untyped]  # noqa: PLC0415
        from volcengine.base.Request import Request  # type: ignore[import-untyped]  # noqa: PLC0415

        signed, url = Request(), request.url
        signed.set_method(request.method)
        signed.set_host(url.netloc.decode())
        signed.set_path(url.path)
        signed.set_query(dict(url.params))
        signed.set_body(request.content)
        names = ("content-type", "host")  # no more, because proxies change headers
        signed.set_headers({name.title(): request.headers[name] for name in names})
        SignerV4.sign(signed, self._credentials)
        request.headers.update(
            {name: value for name, value in signed.headers.items() if name.lower() not in names}
        )
        yield request
