"""Tokens: asked for once, kept, replaced in time, and never shown."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
import traceback
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import trio

from core.conftest import KEY, Ask, Plugin, rank_as_sent
from core.loopback import serving
from rerank_core import (
    AuthenticationError,
    ConfigurationError,
    HTTPResponse,
    PluginError,
    RateLimitError,
    RequestTimeoutError,
    Reranker,
    RerankError,
    RerankResponse,
    ResponseParseError,
    ServerError,
    TransportError,
)
from rerank_core.tokens import (
    Exchange,
    Steps,
    Token,
    TokenAuth,
    check_token,
    fetch,
    read_token,
)

SECRET = "s3cret-that-is-exchanged"  # noqa: S105 - of nobody
TOKENS = "https://tokens.test/token"
Send = Callable[[TokenAuth, httpx.MockTransport], RerankResponse]


class Service(httpx.MockTransport):
    """Stands in for a service and for the token service beside it.

    Args:
        *replies: What the token service answers in turn, the last for ever; else a new token.
        accepted: The tokens that the service accepts, else all.
        pause: Seconds that each reply takes.
    """

    def __init__(
        self, *replies: httpx.Response, accepted: set[str] | None = None, pause: float = 0
    ) -> None:
        super().__init__(self._answer)
        self._replies, self._accepted, self._pause = replies, accepted, pause
        self.exchanges: list[httpx.Request] = []
        self.sent: list[tuple[str, bytes]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Take the time without blocking the loop."""
        await request.aread()
        if self._pause:
            await anyio.sleep(self._pause)
        return self._reply(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self._pause:
            time.sleep(self._pause)
        return self._reply(request)

    def _reply(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "tokens.test":
            self.exchanges.append(request)
            made = self._replies or (granted(f"token-{len(self.exchanges)}"),)
            reply = made[min(len(self.exchanges), len(made)) - 1]
            return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)
        self.sent.append((request.headers["authorization"], request.content))
        token = self.sent[-1][0].removeprefix("Bearer ")
        if self._accepted is not None and token not in self._accepted:
            return httpx.Response(401, text="refused")
        return rank_as_sent(request)

    @property
    def authorizations(self) -> list[str]:
        """The header of each request to the service."""
        return [authorization for authorization, _ in self.sent]


def granted(value: str, **fields: Any) -> httpx.Response:
    """A token service's reply."""
    return httpx.Response(200, json={"access_token": value, "expires_in": 3600, **fields})


def exchange() -> Steps:
    """The simplest exchange: one request."""
    return read_token(
        (yield httpx.Request("POST", TOKENS, data={"grant_type": "a-grant-type", "secret": SECRET}))
    )


def exchange_at(**options: Any) -> Exchange:
    """An exchange whose reply is read with options."""

    def exchange() -> Steps:
        return read_token((yield httpx.Request("POST", TOKENS)), **options)

    return exchange


def test_a_token_beside_a_broken_text_is_taken() -> None:
    """Half a surrogate pair elsewhere in the reply does it no harm."""
    body = b'{"access_token": "t", "expires_in": 60, "said": "\\ud83d"}'

    assert read_token(httpx.Response(200, content=body)).value == "t"


def giving(function: Callable[[], Any]) -> Exchange:
    """An exchange that is the call of a function."""

    def exchange() -> Steps:
        found = yield from fetch(function, library="json")
        return found if isinstance(found, Token) else Token(found)

    return exchange


def asking(auth: TokenAuth, transport: httpx.MockTransport, **options: Any) -> Reranker:
    """Asks a service once, with a token."""
    plugin = Plugin(auth=lambda *_: auth)
    given = {"api_key": KEY, "http_client": transport, "max_retries": 0, **options}
    return Reranker("m", provider=plugin, **given)


def send_blocking(auth: TokenAuth, transport: httpx.MockTransport) -> RerankResponse:
    """Ask with a blocking call."""
    return asking(auth, transport).rerank("q", ["a"])


async def send(auth: TokenAuth, transport: httpx.MockTransport) -> RerankResponse:
    """Ask with an awaited call."""
    return await asking(auth, transport).arerank("q", ["a"])


def send_asyncio(auth: TokenAuth, transport: httpx.MockTransport) -> RerankResponse:
    """Ask under asyncio."""
    return asyncio.run(send(auth, transport))


def send_trio(auth: TokenAuth, transport: httpx.MockTransport) -> RerankResponse:
    """Ask under trio."""
    return trio.run(send, auth, transport)


every_way = pytest.mark.parametrize("send", [send_blocking, send_asyncio, send_trio])
both_loops = pytest.mark.parametrize("backend", ["asyncio", "trio"])


# Kept and replaced


@every_way
def test_a_token_is_asked_for_once_and_kept(send: Send) -> None:
    """For as many requests as come."""
    service, auth = Service(), TokenAuth(exchange)

    for _ in range(3):
        send(auth, service)

    assert service.authorizations == ["Bearer token-1"] * 3
    assert len(service.exchanges) == 1


@every_way
def test_a_token_service_gets_what_the_exchange_asks_with_and_no_documents(send: Send) -> None:
    """Its method, address, headers and form, as the plugin states them."""

    def exchange() -> Steps:
        asked = httpx.Request("PUT", f"{TOKENS}?a=b", data={"c": "d"}, headers={"x-e": "f"})
        return read_token((yield asked))

    service = Service()

    send(TokenAuth(exchange), service)
    (asked,) = service.exchanges

    assert (asked.method, str(asked.url), asked.content) == ("PUT", f"{TOKENS}?a=b", b"c=d")
    assert asked.headers["x-e"] == "f"
    assert asked.headers["content-length"] == "3"
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in asked.headers


@every_way
def test_an_exchange_may_take_several_steps(send: Send) -> None:
    """Requests and functions in turn, each sent what came of it."""

    def exchange() -> Steps:
        first = read_token((yield httpx.Request("POST", TOKENS)))
        found = yield lambda: "found"
        headers = {"x-first": first.value, "x-found": found}
        return read_token((yield httpx.Request("POST", TOKENS, headers=headers)))

    service = Service()

    send(TokenAuth(exchange), service)

    assert service.exchanges[1].headers["x-first"] == "token-1"
    assert service.exchanges[1].headers["x-found"] == "found"
    assert service.authorizations == ["Bearer token-2"]


@every_way
def test_a_token_is_replaced_60_seconds_before_it_ends(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither earlier nor later."""
    now: list[float] = []
    monkeypatch.setattr("rerank_core.tokens.time.time", lambda: now[-1])
    service, auth = Service(), TokenAuth(exchange)

    for moment in (1_000_000, 1_003_539, 1_003_540, 1_007_079):
        now.append(moment)
        send(auth, service)

    assert service.authorizations == [f"Bearer token-{at}" for at in (1, 1, 2, 2)]


@every_way
def test_a_token_without_an_end_is_asked_for_each_time(send: Send) -> None:
    """Whoever gives it keeps it."""
    made = iter(("first", "second"))
    service, auth = Service(), TokenAuth(giving(lambda: next(made)))

    for _ in range(2):
        send(auth, service)

    assert service.authorizations == ["Bearer first", "Bearer second"]


@every_way
def test_a_refused_token_is_replaced_and_the_request_sent_again(send: Send) -> None:
    """The same body, with another token; the caller sees nothing of it."""
    service, auth = Service(accepted={"token-2"}), TokenAuth(exchange)

    send(auth, service)

    assert service.authorizations == ["Bearer token-1", "Bearer token-2"]
    assert service.sent[0][1] == service.sent[1][1]


@every_way
def test_a_second_refusal_stands(send: Send) -> None:
    """There is no third attempt; the next request asks for a token once more."""
    service, auth = Service(accepted={"token-3"}), TokenAuth(exchange)

    with pytest.raises(AuthenticationError, match="status 401: refused"):
        send(auth, service)
    send(auth, service)

    assert service.authorizations == [f"Bearer token-{at}" for at in (1, 2, 2, 3)]


@every_way
def test_the_refused_token_given_again_by_a_function_is_not_sent_again(send: Send) -> None:
    """Nothing would change."""
    service = Service(accepted=set())

    with pytest.raises(AuthenticationError, match="status 401: refused"):
        send(TokenAuth(giving(lambda: Token("same", 4e9))), service)

    assert service.authorizations == ["Bearer same"]


@every_way
def test_the_refused_token_given_again_by_a_service_leaves_a_refusal(send: Send) -> None:
    """What comes back is never the token service's own reply."""
    service = Service(granted("same"), accepted=set())

    with pytest.raises(AuthenticationError, match="status 401: refused") as caught:
        send(TokenAuth(exchange), service)

    assert caught.value.response is not None
    assert caught.value.response.text == "refused"


class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that counts what is read of it."""

    def __init__(self) -> None:
        self.read = 0

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(1000):
            self.read += 1
            yield b" " * 1000

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


@pytest.mark.parametrize("status", [200, 401, 500])
def test_the_reply_of_the_request_itself_is_read_within_its_bound(status: int, ask: Ask) -> None:
    """The authentication looks at the status only, whatever follows it."""
    stream = Stream()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "tokens.test":
            return granted("always-the-same")
        return httpx.Response(status, stream=stream)

    plugin = Plugin(auth=lambda *_: TokenAuth(giving(lambda: Token("same", 4e9))))
    with pytest.raises(RerankError):
        ask(httpx.MockTransport(answer), plugin=plugin, max_retries=0, max_response_bytes=10_000)

    assert 10 <= stream.read <= 12


# Many at once


@pytest.mark.parametrize(
    ("headers", "sent"), [({}, "Basic dXNlcjpwYXNz"), ({"Authorization": "Own"}, "Own")]
)
def test_a_user_in_a_token_service_s_url_goes_into_a_header(
    headers: dict[str, str], sent: str
) -> None:
    """Unless there is one already; the URL is logged."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return granted("token") if request.url.host == "tokens.test" else rank_as_sent(request)

    def exchange() -> Steps:
        url = TOKENS.replace("://", "://user:pass@")
        return read_token((yield httpx.Request("POST", url, headers=headers)))

    send_blocking(TokenAuth(exchange), httpx.MockTransport(answer))

    assert (str(asked[0].url), asked[0].headers["authorization"]) == (TOKENS, sent)


def test_threads_that_need_a_token_ask_once() -> None:
    """Seven wait for the eighth."""
    service, auth, start = Service(pause=0.02), TokenAuth(exchange), threading.Barrier(8)

    def call() -> None:
        start.wait()
        send_blocking(auth, service)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(call) for _ in range(8)]:
            future.result()

    assert service.authorizations == ["Bearer token-1"] * 8
    assert len(service.exchanges) == 1


@both_loops
def test_tasks_that_need_a_token_ask_once(backend: str) -> None:
    """In one loop, and then in the next."""
    service, auth = Service(pause=0.01), TokenAuth(exchange)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(send, auth, service)

    for _ in range(2):
        anyio.run(main, backend=backend)

    assert len(service.exchanges) == 1
    assert service.authorizations == ["Bearer token-1"] * 40


@both_loops
def test_tasks_that_are_refused_together_ask_once(backend: str) -> None:
    """Whoever comes second finds the new token."""
    service, auth = Service(accepted={"token-2"}, pause=0.1), TokenAuth(exchange)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(send, auth, service)

    anyio.run(main, backend=backend)

    assert len(service.exchanges) == 2
    assert sorted(service.authorizations) == ["Bearer token-1"] * 20 + ["Bearer token-2"] * 20


@both_loops
@pytest.mark.parametrize("parts", [1, 3])
def test_a_blocking_call_does_not_wait_for_a_task_of_its_own_loop(backend: str, parts: int) -> None:
    """That task goes on only after it: it asks for itself, and the task gets what it asked for."""
    service, auth = Service(pause=0.2), TokenAuth(exchange)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(send, auth, service)
            while not auth.pending:  # noqa: ASYNC110 - another task fills it
                await anyio.sleep(0.001)
            options: Any = {"timeout": 3, "max_documents": 1}
            asking(auth, service, **options).rerank("q", ["a"] * parts)

    anyio.run(main, backend=backend)

    assert "Bearer token-1" in service.authorizations
    assert len(service.authorizations) == 1 + parts


@both_loops
@pytest.mark.parametrize("way", ["request", "function"])
def test_the_task_that_asks_may_be_cancelled_while_19_wait(backend: str, way: str) -> None:
    """One of them asks in its stead, and all of them get through."""
    begun: list[str] = []

    async def slow() -> Token:
        begun.append(way)
        await anyio.sleep(0.2)
        return Token(f"token-{len(begun)}", 4e9)

    def request() -> Steps:
        begun.append(way)
        return (yield from exchange())

    service = Service(pause=0.2)
    auth = TokenAuth(request if way == "request" else giving(slow))

    async def main() -> None:
        first = anyio.CancelScope()

        async def ask_first() -> None:
            with first:
                await send(auth, service)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(ask_first)
                while not begun:  # noqa: ASYNC110 - another task fills it
                    await anyio.sleep(0.001)
                for _ in range(19):
                    group.start_soon(send, auth, service)
                await anyio.lowlevel.checkpoint()
                first.cancel()

    anyio.run(main, backend=backend)

    assert begun == [way] * 2
    assert len(set(service.authorizations)) == 1
    assert len(service.authorizations) == 19


@every_way
def test_after_a_failed_exchange_the_next_request_tries_afresh(send: Send) -> None:
    """Nothing of the failure is kept, no lock either."""
    service, auth = Service(httpx.Response(403), granted("good")), TokenAuth(exchange)

    with pytest.raises(AuthenticationError):
        send(auth, service)
    send(auth, service)

    assert service.authorizations == ["Bearer good"]


# Failures, as core sees them


def rate_limited() -> Steps:
    """An exchange of a plugin that has its own way to read a reply."""
    reply = yield httpx.Request("POST", TOKENS)
    if reply.status_code != 200:
        kind = RateLimitError if reply.status_code == 429 else ServerError
        raise kind("busy", response=HTTPResponse(reply.status_code), retry_after=3.0)
    return read_token(reply)


@pytest.mark.parametrize("how", [exchange, rate_limited])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_core_tries_again_after_a_failure_that_may_pass(
    how: Exchange, status: int, ask: Ask, waits: list[float]
) -> None:
    """Whatever its kind, for as long as the token service asks to wait."""
    busy = httpx.Response(status, headers={"retry-after": "3"})
    service, auth = Service(busy, granted("late")), TokenAuth(how)

    response = ask(service, plugin=Plugin(auth=lambda *_: auth))

    assert response.reranked
    assert 3.0 <= waits[0] <= 3.75
    assert service.authorizations == ["Bearer late"]


def test_core_tries_again_after_a_function_that_could_not_reach_its_service(
    ask: Ask, waits: list[float]
) -> None:
    """An error of the system's is one that may pass."""
    made: list[Any] = [ConnectionError(SECRET), "late"]

    def give() -> Any:
        found = made.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    service, auth = Service(), TokenAuth(giving(give))

    ask(service, plugin=Plugin(auth=lambda *_: auth))

    assert len(waits) == 1
    assert service.authorizations == ["Bearer late"]


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (
            httpx.Response(400, json={"error": "x", "error_description": "the secret is wrong"}),
            AuthenticationError,
            "tokens.test gave no token: status 400: the secret is wrong",
        ),
        (httpx.Response(401, json={"error": "unknown"}), AuthenticationError, "401: unknown"),
        (httpx.Response(400, text="no a-grant-type"), AuthenticationError, "400: no a-grant-type"),
        (httpx.Response(404, text="<html>no</html>"), AuthenticationError, "404: <html>no"),
        (httpx.Response(302, headers={"location": "x"}), AuthenticationError, "status 302"),
        (
            httpx.Response(200, json={"errorCode": "X1", "errorMessage": "no such key"}),
            AuthenticationError,
            "tokens.test gave no token: status 200: no such key",
        ),
        (httpx.Response(200, text="hello"), ResponseParseError, "no token that can be used"),
        (httpx.Response(200, json="hello"), ResponseParseError, "no token that can be used"),
        (httpx.Response(200), ResponseParseError, "no token that can be used"),
        (httpx.Response(200, json=["x"]), ResponseParseError, "no token that can be used"),
        (httpx.Response(200, json={"expires_in": 9}), ResponseParseError, "no token that"),
        (granted("two\nlines"), ResponseParseError, "no token that can be used"),
        (granted(""), ResponseParseError, "no token that can be used"),
        (granted("good", expires_in="soon"), ResponseParseError, "no token that can be used"),
        (granted("good", expires_in="nan"), ResponseParseError, "no token that can be used"),
        (granted("good", expires_in=None), ResponseParseError, "no token that can be used"),
    ],
)
def test_core_tries_once_where_the_token_service_refuses_or_makes_no_sense(
    reply: httpx.Response, kind: type[RerankError], words: str, ask: Ask, waits: list[float]
) -> None:
    """The error says who refused, and why."""
    service, auth = Service(reply), TokenAuth(exchange)

    with pytest.raises(kind) as caught:
        ask(service, plugin=Plugin(auth=lambda *_: auth))

    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert waits == []
    assert len(service.exchanges) == 1
    assert service.sent == []


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(400, json={"error_description": f"{SECRET} is wrong"}),
        httpx.Response(400, json={"error": {"message": f"apikey {SECRET} is wrong"}}),
        httpx.Response(503, text=f"secret={SECRET}"),
        httpx.Response(400, text="x" * 490 + SECRET),  # where the text is cut
        granted(f"{SECRET}\n"),
        httpx.Response(200, json={"access_token": SECRET}),
        httpx.Response(200, text=f"{{{SECRET}"),
    ],
)
def test_no_error_shows_what_was_exchanged(reply: httpx.Response, ask: Ask) -> None:
    """Nor its half, nor its traceback, whatever the token service quotes."""
    auth = TokenAuth(exchange)

    with pytest.raises(RerankError) as caught:
        ask(Service(reply), plugin=Plugin(auth=lambda *_: auth), max_retries=0)

    shown = "".join([repr(caught.value), *traceback.format_exception(caught.value)])
    assert SECRET[:6] not in shown
    assert KEY not in shown


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"authorization": f"Bearer {SECRET}"}},
        {"json": {"assertion": SECRET, "scope": "of-use", "lifetime": 3600}},
        {"params": {"code": SECRET, "scope": "of-use"}},
    ],
    ids=["header", "json", "query"],
)
def test_no_error_shows_what_a_later_step_was_sent_with(options: Any, ask: Ask) -> None:
    """A token for a token, however it travels; what is no secret is shown."""
    said = {"error_description": f"{SECRET} is wrong for of-use"}
    service = Service(granted(SECRET), httpx.Response(400, json=said))

    def steps() -> Steps:
        yield httpx.Request("POST", TOKENS)
        return read_token((yield httpx.Request("POST", TOKENS, **options)))

    with pytest.raises(AuthenticationError, match="is wrong for of-use") as caught:
        ask(service, plugin=Plugin(auth=lambda *_: TokenAuth(steps)))

    assert caught.value.response is not None
    assert SECRET not in f"{caught.value}{caught.value.response.text}"


def test_an_exchange_that_returns_no_token_is_the_plugin_s_fault(ask: Ask) -> None:
    """And says what it returned."""

    def exchange() -> Any:
        yield httpx.Request("POST", TOKENS)
        return "token"

    auth = TokenAuth(exchange)

    with pytest.raises(PluginError, match="the exchange returned str, not a Token"):
        ask(Service(), plugin=Plugin(auth=lambda *_: auth))


@pytest.mark.parametrize(
    ("exchange", "said"),
    [(lambda: 1 / 0, "ZeroDivisionError"), (lambda: "token", "is no generator")],
    ids=["raises", "returns"],
)
def test_an_exchange_that_is_no_generator_is_the_plugin_s_fault(
    ask: Ask, exchange: Any, said: str
) -> None:
    """Whatever it does instead."""
    auth = TokenAuth(exchange)

    with pytest.raises(PluginError, match=said):
        ask(Service(), plugin=Plugin(auth=lambda *_: auth))


def test_an_exchange_that_raises_is_the_plugin_s_fault(ask: Ask) -> None:
    """Whatever it raises between its steps; the request is not sent without a token."""
    service = Service()

    def exchange() -> Steps:
        yield httpx.Request("POST", TOKENS)
        raise LookupError("no account")

    auth = TokenAuth(exchange)

    with pytest.raises(PluginError, match="authentication raised LookupError: no account"):
        ask(service, plugin=Plugin(auth=lambda *_: auth))

    assert (len(service.exchanges), service.sent) == (1, [])


class Failing(httpx.Auth):
    """Signs nothing."""

    def auth_flow(self, request: httpx.Request) -> Any:
        """Fail."""
        raise LookupError(f"no account at {request.url.host}")


def test_a_signature_that_raises_is_the_plugin_s_fault(call: Ask) -> None:
    """Whatever it raises; the request is not sent without it."""
    with serving() as server:
        plugin = Plugin(auth=lambda *_: Failing(), base_url=server.url)
        with pytest.raises(PluginError, match="authentication raised LookupError: no account"):
            call("m", "q", ["a"], api_key=KEY, provider=plugin)

    assert not server.seen


def test_an_auth_that_makes_neither_is_the_plugin_s_fault(ask: Ask) -> None:
    """And its value, a key perhaps, is not shown."""
    with pytest.raises(PluginError, match=r"auth returned str, not an httpx\.Auth") as caught:
        ask(Service(), plugin=Plugin(auth=lambda *_: SECRET))

    assert SECRET not in str(caught.value)


# Functions


def raising(error: Exception) -> Callable[[], str]:
    """A function that fails."""

    def give() -> str:
        raise error

    return give


class QuotableError(Exception):
    """An error of the library that may be quoted."""

    __module__ = "json.somewhere"


@every_way
@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (raising(QuotableError("log in")), AuthenticationError, "obtained: QuotableError: log in"),
        (raising(KeyError(SECRET)), AuthenticationError, "no token could be obtained: KeyError"),
        (raising(TimeoutError(SECRET)), TransportError, "no token could be obtained: TimeoutError"),
        (raising(ConfigurationError("mine")), ConfigurationError, "mine"),
        (raising(RequestTimeoutError("the vault is slow")), RequestTimeoutError, "the vault is"),
        (lambda: None, ConfigurationError, "a token must be a string"),
        (lambda: f"{SECRET}\n", ConfigurationError, "a token must be a string"),
    ],
)
def test_a_function_that_fails_is_quoted_only_where_it_may_be(
    function: Callable[[], Any], kind: type[RerankError], words: str, send: Send
) -> None:
    """The words of anybody's exception may hold a secret."""
    with pytest.raises(kind, match=words) as caught:
        send(TokenAuth(giving(function)), Service())

    assert type(caught.value) is kind
    assert SECRET not in repr(caught.value)


def test_what_led_to_one_of_several_failures_is_not_shown_with_a_secret(ask: Ask) -> None:
    """A traceback shows the causes of a group's members, too."""

    def fail() -> None:
        error = LookupError("no token")
        error.__cause__ = ValueError(f"{KEY} is wrong")
        raise ExceptionGroup("several", [error])

    with pytest.raises(AuthenticationError) as caught:
        ask(Service(), plugin=Plugin(auth=lambda *_: TokenAuth(giving(fail))))

    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_failure_may_be_worth_another_attempt_by_the_plugin_s_own_rule() -> None:
    """The exchange needs no client to be tried."""
    steps = fetch(lambda: None, "it said", may_pass=lambda error: "later" in str(error))
    next(steps)

    with pytest.raises(TransportError, match="it said ValueError"):
        steps.throw(ValueError("later"))


async def give() -> str:
    """A token, awaited."""
    return "awaited"


class Given:
    """Is awaitable, but no coroutine."""

    def __await__(self) -> Any:
        return give().__await__()


@pytest.mark.parametrize("function", [give, lambda: give(), Given])  # noqa: PLW0108 - another kind
def test_an_async_function_serves_async_clients_only(function: Callable[[], Any]) -> None:
    """A blocking client says what to do."""
    service, auth = Service(), TokenAuth(giving(function))

    send_asyncio(auth, service)
    with pytest.raises(ConfigurationError, match="is async: use arerank"):
        send_blocking(auth, service)

    assert service.authorizations == ["Bearer awaited"]


@pytest.mark.parametrize("steps", range(12))
def test_an_async_function_is_awaited_or_never_called(steps: int) -> None:
    """Whenever the call is cancelled: Python warns of a coroutine that nobody awaits."""

    async def main() -> None:
        task = asyncio.ensure_future(send(TokenAuth(giving(give)), Service()))
        for _ in range(steps):
            await asyncio.sleep(0)
        time.sleep(0.01)  # noqa: ASYNC251 - a thread would have made the coroutine by then
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(main())
        gc.collect()

    assert [str(warning.message) for warning in caught] == []


# Tokens


@pytest.mark.parametrize("value", ["", " a", "a ", "a\n", "two\nlines", "caf\xe9", None, 5, b"a"])
def test_a_token_that_no_header_can_hold_is_refused(value: Any) -> None:
    """Without being shown, under the name that the caller knows it by."""
    with pytest.raises(ConfigurationError, match="the_option must be a string") as caught:
        check_token(value, "the_option")
    with pytest.raises(ConfigurationError):
        Token(value)

    assert "lines" not in str(caught.value)
    assert check_token("a.b-c==", "x") == "a.b-c=="


@pytest.mark.parametrize(
    ("fields", "ends"),
    [
        ({}, 1_003_600.0),
        ({"expires_in": "60"}, 1_000_060.0),
        ({"expires_at": 5}, 1_003_600.0),
    ],
)
def test_a_lifetime_counts_from_now(
    fields: dict[str, Any], ends: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any end that the reply states by another clock."""
    monkeypatch.setattr("rerank_core.tokens.time.time", lambda: 1_000_000.0)

    assert read_token(granted("a", **fields), end="expires_at") == Token("a", ends)


def test_an_end_is_read_where_there_is_no_lifetime() -> None:
    """From the field that the plugin names."""
    reply = httpx.Response(200, json={"access_token": "a", "expires_at": 5})

    assert read_token(reply, end="expires_at") == Token("a", 5.0)


def test_a_refusal_says_what_was_given() -> None:
    """In the plugin's words."""
    with pytest.raises(AuthenticationError, match=r"gave no token for the key: status 403$"):
        send_blocking(TokenAuth(exchange_at(given="the key")), Service(httpx.Response(403)))


def test_no_representation_shows_a_token() -> None:
    """Neither its own nor that of what sends it."""
    auth = TokenAuth(exchange)
    send_blocking(auth, Service(granted("the-token")))

    shown = repr(auth) + repr(vars(auth)) + repr(Token("the-token"))
    assert "the-token" not in shown
    assert SECRET not in shown
