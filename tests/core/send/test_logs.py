"""What a call leaves in the log, and what never stands there."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from core.conftest import KEY, Ask, Plugin, Service, ranking, waits
from rerank_core import RateLimitError, Reranker, ServerError

__all__ = ["waits"]  # a fixture

SECRET = "what-only-the-caller-knows"  # noqa: S105 - no password: what must not be logged
BUSY = httpx.Response(503, json={"message": f"no time for {SECRET}"})
LIMITED = httpx.Response(429, json={"message": f"no time for {SECRET}"})


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What our logger is told, at every level."""
    caplog.set_level(logging.WARNING, "httpx")
    caplog.set_level(logging.DEBUG, "rerank_core")
    return caplog


def ours(log: pytest.LogCaptureFixture, level: int) -> list[logging.LogRecord]:
    """The records of our logger at a level."""
    return [each for each in log.records if each.name == "rerank_core" and each.levelno == level]


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a record carries beside its message."""
    named = vars(record).items()
    return {name: value for name, value in named if name.startswith("rerank_")}


@pytest.mark.usefixtures("waits")
def test_two_failures_and_an_answer_leave_three_records_and_two_warnings(
    ask: Ask, log: pytest.LogCaptureFixture
) -> None:
    """One for each attempt, one for each wait, and no other."""
    response = ask(Service(BUSY, BUSY, ranking(0.5, 0.25, 0.125)))

    assert response.attempts == 3
    attempts, waited = ours(log, logging.DEBUG), ours(log, logging.WARNING)
    assert [fields(each)["rerank_status"] for each in attempts] == [503, 503, 200]
    assert [fields(each)["rerank_attempt"] for each in attempts] == [1, 2, 3]
    assert [fields(each)["rerank_attempt"] for each in waited] == [1, 2]
    assert len(attempts) + len(waited) == len(log.records)
    assert len({fields(each)["rerank_call"] for each in log.records}) == 1


def test_an_attempt_says_what_it_was(ask: Ask, log: pytest.LogCaptureFixture) -> None:
    """In words, and in fields."""
    ask(Service())
    (record,) = log.records

    assert record.getMessage().startswith("test/m: attempt 1: status 200 after 0.")
    found = fields(record)
    assert found.pop("rerank_call")
    assert found.pop("rerank_seconds") >= 0
    assert found == {
        "rerank_provider": "test",
        "rerank_model": "m",
        "rerank_attempt": 1,
        "rerank_status": 200,
        "rerank_documents": 3,
    }


def test_a_wait_says_how_long_and_why(
    ask: Ask, waits: list[float], log: pytest.LogCaptureFixture
) -> None:
    """The kind of the failure and its status, in words and in fields."""
    ask(Service(LIMITED, ranking(0.5, 0.25, 0.125)))
    (warning,) = ours(log, logging.WARNING)

    assert fields(warning)["rerank_wait"] == waits[0]
    assert fields(warning)["rerank_error"] == "RateLimitError (status 429)"
    assert f"next in {waits[0]:.2f} s: RateLimitError (status 429)" in warning.getMessage()


def test_an_attempt_without_a_reply_says_so(ask: Ask, log: pytest.LogCaptureFixture) -> None:
    """There is no status."""
    with pytest.raises(Exception, match="refused"):
        ask(Service(httpx.ConnectError("refused")), max_retries=0)
    (record,) = ours(log, logging.DEBUG)

    assert fields(record)["rerank_status"] is None
    assert "no reply" in record.getMessage()


def test_a_call_that_goes_well_at_once_is_quiet_from_info_on(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator reads of what did not."""
    caplog.set_level(logging.INFO, "rerank_core")
    ask(Service())

    assert [each for each in caplog.records if each.name == "rerank_core"] == []


def test_a_failure_that_is_not_tried_again_warns_of_nothing(
    ask: Ask, log: pytest.LogCaptureFixture
) -> None:
    """The caller gets the error; a log of it is theirs to write."""
    with pytest.raises(ServerError):
        ask(Service(BUSY), max_retries=0)

    assert ours(log, logging.WARNING) == []


def test_a_fallback_and_a_passthrough_are_warnings(ask: Ask, log: pytest.LogCaptureFixture) -> None:
    """Each once, with the model that it is about and what failed before."""
    other = Reranker("n", provider=Plugin(), api_key=KEY, http_client=Service(LIMITED))
    keywords: dict[str, Any] = {"max_retries": 0, "on_failure": "passthrough"}
    ask(Service(BUSY), fallbacks=[other], **keywords)
    warnings = ours(log, logging.WARNING)
    messages = [each.getMessage() for each in warnings if "rerank_wait" not in vars(each)]

    assert messages == [
        "test/n: asked as a fallback, because of: ServerError (status 503)",
        (
            "test/m: not reranked, the caller's order is returned:"
            " ServerError (status 503); RateLimitError (status 429)"
        ),
    ]


@pytest.mark.usefixtures("waits")
def test_neither_query_documents_key_nor_body_is_logged(
    ask: Ask, log: pytest.LogCaptureFixture
) -> None:
    """Not even where the service repeats them, or replies with something unreadable."""
    unreadable = httpx.Response(200, text=f"<html>{SECRET}</html>")
    documents = [f"{SECRET} {at}" for at in range(3)]
    for replies in ((BUSY, LIMITED, ranking(1, 0.5, 0.25)), (LIMITED,), (unreadable,)):
        ask(Service(*replies), documents, query=SECRET, on_failure="passthrough")

    assert len(log.records) >= 6
    shown = log.text + "".join(str(fields(each)) for each in log.records)
    assert SECRET not in shown
    assert KEY not in shown


def test_nothing_is_configured() -> None:
    """One logger with a handler that does nothing; levels and output are the application's."""
    logger = logging.getLogger("rerank_core")

    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
    assert logger.level == logging.NOTSET
    assert logger.propagate


def test_a_level_that_is_off_makes_no_record(
    ask: Ask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no event: nobody would read it."""
    caplog.set_level(logging.ERROR, "rerank_core")
    made: list[object] = []
    for kind in ("AttemptEnded", "Waited"):
        monkeypatch.setattr(f"rerank_core.events.{kind}.__init__", lambda *_, **__: made.append(1))
    with pytest.raises(RateLimitError):
        ask(Service(LIMITED), max_retries=0)

    assert made == []
    assert caplog.records == []
