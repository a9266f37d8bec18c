"""A stand-in for a service that wants tokens and for what gives them, and checks of their use.

A call is what `rerank` takes, with an identity that is exchanged for tokens.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import partial
from itertools import chain
from threading import Barrier
from typing import Any, TypeAlias
from urllib.parse import parse_qs

import httpx
import pytest
import trio

from rerank_core import (
    AuthenticationError,
    Provider,
    Reranker,
    RerankError,
    ResponseParseError,
    TransportError,
    list_providers,
    rerank,
)
from service import Send, Service, copied, forget_credentials, in_turn, send_async, send_trio

Call = Mapping[str, Any]
TokenCheck: TypeAlias = Callable[[], None]
FailedExchange: TypeAlias = tuple[httpx.Response, type[RerankError], str]
"""A token service's reply; the kind of the error, and words in its message."""
AT_ONCE = 8


def token(value: str, **fields: Any) -> httpx.Response:
    """A token service's reply; a field that is `None` is left out."""
    body = {"access_token": value, "token_type": "Bearer", "expires_in": 3600} | fields
    return httpx.Response(200, json={name: at for name, at in body.items() if at is not None})


FAILED_ANYWHERE: list[FailedExchange] = [
    (httpx.Response(503), TransportError, "status 503"),
    (httpx.Response(200, text="hello"), ResponseParseError, "no token that can be used"),
    (httpx.Response(200, json={}), ResponseParseError, "no token that can be used"),
    (token("two\nlines"), ResponseParseError, "no token that can be used"),
]
"""What no token service means well, whatever it says otherwise."""


class TokenService(Service):
    """Stands in for a provider and for its token service, and keeps what each was sent.

    Args:
        reply: What the provider answers, else its ranking.
        tokens: What the token service answers in turn, the last for ever; else new tokens.
        accepted: The tokens that the provider accepts, else all.
        ranking: The provider's ranking, made of the decoded body.
        refusal: The provider's answer to a token that it does not accept.
        path: How the token service's path ends.
    """

    def __init__(
        self,
        reply: Any = None,
        tokens: Sequence[httpx.Response] = (),
        accepted: set[str] | None = None,
        *,
        ranking: Callable[[Any], Any],
        refusal: httpx.Response,
        path: str,
    ) -> None:
        super().__init__(ranking if reply is None else reply)
        self.exchanges: list[httpx.Request] = []
        self.authorizations: list[str] = []  # a request that is sent again is signed anew
        self._give = in_turn(*tokens) if tokens else self._new_token
        self._accepted, self._refusal, self._path = accepted, refusal, path

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Reply as whichever of the two is asked."""
        if request.url.path.endswith(self._path):
            self.exchanges.append(request)
            time.sleep(0.01)  # so that callers who do not wait for each other show
            return copied(self._give(None))
        authorization = request.headers.get("authorization", "")
        self.authorizations.append(authorization)
        reply = super().answer(request)
        bearer = authorization.removeprefix("Bearer ")
        refused = self._accepted is not None and bearer not in self._accepted
        return copied(self._refusal) if refused else reply

    def _new_token(self, _: Any) -> httpx.Response:
        return token(f"token-{len(self.exchanges)}")


def slow(service: Service) -> httpx.MockTransport:
    """The stand-in, which answers after other tasks have had their turn."""

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.01)
        return service.answer(request)

    return httpx.MockTransport(answer)


def form_of(request: httpx.Request) -> dict[str, str]:
    """The form that a request carries, each field once."""
    form = parse_qs(request.content.decode())
    return {name: value for name, (value,) in form.items()}


@functools.cache
def listed_facts(provider: str) -> Provider:
    """The facts as listings see them."""
    (found,) = [found for found in list_providers() if found.name == provider]
    assert found.facts is not None, found.error
    return found.facts


def without_state(provider: str, *kept: Any) -> Any:
    """A fixture that lets no variable of this machine and no token of another test take part.

    Args:
        provider: Whose variables, as its facts name them.
        *kept: Cached functions that keep what holds tokens.
    """

    @pytest.fixture(autouse=True)
    def bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        forget_credentials(monkeypatch)
        facts = listed_facts(provider)
        rows = [*facts.options.values(), *facts.secret_options.values()]
        for name in chain(facts.api_key_env, facts.base_url_env, *rows):
            monkeypatch.delenv(name, raising=False)
        for cached in kept:
            cached.cache_clear()
        yield
        for cached in kept:
            cached.cache_clear()

    return bare_environment


def call_thrice(reranker: Reranker, send: Send) -> None:
    """Call one `Reranker` again and again, awaited in one event loop where that is the way."""

    async def main() -> None:
        for _ in range(3):
            await reranker.arerank("q", ["a", "b"])

    if send is rerank:
        for _ in range(3):
            reranker.rerank("q", ["a", "b"])
    elif send is send_async:
        asyncio.run(main())
    else:
        trio.run(main)


def from_threads(ask: Callable[[], object]) -> None:
    """Ask from several threads at once."""
    start = Barrier(AT_ONCE)

    def wait_and_ask(_: int) -> None:
        start.wait()
        ask()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(wait_and_ask, range(AT_ONCE)))


def from_tasks(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask from several tasks at once, in one event loop after another."""

    async def main() -> None:
        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))

    asyncio.run(main())
    asyncio.run(main())


def shown_with(auth: Any, reply: httpx.Response) -> str:
    """What is shown of what signs requests once it has the token of a reply."""
    steps = auth.exchange()
    reply.request = next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(reply)
    auth.token = end.value.value
    return repr(auth) + repr(vars(auth))


def token_checks(
    call: Call,
    make: Callable[..., TokenService],
    *,
    lasting: Sequence[tuple[Mapping[str, Any], int]],
    refused: str,
    failed: Sequence[FailedExchange],
    hidden: str,
) -> pytest.MarkDecorator:
    """Give a test each `check` of how tokens are used, which is the same wherever there are any.

    Args:
        call: A call with an identity that is exchanged for tokens.
        make: Makes the stand-in.
        lasting: Fields of a token service's reply, and how many exchanges two calls then take.
        refused: Words of the error where a fresh token is refused.
        failed: Exchanges that fail.
        hidden: What stands in none of their errors.
    """
    busy = httpx.Response(503, headers={"retry-after": "0"})
    ways: Mapping[str, Send] = {"rerank": rerank, "arerank": send_async, "trio": send_trio}

    def new(*tokens: httpx.Response, **options: Any) -> Callable[[], TokenService]:
        return lambda: make(tokens=tokens, **options)

    rows: list[tuple[str, Callable[..., None], Callable[[], TokenService], tuple[Any, ...]]] = [
        ("kept", _check_a_token_is_kept, new(), ()),
        (
            "refused",
            _check_a_refused_token_is_replaced,
            new(token("revoked"), token("fresh"), accepted={"fresh"}),
            (),
        ),
        ("refused twice", _check_no_third_attempt, new(accepted=set()), (refused,)),
        ("bounds of time", _check_the_exchange_keeps_bounds_of_time, new(), ()),
        ("busy", _check_a_busy_token_service_is_asked_again, new(busy, token("late")), ()),
    ]
    for fields, exchanges in lasting:
        lasts = new(token("first", **fields), token("second"))
        rows.append((f"{exchanges} exchanges", _check_exchanges, lasts, (exchanges,)))
    for row in failed:
        fails = new(row[0], token("good"))
        rows.append((row[2], _check_a_failed_exchange, fails, (row, hidden)))
    cases = [
        pytest.param(partial(_run, check, call, service, more, send), id=f"{name}-{way}")
        for name, check, service, more in rows
        for way, send in ways.items()
    ]
    return pytest.mark.parametrize("check", cases)


def _run(
    check: Callable[..., None],
    call: Call,
    make: Callable[[], TokenService],
    more: Sequence[Any],
    send: Send,
) -> None:
    check(call, make(), *more, send)


def _check_a_token_is_kept(call: Call, service: TokenService, send: Send) -> None:
    """Between calls, also between those that bring a client and an identity of their own."""
    for _ in range(3):
        send(**deepcopy(dict(call)), http_client=service)

    assert len(service.exchanges) == 1
    assert service.authorizations == ["Bearer token-1"] * 3


def _check_exchanges(call: Call, service: TokenService, exchanges: int, send: Send) -> None:
    """So many for two calls."""
    for _ in range(2):
        send(**call, http_client=service)

    assert len(service.exchanges) == exchanges


def _check_a_refused_token_is_replaced(call: Call, service: TokenService, send: Send) -> None:
    """Once; the same request goes out again, with the new token, unseen by the caller."""
    response = send(**call, http_client=service)

    assert len(response.results) == len(call["documents"])
    assert service.authorizations == ["Bearer revoked", "Bearer fresh"]
    assert service.requests[0].content == service.requests[1].content
    assert len(service.exchanges) == 2


def _check_no_third_attempt(call: Call, service: TokenService, words: str, send: Send) -> None:
    """Where the fresh token is refused too; neither is shown."""
    with pytest.raises(AuthenticationError, match=words) as caught:
        send(**call, http_client=service)

    assert len(service.requests) == len(service.exchanges) == 2
    assert "token-" not in str(caught.value)


def _check_the_exchange_keeps_bounds_of_time(call: Call, service: TokenService, send: Send) -> None:
    """Those of the attempt: it would wait without end otherwise."""
    send(**call, timeout=7, http_client=service)

    assert service.exchanges[0].extensions["timeout"]["read"] == 7


def _check_a_failed_exchange(
    call: Call, service: TokenService, failed: FailedExchange, secret: str, send: Send
) -> None:
    """Nothing is ranked, nothing secret is said, and the next call tries afresh."""
    _, kind, words = failed
    with pytest.raises(kind) as caught:
        send(**call, http_client=service)

    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{call['model']}: ")
    assert secret not in repr(caught.value)
    assert "two" not in str(caught.value)  # of a token with two lines
    assert service.requests == []
    assert send(**call, http_client=service).reranked
    assert service.authorizations == ["Bearer good"]


def _check_a_busy_token_service_is_asked_again(
    call: Call, service: TokenService, send: Send
) -> None:
    """By core, as after any failure that may pass."""
    send(**{**call, "max_retries": 1}, http_client=service)

    assert len(service.exchanges) == 2
    assert service.authorizations == ["Bearer late"]
