"""The road from a job to its service: each request counted, held back and paid for."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx
from attrs import define, field

from rerank_core import Provider, Reranker, RerankResponse
from rerank_jobs._limits import Throttle, Window
from rerank_jobs._sent import SENT, Sent
from rerank_jobs._spend import Ledger
from rerank_jobs.errors import JobError

_TOO_MANY = 429
# The job's own: another model's scores under this one's name, or a road around the counting.
_REFUSED = ("fallbacks", "on_failure", "http_client")


@define
class Gate:
    """What every request passes.

    Attributes:
        throttle: How fast.
        ledger: How much.
        window: How many rows at once.
    """

    throttle: Throttle
    ledger: Ledger
    window: Window


class CountingClient(httpx.AsyncClient):
    """A client whose every attempt passes the gate: retries and parts of a split list as well."""

    def __init__(self, gate: Gate, **options: Any) -> None:
        super().__init__(**options)
        self._gate = gate

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send as httpx does, once there is room.

        Raises:
            CapReachedError: Nothing more may be sent.
            EndedError: The job stops before the first request of this row.
        """
        gate = self._gate
        sent = SENT.get() or Sent()
        size = int(request.headers.get("content-length") or 0)
        attempt = await gate.ledger.reserve(size, sent)
        try:
            await gate.throttle.enter(attempt.tokens, is_first=not sent.attempts)
        except BaseException:
            gate.ledger.give_back(attempt)
            raise
        sent.attempts.append(attempt)
        try:
            reply = await super().send(request, **options)
            attempt.status = reply.status_code
        finally:
            gate.ledger.finish(sent, attempt)
        if reply.status_code == _TOO_MANY:
            gate.window.refused()
            gate.throttle.close(read_wait(reply.headers))
        return reply


def read_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds of Retry-After; core reads more forms, and holds its own call back."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        if (text := headers.get(name, "").strip()).replace(".", "", 1).isdecimal():
            return float(text) / unit
    if (until := _timestamp(headers.get("retry-after"))) is None:
        return None
    now = _timestamp(headers.get("date"))  # by the service's own clock, where it states it
    return until - (time.time() if now is None else now)


def _timestamp(text: str | None) -> float | None:
    """Unix time from a date as headers have it; one without a zone is in UTC."""
    try:
        moment = parsedate_to_datetime(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


@define
class Connections:
    """Rerankers of one model, each with a client and so a connection of its own.

    One pool for all would cost the square of the connections; the one used last is used first.

    Attributes:
        name: `provider/model`.
        options: Of `Reranker`.
        gate: What every request passes.
    """

    name: str
    options: Mapping[str, Any]
    gate: Gate
    _idle: list[Reranker] = field(factory=list)
    _stack: AsyncExitStack = field(factory=AsyncExitStack)
    _tls: ssl.SSLContext | None = None

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._first.provider

    @property
    def model(self) -> str:
        """The model's name without its provider."""
        return self._first.model

    @property
    def base_url(self) -> str | None:
        """Where requests go."""
        return self._first.base_url

    @property
    def facts(self) -> Provider:
        """What the plugin states."""
        return self._first.facts

    @property
    def choices(self) -> Mapping[str, Any]:
        """What was given that can change a ranking, headers among it, and never a key."""
        return self._first.options

    async def arerank(self, query: str, documents: Any, **params: Any) -> RerankResponse:
        """Ask by a connection that is not in use."""
        reranker = self._idle.pop() if self._idle else self._make()
        try:
            return await reranker.arerank(query, documents, **params)
        finally:
            self._idle.append(reranker)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._idle.clear()
        await self._stack.aclose()

    @property
    def _first(self) -> Reranker:
        if not self._idle:
            self._idle.append(self._make())
        return self._idle[0]

    def _make(self) -> Reranker:
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        client = CountingClient(self.gate, verify=self._tls)
        self._stack.push_async_callback(client.aclose)
        return Reranker(self.name, http_client=client, **self.options)


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what a job decides for itself.

    Raises:
        JobError: One of them is there.
    """
    if refused := [name for name in _REFUSED if name in options]:
        raise JobError(f"a job does not take {', '.join(refused)}: all rows go to one model")
