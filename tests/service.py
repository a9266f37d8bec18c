"""A stand-in for a provider's service, and what the tests of several plugins ask of it."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import httpx
import pytest
import trio

from recorder import Recorded, Reply, recording
from rerank_core import (
    Provider,
    Reranker,
    RerankResponse,
    UnsupportedParamError,
    arerank,
    list_providers,
    rerank,
)
from rerank_core._resolve.target import Kept
from rerank_core._send import authorizing

CAPTURES = Path(__file__).parent / "fixtures" / "captures"
COMPARED_HEADERS = (
    "accept",
    "authorization",
    "content-type",
    "http-referer",
    "x-amz-date",
    "x-amz-security-token",
    "x-client-name",
    "x-dashscope-workspace",
    "x-goog-user-project",
    "x-litellm-timeout",
    "x-openrouter-title",
)
NOTHING = object()

Ask = Callable[..., RerankResponse]
Send = Callable[..., RerankResponse]
Difference: TypeAlias = tuple[str, Any, str, tuple[str, ...]]
"""What is sent otherwise than in captures, on purpose: where, what instead, why, in which."""
Calls: TypeAlias = Mapping[str, Mapping[str, Any]]
Compare: TypeAlias = Callable[[str, Mapping[str, Any], Send], dict[str, Any]]


def send_async(*args: Any, **keywords: Any) -> RerankResponse:
    """Make a call with `arerank`."""
    return asyncio.run(arerank(*args, **keywords))


def send_trio(*args: Any, **keywords: Any) -> RerankResponse:
    """Make a call with `arerank` under trio."""
    return trio.run(partial(arerank, *args, **keywords))


both_ways = pytest.mark.parametrize("send", [rerank, send_async], ids=["rerank", "arerank"])
every_way = pytest.mark.parametrize(
    "send", [rerank, send_async, send_trio], ids=["rerank", "arerank", "trio"]
)


def rows(count: int) -> list[dict[str, Any]]:
    """So many results, in the order in which the documents were sent."""
    return [{"index": at, "relevance_score": 0.9 - at / 10_000} for at in range(count)]


def rank(asked: Any, *, name: str = "results", limit: str = "top_n") -> Any:
    """Rank as sent, ten tokens each; services differ in what they call the list and its limit."""
    results = rows(asked.get(limit, len(asked["documents"])))
    return {name: results, "usage": {"total_tokens": 10 * len(results)}}


def copied(reply: httpx.Response) -> httpx.Response:
    """The reply, for one more client: each makes it its own."""
    return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)


def in_turn(*replies: Any) -> Callable[[Any], Any]:
    """What gives each reply in its turn, and the last for ever; functions of the body as well."""
    left = list(replies)

    def reply(asked: Any) -> Any:
        now = left.pop(0) if len(left) > 1 else left[0]
        return now(asked) if callable(now) else now

    return reply


class Service(httpx.MockTransport):
    """Stands in for a provider: keeps requests, and gives one reply for ever.

    Args:
        reply: A whole response or text as it is; a function of the decoded body, or what it
            returns, as JSON.
        status: The HTTP status, where the reply is not a whole response.
        headers: The headers of the reply, likewise.
    """

    def __init__(self, reply: Any = rank, status: int = 200, headers: Any = None) -> None:
        super().__init__(self.answer)
        self.requests: list[httpx.Request] = []
        self._reply, self._status, self._headers = reply, status, headers

    @property
    def body(self) -> Any:
        """The latest body, decoded."""
        return json.loads(self.requests[-1].content)

    @property
    def url(self) -> str:
        """The latest URL."""
        return str(self.requests[-1].url)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Keep the request, and reply."""
        self.requests.append(request)
        reply = self._reply
        if callable(reply):
            reply = reply(json.loads(request.content or "null"))
        if isinstance(reply, httpx.Response):
            return copied(reply)
        text = reply if isinstance(reply, str) else json.dumps(reply)
        return httpx.Response(self._status, headers=self._headers, text=text)


def asking(model: str, *, query: str, documents: Sequence[Any], **options: Any) -> Ask:
    """Make the function that asks for a ranking, with what it asks unless a test says otherwise."""
    usual = {"model": model, "query": query, "max_retries": 0, **options}

    def ask(
        service: Service, documents: Any = documents, *, send: Send = rerank, **keywords: Any
    ) -> RerankResponse:
        return send(documents=documents, http_client=service, **{**usual, **keywords})

    return ask


def facts(model: str, **options: Any) -> Provider:
    """What the plugin states about a model."""
    with Reranker(model, **{"api_key": "unused-0123456789", **options}) as reranker:
        return reranker.facts


def forget_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let core know nothing of what earlier calls found and obtained."""
    for table in ("_auths", "_options"):
        monkeypatch.setattr(authorizing, table, Kept())


@functools.cache
def variables_of(provider: str) -> Sequence[str]:
    """All that core looks at for a provider, as its facts name it."""
    (found,) = [found for found in list_providers() if found.name == provider]
    assert found.facts is not None, found.error
    options = (*found.facts.options.values(), *found.facts.secret_options.values())
    return [*found.facts.api_key_env, *found.facts.base_url_env, *chain.from_iterable(options)]


def without_variables(*names: str, of: str = "") -> Any:
    """A fixture that lets nothing that this machine has set take part in any test of a module.

    Args:
        *names: Variables.
        of: The provider whose variables take no part.
    """

    @pytest.fixture(autouse=True)
    def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
        forget_credentials(monkeypatch)
        for name in (*names, *(variables_of(of) if of else ())):
            monkeypatch.delenv(name, raising=False)

    return bare_environment


def noting_waits() -> Any:
    """A fixture with the seconds that would have been slept before retries; nothing sleeps."""

    @pytest.fixture
    def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
        seconds: list[float] = []

        async def note(wait: float) -> None:
            await anyio.lowlevel.checkpoint()
            seconds.append(wait)

        monkeypatch.setattr("rerank_core._send.drivers.time.sleep", seconds.append)
        monkeypatch.setattr("rerank_core._send.drivers.anyio.sleep", note)
        return seconds

    return waits


def load(name: str) -> Any:
    """One capture."""
    return json.loads((CAPTURES / f"{name}.json").read_bytes())


def call_of(name: str) -> dict[str, Any]:
    """The call of a capture, at some port of this machine."""
    call = dict(load(name)["call"])
    return call | {"api_base": call["api_base"].replace("PORT", "80")}


def differing(name: str, service: Service) -> dict[str, Any]:
    """What the one request has otherwise than a capture; `NOTHING` where it leaves a part out."""
    (request,) = service.requests
    return differing_parts(name, request)


def differing_parts(name: str, request: httpx.Request) -> dict[str, Any]:
    """The same of one request among others."""
    path, _, query = request.url.raw_path.decode().partition("?")
    headers = dict(request.headers)
    return differing_recorded(name, Recorded(request.method, path, query, headers, request.content))


def differing_recorded(name: str, request: Recorded) -> dict[str, Any]:
    """The same of one that arrived."""
    line = {"method": request.method, "path": request.path, "query": request.query}
    sent = _flat({**line, "headers": request.headers, "json": request.json})
    seen = _flat(load(name)["request"])
    both = ((where, sent.get(where, NOTHING)) for where in seen | sent)
    return {where: ours for where, ours in both if ours != seen.get(where, NOTHING)}


def stated(name: str, differences: Sequence[Difference]) -> dict[str, Any]:
    """What a table says that a request has otherwise than a capture."""
    return {where: ours for where, ours, _, names in differences if name in names}


def captures(
    prefix: str,
    calls: Calls,
    differences: Sequence[Difference],
    compare: Compare,
    *,
    others: Sequence[str] = (),
) -> Callable[..., None]:
    """Make a test of a provider's captures: what others send in a call, this project sends.

    Args:
        prefix: What the names of the files begin with.
        calls: The same calls in this project's words, by the captures' names.
        differences: What is sent otherwise on purpose.
        compare: Makes such a call, and says what was sent otherwise.
        others: Captures of something else.
    """

    @both_ways
    @pytest.mark.parametrize("name", [*calls, "covered"])
    def test(name: str, send: Send) -> None:
        if name == "covered":
            _check_all_are_covered(prefix, [*calls, *others], differences)
            return
        found, said = compare(name, calls[name], send), stated(name, differences)
        assert found == said, f"sent otherwise: {found}; stated: {said}"

    return test


def by(ask: Ask, reply: Any = rank, *, key: str | None = "test-key") -> Compare:
    """Compare what reaches a stand-in, with a key for every call unless they have their own."""

    def compare(name: str, call: Mapping[str, Any], send: Send) -> dict[str, Any]:
        service = Service(reply)
        ask(service, **{"send": send, **call, **({"api_key": key} if key else {})})
        return differing(name, service)

    return compare


def on_the_wire(name: str, call: Mapping[str, Any], send: Send) -> dict[str, Any]:
    """Compare what arrives over a connection of core's own; the body is whole, never a stream."""
    request, _ = record(call, send)

    assert request.headers["content-length"] == str(len(request.body)), request.headers
    assert "transfer-encoding" not in request.headers, request.headers
    return differing_recorded(name, request)


def check_both_functions(call: Mapping[str, Any]) -> None:
    """Both send the same, and attach the caller's documents, unless told not to."""
    blocking, first = record(call, rerank)
    awaited, second = record(call, send_async)

    assert blocking.body == awaited.body
    assert blocking.headers.keys() == awaited.headers.keys(), awaited.headers
    for result in (*first.results, *second.results):
        given = call["documents"][result.index]
        text = given if isinstance(given, str) else given["text"]
        if call.get("return_documents", True) is False:
            assert result.document is None
        else:
            assert result.document is not None
            assert result.document.text == text


def record(call: Mapping[str, Any], send: Send) -> tuple[Recorded, RerankResponse]:
    """Make a call against a recorder, at whose `PORT` it is: what arrived, and what came back."""
    model = call["model"].partition("/")[2]
    results = rows(call.get("top_n") or len(call["documents"]))
    reply = Reply({"id": "made-up", "model": model, "results": results})
    with recording(reply) as recorder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        base = recorder.base_url + call["api_base"].partition("PORT")[2]
        response = send(**{**call, "api_base": base})
        (request,) = recorder.requests
    return request, response


def _check_all_are_covered(
    prefix: str, calls: Sequence[str], differences: Sequence[Difference]
) -> None:
    """Each row has a reason, and names captures that are compared: it must change them."""
    files = {path.stem for path in CAPTURES.glob(f"{prefix}-*.json")}

    assert {name for name in files if "-realserver-" not in name} == {*calls}, files
    for where, _, reason, names in differences:
        assert reason, where
        assert {*names} <= {*calls}, (where, names)


def _flat(request: Mapping[str, Any]) -> dict[str, Any]:
    headers = {name: request["headers"].get(name, NOTHING) for name in COMPARED_HEADERS}
    parts = {name: request.get(name) or "" for name in ("method", "path", "query")}
    if isinstance(parts["query"], Mapping):
        parts["query"] = str(httpx.QueryParams(parts["query"]))
    parts |= {f"json.{name}": value for name, value in request["json"].items()}
    return parts | {f"headers.{name}": value for name, value in headers.items()}


def check_refused_unless_allowed(ask: Ask, service: Service, provider: str, param: str) -> None:
    """The error names parameter and provider; a warning says what was left out."""
    with pytest.raises(
        UnsupportedParamError, match=f"{provider} does not take '{param}'"
    ) as caught:
        ask(service, **{param: 1})
    assert caught.value.param == param
    assert service.requests == []
    response = ask(service, drop_params=True, **{param: 1})

    assert len(service.requests) == 1
    assert param not in service.body
    assert any(param in warning for warning in response.warnings), response.warnings
