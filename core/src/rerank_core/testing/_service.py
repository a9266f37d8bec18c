"""A stand-in for the service of a case, that records what it is sent."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any
from unittest import mock

import httpx
from attrs import evolve

from rerank_core._client.reranker import Reranker
from rerank_core._prepare.call import make_call
from rerank_core._prepare.requests import prepare
from rerank_core._resolve.discovery import hooks_of
from rerank_core._resolve.target import Target
from rerank_core.errors import RerankError
from rerank_core.records import JSON, Compute, HTTPRequest, RerankResponse
from rerank_core.testing._case import CANARY, Case, Ranking
from rerank_core.testing._failure import explain
from rerank_core.wire import decode_json, encode_json

QUERY = "which of these is it"
MANY = 1001  # documents: more than any service returns unless it is told a number

Respond = Callable[[httpx.Request], httpx.Response]


class Service:
    """Answers requests for a case, and keeps them.

    Args:
        case: The plugin.
        respond: Makes the reply to a request; authentication's own requests never reach it.
    """

    def __init__(self, case: Case, respond: Respond) -> None:
        self.case = case
        self.requests: list[httpx.Request] = []
        self._respond = respond

    def _handle(self, request: httpx.Request) -> httpx.Response:
        answer = self.case.answer_auth(request)
        if answer is None:
            self.requests.append(request)
            answer = self._respond(request)
        return answer

    def reranker(self, **options: Any) -> Reranker:
        """A `Reranker` of the case's plugin that talks to this."""
        transport = httpx.MockTransport(self._handle)
        given: dict[str, Any] = {"api_key": CANARY, "max_retries": 0, "http_client": transport}
        given |= {**self.case.options, **options}
        with mock.patch.dict(os.environ):
            for name in _variables_of(self.case):
                os.environ.pop(name, None)  # what this machine has set takes no part
            return Reranker(self.case.model, provider=self.case.plugin, **given)


@functools.lru_cache(maxsize=8)
def _variables_of(case: Case) -> Sequence[str]:
    """Every variable that the plugin has core look at."""
    facts = hooks_of(case.plugin).resolve_provider(case.model, {})
    options = (*facts.options.values(), *facts.secret_options.values())
    return [*facts.base_url_env, *facts.api_key_env, *chain.from_iterable(options)]


def target_of(reranker: Reranker) -> Target:
    """What the `Reranker` resolved to."""
    return reranker._routes[0].target  # noqa: SLF001 - what checks look at


def replying(content: JSON, status: int = 200, headers: Mapping[str, str] | None = None) -> Respond:
    """Answers every request with the same: bytes as they are, anything else as JSON."""
    kind = {"content-type": "application/json", **(headers or {})}

    def respond(_: httpx.Request) -> httpx.Response:
        raw = content if isinstance(content, bytes) else encode_json(content)
        return httpx.Response(status, headers=kind, content=raw)

    return respond


@functools.lru_cache(maxsize=8)
def computes(case: Case) -> bool:
    """Whether the plugin runs in this process."""
    return isinstance(build(case, "query", ["a", "b"]), Compute)


def build(case: Case, query: str, documents: Sequence[Any], **params: Any) -> HTTPRequest | Compute:
    """What the plugin's hooks make of a call, without authentication."""
    target = target_of(Service(case, replying({})).reranker())
    given = dict.fromkeys(("top_n", "rank_fields", "max_chunks_per_doc", "max_tokens_per_doc"))
    extra = {name: value for name, value in params.items() if name not in given}
    named = {**given, **{name: params[name] for name in params if name in given}}
    call = make_call(query, list(documents), return_documents=True, extra=extra, **named)
    return prepare(call, target, {}).parts[0].work


class _Answered:
    """A plugin's hooks, with what it would compute replaced by a payload of ours."""

    def __init__(self, hooks: Any, payload: JSON) -> None:
        self._hooks, self._payload = hooks, payload

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hooks, name)

    def build_request(self, *arguments: Any) -> HTTPRequest | Compute:
        """Build as the plugin does, and compute nothing."""
        built: HTTPRequest | Compute = self._hooks.build_request(*arguments)
        return Compute(lambda: self._payload) if isinstance(built, Compute) else built


def ask(
    case: Case,
    call: Mapping[str, Any],
    content: JSON,
    *,
    awaited: bool = False,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> RerankResponse:
    """Make a call that the service answers with `content`.

    Args:
        case: The plugin.
        call: Arguments of `Reranker.rerank`.
        content: The reply: bytes as they are, anything else as JSON.
        awaited: Through `arerank`.
        status: The reply's status.
        headers: The reply's headers.
        **options: Options of the connection.
    """
    reranker = Service(case, replying(content, status, headers)).reranker(**options)
    answered: Any = _Answered(target_of(reranker).hooks, content)
    (route,) = reranker._routes  # noqa: SLF001 - a part replaced
    route.target = evolve(route.target, hooks=answered)
    return asyncio.run(reranker.arerank(**call)) if awaited else reranker.rerank(**call)


def texts(count: int, prefix: str = "document") -> list[str]:
    """So many documents, no two alike."""
    return [f"{prefix} number {at}" for at in range(count)]


def encoded(case: Case, ranking: Ranking, documents: Sequence[str], top_n: int | None) -> JSON:
    """The reply that the service would send; `encode` may be shown only a copy."""
    return case.encode(list(ranking), list(documents), top_n)


def sent_request(case: Case, query: str, documents: Sequence[Any], **params: Any) -> httpx.Request:
    """The request that a call leads to, authentication included; the reply does not matter."""
    service = Service(case, replying({}))
    try:
        service.reranker().rerank(query, documents, **params)
    except RerankError as error:
        if not service.requests:
            raise explain(error) from error
    return service.requests[0]


def body_of(request: httpx.Request) -> JSON:
    """The JSON of a request; `None` where it has no body."""
    return decode_json(request.read())


def field_names(value: JSON) -> set[str]:
    """Every name of an object's field, at any depth."""
    if isinstance(value, Mapping):
        return set(value) | {name for inner in value.values() for name in field_names(inner)}
    return (
        {name for inner in value for name in field_names(inner)}
        if isinstance(value, list)
        else set()
    )
