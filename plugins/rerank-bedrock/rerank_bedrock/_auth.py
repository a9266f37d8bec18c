"""Authentication: Signature Version 4, or an API key where that is enough.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
import httpx

from rerank_bedrock._credentials import check_types, freeze, load_credentials, without_foreign
from rerank_core import AuthenticationError, ConfigurationError, HTTPResponse
from rerank_core.auth import AuthOptions

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class SigV4Auth(httpx.Auth):
    """Signs each attempt anew, with credentials that are looked for once and then kept.

    Args:
        options: The plugin's options, secret ones among them.
        service: The name that AWS signs for.
        chosen: Whether the caller named the profile, so that nothing else may answer.
    """

    requires_request_body = True
    _otherwise = ""

    def __init__(self, options: AuthOptions, *, service: str, chosen: bool) -> None:
        check_types(options)
        self._service, self._chosen = service, chosen
        self._options = without_foreign(options)
        self._credentials: Any = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Authorize the request."""
        request.read()
        if not self._send_key(request):
            self._sign(request, self.load())
        response = yield request
        response.read()
        _refuse_echo(response)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Authorize the request; what finds credentials reads files and asks services."""
        await request.aread()
        if not self._send_key(request):
            loaded = self.load() if self._is_ready() else await _in_thread(self.load)
            self._sign(request, loaded)
        response = yield request
        await response.aread()
        _refuse_echo(response)

    def _send_key(self, _: httpx.Request) -> bool:
        """Whether something else than a signature was sent."""
        return False

    def _is_ready(self) -> bool:
        """Whether the credentials are here and need no renewal."""
        renew = getattr(self._credentials, "refresh_needed", bool)
        return self._credentials is not None and not renew()

    def load(self) -> Any:
        """The credentials: found on first use, and renewed where they end."""
        from botocore import auth, awsrequest  # type: ignore[import-untyped]  # noqa: F401, PLC0415 - slow, so here

        # Without a lock, which a fork could leave locked: to load them twice does no harm.
        if self._credentials is None:
            self._credentials = load_credentials(
                self._options, chosen=self._chosen, otherwise=self._otherwise
            )
        return freeze(self._credentials)

    def _sign(self, request: httpx.Request, keys: Any) -> None:
        """Sign the bytes and the URL exactly as they are sent.

        Botocore's `add_auth` would write the session token to its debug log.
        """
        from botocore.auth import SigV4Auth as Signer  # type: ignore[import-untyped]  # noqa: PLC0415 - late
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # noqa: PLC0415

        region = self._options.get("aws_region_name")
        if not region:
            raise ConfigurationError("no AWS region to sign for: give aws_region_name=")
        now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        headers = {"content-type": request.headers["content-type"], "x-amz-date": now}
        if keys.token:
            headers["x-amz-security-token"] = keys.token
        signed = AWSRequest(request.method, str(request.url), headers, request.content)
        signed.context["timestamp"] = now
        signer = Signer(keys, self._service, region)
        signature = signer.signature(
            signer.string_to_sign(signed, signer.canonical_request(signed)), signed
        )
        names = signer.signed_headers(signer.headers_to_sign(signed))
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={signer.scope(signed)}, SignedHeaders={names},"
            f" Signature={signature}"
        )
        request.headers.update({name: _checked(value) for name, value in headers.items()})


class BedrockAuth(SigV4Auth):
    """Signs, or sends an API key where there is one and the route takes it.

    Args:
        key: A Bedrock API key that the caller gave.
        options: The plugin's options, secret ones among them.
        chosen: As in `SigV4Auth`.
    """

    _otherwise = (
        "; an API key (api_key=, AWS_BEARER_TOKEN_BEDROCK) is enough for bedrock/invoke/<model>,"
        " but not for the Rerank operation"
    )

    def __init__(self, key: str | None, options: AuthOptions, *, chosen: bool) -> None:
        super().__init__(options, service="bedrock", chosen=chosen)  # of both endpoints
        self._key = key

    def _send_key(self, request: httpx.Request) -> bool:
        """Send an API key, where there is one and the route takes it."""
        if not request.url.path.endswith("/invoke"):
            if self._key:
                message = (
                    "the Rerank operation takes no API key: write bedrock/invoke/<model>, or leave"
                    " api_key out and sign with AWS credentials"
                )
                raise ConfigurationError(message)
            return False
        # As in AWS's own SDKs, it comes before credentials.
        key = self._key or self._options.get("aws_bearer_token")
        if not key:
            return False
        if request.url.scheme != "https" and request.url.host not in _LOOPBACK:
            raise ConfigurationError("an API key is sent over https only: correct api_base")
        request.headers["authorization"] = _checked(f"Bearer {key}")
        return True


async def _in_thread(function: Any) -> Any:
    return await anyio.to_thread.run_sync(function, abandon_on_cancel=True)


def _checked(value: str) -> str:
    if value.isascii() and value.isprintable() and value == value.strip():
        return value
    message = "a credential has a character that cannot stand in a header; copy it again"
    raise ConfigurationError(message)


def _refuse_echo(response: httpx.Response) -> None:
    """Keep back a reply that quotes the signed headers, the session token among them.

    Raises:
        AuthenticationError: In its stead.
    """
    if response.is_error and b"Canonical String" in response.content:
        message = (
            f"status {response.status_code}: the signature does not match: a wrong secret key,"
            " region or clock, or a proxy that changes the request"
        )
        bare = HTTPResponse(response.status_code, dict(response.headers.items()))
        raise AuthenticationError(message, response=bare)
