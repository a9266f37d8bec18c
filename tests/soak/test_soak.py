"""The short form of the soak, and what its book-keeping would notice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from core.loopback import PROXY_VARIABLES
from rerank_core import (
    RequestTimeoutError,
    Reranker,
    RerankError,
    RerankResponse,
    ServerError,
    TransportError,
)
from soak import soak
from soak.behaviours import BEHAVIOURS
from soak.calls import MAX_RETRIES, RIGHT, WRONG, Outcomes, count_parts, documents_of
from soak.faults import FAULTS
from soak.ledger import reconcile
from soak.soak import run_soak

PATIENCE = 1.0
PHASES = ("blocking", "asyncio", "trio")


@pytest.mark.slow
def test_every_call_has_one_outcome_and_nothing_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two thousand calls, 64 at once, a tenth of the replies faulty; `soak.py` makes more."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    figures = run_soak(2000, rate=0.1, seed="short-21", timeout=PATIENCE, limit=60.0)

    assert figures.wrong == []
    assert figures.account.faults.keys() >= FAULTS.keys() - {"swallowed"}
    assert figures.outcomes.codes.count(RIGHT) > 1900
    assert figures.account.again > 50
    assert figures.account.refused == 5


class Leaks:
    """What a client may leave behind, and for how long: as long as this is kept."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self.files: list[int] = []
        self.sockets: list[socket.socket] = []
        self.memory: list[list[object]] = []

    def task(self, _: Reranker) -> None:
        """One of whichever loop runs here."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            trio.lowlevel.spawn_system_task(trio.sleep_forever, name="leaked")
        else:
            self.tasks.append(loop.create_task(asyncio.sleep(3600), name="leaked"))

    def thread(self, _: Reranker) -> None:
        """One that has a name of its own."""
        threading.Thread(target=self.ended.wait, name="leaked", daemon=True).start()

    def descriptor(self, _: Reranker) -> None:
        """Of an open file."""
        self.files.append(os.open(os.devnull, os.O_RDONLY))

    def connection(self, reranker: Reranker) -> None:
        """To the service."""
        url = urlsplit(reranker.base_url or "")
        if url.port and len(self.sockets) < 3:
            with contextlib.suppress(ConnectionRefusedError):
                self.sockets.append(socket.create_connection(("127.0.0.1", url.port)))

    def blocks(self, _: Reranker) -> None:
        """Two thousand, too small for the size of the process to tell."""
        self.memory.append([object() for _ in range(2000)])

    def bytes(self, _: Reranker) -> None:
        """In one piece, of which the count of objects tells nothing."""
        self.memory.append([None] * 50_000)

    def end(self) -> None:
        """Leave nothing behind after all."""
        self.ended.set()
        for file in self.files:
            os.close(file)
        for connected in self.sockets:
            connected.close()


PLANTED = {
    "task": ["tasks are left: ['leaked'", "tasks are left: ['leaked'"],
    "thread": ["threads are left: ['leaked'"],
    "descriptor": ["descriptors are open"],
    "connection": [f"{phase}: connections are left open" for phase in PHASES]
    + ["descriptors are open"],
    "blocks": [f"{phase}: more is in use" for phase in PHASES],
    "bytes": [f"{phase}: memory grew" for phase in PHASES],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", PLANTED)
def test_what_a_client_leaves_behind_is_noticed(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Under each driver where there is such a thing, and nothing else is complained of."""
    leaks, rerank, arerank = Leaks(), Reranker.rerank, Reranker.arerank
    leak = getattr(leaks, kind)

    def leaking(self: Reranker, *given: Any) -> RerankResponse:
        if kind != "task":
            leak(self)
        return rerank(self, *given)

    async def aleaking(self: Reranker, *given: Any) -> RerankResponse:
        leak(self)
        return await arerank(self, *given)

    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(soak, "SETTLES", 0.2)
    monkeypatch.setattr(Reranker, "rerank", leaking)
    monkeypatch.setattr(Reranker, "arerank", aleaking)
    try:
        figures = run_soak(400, rate=0.0, seed="leaks", timeout=30.0, limit=60.0)
    finally:
        leaks.end()

    expected = PLANTED[kind]
    assert len(figures.wrong) == len(expected), figures.wrong
    assert all(map(str.__contains__, figures.wrong, expected)), figures.wrong


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


def test_a_call_that_nobody_could_answer_is_no_right_one() -> None:
    """Where nobody listens, there is one outcome, and no request."""
    outcomes = Outcomes(8, limit=1.0)
    for call in range(8):
        outcomes.codes[call] = RIGHT
    ledger = {f"{call}/{3 * at}": ["right"] for call in range(7) for at in range(count_parts(call))}

    assert reconcile(outcomes, ledger, PATIENCE).wrong == [
        "call 7: nobody could have answered; the server did []"
    ]
    outcomes.note(7, time.monotonic(), TransportError("refused"))
    assert reconcile(outcomes, ledger, PATIENCE).wrong == []
    assert reconcile(outcomes, {**ledger, "7/0": ["right"]}, PATIENCE).wrong == [
        "call 7: nobody could have answered; the server did [['right']]"
    ]


@pytest.mark.parametrize(
    ("attempts", "seconds", "waits", "noticed"),
    [
        (["500", "right"], 0.0, 1, False),
        (["500", "right"], 0.0, 0, True),
        (["right"], 0.0, 1, True),
        (["right"], PATIENCE, 1, False),  # too busy to send before it timed out
        (["stall", "right"], PATIENCE, 2, True),
        (["reset after", "right"], 0.0, 2, False),
    ],
)
def test_a_wait_that_leads_to_no_request_is_noticed(
    attempts: Sequence[str], seconds: float, waits: int, *, noticed: bool
) -> None:
    """And a request that nobody waited for, unless the server or a timeout explains it."""
    outcomes = Outcomes(2, limit=1.0)
    outcomes.codes[0] = outcomes.codes[1] = RIGHT
    outcomes.seconds[1] = seconds
    ledger = {f"0/{3 * at}": ["right"] for at in range(count_parts(0))}
    figures = soak.Figures(2, outcomes, waits=waits)
    figures.account = reconcile(outcomes, {**ledger, "1/0": attempts}, PATIENCE)
    soak._check_waits(figures)  # noqa: SLF001 - the soak's own eyes

    assert bool(figures.wrong) == noticed, figures.wrong


def test_calls_differ_in_length_and_some_are_split() -> None:
    """Otherwise the soak would ask the same again and again."""
    lengths = {len(documents_of(call)) for call in range(200)}

    assert lengths == set(range(3, 11))
    assert {count_parts(call) for call in range(0, 200, 10)} == {1, 2, 3, 4}
