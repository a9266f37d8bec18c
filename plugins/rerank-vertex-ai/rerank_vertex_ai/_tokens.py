"""Tokens that are asked for when they are needed, as `httpx.Auth`."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread
import httpx
from anyio.lowlevel import current_token
from attrs import field, frozen

from rerank_core import (
    AuthenticationError,
    ConfigurationError,
    HTTPResponse,
    RerankError,
    ResponseParseError,
    TransportError,
    wire,
)

_EARLY = 60.0  # seconds before its end at which a token is replaced
_TRANSIENT = frozenset({408, 425, 429, *range(500, 600)})
_UNAUTHORIZED = 401


@frozen
class Token:
    """A token, and when it ends in seconds since 1970; 0 where that is not known."""

    value: str = field(repr=False)
    ends: float


@frozen
class Exchange:
    """A token that a token service gives for one request, which this makes."""

    ask: Callable[[], httpx.Request] = field(repr=False)


class TokenAuth(httpx.Auth):
    """Sends a token: asks for it first, again shortly before it ends, and once after a 401.

    Those who need it at the same time ask for it once: all threads, and all tasks of a loop.

    Args:
        source: An exchange, or a function, blocking or not, that returns a string or
            a `Token`. A string is kept by the function: it is called each time. A function that
            blocks runs in a worker thread under async.
    """

    def __init__(self, source: Exchange | Callable[[], Any]) -> None:
        self._source = source
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
                        if isinstance(self._source, Exchange):
                            reply = yield _within_bounds_of(request, self._source.ask())
                            reply.read()
                            self._token = read_token(reply)
                        else:
                            self._token = _called(self._source)
            token = self._token
            if self._is_useless(token, refused):
                return
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
                        if isinstance(self._source, Exchange):
                            reply = yield _within_bounds_of(request, self._source.ask())
                            await reply.aread()
                            self._token = read_token(reply)
                        else:
                            self._token = await _awaited(self._source)
            token = self._token
            if self._is_useless(token, refused):
                return
            request.headers["Authorization"] = f"Bearer {token.value}"
            reply = yield request
            if reply.status_code != _UNAUTHORIZED:
                return
            refused = token

    def _is_due(self, refused: Token | None) -> bool:
        return self._token is refused or self._token.ends - _EARLY <= time.time()

    def _is_useless(self, token: Token, refused: Token | None) -> bool:
        """Whether a function gives what was refused, again: then the refusal stands."""
        again = refused is not None and token.value == refused.value
        return again and not isinstance(self._source, Exchange)


def _within_bounds_of(request: httpx.Request, question: httpx.Request) -> httpx.Request:
    """The request for a token, within the same bounds of time as the request it is for."""
    question.extensions = {**request.extensions}
    return question


def _called(function: Callable[[], Any]) -> Token:
    try:
        value = function()
    except Exception as error:
        raise _failure(error) from error
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        message = "access_token is async: use arerank, or give a function that blocks"
        raise ConfigurationError(message)
    return _to_token(value)


async def _awaited(function: Callable[[], Any]) -> Token:
    try:
        if inspect.iscoroutinefunction(function):
            value = await function()
        else:
            value = await anyio.to_thread.run_sync(function, abandon_on_cancel=True)
            if inspect.isawaitable(value):
                value = await value
    except Exception as error:
        raise _failure(error) from error
    return _to_token(value)


def _to_token(value: Any) -> Token:
    return value if isinstance(value, Token) else Token(checked(value, "access_token"), 0.0)


def _failure(error: Exception) -> RerankError:
    """Our error for whatever gives tokens raises; google-auth's own words say what to do."""
    if isinstance(error, RerankError):
        return error
    kind = type(error)
    said = f": {wire.shorten(str(error))}" if kind.__module__.startswith("google.") else ""
    message = f"no token can be had: {kind.__name__}{said}"
    if getattr(error, "retryable", False) or isinstance(error, OSError):  # google-auth's mark
        return TransportError(message)
    return AuthenticationError(message)


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
        ends = time.time() + float(payload["expires_in"])
        return Token(checked(payload["access_token"], "access_token"), ends)
    except (ResponseParseError, ConfigurationError, LookupError, TypeError, ValueError):
        # Not chained: what was read may hold a token.
        message = f"{reply.request.url.host} answered with no token that can be used"
        raise ResponseParseError(message) from None


def _refusal(reply: httpx.Response) -> RerankError:
    record = HTTPResponse(reply.status_code, dict(reply.headers.items()), reply.content)
    said = _read_description(record)
    message = f"{reply.request.url.host} gave no token: status {reply.status_code}: {said}"
    if reply.status_code not in _TRANSIENT:
        return AuthenticationError(message, response=record)
    wait = reply.headers.get("retry-after", "")
    # No reply of the service that was asked: core tries again.
    return TransportError(
        message, response=record, retry_after=float(wait) if wait.isdecimal() else None
    )


def _read_description(record: HTTPResponse) -> str:
    """What OAuth calls `error_description`, else whatever the reply says."""
    try:
        return wire.shorten(wire.decode_json(record.content)["error_description"])
    except (ResponseParseError, LookupError, TypeError):
        return wire.read_error_message(record)


def checked(value: Any, name: str) -> str:
    """A token that can stand in a header; it is not shown where it cannot."""
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and value.strip() == value
    ):
        return value
    message = f"{name} must be a string with no space or line break at an end; get it again"
    raise ConfigurationError(message)
