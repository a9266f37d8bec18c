"""Authentication before a request: what signs it, and a token where one takes an exchange."""

from __future__ import annotations

import copy
import inspect
import os
import threading
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import httpx
from attrs import evolve, field, frozen

from rerank_core._resolve.secrets import Secret, named_secrets, values_of
from rerank_core._resolve.target import Kept, Target
from rerank_core._send.effects import Await, Clock, Flow, Route, Run, Send, guarded, in_time
from rerank_core.auth import AuthOptions, HeaderAuth
from rerank_core.errors import ConfigurationError, RerankError
from rerank_core.facts import APIKeyHeader
from rerank_core.records import HTTPResponse
from rerank_core.records._text import read_json
from rerank_core.tokens import DIRECT, Step, Token, TokenAuth

_UNAUTHORIZED = 401
_OF_THE_BODY = frozenset({"content-length", "host", "transfer-encoding"})
# What may be quoted of the fields that were sent; anything else of them is hidden.
_NOT_SECRET = frozenset({"audience", "client_id", "grant_type", "resource", "scope"})


def look_up_options(route: Route, deadline: float | None) -> Flow:
    """Find the options that only `option_sources` know: off the event loop, once if found."""
    target = route.target
    for name, source in target.provider.option_sources.items():
        if name in target.provider_options or name in route.found:
            continue
        key = _identity_of(target, name, _hashable(source))
        if (value := _options.get(key)) is None:
            look_up = partial(source, values_of(target.secrets))
            value = yield Run(guarded(look_up, target, name), deadline)
        if value is not None:
            route.found[name] = _options.put(key, value)


def authorized(send: Send, clock: Clock, transmit: Callable[[Send], Flow]) -> Flow:
    """Send a request with what its target's authentication asks for; returns the reply."""
    auth = yield from _find_auth(send.route, send.deadline)
    if not isinstance(auth, TokenAuth):
        send.auth = auth
        return (yield from transmit(send))
    token = yield from _find_token(auth, send, clock, None)
    send.auth = HeaderAuth("Authorization", f"Bearer {token.value}")
    reply = yield from transmit(send)
    if reply.status_code == _UNAUTHORIZED:
        fresh = yield from _find_token(auth, send, clock, token)
        if fresh.value != token.value:  # the same once more would change nothing
            send.auth = HeaderAuth("Authorization", f"Bearer {fresh.value}")
            reply = yield from transmit(send)
    return reply


def _find_auth(route: Route, deadline: float | None) -> Flow:
    """What authorizes requests: an `httpx.Auth`, a `TokenAuth`, or `None`."""
    target, auth = route.target, route.auth
    how, key = target.provider.auth, target.api_key
    if auth is not None or how is None or target.options.authorizes(target.provider):
        return auth
    if isinstance(how, APIKeyHeader):
        if key is not None:
            route.auth = auth = HeaderAuth(how.header, f"{how.scheme} {key.value}".strip())
        return auth
    identity = _identity_of(target, *map(_hashable, (how, target.provider.base_url, route.found)))
    if (auth := _auths.get(identity)) is None:
        made = yield Run(guarded(partial(_make_auth, how, route), target, "auth"), deadline)
        auth = None if made is None else _auths.put(identity, made)
    if not target.provider.option_sources:  # else more may be found, for which another is made
        route.auth = auth
    return auth


def _make_auth(how: Any, route: Route) -> Any:
    target = route.target
    auth = how(
        target.api_key.value if target.api_key else None,
        target.provider,
        AuthOptions(
            {**target.provider_options, **route.found, **values_of(target.secrets)}, target.given
        ),
    )
    if auth is None or isinstance(auth, (httpx.Auth, TokenAuth)):
        return auth
    message = f"auth returned {type(auth).__name__}, not an httpx.Auth or a TokenAuth"
    raise target.hooks.source.error(message)


def _find_token(auth: TokenAuth, send: Send, clock: Clock, refused: Token | None) -> Flow:
    """A token that is not due: kept, obtained now, or by whoever is asking already."""
    while True:
        if (kept := auth.token) and kept is not refused and not kept.is_due():
            return kept
        mine = Await(Future(), threading.get_ident())
        theirs = auth.pending.setdefault(os.getpid(), mine)
        if theirs is mine:
            return (yield from _obtain(auth, mine.future, send, clock))
        outcome = yield from in_time(evolve(theirs), send, clock)
        if isinstance(outcome, RerankError):
            raise copy.copy(outcome) from outcome.__cause__  # each caller's says where it happened
        # One without an end belongs to whoever asked, and who cannot go on is not waited for.
        if (outcome and not outcome.ends) or auth.pending.get(os.getpid()) is theirs:
            return (yield from _exchange(auth, send, clock))
        if outcome and outcome is not refused:  # else who asked has given up, or knows no better
            return outcome


def _obtain(auth: TokenAuth, mine: Future[Any], send: Send, clock: Clock) -> Flow:
    """Obtain a token for all who wait for it; they share a failure, but not an end of waiting."""
    outcome: Token | RerankError | None = None
    try:
        outcome = yield from _exchange(auth, send, clock)
    except RerankError as error:
        if send.deadline is None or clock.monotonic() < send.deadline:
            outcome = copy.copy(error)  # else the end was this caller's own
        raise
    finally:
        if isinstance(outcome, Token) and outcome.ends:
            auth.token = outcome
        auth.pending.pop(os.getpid(), None)
        mine.set_result(outcome)
    return outcome


def _exchange(auth: TokenAuth, send: Send, clock: Clock) -> Flow:
    """Carry out the steps to one token, within the bounds of the attempt that it is for."""
    target, asked = send.route.target, list[Secret]()
    steps: Any = guarded(auth.exchange, target, "authentication")()
    if not isinstance(steps, Generator):
        raise target.hooks.source.error("the exchange of a TokenAuth is no generator")
    outcome: Any = None
    try:
        while True:
            step = steps.throw(outcome) if isinstance(outcome, Exception) else steps.send(outcome)
            try:
                outcome = yield from _carry_out(step, send, clock, asked)
            except Exception as error:  # noqa: BLE001 - raised in the exchange, at its `yield`
                outcome = error
    except StopIteration as end:
        if isinstance(end.value, Token):
            return end.value
        message = f"the exchange returned {type(end.value).__name__}, not a Token"
        raise target.hooks.source.error(message) from None
    except RerankError as error:
        error._secrets = tuple(asked)  # noqa: SLF001 - of our own class
        raise
    except Exception as error:
        message = f"authentication raised {type(error).__name__}: {error}"
        raise target.hooks.source.error(message) from error
    finally:
        steps.close()


def _secrets_of(step: httpx.Request) -> Iterator[Secret]:
    """What of a request for a token is hidden. Apart, since frames are shown."""
    given, body = read_json(step.read()), step.content.decode(errors="replace")
    fields = [*given.items()] if isinstance(given, dict) else parse_qsl(body)
    fields += step.url.params.multi_items()
    sent = [text for name, text in fields if name not in _NOT_SECRET and isinstance(text, str)]
    return map(Secret, (*sent, *named_secrets(step.headers)))


def _carry_out(step: Step, send: Send, clock: Clock, asked: list[Secret]) -> Flow:
    if isinstance(step, httpx.Request):
        asked += _secrets_of(step)
        reply: HTTPResponse = yield evolve(  # within the bounds of the request that it is for
            send,
            method=step.method,
            url=str(step.url),
            headers={k: v for k, v in step.headers.items() if k not in _OF_THE_BODY},
            content=step.content,
            auth=None,
            direct=DIRECT in step.extensions,
        )
        kept = {k: v for k, v in reply.headers.items() if k != "content-encoding"}  # decompressed
        return httpx.Response(reply.status_code, headers=kept, content=reply.content, request=step)
    found = yield from in_time(Run(step), send, clock)
    if inspect.iscoroutine(found):
        found.close()
    if inspect.isawaitable(found):
        message = "what gives the token is async: use arerank, or give one that blocks"
        raise ConfigurationError(message)
    return found


_auths, _options = Kept(), Kept()


def _identity_of(target: Target, *more: Hashable) -> Secret:
    """What identifies credentials, secrets among it."""
    secrets = _hashable(values_of(target.secrets))
    options, environment = _hashable(target.provider_options), (*target.environment.items(),)
    return Secret((target.given, environment, target.api_key, secrets, options, *more))


@frozen
class _Itself:
    """An object that has no value to be looked up by; it is kept, so that no other is like it."""

    value: Any = field(eq=id)


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((name, _hashable(inner)) for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(map(_hashable, value))
    try:
        hash(value)
    except TypeError:
        return _Itself(value)
    return value
