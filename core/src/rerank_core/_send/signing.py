"""Authentication in httpx's words: keys in headers, requests for tokens and their replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import httpx
from attrs import evolve

from rerank_core._resolve.secrets import values_of
from rerank_core._resolve.target import Target
from rerank_core._send.effects import Send
from rerank_core.auth import AuthOptions
from rerank_core.records import HTTPResponse
from rerank_core.tokens import TokenAuth, is_direct

_OF_THE_BODY = frozenset({"content-length", "host", "transfer-encoding"})
# What may be quoted of the form that was sent; anything else of it is hidden.
_NOT_SECRET = frozenset({"audience", "client_id", "grant_type", "resource", "scope"})


def make_auth(target: Target, options: Mapping[str, Any]) -> Any:
    """What a plugin's own `auth` function returns."""
    how: Any = target.provider.auth
    given = AuthOptions({**options, **values_of(target.secrets)}, target.given)
    auth = how(target.api_key.value if target.api_key else None, target.provider, given)
    if auth is None or isinstance(auth, (httpx.Auth, TokenAuth)):
        return auth
    message = f"auth returned {type(auth).__name__}, not an httpx.Auth or a TokenAuth"
    raise target.hooks.source.error(message)


def form_secrets(request: httpx.Request) -> list[str]:
    """What is given in exchange for a token: the values of the form that is sent."""
    form = parse_qsl(request.read().decode(errors="replace"))
    return [text for name, text in form if name not in _NOT_SECRET]


def to_send(request: httpx.Request, send: Send) -> Send:
    """The effect of a request for a token that another request needs.

    What stands before an `@` in its URL is sent as a header: httpx logs the URL.
    """
    url = request.url
    if url.userinfo:
        if "authorization" not in request.headers:
            next(httpx.BasicAuth(url.username, url.password).auth_flow(request))
        url = url.copy_with(username=None, password=None)
    return evolve(
        send,
        method=request.method,
        url=str(url),
        headers={k: v for k, v in request.headers.items() if k not in _OF_THE_BODY},
        content=request.read(),
        auth=None,
        direct=is_direct(request),
    )


def to_reply(reply: HTTPResponse, request: httpx.Request) -> httpx.Response:
    """The reply as httpx has it, read."""
    headers = {name: value for name, value in reply.headers.items() if name != "content-encoding"}
    return httpx.Response(
        reply.status_code, headers=headers, content=reply.content, request=request
    )
