"""Authentication: a signature of the headers and the body, by Oracle's SDK."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any

import anyio.to_thread
import httpx
from attrs import define

from rerank_oci._config import make_signer


@define
class _Signable:
    """A request as Oracle's signers know it: that of the library requests, as far as they look."""

    method: str
    url: str
    path_url: str
    headers: httpx.Headers
    body: bytes


class SignerAuth(httpx.Auth):
    """Signs each attempt anew; what signs is looked for when this is made, and then kept.

    Args:
        options: The plugin's options, secret ones among them.
    """

    requires_request_body = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._signer: Callable[[Any], Any] = make_signer(options)

    def __repr__(self) -> str:
        return "SignerAuth()"

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the request."""
        request.read()
        self._sign(request)
        yield request

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign the request; signers read files, and those of principals ask services."""
        await request.aread()
        await anyio.to_thread.run_sync(self._sign, request, abandon_on_cancel=True)
        yield request

    def _sign(self, request: httpx.Request) -> None:
        for stale in ("date", "x-content-sha256", "authorization"):
            request.headers.pop(stale, None)
        url = request.url
        self._signer(
            _Signable(
                request.method, str(url), url.raw_path.decode(), request.headers, request.content
            )
        )
