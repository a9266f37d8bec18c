"""What happens around an exchange, step by step in virtual time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import httpx
import orjson
import pytest

from core.virtual import (
    Reply,
    Script,
    ScriptedPlugin,
    Service,
    VirtualClock,
    VirtualDriver,
    flow_of,
    in_turn,
    rank,
)
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    Compute,
    HTTPRequest,
    InvalidRequestError,
    NextRequest,
    PluginError,
    Provider,
    RateLimitError,
    RequestTimeoutError,
    Reranker,
    RerankRequest,
    RerankResponse,
    ResponseParseError,
    ServerError,
    TransportError,
    UnsupportedParamError,
    hookimpl,
    wire,
)
from rerank_core._send.exchange import MAX_REPLIES

DOCUMENTS = ["a", "b", "c", "d"]
SCORES = {"a": 0.1, "b": 0.4, "c": 0.3, "d": 0.2}
RIGHT = [1, 2, 3, 0]
GOOD = Reply(body=rank(SCORES))
DOWN = Reply(status=503, body=b'{"message": "down"}')
WAIT_NOTE = "Not tried again: the deadline would pass while waiting."


def _driver(script: Script, **options: Any) -> VirtualDriver:
    return VirtualDriver(Service(script, VirtualClock()), **options)


def _ask(
    driver: VirtualDriver,
    plugin: object | None = None,
    documents: Sequence[Any] = DOCUMENTS,
    *,
    top_n: int | None = None,
    **options: Any,
) -> RerankResponse:
    reranker = Reranker("m", provider=plugin or ScriptedPlugin(), **options)
    flow = flow_of(reranker, documents, driver.clock.to_clock(), top_n=top_n)
    response: RerankResponse = driver.run(flow)
    return response


def _order(response: RerankResponse) -> list[int]:
    return [result.index for result in response.results]


def _urls(driver: VirtualDriver) -> list[str]:
    return [attempt.effect.url for attempt in driver.attempts]


def _rows(*indices: int, **more: Any) -> Reply:
    rows = [{"index": at, "relevance_score": SCORES[DOCUMENTS[at]]} for at in indices]
    return Reply(body=orjson.dumps({"results": rows, **more}))


def _fallback(name: str, **options: Any) -> Reranker:
    return Reranker("other", provider=ScriptedPlugin(name), **{"max_retries": 0, **options})


def test_a_request_is_tried_again_until_it_succeeds() -> None:
    """With the same bytes each time, after half of what the back-off allows here."""
    driver = _driver(in_turn(DOWN, Reply(failure=httpx.ReadError), GOOD))

    assert _order(_ask(driver)) == RIGHT
    assert [attempt.began for attempt in driver.attempts] == [0.0, 0.25, 0.75]
    assert len({attempt.effect.content for attempt in driver.attempts}) == 1


def test_the_last_failure_is_raised() -> None:
    """The error of the last attempt, with provider, model, status and reply."""
    driver = _driver(in_turn(Reply(failure=httpx.ReadError), DOWN))
    with pytest.raises(ServerError, match="scripted/m: status 503: down") as caught:
        _ask(driver, max_retries=1)

    assert caught.value.provider == "scripted"
    assert caught.value.model == "m"
    assert caught.value.status_code == 503
    assert caught.value.response is not None
    assert caught.value.response.content == DOWN.body


def test_an_error_says_how_long_the_service_asks_to_wait() -> None:
    """As it was asked, although core itself would wait a minute at most."""
    driver = _driver(in_turn(Reply(status=429, headers={"retry-after": "3600"})))
    with pytest.raises(RateLimitError) as caught:
        _ask(driver, max_retries=0)

    assert caught.value.retry_after == 3600


def test_targets_are_asked_in_order() -> None:
    """The provider, then each fallback; the first that answers ends it."""
    script = in_turn(DOWN, Reply(failure=httpx.ConnectError), GOOD)
    driver = _driver(script)
    response = _ask(
        driver,
        max_retries=0,
        fallbacks=[_fallback("second"), _fallback("third"), _fallback("fourth")],
    )

    assert _urls(driver) == [
        "http://scripted.test/rerank",
        "http://second.test/rerank",
        "http://third.test/rerank",
    ]
    assert (response.provider, response.model, response.reranked) == ("third", "other", True)
    assert [warning.partition(":")[0] for warning in response.warnings] == (
        ["a fallback answered"] * 2
    )
    assert "scripted/m: status 503: down" in response.warnings[0]
    assert "second/other: " in response.warnings[1]


def test_a_fallback_keeps_its_own_retries() -> None:
    """Each target has its own budget."""
    driver = _driver(in_turn(DOWN, DOWN, DOWN, GOOD))
    _ask(driver, max_retries=0, fallbacks=[_fallback("second", max_retries=2)])

    assert [url.partition(".")[0] for url in _urls(driver)] == (
        ["http://scripted", *["http://second"] * 3]
    )


def test_all_failures_stand_on_the_first_error() -> None:
    """What the caller asked for is what is raised; the fallbacks' failures are its notes."""
    driver = _driver(in_turn(DOWN, Reply(status=429), Reply(failure=httpx.ReadError)))
    with pytest.raises(ServerError) as caught:
        _ask(driver, max_retries=0, fallbacks=[_fallback("second"), _fallback("third")])

    assert caught.value.provider == "scripted"
    said = [note.removeprefix("The fallback failed as well: ") for note in caught.value.__notes__]
    assert said == [
        "second/other: status 429",
        "third/other: POST http://third.test/rerank: ReadError: scripted ReadError",
    ]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 501])
def test_a_mistake_is_not_hidden_by_a_fallback(status: int) -> None:
    """Nor by the caller's own order: it would last for ever."""
    driver = _driver(in_turn(Reply(status=status)))
    with pytest.raises(APIStatusError) as caught:
        _ask(driver, fallbacks=[_fallback("second")], on_failure="passthrough")

    assert caught.value.status_code == status
    assert len(driver.attempts) == 1


def test_a_mistake_of_a_fallback_is_raised_as_well() -> None:
    """A wrong key is a mistake wherever it is used."""
    driver = _driver(in_turn(DOWN, Reply(status=401)))
    with pytest.raises(AuthenticationError) as caught:
        _ask(driver, max_retries=0, fallbacks=[_fallback("second"), _fallback("third")])

    assert caught.value.provider == "second"


def test_an_unreadable_reply_falls_back_and_is_not_tried_again() -> None:
    """The same request would be paid for twice; another provider may still answer."""
    driver = _driver(in_turn(Reply(body=b"<html>"), GOOD))
    response = _ask(driver, fallbacks=[_fallback("second")])

    assert response.provider == "second"
    assert len(driver.attempts) == 2


def test_passthrough_gives_the_callers_order() -> None:
    """Cut to `top_n`, without scores, and with every reason."""
    driver = _driver(in_turn(DOWN, Reply(failure=httpx.ReadError)))
    response = _ask(
        driver,
        top_n=2,
        max_retries=0,
        fallbacks=[_fallback("second")],
        on_failure="passthrough",
    )

    assert not response.reranked
    assert [r.index for r in response.results] == [0, 1]
    assert all(r.relevance_score is None for r in response.results)
    assert [r.document and r.document.text for r in response.results] == ["a", "b"]
    assert len(response.warnings) == 2
    assert all(warning.startswith("not reranked: ") for warning in response.warnings)
    assert response.id


def test_passthrough_says_what_was_left_out() -> None:
    """A misspelt parameter is no less so because the service is down."""
    options: dict[str, Any] = {"drop_params": True, "max_retries": 0, "on_failure": "passthrough"}
    driver = _driver(in_turn(DOWN))
    reranker = Reranker("m", provider=ScriptedPlugin(), **options, misspelt=1)
    flow = flow_of(reranker, DOCUMENTS, driver.clock.to_clock(), max_tokens_per_doc=9)
    response = driver.run(flow)

    assert response.warnings[0].startswith("not reranked: ")
    assert response.warnings[1].endswith("'misspelt': left out")
    assert "'max_tokens_per_doc'" in response.warnings[2]
    assert len(response.warnings) == 3


def test_passthrough_says_what_the_hooks_left_out() -> None:
    """As an answer would; that blank documents come last is not so here."""

    class Picky(ScriptedPlugin):
        @hookimpl
        def map_params(self, params: Mapping[str, Any]) -> dict[str, Any]:  # type: ignore[override]  # a hook names what it uses
            if "max_tokens_per_doc" in params:
                raise UnsupportedParamError("not here", param="max_tokens_per_doc")
            return {}

    plugin = Picky(params={"max_tokens_per_doc": "max_tokens"})
    options: dict[str, Any] = {"drop_params": True, "max_retries": 0, "on_failure": "passthrough"}
    driver = _driver(in_turn(DOWN))
    reranker = Reranker("m", provider=plugin, **options)
    flow = flow_of(reranker, ["a", " "], driver.clock.to_clock(), max_tokens_per_doc=9)
    response = driver.run(flow)

    assert response.warnings[1:] == ("not here: left out",)


def test_a_fallback_leaves_out_what_it_cannot_honour() -> None:
    """A parameter of the first provider does not stop the second, and is not dropped silently."""
    plugin = ScriptedPlugin(params={"max_tokens_per_doc": "max_tokens"})
    driver = _driver(in_turn(DOWN, GOOD))
    reranker = Reranker("m", provider=plugin, max_retries=0, fallbacks=[_fallback("second")])
    flow = flow_of(reranker, DOCUMENTS, driver.clock.to_clock(), max_tokens_per_doc=9)
    response = driver.run(flow)

    sent = [orjson.loads(attempt.effect.content) for attempt in driver.attempts]
    assert [body.get("max_tokens") for body in sent] == [9, None]
    assert "max_tokens_per_doc" in response.warnings[-1]


BUSY = Reply(body=b'{"error": {"code": "Busy", "message": "later"}}')
WRONG = Reply(body=b'{"error": {"code": "Wrong", "message": "never"}}')


@pytest.mark.parametrize("kind", [RateLimitError, ServerError])
def test_an_error_in_a_good_reply_may_pass(kind: type[APIStatusError]) -> None:
    """Where the plugin says that it is one that does: tried again, and then elsewhere."""
    plugin = ScriptedPlugin(error_types={"Busy": kind})
    again = _driver(in_turn(BUSY, GOOD))
    elsewhere = _driver(in_turn(BUSY, BUSY, GOOD))

    assert _ask(again, plugin).provider == "scripted"
    response = _ask(elsewhere, plugin, max_retries=1, fallbacks=[_fallback("second")])
    assert response.provider == "second"
    assert "the reply is an error: later" in response.warnings[0]
    passed = _ask(_driver(in_turn(BUSY)), plugin, max_retries=0, on_failure="passthrough")
    assert not passed.reranked


def test_an_error_in_a_good_reply_is_tried_again_when_the_service_says() -> None:
    """As one with a status of its own."""
    later = Reply(body=BUSY.body, headers={"retry-after": "7"})
    driver = _driver(in_turn(later, GOOD))
    _ask(driver, ScriptedPlugin(error_types={"Busy": RateLimitError}))

    assert [attempt.began for attempt in driver.attempts] == [0.0, 7.0 * 1.125]


def test_any_other_error_in_a_good_reply_is_raised_at_once() -> None:
    """Nobody knows that it passes, so that another provider might hide a mistake."""
    driver = _driver(in_turn(WRONG, GOOD))
    plugin = ScriptedPlugin(error_types={"Busy": RateLimitError})

    with pytest.raises(APIStatusError, match="never") as caught:
        _ask(driver, plugin, fallbacks=[_fallback("second")], on_failure="passthrough")

    assert caught.value.status_code == 200
    assert len(driver.attempts) == 1


def _narrow(name: str) -> Reranker:
    plugin = ScriptedPlugin(name, max_document_chars=3)
    return Reranker("m", provider=plugin, max_retries=0)


def test_a_limit_of_a_fallback_is_no_mistake_of_the_caller() -> None:
    """What it refuses without being asked is a failure of its own: the next one is asked."""
    driver = _driver(in_turn(DOWN, Reply(body=rank({"a": 0.1, "long": 0.2}))))
    fallbacks = [_narrow("second"), _fallback("third")]
    response = _ask(driver, documents=["a", "long"], max_retries=0, fallbacks=fallbacks)

    assert response.provider == "third"
    assert _order(response) == [1, 0]
    assert "second/m: documents[1] has 4 characters" in response.warnings[1]


def test_where_the_last_fallback_refuses_the_outage_is_what_is_raised() -> None:
    """And with `on_failure="passthrough"`, the caller's own order comes back."""
    options: dict[str, Any] = {"max_retries": 0, "fallbacks": [_narrow("second")]}
    with pytest.raises(ServerError) as caught:
        _ask(_driver(in_turn(DOWN)), documents=["long"], **options)
    passed = _ask(_driver(in_turn(DOWN)), documents=["long"], **options, on_failure="passthrough")

    assert "documents[0] has 4 characters" in caught.value.__notes__[0]
    assert not passed.reranked
    assert "documents[0] has 4 characters" in passed.warnings[1]


def test_a_limit_of_the_first_provider_is_raised() -> None:
    """It was named by the caller, who has to shorten the document or name another."""
    driver = _driver(in_turn(GOOD))
    plugin = ScriptedPlugin(max_document_chars=3)

    with pytest.raises(InvalidRequestError, match="at most 3"):
        _ask(driver, plugin, ["long"], fallbacks=[_fallback("second")], on_failure="passthrough")


@pytest.mark.parametrize("following", ["/2", "/3"])
def test_a_page_that_nobody_needs_is_not_asked_for(following: str) -> None:
    """A service may point to one page more, or to the last one again, with all documents ranked."""
    driver = _driver(in_turn(_rows(0, 1, next="/2"), _rows(2, 3, next=following)))
    response = _ask(driver)

    assert _order(response) == RIGHT
    assert _urls(driver)[1:] == ["http://scripted.test/2"]


def test_an_error_on_the_way_to_a_further_page_has_no_reply() -> None:
    """The earlier page was good: its status says nothing about what failed."""
    driver = _driver(in_turn(_rows(0, 1, next="/2"), Reply(failure=httpx.ReadError)))
    with pytest.raises(TransportError) as caught:
        _ask(driver, max_retries=0)

    assert caught.value.response is None
    assert caught.value.status_code is None


def test_not_yet_is_asked_again_after_its_delay() -> None:
    """As often as the service says, without counting as a retry."""
    not_yet = Reply(status=202, body=orjson.dumps({"next": "/job", "delay": 2.0}))
    driver = _driver(in_turn(*[not_yet] * 5, GOOD_ROWS))
    response = _ask(driver, max_retries=0)

    assert _order(response) == RIGHT
    assert [attempt.began for attempt in driver.attempts] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert "content-type" not in driver.attempts[-1].effect.headers
    assert driver.attempts[-1].effect.content == b""


GOOD_ROWS = _rows(0, 1, 2, 3)


def test_pages_without_end_are_refused() -> None:
    """A service that never comes to an end is given up in the end."""

    def script(_url: str, _content: bytes, _earlier: int) -> Reply:
        return Reply(body=orjson.dumps({"next": f"/{len(driver.attempts)}"}))

    driver = _driver(script)
    with pytest.raises(ResponseParseError, match="keeps saying") as caught:
        _ask(driver)

    assert len(driver.attempts) == MAX_REPLIES
    assert caught.value.provider == "scripted"


def test_not_yet_for_ever_ends_at_the_deadline() -> None:
    """Waiting for a job is bounded like everything else."""
    not_yet = Reply(status=202, body=orjson.dumps({"next": "/job", "delay": 2.0}))
    driver = _driver(lambda *_: not_yet)
    with pytest.raises(RequestTimeoutError, match="deadline would pass"):
        _ask(driver, deadline=9.0)

    assert driver.clock.now == 8.0


def test_not_yet_is_waited_for_ten_minutes_or_to_the_deadline() -> None:
    """Who gives a deadline has said how long it may take."""
    not_yet = Reply(status=202, body=orjson.dumps({"next": "/job", "delay": 300.0}))
    driver, patient = _driver(lambda *_: not_yet), _driver(in_turn(*[not_yet] * 3, GOOD_ROWS))
    with pytest.raises(RequestTimeoutError, match=r"600 s .*give deadline="):
        _ask(driver)

    assert [attempt.began for attempt in driver.attempts] == [0.0, 300.0, 600.0]
    assert _order(_ask(patient, deadline=1000.0)) == RIGHT


def test_a_page_that_fails_is_tried_again_alone() -> None:
    """What was read stays read."""
    driver = _driver(in_turn(_rows(0, 1, next="/2"), DOWN, _rows(2, 3)))

    assert _order(_ask(driver)) == RIGHT
    assert _urls(driver) == [
        "http://scripted.test/rerank",
        "http://scripted.test/2",
        "http://scripted.test/2",
    ]


def test_a_wait_beyond_the_deadline_fails_now() -> None:
    """With the failure that is known, and a note that says why there was no other attempt."""
    asks = Reply(after=1.0, status=429, headers={"retry-after": "10"})
    driver = _driver(in_turn(asks))
    with pytest.raises(RateLimitError) as caught:
        _ask(driver, deadline=11.0)

    assert driver.clock.now == 1.0
    assert caught.value.__notes__ == [WAIT_NOTE]


def test_a_wait_within_the_deadline_is_waited() -> None:
    """To the last moment that leaves time for an attempt."""
    asks = Reply(after=1.0, status=429, headers={"retry-after": "10"})
    driver = _driver(in_turn(asks, GOOD))

    assert _order(_ask(driver, deadline=12.5)) == RIGHT
    assert driver.clock.now == 1.0 + 10.0 * 1.125


def test_an_attempt_ends_at_the_deadline() -> None:
    """A slow reply is not waited for beyond it."""
    driver = _driver(in_turn(Reply(after=20.0, body=rank(SCORES))))
    with pytest.raises(RequestTimeoutError, match="deadline"):
        _ask(driver, deadline=5.0)

    assert driver.clock.now == 5.0


def test_the_deadline_spans_fallbacks() -> None:
    """Each has an equal part of what is left, and none is begun after the end."""
    slow = Reply(after=4.0, body=rank(SCORES))
    driver = _driver(in_turn(slow, slow, slow))
    with pytest.raises(RequestTimeoutError) as caught:
        _ask(
            driver,
            deadline=6.0,
            max_retries=0,
            fallbacks=[_fallback("second"), _fallback("third")],
        )

    assert driver.clock.now == 6.0
    assert [attempt.began for attempt in driver.attempts] == [0.0, 2.0, 4.0]
    assert [note.partition(": ")[2] for note in caught.value.__notes__] == [
        "second/other: the deadline has passed",
        "third/other: the deadline has passed",
    ]


def test_passthrough_answers_at_the_deadline() -> None:
    """A caller who wants an answer in time gets one."""
    driver = _driver(in_turn(Reply(after=20.0)))
    response = _ask(driver, deadline=5.0, on_failure="passthrough")

    assert not response.reranked
    assert driver.clock.now == 5.0


def test_a_failed_part_ends_the_others() -> None:
    """Neither those under way nor those waiting go on."""

    def script(_url: str, content: bytes, _earlier: int) -> Reply:
        return Reply(1.0, 400) if b'"b"' in content else Reply(9.0, body=rank(SCORES))

    driver = _driver(script)
    with pytest.raises(APIStatusError):
        _ask(driver, ScriptedPlugin(max_documents=1), max_concurrency=2)

    assert driver.clock.now == 1.0
    assert [attempt.answered for attempt in driver.attempts] == [False, True]


def test_parts_go_side_by_side_within_the_limit() -> None:
    """Four parts, two at a time: twice as long as one."""
    slow = Reply(3.0, body=rank(SCORES))
    driver = _driver(lambda *_: slow)
    response = _ask(driver, ScriptedPlugin(max_documents=1), max_concurrency=2)

    assert _order(response) == RIGHT
    assert driver.clock.now == 6.0
    assert [attempt.began for attempt in driver.attempts] == [0.0, 0.0, 3.0, 3.0]


def test_nothing_is_sent_for_no_documents() -> None:
    """An empty list, or one of blanks, is answered here."""
    driver = _driver(in_turn())
    empty = _ask(driver, documents=[])
    blank = _ask(driver, documents=[" ", ""])

    assert empty.results == []
    assert empty.reranked
    assert [r.index for r in blank.results] == [0, 1]
    assert all(r.relevance_score is None for r in blank.results)
    assert not blank.reranked
    assert not driver.attempts


class Computing(ScriptedPlugin):
    """A provider that runs in this process."""

    def __init__(self, function: Callable[[], Any], **facts: Any) -> None:
        self.function = function
        super().__init__("computing", **facts)

    @hookimpl
    def build_request(self) -> Compute:  # type: ignore[override]  # fewer arguments
        """Compute."""
        return Compute(self.function)


def test_a_computation_is_read_like_a_reply() -> None:
    """What the function returns goes through the same checks."""
    rows = [{"index": at, "relevance_score": SCORES[text]} for at, text in enumerate(DOCUMENTS)]
    driver = _driver(in_turn())

    assert _order(_ask(driver, Computing(lambda: {"results": rows}))) == RIGHT
    with pytest.raises(ResponseParseError):
        _ask(driver, Computing(lambda: {"results": rows[1:]}))


def test_what_is_computed_of_a_long_list_is_read_outside_the_event_loop() -> None:
    """Whoever shares the loop does not wait for that."""
    threads = []

    class Reading(Computing):
        @hookimpl
        def parse_response(self, payload: Any) -> RerankResponse:  # type: ignore[override]
            threads.append(threading.current_thread())
            return RerankResponse(wire.read_results(payload["results"]))

    rows = [{"index": at, "relevance_score": 0.5} for at in range(1001)]
    reranker = Reranker("m", provider=Reading(lambda: {"results": rows}))
    response = asyncio.run(reranker.arerank("q", ["a"] * 1001))

    assert len(response) == 1001
    assert threads[0] is not threading.main_thread()


def test_a_computation_that_raises_is_the_plugins_fault() -> None:
    """The error names the plugin and what happened, and chains it."""
    with pytest.raises(PluginError, match="ZeroDivisionError: division by zero") as caught:
        _ask(_driver(in_turn()), Computing(lambda: 1 / 0))

    assert "Computing" in str(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert (caught.value.provider, caught.value.model) == ("Computing", "m")


def test_an_error_of_ours_leaves_a_computation_as_it_is() -> None:
    """A plugin that refuses in our words is not called broken."""

    def refuse() -> Any:
        message = "no such language"
        raise InvalidRequestError(message)

    with pytest.raises(InvalidRequestError, match="computing/m: no such language"):
        _ask(_driver(in_turn()), Computing(refuse))


def test_a_computation_is_not_followed_by_a_request() -> None:
    """A plugin that computes has nothing to send."""
    with pytest.raises(PluginError, match="asked to send after Compute"):
        _ask(_driver(in_turn()), Computing(lambda: {"next": "/2"}))


def test_a_computation_ends_at_the_deadline() -> None:
    """A long one is not waited for."""
    driver = _driver(in_turn(), compute_seconds=60.0)
    with pytest.raises(RequestTimeoutError):
        _ask(driver, Computing(dict), deadline=5.0)

    assert driver.clock.now == 5.0


class Broken(ScriptedPlugin):
    """A plugin whose hook for replies has a mistake in it."""

    @hookimpl
    def parse_response(self, payload: Any) -> RerankResponse | NextRequest:  # type: ignore[override]  # fewer arguments
        """Fail as no reply can make it fail."""
        raise OSError(str(payload))


def test_a_broken_plugin_is_named_and_not_hidden() -> None:
    """Neither a retry nor a fallback covers up for it."""
    driver = _driver(lambda *_: GOOD)
    with pytest.raises(PluginError, match="the plugin for 'Broken': parse_response raised"):
        _ask(driver, Broken(), fallbacks=[_fallback("second")], on_failure="passthrough")

    assert len(driver.attempts) == 1


class Delayed(ScriptedPlugin):
    """A service that wants to be asked late."""

    @hookimpl
    def build_request(self, provider: Provider, request: RerankRequest, params: Any) -> HTTPRequest:
        """Ask after three seconds."""
        return attrs.evolve(super().build_request(provider, request, params), delay=3.0)


def test_a_first_request_may_be_delayed() -> None:
    """The plugin says when; the deadline says whether."""
    driver = _driver(lambda *_: GOOD)

    assert _order(_ask(driver, Delayed())) == RIGHT
    assert driver.attempts[0].began == 3.0
    with pytest.raises(RequestTimeoutError):
        _ask(driver, Delayed(), deadline=3.0)
    assert len(driver.attempts) == 1


def test_a_200_that_carries_an_error_is_an_error() -> None:
    """With the status and the reply that it had."""
    driver = _driver(in_turn(Reply(body=b'{"error": {"message": "overloaded"}}')))
    with pytest.raises(APIStatusError, match="overloaded") as caught:
        _ask(driver)

    assert caught.value.status_code == 200
    assert caught.value.provider == "scripted"


def test_an_error_about_a_reply_carries_it() -> None:
    """Also where the service sends in circles, and where waiting for it would take too long."""
    circle = _rows(0, next="/2")
    not_yet = Reply(status=202, body=orjson.dumps({"next": "/job", "delay": 9.0}))
    with pytest.raises(ResponseParseError) as in_circles:
        _ask(_driver(in_turn(circle, circle)))
    with pytest.raises(RequestTimeoutError) as too_late:
        _ask(_driver(in_turn(not_yet)), deadline=5.0)

    assert in_circles.value.status_code == 200
    assert too_late.value.status_code == 202


def test_a_request_that_cannot_be_written_is_refused_before_it_is_sent() -> None:
    """An error of ours, whatever stands in a mapping."""
    driver = _driver(in_turn())
    plugin = ScriptedPlugin(takes_mappings=True)
    with pytest.raises(InvalidRequestError, match="scripted/m"):
        _ask(driver, plugin, [{"text": "a", "more": object()}])

    assert not driver.attempts


def test_a_timeout_is_a_transport_error() -> None:
    """It names the request and says what to do."""
    driver = _driver(lambda *_: Reply(after=9.0))
    with pytest.raises(TransportError, match=r"no reply in time .*raise timeout=") as caught:
        _ask(driver, timeout=2.0, max_retries=1)

    assert isinstance(caught.value, RequestTimeoutError)
    assert [attempt.ended - attempt.began for attempt in driver.attempts] == [2.0, 2.0]
