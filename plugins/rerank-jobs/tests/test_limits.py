"""Rates, the gate and the window, on a clock of the tests' own."""

from __future__ import annotations

import asyncio
import json
import time
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job_service import JobService, rank
from rerank_jobs import Job
from rerank_jobs._limits import Clock, Throttle, Window
from rerank_jobs._send import read_wait


class Time:
    """Time that passes where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0

    async def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.now += seconds
        await asyncio.sleep(0)

    @property
    def clock(self) -> Clock:
        """As the limits take it."""
        return Clock(lambda: self.now, self.sleep, lambda: 0.0)


def enter_all(throttle: Throttle, time: Time, tokens: list[float]) -> list[tuple[float, float]]:
    """When each was let through, all asking at once."""
    passed = []

    async def enter(one: float) -> None:
        await throttle.enter(one)
        passed.append((time.now, one))

    async def all_at_once() -> None:
        await asyncio.gather(*map(enter, tokens))

    asyncio.run(all_at_once())
    return passed


def most_in_a_minute(passed: list[tuple[float, float]]) -> float:
    """The most in any 60 s."""
    return max(
        sum(one for then, one in passed if start <= then < start + 60 - 1e-6) for start, _ in passed
    )


@settings(deadline=None)
@given(st.integers(1, 5_000), st.integers(1, 400))
def test_no_minute_has_more_requests_than_its_limit(per_minute: int, count: int) -> None:
    """Nor is any request kept from its turn for ever."""
    time = Time()
    passed = enter_all(Throttle(per_minute, None, time.clock), time, [1.0] * count)

    assert len(passed) == count
    assert most_in_a_minute([(then, 1.0) for then, _ in passed]) <= per_minute
    assert time.now - 1_000 <= 60 * count / per_minute * 1.02 + 1


@settings(deadline=None)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=60))
def test_no_minute_has_more_tokens_than_its_limit(tokens: list[int]) -> None:
    """But for the last request, which may be larger than what the bucket holds."""
    time = Time()
    passed = enter_all(Throttle(None, 10_000, time.clock), time, [*map(float, tokens)])

    assert most_in_a_minute(passed) <= 10_000 + max(tokens)


def test_what_is_larger_than_the_bucket_goes_and_is_paid_off() -> None:
    """It does not wait for ever; the next one waits for it."""
    time = Time()
    first, second = enter_all(Throttle(None, 600, time.clock), time, [1_200.0, 1.0])

    assert first[0] == 1_000
    assert second[0] == pytest.approx(1_000 + 120, rel=0.02)


def test_an_estimate_is_settled() -> None:
    """What was estimated too high is given back."""
    time = Time()
    throttle = Throttle(None, 600, time.clock)
    enter_all(throttle, time, [600.0])
    throttle.settle(-594.0)
    (second,) = enter_all(throttle, time, [1.0])

    assert second[0] - 1_000 < 2


def test_the_gate_holds_everyone_back() -> None:
    """All wait for what one was told."""
    time = Time()
    throttle = Throttle(None, None, time.clock)
    throttle.close(7.0)

    assert {then for then, _ in enter_all(throttle, time, [1.0] * 5)} == {1_007.0}


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="there is one zone here")
@pytest.mark.parametrize("zone", [" GMT", " -0000", "", " +0000"])
@pytest.mark.parametrize("date", ["Sun, 29 Nov 2026 12:00:00", "", "nonsense"])
def test_a_date_is_the_same_in_every_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str, date: str
) -> None:
    """The machine's own is no part of it; a service's clock that cannot be read is ours."""
    moment = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
    monkeypatch.setattr(time, "time", lambda: moment)
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        headers = {"retry-after": f"Sun, 29 Nov 2026 12:00:07{zone}", "date": f"{date}{zone}"}
        assert read_wait(headers) == 7.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_window_opens_with_an_answer_and_is_halved_once() -> None:
    """One row first; all after an answer; half after a 429, however many met it; then slowly up."""
    time = Time()
    window = Window(64, lambda: time.now)
    sizes = [window.size]
    steps: list[Callable[[], None]] = [window.answered, window.refused, window.refused]
    for step in steps:
        step()
        sizes.append(window.size)
    time.now += 5
    window.refused()
    sizes.append(window.size)
    for _ in range(40):
        window.answered()

    assert sizes == [1, 64, 32, 32, 16]
    assert 17 <= window.size <= 19


def test_a_refusal_of_the_first_leaves_one() -> None:
    """There is always one row under way."""
    window = Window(64)
    window.refused()

    assert window.size == 1


@pytest.mark.slow
def test_a_real_minute_holds_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the service counts it, retries included, within 1 %; and little of it is left unused."""
    monkeypatch.setenv("COHERE_API_KEY", "a-key")
    with (tmp_path / "in.jsonl").open("w") as file:
        for at in range(1_500):
            row = {"id": at, "query": f"q{at}", "documents": ["one", "two"]}
            file.write(json.dumps(row) + "\n")
    with JobService() as service:

        def answer(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
            fails = len(service.bodies) % 10 == 9
            return (503, {"retry-after": "0"}, {}) if fails else rank(body)

        service.answer = answer
        report = Job(
            input=tmp_path / "in.jsonl",
            model="cohere/rerank-v3.5",
            output=tmp_path / "out.jsonl",
            options={"api_base": service.url, "max_retries": 5},
            requests_per_minute=1_200,
        ).run()
        times = service.times

    in_a_minute = [bisect_left(times, start + 60) - at for at, start in enumerate(times)]
    assert report.state == "done"
    assert report.requests == len(times) > 1_600
    assert 1_200 * 0.95 <= max(in_a_minute) <= 1_200 * 1.01
