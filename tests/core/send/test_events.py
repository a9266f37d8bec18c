"""What observers are told of a call, when, and where."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest

from core.conftest import KEY, Ask, Plugin, Service, rank_as_sent, ranking, waits
from rerank_core import (
    BadRequestError,
    Compute,
    ConfigurationError,
    RateLimitError,
    Reranker,
    ResponseParseError,
    TransportError,
    arerank,
    events,
    hookimpl,
    register,
    unregister,
)
from rerank_core.events import (
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    CallStarted,
    Event,
    FallbackTaken,
    PartEnded,
    PartStarted,
    PassedThrough,
    Waited,
)

__all__ = ["waits"]  # a fixture

BUSY = httpx.Response(503, json={"message": "busy"})
NINE = [f"{at}" for at in range(9)]


class Watching:
    """An observer that keeps what it is told, and may do something with it."""

    def __init__(self, then: Callable[[Event], None] = lambda _: None) -> None:
        self.told: list[Any] = []
        self._then = then

    @hookimpl
    def observe(self, event: Event) -> None:
        """Be told."""
        self.told.append(event)
        self._then(event)

    def of(self, *kinds: type[Event]) -> list[Any]:
        """The events of some kinds, in order."""
        return [event for event in self.told if type(event) in kinds]


Watch = Callable[..., Watching]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Registers an observer until the test is over."""
    names: list[str] = []

    def begin(then: Callable[[Event], None] = lambda _: None) -> Watching:
        watching = Watching(then)
        names.append(register(watching))
        return watching

    yield begin
    for name in names:
        unregister(name)


@pytest.fixture
def watching(watch: Watch) -> Watching:
    """An observer of all calls."""
    return watch()


def kinds(watching: Watching) -> list[str]:
    """The names of what was told, in order."""
    return [type(event).__name__ for event in watching.told]


def test_a_call_is_told_from_beginning_to_end(ask: Ask, watching: Watching) -> None:
    """The call, and its attempt within it, under one id."""
    response = ask(Service(), ["a", "b", "c"], top_n=2)
    began, sent, answered, ended = watching.told

    assert kinds(watching) == ["CallStarted", "AttemptStarted", "AttemptEnded", "CallEnded"]
    assert len({event.call for event in watching.told}) == 1
    assert {(event.provider, event.model) for event in watching.told} == {("test", "m")}
    assert (began.documents, began.top_n, began.base_url) == (3, 2, "https://rerank.test")
    assert (began.query, [*began.inputs]) == ("q", ["a", "b", "c"])
    assert (sent.number, sent.method, sent.documents) == (1, "POST", 3)
    assert sent.url.startswith("https://rerank.test/")
    assert (answered.number, answered.status_code, answered.error) == (1, 200, None)
    assert answered.documents == 3
    assert ended.response is response
    assert (ended.error, ended.attempts) == (None, 1)
    assert response.attempts == 1
    assert 0 <= answered.seconds <= ended.seconds


def test_each_call_has_an_id_of_its_own(ask: Ask, watching: Watching) -> None:
    """By which an observer tells calls side by side from each other."""
    ask(Service())
    ask(Service())

    assert len({event.call for event in watching.of(CallStarted)}) == 2


def test_sizes_are_those_of_the_bodies(ask: Ask, watching: Watching) -> None:
    """What was sent, and what came back."""
    reply = ranking(1, 0.5, 0.25)
    service = Service(reply)
    ask(service)
    (ended,) = watching.of(AttemptEnded)

    assert ended.sent_bytes == len(service.requests[0].content)
    assert ended.received_bytes == len(reply.content)


def test_a_url_is_told_without_what_may_be_secret(ask: Ask, watching: Watching) -> None:
    """Neither the user name and password in it, nor its query."""
    ask(Service(), api_base="https://user:pass-word-1@rerank.test/v1")
    (sent,) = watching.of(AttemptStarted)

    assert "pass-word-1" not in "".join(map(repr, watching.told))
    assert "user" not in sent.url


def test_the_callers_content_is_not_in_a_repr(ask: Ask, watching: Watching) -> None:
    """So that an observer that prints events does not tell it."""
    ask(Service(), ["what-only-i-know"], query="what-else-i-know")
    (began,) = watching.of(CallStarted)

    assert "what-" not in repr(began)


def test_events_are_frozen(ask: Ask, watching: Watching) -> None:
    """Several observers are told the same one."""
    ask(Service())

    for event in watching.told:
        with pytest.raises(AttributeError):
            event.model = "other"


def test_retries_are_told(ask: Ask, watching: Watching, waits: list[float]) -> None:
    """Each wait before it is waited, with what failed and the attempt that did."""
    response = ask(Service(BUSY, BUSY, ranking(1, 0.5, 0.25)))
    waited = watching.of(Waited)

    assert kinds(watching)[1:-1] == [
        *("AttemptStarted", "AttemptEnded", "Waited"),
        *("AttemptStarted", "AttemptEnded", "Waited"),
        *("AttemptStarted", "AttemptEnded"),
    ]
    assert [event.number for event in waited] == [1, 2]
    assert [event.seconds for event in waited] == waits
    assert {type(event.error).__name__ for event in waited} == {"ServerError"}
    assert [event.status_code for event in watching.of(AttemptEnded)] == [503, 503, 200]
    assert [event.number for event in watching.of(AttemptEnded)] == [1, 2, 3]
    assert response.attempts == 3


@pytest.mark.usefixtures("waits")
def test_an_error_says_what_it_took(ask: Ask, watching: Watching) -> None:
    """As the response would have."""
    with pytest.raises(RateLimitError) as caught:
        ask(Service(httpx.Response(429, json={})), max_retries=2)
    (ended,) = watching.of(CallEnded)

    assert caught.value.attempts == 3
    assert caught.value.seconds == pytest.approx(ended.seconds, abs=0.1)
    assert ended.error is caught.value
    assert (ended.response, ended.attempts) == (None, 3)


def test_no_reply_is_told(ask: Ask, watching: Watching) -> None:
    """An attempt that failed on the way has no status, but what failed."""
    with pytest.raises(TransportError):
        ask(Service(httpx.ConnectError("refused")), max_retries=0)
    (ended,) = watching.of(AttemptEnded)

    assert (ended.status_code, ended.received_bytes) == (None, 0)
    assert "refused" in str(ended.error)


def test_no_observer_is_told_a_key(ask: Ask, watch: Watch) -> None:
    """Nor at the moment of the failure, before the caller gets the error."""
    said: list[str] = []
    watch(lambda event: said.append(f"{event} {getattr(event, 'error', None)}"))
    with pytest.raises(TransportError):
        ask(Service(httpx.ConnectError(f"no way with {KEY}")), max_retries=0)

    assert KEY not in "".join(said)
    assert "no way with [redacted]" in "".join(said)


def test_an_unreadable_reply_ends_the_call_and_not_the_attempt(
    ask: Ask, watching: Watching
) -> None:
    """The request was answered."""
    with pytest.raises(ResponseParseError):
        ask(Service(httpx.Response(200, text="moon")), max_retries=0)

    assert [event.error for event in watching.of(AttemptEnded)] == [None]
    assert [type(event.error) for event in watching.of(CallEnded)] == [ResponseParseError]


def test_the_parts_of_a_split_list_are_told(ask: Ask, watching: Watching) -> None:
    """Each with its own number and share; attempts add up."""
    response = ask(Service(rank_as_sent), NINE, max_documents=4)
    began, ended = watching.of(PartStarted), watching.of(PartEnded)

    assert sorted((event.number, event.documents) for event in began) == [(1, 3), (2, 3), (3, 3)]
    assert sorted(event.number for event in ended) == [1, 2, 3]
    assert {event.error for event in ended} == {None}
    assert response.attempts == 3
    assert watching.of(CallEnded)[0].attempts == 3


def test_one_request_is_no_part(ask: Ask, watching: Watching) -> None:
    """Parts are told only where there are several."""
    ask(Service())

    assert watching.of(PartStarted, PartEnded) == []


def test_a_fallback_is_told(ask: Ask, watching: Watching) -> None:
    """What failed, then its turn as a whole; the call's end names who answered."""
    other = Reranker("n", provider=Plugin(), api_key=KEY, http_client=Service())
    response = ask(Service(BUSY), max_retries=0, fallbacks=[other])
    (taken,), (began,), (ended,) = (
        watching.of(kind) for kind in (FallbackTaken, PartStarted, PartEnded)
    )

    assert kinds(watching) == [
        *("CallStarted", "AttemptStarted", "AttemptEnded", "FallbackTaken", "PartStarted"),
        *("AttemptStarted", "AttemptEnded", "PartEnded", "CallEnded"),
    ]
    assert (taken.model, type(taken.error).__name__) == ("n", "ServerError")
    assert (began.model, began.number, began.documents) == ("n", 0, 3)
    assert ended.error is None
    assert watching.told[-1].model == "n"
    assert response.attempts == 2


def test_a_passthrough_is_told(ask: Ask, watching: Watching) -> None:
    """With all that failed, in order; the call itself succeeds."""
    other = Reranker("n", provider=Plugin(), api_key=KEY, http_client=Service(BUSY), max_retries=0)
    limited = httpx.Response(429, json={})
    ask(Service(limited), max_retries=0, fallbacks=[other], on_failure="passthrough")
    (passed,) = watching.of(PassedThrough)
    (ended,) = watching.of(CallEnded)

    assert [type(error).__name__ for error in passed.errors] == ["RateLimitError", "ServerError"]
    assert ended.error is None
    assert ended.response.reranked is False
    assert ended.attempts == ended.response.attempts == 2


class InProcess(Plugin):
    """Ranks in this process."""

    @hookimpl
    def build_request(self, request: Any) -> Compute:  # type: ignore[override]  # names what it uses
        """Take the documents' order."""
        rows = [{"index": at, "relevance_score": 1.0} for at in range(len(request.documents))]
        return Compute(lambda: {"results": rows})


def test_a_model_in_this_process_makes_no_attempt(ask: Ask, watching: Watching) -> None:
    """Nothing is sent, so nothing is counted."""
    plugin = InProcess(base_url=None, auth=None, api_key_required=False)
    response = ask(Service(), plugin=plugin, api_key=None)

    assert kinds(watching) == ["CallStarted", "CallEnded"]
    assert watching.told[0].base_url is None
    assert response.attempts == watching.told[1].attempts == 0


def test_an_empty_list_makes_no_attempt(ask: Ask, watching: Watching) -> None:
    """A call it is all the same."""
    ask(Service(), [])

    assert kinds(watching) == ["CallStarted", "CallEnded"]


@pytest.mark.usefixtures("caplog")
def test_an_observer_that_raises_is_reported_once(
    ask: Ask, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the calls nor other observers notice."""

    def fail(_: Event) -> None:
        raise RuntimeError("the observer's own fault")

    watch(fail)
    healthy = watch()
    for _ in range(3):
        assert len(ask(Service())) == 3

    assert len(healthy.told) == 12
    reports = [each for each in caplog.records if "observer" in each.getMessage()]
    assert len(reports) == 1
    assert reports[0].levelno == logging.WARNING
    assert "the observer's own fault" in caplog.text


def test_a_program_that_is_told_to_end_while_an_observer_works_ends(ask: Ask, watch: Watch) -> None:
    """A handler that exits, as servers' have, is not taken for the observer's fault."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    try:
        watch(lambda _: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(SystemExit, match="told to end"):
            ask(Service())
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_observer_that_raises_is_reported_too(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where it got the place in memory of one that is gone."""

    def fail(_: Event) -> None:
        raise RuntimeError("broken")

    for _ in range(20):
        name = register(Watching(fail))
        ask(Service())
        unregister(name)

    reports = [each for each in caplog.records if "observer" in each.getMessage()]
    assert len(reports) == 20


def test_a_plugin_observes_its_own_calls(ask: Ask) -> None:
    """And no others; under the same id where it is a fallback."""

    class Observing(Plugin):
        """Keeps what it is told."""

        told: list[Any]

        @hookimpl
        def observe(self, event: Event) -> None:
            """Be told."""
            self.told.append(event)

    mine = Observing()
    mine.told = []
    ask(Service())
    assert mine.told == []

    ask(Service(), plugin=mine)
    assert [type(event).__name__ for event in mine.told] == [
        *("CallStarted", "AttemptStarted", "AttemptEnded", "CallEnded"),
    ]

    mine.told.clear()
    fallback = Reranker("n", provider=mine, api_key=KEY, http_client=Service())
    ask(Service(BUSY), max_retries=0, fallbacks=[fallback])
    assert FallbackTaken in map(type, mine.told)
    assert len({event.call for event in mine.told}) == 1
    assert all(event.call for event in mine.told)


def test_an_observer_is_taken_back_by_its_name(ask: Ask) -> None:
    """Twice the same plugin class are two names; a name that is gone is left alone."""
    first, second = Watching(), Watching()
    names = [register(first), register(second)]
    unregister(names[0])
    unregister(names[0])
    ask(Service())
    unregister(names[1])
    ask(Service())

    assert names[0] != names[1]
    assert first.told == []
    assert len(second.told) == 4


def test_a_class_is_no_observer() -> None:
    """It would be told, and fail in silence where no log is written: its `self` is missing."""

    class Metrics:
        @hookimpl
        def observe(self, event: Event) -> None: ...

    with pytest.raises(ConfigurationError, match=r"write register\(Metrics\(\)\)"):
        register(Metrics)


def test_a_module_may_be_an_observer(ask: Ask) -> None:
    """As plugins are."""
    told: list[Event] = []

    def observe(event: Event) -> None:
        told.append(event)

    module = ModuleType("my_observer")
    module.observe = hookimpl(observe)  # type: ignore[attr-defined]  # a module of ours
    name = register(module)
    try:
        ask(Service())
    finally:
        unregister(name)

    assert "my_observer" in name
    assert len(told) == 4


def test_without_observers_no_event_is_made(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that nobody watches costs nothing for it."""
    logging.getLogger("rerank_core").setLevel(logging.WARNING)
    made: list[object] = []
    all_kinds = [kind for kind in vars(events).values() if isinstance(kind, type)]
    for kind in (kind for kind in all_kinds if issubclass(kind, Event)):
        monkeypatch.setattr(kind, "__init__", lambda *_, **__: made.append(1))
    try:
        ask(Service(rank_as_sent), NINE, max_documents=3)
    finally:
        logging.getLogger("rerank_core").setLevel(logging.NOTSET)

    assert made == []


WHERE: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="outside")


@pytest.mark.parametrize("deadline", [None, 60])
def test_a_context_variable_holds_from_started_to_ended(
    ask: Ask, watch: Watch, deadline: float | None
) -> None:
    """In the call, in each part, and where the request is sent; afterwards it is as it was."""
    tokens: dict[Any, contextvars.Token[str]] = {}
    found: list[tuple[str, str]] = []

    def mark(event: Event) -> None:
        match event:
            case CallStarted():
                tokens["call"] = WHERE.set("call")
            case PartStarted():
                tokens[event.number] = WHERE.set(f"part {event.number}")
            case PartEnded():
                found.append((f"part {event.number}", WHERE.get()))
                WHERE.reset(tokens[event.number])
            case CallEnded():
                found.append(("call", WHERE.get()))
                WHERE.reset(tokens["call"])
            case _:
                pass

    watch(mark)
    sent: dict[str, list[str]] = {}

    def note(request: httpx.Request) -> httpx.Response:
        sent[WHERE.get()] = json.loads(request.content)["documents"]
        return rank_as_sent(request)

    ask(Service(note), NINE, max_documents=3, deadline=deadline)

    assert [name == where for name, where in found] == [True] * 4
    assert sent == {"part 1": NINE[:3], "part 2": NINE[3:6], "part 3": NINE[6:]}
    assert WHERE.get() == "outside"


def test_a_cancelled_call_is_told_to_its_end(watching: Watching) -> None:
    """An observer can always end what it began."""

    async def main() -> None:
        asked = asyncio.Event()

        async def never(_: httpx.Request) -> httpx.Response:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        options: dict[str, Any] = {"provider": Plugin(), "api_key": KEY}
        call = arerank("m", "q", NINE, http_client=httpx.MockTransport(never), **options)
        task = asyncio.create_task(call)
        await asked.wait()
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())

    assert kinds(watching) == ["CallStarted", "AttemptStarted", "AttemptEnded", "CallEnded"]
    assert isinstance(watching.told[-1].error, asyncio.CancelledError)
    assert watching.told[-1].attempts == 1


def test_every_part_that_began_ends(ask: Ask, watching: Watching) -> None:
    """Also those that the failure of another stops, which end when their thread does."""

    def answer(request: httpx.Request) -> httpx.Response:
        if "0" in json.loads(request.content)["documents"]:
            return httpx.Response(400, json={"message": "no"})
        return rank_as_sent(request)

    with pytest.raises(BadRequestError):
        ask(Service(answer), NINE, max_documents=1, max_retries=0)

    give_up = time.monotonic() + 30
    while len(watching.of(PartStarted)) > len(watching.of(PartEnded)):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    assert any(isinstance(event.error, BadRequestError) for event in watching.of(PartEnded))
