"""The short form of the soak, and what its book-keeping would notice."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from core.loopback import PROXY_VARIABLES
from rerank_core import RequestTimeoutError, RerankError, ServerError
from soak.calls import MAX_RETRIES, RIGHT, WRONG, Outcomes, count_parts, documents_of
from soak.faults import FAULTS
from soak.ledger import reconcile
from soak.server import BEHAVIOURS
from soak.soak import run_soak

PATIENCE = 1.0


def test_every_call_has_one_outcome_and_nothing_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two thousand calls, 64 at once, a twentieth of the replies faulty; `soak.py` makes more."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    figures = run_soak(2000, rate=0.05, seed="short", timeout=PATIENCE, limit=60.0)

    assert figures.wrong == []
    assert figures.account.faults.keys() >= FAULTS.keys() - {"swallowed"}
    assert figures.outcomes.codes.count(RIGHT) > 1900
    assert figures.account.again > 20


def test_every_fault_is_one_that_the_server_can_do() -> None:
    """The two tables name the same."""
    assert FAULTS.keys() == BEHAVIOURS.keys()


HISTORIES: dict[str, tuple[int | RerankError, float, Sequence[str], str]] = {
    "right": (RIGHT, 0.0, ["right"], ""),
    "right in the end": (RIGHT, 0.0, ["500", "stall", "slow"], ""),
    "sent again because nobody waited": (RIGHT, PATIENCE, ["right", "right"], ""),
    "failed for good": (ServerError("no"), 0.0, ["stall", "reset before", "500"], ""),
    "too late": (RequestTimeoutError("late"), PATIENCE, ["stall", "stall", "right"], ""),
    "wrong": (WRONG, 0.0, ["right"], "the answer to something else"),
    "paid for twice": (RIGHT, 0.0, ["right", "right"], "sent again after 'right'"),
    "sent again in vain": (RIGHT, 0.0, ["garbage", "right"], "sent again after 'garbage'"),
    "made up": (RIGHT, 0.0, ["garbage"], "right, though something failed"),
    "not asked for": (RIGHT, 0.0, [], "right, though something failed"),
    "given up early": (ServerError("no"), 0.0, ["500"], "an unexplained ServerError"),
    "misnamed": (ServerError("no"), 0.0, ["garbage"], "an unexplained ServerError"),
    "insistent": (
        RIGHT,
        0.0,
        ["500"] * (1 + MAX_RETRIES) + ["right"],
        "more requests than there may be",
    ),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_what_does_not_fit_is_noticed(history: str) -> None:
    """An outcome that the server's side does not lead to is a complaint; another is none."""
    outcome, seconds, attempts, complaint = HISTORIES[history]
    outcomes = Outcomes(2, limit=1.0)
    outcomes.codes[0] = RIGHT
    if isinstance(outcome, int):
        outcomes.codes[1] = outcome
    else:
        outcomes.note(1, time.monotonic(), outcome)
    outcomes.seconds[1] = seconds
    ledger = {f"0/{at}": ["right"] for at in range(count_parts(0))}
    account = reconcile(outcomes, {**ledger, **({"1/0": attempts} if attempts else {})}, PATIENCE)

    said = f"call 1: {complaint}; the server did {[attempts] if attempts else []}"
    assert account.wrong == ([said] if complaint else [])


def test_a_lost_call_and_a_strange_one_are_noticed() -> None:
    """One without an outcome, and a request that nobody made."""
    account = reconcile(Outcomes(1, limit=1.0), {"7/0": ["right"]}, PATIENCE)

    assert account.wrong == ["call 0: lost; the server did []", "call 7: nobody made it"]


def test_calls_differ_in_length_and_some_are_split() -> None:
    """Otherwise the soak would ask the same again and again."""
    lengths = {len(documents_of(call)) for call in range(200)}

    assert lengths == set(range(3, 11))
    assert {count_parts(call) for call in range(0, 200, 10)} == {1, 2, 3, 4}
