"""Laws that hold whatever happens: random histories in virtual time, and through real drivers."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any
from unittest import mock

import anyio.lowlevel
import attrs
import hypothesis
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.histories import PASSING, TIMEOUT, History, Told, histories, waiting_histories
from core.virtual import (
    Attempt,
    Reply,
    ScriptedPlugin,
    Service,
    VirtualClock,
    VirtualDriver,
    flow_of,
    in_turn,
)
from rerank_core import (
    APIStatusError,
    Reranker,
    RerankError,
    RerankResponse,
    RerankResult,
    ResponseParseError,
    TransportError,
)
from rerank_core._conclude.response import complete
from rerank_core._conclude.status import read_retry_after
from rerank_core._prepare.requests import Part
from rerank_core._send.drivers import AsyncDriver, BlockingDriver
from rerank_core._send.effects import Clock, Flow, Gather
from rerank_core._send.exchange import choose_wait

pytestmark = pytest.mark.slow

LATER = 1e-6
many = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Outcome = RerankResponse | RerankError


def _flow_of(history: History, service: Service, clock: Clock) -> Flow:
    return flow_of(
        history.open(service),
        history.documents,
        clock,
        top_n=history.top_n,
        return_documents=history.return_documents,
    )


def _live_through(
    history: History, clock: VirtualClock | None = None
) -> tuple[Outcome, VirtualDriver]:
    clock = clock or VirtualClock(history.chances)
    service = Service(history.script, clock)
    driver = VirtualDriver(service)
    outcome: Outcome
    try:
        outcome = driver.run(_flow_of(history, service, clock.to_clock()))
    except RerankError as error:
        outcome = error
    return outcome, driver


def _by_request(driver: VirtualDriver) -> dict[tuple[str, bytes], list[Attempt]]:
    found = defaultdict(list)
    for attempt in driver.attempts:
        found[attempt.key].append(attempt)
    return found


def _told(attempt: Attempt) -> Told:
    assert isinstance(attempt.reply, Told)
    return attempt.reply


def _is_blank(history: History, at: int) -> bool:
    document = history.documents[at]
    return (
        isinstance(document, str)
        and not document.strip()
        and not history.facts["takes_blank_documents"]
    )


def _score_of(history: History, at: int) -> float | None:
    return None if _is_blank(history, at) else list(history.scores.values())[at]


def _check_ranking(history: History, response: RerankResponse) -> None:
    """Never a wrong document, none twice, none too many, sorted, ties in the caller's order."""
    order = list(range(len(history.documents)))
    if response.reranked:
        order.sort(key=lambda at: -(_score_of(history, at) or 0.0))
        order.sort(key=lambda at: _is_blank(history, at))
    expected = [(at, _score_of(history, at) if response.reranked else None) for at in order]
    assert [(r.index, r.relevance_score) for r in response.results] == expected[: history.top_n]
    for result in response.results:
        own = history.documents[result.index]
        if not history.return_documents:
            assert result.document is None
        elif isinstance(own, str):
            assert result.document.fields is None
            assert result.document.text is own
        else:
            assert result.document.fields is own


def _check_outcome(history: History, outcome: Outcome, driver: VirtualDriver) -> None:
    """A success is a ranking that was told, and a failure has a reason."""
    ends = [attempts[-1] for attempts in _by_request(driver).values()]
    failed = [end for end in ends if not end.answered or _told(end).outcome != "good"]
    for final in (end for end in ends if end.answered and _told(end).outcome == "final"):
        assert isinstance(outcome, APIStatusError)
        assert outcome.status_code == _told(final).status
    if isinstance(outcome, RerankResponse):
        _check_ranking(history, outcome)
        answering = [end for end in ends if f"//{outcome.provider}.test" in end.key[0]]
        if outcome.reranked:
            assert not [end for end in answering if end in failed]
            assert outcome.provider == "scripted" or failed
        else:
            # Of a split list, the deadline may leave parts unsent, whatever the others brought.
            late = history.deadline is not None
            assert not answering or (history.on_failure == "passthrough" and (failed or late))
        return
    assert failed or history.deadline is not None
    assert outcome.provider in {"scripted", "other"}
    assert outcome.model in {"first", "second"}
    if outcome.status_code in PASSING or isinstance(outcome, (TransportError, ResponseParseError)):
        assert outcome.provider == "scripted"  # the first failure, whatever the fallbacks did
    statuses = {_told(end).status for end in ends}
    assert outcome.status_code is None or outcome.status_code in statuses


def _is_left_for_another(history: History, last: Attempt, driver: VirtualDriver) -> bool:
    """Whether a wait of more than a second is not waited, as somebody else can be asked."""
    told = _told(last)
    asked = None if told.failure else told.asks(driver.clock.epoch + last.ended)
    has_next = bool(history.fallback_replies) and "//scripted.test" in last.key[0]
    return has_next and (asked or 0) > 1


def _check_attempts(history: History, driver: VirtualDriver) -> None:
    """No more attempts than allowed, and none after what is final; but all that are allowed."""
    failed = defaultdict(list)
    for (url, content), attempts in _by_request(driver).items():
        assert len(attempts) <= 1 + history.max_retries
        most = history.facts["max_documents"]
        assert most is None or len(orjson.loads(content)["documents"]) <= most
        for attempt in attempts:
            assert attempt.ended - attempt.began <= TIMEOUT + LATER
            assert attempt is attempts[-1] or _told(attempt).outcome == "passing"
        if not attempts[-1].answered or _told(attempts[-1]).outcome != "good":
            failed[url].append(attempts)
    for sole in failed.values() if history.deadline is None else ():
        if len(sole) == 1 and _told(sole[0][-1]).outcome == "passing":
            if _is_left_for_another(history, sole[0][-1], driver):
                continue
            assert len(sole[0]) == 1 + history.max_retries
    for final in driver.attempts:
        if final.answered and _told(final).outcome == "final":
            assert all(attempt.began <= final.ended for attempt in driver.attempts)


def _check_waits(history: History, driver: VirtualDriver) -> None:
    """What the service asks for, at most a minute; else back-off within its bound."""
    for attempts in _by_request(driver).values():
        for count, (attempt, following) in enumerate(pairwise(attempts)):
            wait = following.began - attempt.ended
            told = _told(attempt)
            asked = None if told.failure else told.asks(driver.clock.epoch + attempt.ended)
            if asked is not None and asked > 0:
                least = min(asked, 60.0)
                assert least - LATER <= wait <= least * (1 + max(history.chances) / 4) + LATER
            else:
                assert -LATER <= wait <= min(8.0, 0.5 * 2**count) * max(history.chances) + LATER


def _check_bounds(history: History, driver: VirtualDriver) -> None:
    """Over by the deadline, and never more requests at once than allowed."""
    assert history.deadline is None or driver.clock.now <= history.deadline
    for attempt in driver.attempts:
        beside = [a for a in driver.attempts if a.began <= attempt.began < a.ended]
        assert len(beside) <= history.max_concurrency


def _check_laws(history: History) -> None:
    outcome, driver = _live_through(history)
    _check_outcome(history, outcome, driver)
    _check_attempts(history, driver)
    _check_waits(history, driver)
    _check_bounds(history, driver)


@pytest.mark.slow
@many
@given(histories())
def test_every_history_ends_as_promised(history: History) -> None:
    """Whatever is told, the outcome is an own error or the ranking that was told, in time."""
    _check_laws(history)


@pytest.mark.slow
@settings(many, max_examples=300)
@given(waiting_histories())
def test_every_wait_is_as_long_as_promised(history: History) -> None:
    """Each refusal is followed by the wait that it asks for, or by back-off."""
    _check_laws(history)


def _is_broken_by(history: History) -> bool:
    try:
        _check_laws(history)
    except Exception:  # noqa: BLE001 - an error of another kind breaks a law as well
        return True
    return False


def _gather_freely(flows: Sequence[Flow], _: int) -> Any:
    return Gather(flows, 99)


def _attach_others(*args: Any) -> list[RerankResult]:
    completed = complete(*args)
    documents = [result.document for result in completed]
    return [
        attrs.evolve(result, document=document)
        for result, document in zip(completed, reversed(documents), strict=True)
    ]


PLANTS = {
    "indices and scores unchecked": ("_conclude.response.check_results", lambda *_: None),
    "unsorted": ("_conclude.response.gt", lambda *_: True),
    "another document": ("_conclude.response.complete", _attach_others),
    "split without offset": (
        "_prepare.requests.Part",
        lambda request, indices, *rest: Part(request, range(len(indices)), *rest),
    ),
    "every bad status a reply": ("_send.exchange.status_error", lambda *_: None),
    "everything retried": ("_send.exchange.is_retryable", lambda *_: True),
    "everything falls back": ("_send.flow.falls_back", lambda *_: True),
    "Retry-After unheeded": (
        "_send.exchange.choose_wait",
        lambda _, attempt, clock: choose_wait(None, attempt, clock),
    ),
    "Retry-After uncapped": ("_send.exchange.LONGEST_RETRY_AFTER", 80.0),
    "back-off too soon": ("_send.exchange.FIRST_BACKOFF", 5.0),
    "deadline unheeded": ("_send.exchange.is_in_time", lambda *_: True),
    "concurrency unbounded": ("_send.flow.Gather", _gather_freely),
}


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS)
def test_every_planted_fault_breaks_a_law(plant: str) -> None:
    """Each law can fail: a fault put into core is found by some history."""
    name, fault = PLANTS[plant]
    finding = settings(max_examples=3000, database=None, phases=[Phase.generate], deadline=None)
    with mock.patch(f"rerank_core.{name}", fault):
        found = hypothesis.find(histories() | waiting_histories(), _is_broken_by, settings=finding)

    assert not _is_broken_by(found)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for all examples, in a place where nobody sleeps."""

    async def sleep(_: float) -> None:
        await anyio.lowlevel.checkpoint()

    with (
        mock.patch("time.sleep"),
        mock.patch("anyio.sleep", sleep),
        asyncio.Runner() as runner,
    ):
        yield runner


def _described(outcome: Outcome) -> Any:
    """What two outcomes must have in common; an identifier made by core is random."""
    if isinstance(outcome, RerankResponse):
        return attrs.asdict(attrs.evolve(outcome, id="", seconds=0.0), recurse=True)
    return (
        type(outcome),
        str(outcome),
        getattr(outcome, "__notes__", []),
        type(outcome.__cause__),
        outcome.status_code,
        outcome.retry_after,
        outcome.response,
    )


class StoppedClock(VirtualClock):
    """A clock on whose wall it is always the same time, however long one waits."""

    def time(self) -> float:
        """Seconds since 1970."""
        return self.epoch


@pytest.mark.slow
@settings(many, max_examples=200)
@given(histories(timed=False))
def test_all_drivers_come_to_the_same_end(loop: asyncio.Runner, history: History) -> None:
    """The blocking, the async and the virtual driver turn one history into one outcome."""

    def outcome_of(run: Any) -> Any:
        clock = StoppedClock(history.chances)
        service = Service(history.script, clock)
        # The real drivers look at the real time, so the flow must as well.
        flow = _flow_of(history, service, clock.to_clock(time.monotonic))
        try:
            return _described(run(flow))
        except RerankError as error:
            return _described(error)

    blocking = outcome_of(BlockingDriver().run)
    awaited = outcome_of(lambda flow: loop.run(AsyncDriver().run(flow)))
    outcome, _ = _live_through(history, StoppedClock(history.chances))

    assert blocking == awaited
    assert blocking == _described(outcome)


@settings(many, max_examples=150)
@given(histories(), st.integers(1, 12))
def test_a_split_list_is_ranked_as_a_whole_one(history: History, most: int) -> None:
    """Merging gives what one request would have given, usage included."""
    quiet = attrs.evolve(history, replies=[], fallback_replies=[], deadline=None)
    whole = attrs.evolve(quiet, facts={**history.facts, "max_documents": None})
    split = attrs.evolve(quiet, facts={**history.facts, "max_documents": most})

    one, _ = _live_through(whole)
    merged, driver = _live_through(split)

    assert isinstance(one, RerankResponse)
    assert isinstance(merged, RerankResponse)
    assert merged.results == one.results
    assert merged.meta == one.meta
    sent = [len(orjson.loads(attempt.effect.content)["documents"]) for attempt in driver.attempts]
    assert max(sent, default=0) <= most
    assert max(sent, default=0) - min(sent, default=0) <= 1


_junk: st.SearchStrategy[Any] = st.sampled_from(
    [-1, 3, 1.0, True, False, "1", None, [], 2**40, -0.5, 0, 1, 2]
)


@st.composite
def _rankings(draw: st.DrawFn) -> list[Any]:
    """Three rows, of which at most two things are changed."""
    rows: list[Any] = [
        {"index": at, "relevance_score": draw(st.floats(allow_nan=False, allow_infinity=False))}
        for at in draw(st.permutations(range(3)))
    ]
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(rows) - 1))
        match draw(st.sampled_from(["index", "index", "score", "score", "drop", "twice", "none"])):
            case "index":
                rows[at] = {**(rows[at] or {}), "index": draw(_junk)}
            case "score":
                rows[at] = {**(rows[at] or {}), "relevance_score": draw(_junk)}
            case "drop":
                rows = [*rows[:at], *rows[at + 1 :]]
            case "twice":
                rows.append(rows[at])
            case _:
                rows[at] = None
    return rows


def _is_ranking_of_three(rows: Sequence[dict[str, Any]]) -> bool:
    indices: list[Any] = [row.get("index") for row in rows]
    scores: list[Any] = [row.get("relevance_score") for row in rows]
    return (
        all(type(index) is int for index in indices)
        and sorted(indices) == [0, 1, 2]
        and all(type(score) in {int, float} and isfinite(score) for score in scores)
    )


@settings(many, max_examples=600)
@given(_rankings())
def test_a_reply_is_taken_if_and_only_if_it_is_a_ranking(rows: list[Any]) -> None:
    """Three rows, each position once, finite scores: that is taken, and nothing else."""
    clock = VirtualClock()
    service = Service(in_turn(Reply(body=orjson.dumps({"results": rows}))), clock)
    flow = flow_of(Reranker("m", provider=ScriptedPlugin()), ["a", "b", "c"], clock.to_clock())
    good = all(isinstance(row, dict) for row in rows) and _is_ranking_of_three(rows)

    if good:
        response = VirtualDriver(service).run(flow)

        told = {row["index"]: row["relevance_score"] for row in rows}
        assert {result.index: result.relevance_score for result in response.results} == told
    else:
        with pytest.raises(ResponseParseError):
            VirtualDriver(service).run(flow)


@settings(many, max_examples=300)
@given(st.binary(max_size=60))
def test_any_other_body_is_refused(body: bytes) -> None:
    """Random bytes are no ranking, and no accident either."""
    clock = VirtualClock()
    service = Service(in_turn(Reply(body=body)), clock)
    flow = flow_of(Reranker("m", provider=ScriptedPlugin()), ["a"], clock.to_clock())

    with pytest.raises(ResponseParseError) as caught:
        VirtualDriver(service).run(flow)

    assert caught.value.status_code == 200


_ascii = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
_date_parts = st.from_regex(
    r"((Mon|Sun), )?[0-9]{1,3} (Jan|Feb|Dec) [0-9]{1,5} [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?"
    r" (GMT|[+-][0-9]{4})",
    fullmatch=True,
    alphabet=st.characters(max_codepoint=127),
)


@settings(many, max_examples=400)
@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date", "x-reset"]),
        _ascii | _date_parts | st.integers().map(str) | st.floats().map(str),
    )
)
def test_any_header_asks_for_a_wait_or_for_none(headers: dict[str, str]) -> None:
    """Whatever stands in a header, it is a number of seconds from 0, or nothing."""
    seconds = read_retry_after(headers, ("x-reset",), 1_800_000_000.0)

    assert seconds is None or seconds >= 0
