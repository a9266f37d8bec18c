"""Tokens that are had in exchange for something else: asked for, kept, replaced, as `httpx.Auth`.

A plugin says how one token is had, and `TokenAuth` does the rest. Of a token service, by one
request or several::

    def exchange() -> Steps:
        reply = yield httpx.Request("POST", url, data=form)
        return read_token(reply)

Of a function or an object that the caller or a library gives::

    def exchange() -> Steps:
        found = yield from fetch(credential.get_token, library="vault")
        return Token(found.token, found.expires_on)

The plugin's `auth` returns `TokenAuth(exchange)`, the same one wherever the same token will do: a
function that makes it from plain values may keep it in an `lru_cache`. This module imports httpx,
so it is imported there, and not at the top of the plugin.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import closing
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread
import httpx
from anyio.lowlevel import current_token

from rerank_core._http.transports import MAX_BYTES
from rerank_core._messages import shorten
from rerank_core._token_reply import Token, check_token, read_token
from rerank_core.errors import (
    AuthenticationError,
    ConfigurationError,
    RerankError,
    TransportError,
)

__all__ = ["Exchange", "Step", "Steps", "Token", "TokenAuth", "check_token", "fetch", "read_token"]

_EARLY = 60.0  # seconds before its end at which a token is replaced
_UNAUTHORIZED = 401
_NO_TOKEN = Token("none")  # it has ended, so that it is never sent

# What an exchange yields. A request is sent, within the bounds of time and size of the one that the
# token is for unless it has its own, and with what stands before an `@` in its URL as a header; the
# reply comes back, read. A function is called, in a worker thread under async, and awaited if it is
# async; what it raises is raised at the `yield`.
Step: TypeAlias = httpx.Request | Callable[[], Any]
Steps: TypeAlias = Generator[Step, Any, Token]
Exchange: TypeAlias = Callable[[], Steps]


class TokenAuth(httpx.Auth):
    """Sends a token: asks for it first, again shortly before it ends, and once after a 401.

    Those who need it at the same time ask for it once: all threads, and all tasks of a loop. Where
    the one who asks fails or is cancelled, the next one asks. What the exchange raises goes to the
    caller, after the attempts that core makes for an error that may pass.

    Args:
        exchange: Makes the steps to one token; called each time that one is needed.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._token = _NO_TOKEN
        self._lock = threading.Lock()
        self._locks: WeakKeyDictionary[Any, anyio.Lock] = WeakKeyDictionary()

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Get a token where one is needed, and send the request with it."""
        sent: list[httpx.Request] = []
        with closing(self._steps(request, self._lock, sent)) as steps:
            step = _advance(steps, None)
            while step is not None:
                if isinstance(step, httpx.Request):
                    sent.append(_bound(step, request))
                    reply = yield step
                    if step is not request:  # whose reply is read within bounds, by the caller
                        reply.read()
                    step = _advance(steps, reply)
                else:
                    step = _advance(steps, _call(step))

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The same, awaited."""
        lock = self._locks.setdefault(current_token().native_token, anyio.Lock())
        sent: list[httpx.Request] = []
        with closing(self._steps(request, lock, sent)) as steps:
            step = _advance(steps, None)
            while step is not None:
                if isinstance(step, httpx.Request):
                    sent.append(_bound(step, request))
                    reply = yield step
                    if step is not request:
                        await reply.aread()
                    step = _advance(steps, reply)
                else:
                    step = _advance(steps, await _await(step))

    def _steps(
        self, request: httpx.Request, lock: Any, sent: list[httpx.Request]
    ) -> Generator[Step, Any, None]:
        """What is done for one request; to wait for the lock is one of the steps."""
        refused: Token | None = None
        for _ in range(2):
            if self._is_due(refused):
                yield lock.acquire
                try:
                    if self._is_due(refused):
                        token = yield from self._exchange()
                        self._token = _checked(token)
                finally:
                    lock.release()
            token = self._token
            # The same once more would change nothing. But what httpx returns is the reply that it
            # had last: the refusal must not make way for a token service's.
            if refused is not None and token.value == refused.value and sent[-1] is request:
                return
            request.headers["Authorization"] = f"Bearer {token.value}"
            reply = yield request
            if reply.status_code != _UNAUTHORIZED:
                return
            refused = token

    def _is_due(self, refused: Token | None) -> bool:
        return self._token is refused or self._token.ends - _EARLY <= time.time()


def _checked(token: Any) -> Token:
    if isinstance(token, Token):
        return token
    raise TypeError(f"the exchange returned {type(token).__name__}, not a Token")


def _advance(steps: Generator[Step, Any, None], outcome: Any) -> Step | None:
    """The next step; what a function raised is raised where it was asked for."""
    try:
        return steps.throw(outcome) if isinstance(outcome, Exception) else steps.send(outcome)
    except StopIteration:
        return None


def _bound(question: httpx.Request, request: httpx.Request) -> httpx.Request:
    """The question, within the bounds of time and size of the request that it is for."""
    _hide_user(question)
    question.extensions.setdefault("timeout", request.extensions.get("timeout", {}))
    question.extensions.setdefault(MAX_BYTES, request.extensions.get(MAX_BYTES))
    return question


def _hide_user(question: httpx.Request) -> None:
    """Send user name and password in a header: httpx logs the URL."""
    url = question.url
    if url.userinfo:
        if "authorization" not in question.headers:
            next(httpx.BasicAuth(url.username, url.password).auth_flow(question))
        question.url = url.copy_with(username=None, password=None)


def _call(function: Callable[[], Any]) -> Any:
    """What a function returns or raises."""
    try:
        value = function()
    except Exception as error:  # noqa: BLE001 - raised again in the exchange
        return error
    if not inspect.isawaitable(value):
        return value
    if inspect.iscoroutine(value):
        value.close()
    message = "what gives the token is async: use arerank, or give one that blocks"
    return ConfigurationError(message)


async def _await(function: Callable[[], Any]) -> Any:
    """The same under async: one that may block is called in a worker thread."""
    try:
        if inspect.iscoroutinefunction(function):
            return await function()
        value = await anyio.to_thread.run_sync(function, abandon_on_cancel=True)
        return await value if inspect.isawaitable(value) else value
    except Exception as error:  # noqa: BLE001 - raised again in the exchange
        return error


def fetch(
    function: Callable[[], Any],
    failed: str = "no token could be obtained:",
    *,
    library: str | None = None,
    may_pass: Callable[[Exception], bool] = lambda _: False,
) -> Generator[Step, Any, Any]:
    """What a function returns that the caller or a library gives; what it raises, as our errors.

    Args:
        function: It may block, or be async.
        failed: What an error says before the exception's name.
        library: The top-level module whose exceptions may be quoted; others may hold a secret.
        may_pass: Whether a failure is worth another attempt; an `OSError` is in any case.

    Raises:
        AuthenticationError: The function fails.
        TransportError: It fails in a way that may pass.
    """
    try:
        return (yield function)
    except RerankError:
        raise
    except Exception as error:
        name, module = type(error).__name__, type(error).__module__
        said = f": {shorten(str(error))}" if module.partition(".")[0] == library else ""
        passes = isinstance(error, OSError) or may_pass(error)
        kind = TransportError if passes else AuthenticationError
        raise kind(f"{failed} {name}{said}") from error
