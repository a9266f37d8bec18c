"""The third driver: scripted replies and a virtual clock, so that a whole history takes no time."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Self

import httpx
import orjson
from attrs import define, evolve, field, frozen

from rerank_core import (
    HTTPRequest,
    HTTPResponse,
    NextRequest,
    Provider,
    RequestTimeoutError,
    Reranker,
    RerankError,
    RerankRequest,
    RerankResponse,
    hookimpl,
    wire,
)
from rerank_core._send.effects import Await, Clock, Flow, Gather, Run, Send, Sleep
from rerank_core._send.sending import settle, to_record


class ScriptedPlugin:
    """A provider with whatever facts a test wants; its service may page and say "not yet"."""

    def __init__(self, name: str = "scripted", **facts: Any) -> None:
        usual = {
            "base_url": f"http://{name}.test",
            "api_key_required": False,
            "params": {"top_n": "top_n"},
        }
        self.facts = Provider(name=name, **{**usual, **facts})

    @hookimpl
    def resolve_provider(self) -> Provider:
        """State the facts."""
        return self.facts

    @hookimpl
    def map_params(self, provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
        """The wire's names are the caller's."""
        return wire.rename_params(params, provider.params, provider.extra_params)

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        """Ask for everything in one object."""
        body = {"query": request.query, "documents": list(request.documents), **params}
        return HTTPRequest(f"{provider.base_url}/rerank", body)

    @hookimpl
    def parse_response(self, provider: Provider, payload: Any) -> RerankResponse | NextRequest:
        """Read the results; `next` and `delay` stand for a further page, or for "not yet"."""
        response = RerankResponse(
            wire.read_results(payload.get("results", [])), meta=wire.read_meta(payload)
        )
        if "next" not in payload:
            return evolve(response, results=wire.read_results(payload["results"]))
        url = f"{provider.base_url}{payload['next']}"
        request = HTTPRequest(url, method="GET", delay=payload.get("delay", 0.0))
        return NextRequest(request, response if "results" in payload else None)


@frozen
class Reply:
    """One scripted reply.

    Attributes:
        after: Seconds from the request to its end.
        status: The HTTP status.
        headers: Its headers; a function gets the time in seconds since 1970.
        body: Its content; a function gets the decoded request.
        failure: What the network does instead.
    """

    after: float = 0.0
    status: int = 200
    headers: Mapping[str, str] | Callable[[float], Mapping[str, str]] = field(factory=dict)
    body: bytes | Callable[[Any], bytes] = b""
    failure: type[httpx.TransportError] | None = None

    def within(self, timeout: float | None) -> Self:
        """The reply, or the end of the patience for it."""
        if timeout is None or self.after <= timeout:
            return self
        return evolve(self, after=timeout, failure=httpx.ReadTimeout)

    def to_httpx(self, content: bytes, now: float) -> httpx.Response:
        """The reply as a client gets it; raises the failure."""
        if self.failure is not None:
            raise self.failure(f"scripted {self.failure.__name__}")
        headers = self.headers(now) if callable(self.headers) else self.headers
        body = self.body
        if callable(body):
            body = body(orjson.loads(content) if content else None)
        raw = {name.encode(): text.encode("latin-1") for name, text in headers.items()}
        return httpx.Response(self.status, headers=raw, content=body)


Script = Callable[[str, bytes, int], Reply]
"""From URL, content and the number of earlier attempts at the same request to the reply."""


def in_turn(*replies: Reply) -> Script:
    """A script that gives these replies one after another, whatever is asked."""
    left = iter(replies)
    return lambda _url, _content, _earlier: next(left)


class VirtualClock:
    """A clock that moves only when it is set; chance comes from a list, over and over."""

    def __init__(self, chances: Iterable[float] = (0.5,), epoch: float = 1_800_000_000.0) -> None:
        self.now = 0.0
        self.epoch = epoch
        self._chances = itertools.cycle(chances)

    def time(self) -> float:
        """Seconds since 1970."""
        return self.epoch + self.now

    def to_clock(self, monotonic: Callable[[], float] | None = None) -> Clock:
        """The clock as flows take it."""
        return Clock(monotonic or (lambda: self.now), self.time, lambda: next(self._chances))


class Service:
    """The other side: answers by its script, in virtual time or as an `httpx.MockTransport`."""

    def __init__(self, script: Script, clock: VirtualClock) -> None:
        self.script = script
        self.clock = clock
        self.seen: Counter[tuple[str, bytes]] = Counter()

    def choose(self, url: str, content: bytes) -> Reply:
        """The reply to the next attempt at this request."""
        earlier = self.seen[url, content]
        self.seen[url, content] += 1
        return self.script(url, content, earlier)

    def to_transport(self) -> httpx.MockTransport:
        """A transport for the real drivers; every reply comes at once."""

        def answer(request: httpx.Request) -> httpx.Response:
            reply = self.choose(str(request.url), request.content)
            reply = reply.within(request.extensions["timeout"]["read"])
            return reply.to_httpx(request.content, self.clock.time())

        return httpx.MockTransport(answer)


@define
class Attempt:
    """One `Send`, as it went; `answered` only where its outcome reached the flow."""

    effect: Send
    reply: Reply
    began: float
    ended: float
    answered: bool = False

    @property
    def key(self) -> tuple[str, bytes]:
        """What makes two attempts the same request."""
        return self.effect.url, self.effect.content


class VirtualDriver:
    """Runs flows in virtual time, and keeps every attempt.

    Args:
        service: Who answers.
        compute_seconds: How long each `Run` takes.
    """

    def __init__(self, service: Service, compute_seconds: float = 0.0) -> None:
        self.service = service
        self.clock = service.clock
        self.compute_seconds = compute_seconds
        self.attempts: list[Attempt] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()

    def run(self, flow: Flow) -> Any:
        """What the flow returns."""
        ended: list[tuple[Any, RerankError | None]] = []
        root = _Task(self, flow, lambda value, error: ended.append((value, error)))
        self.at(self.clock.now, root.resume)
        try:
            while not ended:
                self.clock.now, _, event = heapq.heappop(self._events)
                event()
        finally:
            root.cancel()
            self._events.clear()
        value, error = ended[0]
        if error is not None:
            raise error
        return value

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Let something happen at a moment; what was asked for first happens first."""
        heapq.heappush(self._events, (moment, next(self._sequence), event))


class _Task:
    """One flow under way."""

    def __init__(
        self, driver: VirtualDriver, flow: Flow, on_end: Callable[[Any, RerankError | None], None]
    ) -> None:
        self.driver, self.flow, self.on_end = driver, flow, on_end
        self.over = False
        self.children: list[_Task] = []
        self.attempt: Attempt | None = None

    def resume(self, value: Any = None, error: RerankError | None = None) -> None:
        if self.over:
            return
        self.attempt = None
        try:
            effect = self.flow.send(value) if error is None else self.flow.throw(error)
        except StopIteration as end:
            self.over = True
            self.on_end(end.value, None)
        except RerankError as failure:
            self.over = True
            self.on_end(None, failure)
        else:
            self._carry_out(effect)

    def cancel(self) -> None:
        for child in self.children:
            child.cancel()
        if not self.over and self.attempt is not None:
            self.attempt.ended = self.driver.clock.now
        self.over = True
        self.flow.close()

    def _carry_out(self, effect: Any) -> None:
        now = self.driver.clock.now
        match effect:
            case Send():
                self._send(effect)
            case Run():
                self._end_at(now + self.driver.compute_seconds, effect.deadline, effect.function)
            case Sleep():
                self.driver.at(now + effect.seconds, self.resume)
            case Gather():
                self._gather(effect)
            case Await():
                effect.future.add_done_callback(
                    lambda _: self._end_at(self.driver.clock.now, None, effect.future.result)
                )
            case _:
                raise TypeError(effect)

    def _end_at(self, moment: float, deadline: float | None, outcome: Callable[[], Any]) -> float:
        """Resume with the outcome then, or at the deadline without; when that will be."""
        now = self.driver.clock.now

        def resume() -> None:
            if self.over:
                return
            try:
                value = outcome()
            except RerankError as error:
                self.resume(error=error)
            else:
                self.resume(value)

        if deadline is not None and (deadline <= now or moment > deadline):
            outcome = _pass_deadline
            moment = max(now, deadline)
        self.driver.at(moment, resume)
        return moment

    def _send(self, effect: Send) -> None:
        driver, now = self.driver, self.driver.clock.now
        if effect.deadline is not None and effect.deadline <= now:
            self._end_at(now, effect.deadline, _pass_deadline)
            return
        reply = driver.service.choose(effect.url, effect.content)
        reply = reply.within(effect.timeout["read"])

        def outcome() -> HTTPResponse:
            attempt.answered = True
            try:
                answer = reply.to_httpx(effect.content, driver.clock.time())
                return to_record(answer, answer.content)
            except httpx.HTTPError as error:
                return settle(error, effect)

        ended = self._end_at(now + reply.after, effect.deadline, outcome)
        self.attempt = attempt = Attempt(effect, reply, now, ended)
        driver.attempts.append(attempt)

    def _gather(self, effect: Gather) -> None:
        driver = self.driver
        outcomes: list[Any] = [None] * len(effect.flows)
        waiting = deque(enumerate(effect.flows))
        left = len(outcomes)

        def start() -> None:
            if waiting:
                at, flow = waiting.popleft()
                self.children.append(_Task(driver, flow, partial(end, at)))
                driver.at(driver.clock.now, self.children[-1].resume)

        def end(at: int, value: Any, error: RerankError | None) -> None:
            nonlocal left
            outcomes[at] = value
            left -= 1
            if error is not None:
                for child in self.children:
                    child.cancel()
                self.resume(error=error)
            elif left:
                start()
            else:
                self.resume(outcomes)

        for _ in range(min(effect.limit, left)):
            start()


def _pass_deadline() -> Any:
    raise RequestTimeoutError("the deadline has passed")


def flow_of(
    reranker: Reranker, documents: Any, clock: Clock, *, query: str = "question", **params: Any
) -> Flow:
    """The flow of one call, with a clock of the test's own."""
    usual = {
        "top_n": None,
        "rank_fields": None,
        "return_documents": True,
        "max_chunks_per_doc": None,
        "max_tokens_per_doc": None,
    }
    given = {"query": query, "documents": documents, "params": {}, **usual, **params}
    flow: Flow = reranker._flow(given, clock=clock)  # noqa: SLF001 - the one way in
    return flow


def rank(
    scores: Mapping[str, float] | Callable[[str], float],
) -> Callable[[Any], bytes]:
    """A reply's body that ranks the documents that were sent, each by its text."""
    score = scores if callable(scores) else scores.__getitem__

    def body(sent: Any) -> bytes:
        rows = [
            {"index": at, "relevance_score": score(wire.render_document(document))}
            for at, document in enumerate(sent["documents"])
        ]
        rows.sort(key=lambda row: -row["relevance_score"])
        return orjson.dumps({"results": rows[: sent.get("top_n")]})

    return body
