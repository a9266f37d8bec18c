"""How Google is told who calls: always a token, got in whichever way there is.

https://developers.google.com/identity/protocols/oauth2/service-account
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from types import SimpleNamespace
from typing import Any

import httpx

from rerank_core import (
    AuthenticationError,
    ConfigurationError,
    MissingAPIKeyError,
    RerankError,
    TransportError,
)
from rerank_core.auth import HeaderAuth
from rerank_core.tokens import (
    Exchange,
    Steps,
    Token,
    TokenAuth,
    ask_directly,
    check_token,
    fetch,
    read_token,
)
from rerank_vertex_ai._credentials import is_on_google, metadata_url, read_credentials

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_LIFETIME = 3600  # seconds, the most that an assertion may live
_NO_CREDENTIALS = (
    "no credentials: give access_token= or vertex_credentials=, set VERTEXAI_CREDENTIALS or"
    " GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`"
)


def make_auth(key: str | None, options: Mapping[str, Any]) -> httpx.Auth | TokenAuth:
    """The first of: a token, credentials, gcloud's file, the metadata server.

    Raises:
        MissingAPIKeyError: There is none of them.
        ConfigurationError: What there is cannot be used.
    """
    if key:
        message = "the ranking API takes no API key: give access_token= or vertex_credentials="
        raise ConfigurationError(message)
    token = options.get("access_token")
    if callable(token):
        return TokenAuth(_calling(token))
    if token is not None:
        return HeaderAuth("Authorization", f"Bearer {check_token(token, 'access_token')}")
    found = read_credentials(options.get("vertex_credentials"))
    if isinstance(found, Mapping):
        return credentials_auth(json.dumps(dict(found), sort_keys=True))
    if found is not None:
        return TokenAuth(_refreshing(found))
    if not is_on_google():
        raise MissingAPIKeyError(_NO_CREDENTIALS)
    return metadata_auth(metadata_url("instance/service-accounts/default/token"))


@functools.lru_cache(maxsize=8)
def metadata_auth(url: str) -> TokenAuth:
    """The one object, with its one token, for the machine's own service account."""
    headers = {"Metadata-Flavor": "Google"}

    def exchange() -> Steps:
        return read_token((yield ask_directly(httpx.Request("GET", url, headers=headers))))

    return TokenAuth(exchange)


@functools.lru_cache(maxsize=64)
def credentials_auth(text: str) -> TokenAuth:
    """The one object, with its one token, for credentials as JSON.

    Raises:
        ConfigurationError: Something is missing in them, or their type is not known.
    """
    info = json.loads(text)
    kind = info.get("type")
    make = _MAKERS.get(kind)
    if make is None:
        message = f"credentials of the type {kind!r} are not known; {', '.join(_MAKERS)} are"
        raise ConfigurationError(message)
    try:
        return TokenAuth(make(info))
    except (LookupError, TypeError, ValueError) as error:
        what = type(error).__name__
    # Here, and so without a context: that error's text may hold what it could not read.
    message = f"the credentials of the type {kind!r} cannot be used ({what})"
    raise ConfigurationError(message)


def _of_service_account(info: Mapping[str, Any]) -> Exchange:
    """Exchanges an assertion, signed with the account's key."""
    from google.auth import crypt, jwt  # noqa: PLC0415 - heavy

    make_signer: Any = crypt.RSASigner.from_service_account_info
    signer, encode = make_signer(info), jwt.encode
    email, uri = info["client_email"], info.get("token_uri", _TOKEN_URI)

    def exchange() -> Steps:
        now = int(time.time())
        claims = {"iss": email, "scope": _SCOPE, "aud": uri, "iat": now, "exp": now + _LIFETIME}
        assertion: Any = encode(signer, claims)  # type: ignore[no-untyped-call]
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        form = {"grant_type": grant, "assertion": assertion.decode()}
        return read_token((yield _post(uri, form)))

    return exchange


def _of_user(info: Mapping[str, Any]) -> Exchange:
    """Exchanges the refresh token that `gcloud auth application-default login` left."""
    uri = info.get("token_uri", _TOKEN_URI)
    form = {name: info[name] for name in ("client_id", "client_secret", "refresh_token")}

    def exchange() -> Steps:
        return read_token((yield _post(uri, {"grant_type": "refresh_token", **form})))

    return exchange


def _post(uri: str, form: Mapping[str, str]) -> httpx.Request:
    return httpx.Request("POST", uri, data=dict(form), headers={"accept": "application/json"})


def _of_other_kind(info: Mapping[str, Any]) -> Exchange:
    """Has google-auth get the token, which may take several requests, or a program."""
    if info["type"] == "impersonated_service_account":
        from google.auth import impersonated_credentials as module  # noqa: PLC0415 - heavy

        load: Any = module.Credentials.from_impersonated_service_account_info
        return _refreshing(load(info, scopes=[_SCOPE]))
    if info["type"] == "external_account_authorized_user":
        from google.auth import external_account_authorized_user  # noqa: PLC0415 - heavy

        load = external_account_authorized_user.Credentials.from_info
        return _refreshing(load(info))  # a user's consent has its own scopes
    if info.get("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
        from google.auth import aws  # noqa: PLC0415 - heavy

        load = aws.Credentials.from_info
    elif "executable" in info.get("credential_source", {}):
        from google.auth import pluggable  # noqa: PLC0415 - heavy

        load = pluggable.Credentials.from_info
    else:
        from google.auth import identity_pool  # noqa: PLC0415 - heavy

        load = identity_pool.Credentials.from_info
    return _refreshing(load(info, scopes=[_SCOPE]))


def _refreshing(credentials: Any) -> Exchange:
    """Has google-auth's credentials refreshed."""
    return _calling(functools.partial(_refresh, credentials))


def _calling(function: Callable[[], Any]) -> Exchange:
    """Asks a function; where it returns a string, it keeps that itself."""

    def exchange() -> Steps:
        found = yield from fetch(
            function, "the token could not be obtained:", may_pass=_is_retryable
        )
        return found if isinstance(found, Token) else Token(found)

    return exchange


def _is_retryable(error: Exception) -> bool:
    return bool(getattr(error, "retryable", False))  # google-auth's mark


def _refresh(credentials: Any) -> Token:
    """A token of google-auth's, which may block: in a worker thread under async."""
    from google.auth.credentials import with_scopes_if_required  # noqa: PLC0415 - heavy

    scope: Any = with_scopes_if_required
    scoped = scope(credentials, [_SCOPE])
    if not scoped.valid and (failure := _try_to_refresh(scoped)):
        raise failure  # here, where nothing of google-auth's is its context
    ends = scoped.expiry.replace(tzinfo=UTC).timestamp() if scoped.expiry else 0.0
    return Token(scoped.token, ends)


def _try_to_refresh(credentials: Any) -> RerankError | None:
    """Our error for google-auth's, without its text.

    That quotes what a service or a program says, which may be what was exchanged, or a token.
    """
    told: list[str] = []
    try:
        credentials.refresh(functools.partial(_send, told))
    except RerankError:
        raise
    except Exception as error:  # noqa: BLE001 - ours instead
        what = ": ".join(("the token could not be obtained", type(error).__name__, *told[-1:]))
        message = f"{what}; what google-auth says may hold a secret, and is left out"
        passes = isinstance(error, OSError) or _is_retryable(error)
        return (TransportError if passes else AuthenticationError)(message)
    return None


def _send(
    told: list[str],
    url: str,
    method: str = "GET",
    body: Any = None,
    headers: Any = None,
    timeout: float | None = None,
    **_: Any,
) -> SimpleNamespace:
    """What google-auth calls a transport; its own would need another HTTP client.

    It tells in our words what became of a request.
    """
    from google.auth import exceptions  # noqa: PLC0415 - heavy

    host = httpx.URL(url).host
    try:
        reply = httpx.request(method, url, content=body, headers=headers, timeout=timeout or 30.0)
    except httpx.HTTPError as error:
        told.append(f"{host}: {type(error).__name__}")
        raise exceptions.TransportError(told[-1], retryable=True) from error  # type: ignore[no-untyped-call]
    told.append(f"{host} answered with status {reply.status_code}")
    return SimpleNamespace(status=reply.status_code, headers=reply.headers, data=reply.content)


_MAKERS: Mapping[str, Callable[[Mapping[str, Any]], Exchange]] = {
    "service_account": _of_service_account,
    "authorized_user": _of_user,
    "external_account": _of_other_kind,
    "external_account_authorized_user": _of_other_kind,
    "impersonated_service_account": _of_other_kind,
}
