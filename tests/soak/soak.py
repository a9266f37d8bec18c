"""A hundred thousand calls against a server that fails on purpose, each outcome accounted for.

Run it with `python tests/soak/soak.py`; `--calls 2000` makes it short. Half of the calls block, 64
threads side by side; the others are awaited, 64 tasks side by side, a tenth of all under trio.
Every tenth list is sent in parts. It exits with 1 where anything is wrong: an answer that is not
right, a call without an outcome or with two, a request that no retry explains, and anything left
behind.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script: its folder stands where the tests' belongs
    sys.path[0] = str(Path(__file__).parents[1])

from attrs import define, field

from core.loopback import comes_true
from soak.calls import MAX_RETRIES, RIGHT, WRONG, Asking, Outcomes
from soak.ledger import Account, reconcile
from soak.watch import (
    Memory,
    count_files,
    counting_waits,
    listening,
    living_threads,
    missing_from,
    nobody_listening,
    read_memory,
)

TESTS = Path(__file__).parents[1]
TENTHS = 10
SIZE_SLACK = 10 * 2**20
BLOCKS_SLACK = 50_000  # idle clients among them: as many as calls were under way at once
"""What the calls under way, and the first ones of a loop, may make of a difference."""
SETTLES = 15.0
"""Seconds after which what is still there is left behind: idle threads of trio's stay for ten."""


@define(eq=False)
class Figures:
    """What a soak found.

    Attributes:
        calls: How many there were.
        seconds: How long each phase took.
        memory: What the process takes after each tenth of each phase.
        waits: How often a driver waited before another attempt.
        outcomes: What became of each call.
        account: The outcomes held against the server's ledger.
        accepted: Connections that the server accepted.
        wrong: All complaints; empty when all is well.
    """

    calls: int
    outcomes: Outcomes
    account: Account = field(factory=Account)
    seconds: dict[str, float] = field(factory=dict)
    memory: dict[str, list[Memory]] = field(factory=dict)
    waits: int = 0
    accepted: int = 0
    wrong: list[str] = field(factory=list)


@contextlib.contextmanager
def serving(rate: float, seed: str) -> Iterator[str]:
    """The base URL of a server in a process of its own."""
    command = [sys.executable, "-m", "soak.server", str(rate), seed]
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as server:  # noqa: S603 - ours
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
            server.stdin.close()
            server.wait(30)
        finally:
            server.kill()


def _ask(url: str, path: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url + path, timeout=60) as reply:
        return json.load(reply)


def _in_tenths(calls: range, memory: list[Memory]) -> Iterator[int]:
    """The calls; after each tenth of them it is noted what the process takes."""
    step = max(len(calls) // TENTHS, 1)
    for at, call in enumerate(calls, 1):
        yield call
        if not at % step:
            memory.append(read_memory())


def run_soak(calls: int, *, rate: float, seed: str, timeout: float, limit: float) -> Figures:
    """Make the calls and account for every one of them."""
    figures = Figures(calls, Outcomes(calls, limit))
    files, threads = count_files(), living_threads()
    with (
        listening(figures.wrong),
        nobody_listening() as nobody,
        serving(rate, seed) as url,
    ):
        asking = Asking(url, nobody, timeout, figures.outcomes)
        phases = {
            "blocking": (range(calls // 2), asking.run_threads),
            "asyncio": (range(calls // 2, calls - calls // 10), asking.run_asyncio),
            "trio": (range(calls - calls // 10, calls), asking.run_trio),
        }
        waits = itertools.count()  # its `next` is atomic
        for name, (numbers, run) in phases.items():
            began = time.monotonic()
            with counting_waits(lambda: next(waits)):
                run(_in_tenths(numbers, figures.memory.setdefault(name, [])))
            figures.seconds[name] = time.monotonic() - began
            _check_connections(name, url, figures)
        figures.waits = next(waits)
        del asking, phases, run
        gc.collect()
        counts = _ask(url, "/counts")
        figures.accepted = counts["accepted"]
        figures.wrong += counts["wrong"]
        figures.account = reconcile(figures.outcomes, _ask(url, "/ledger"), timeout)
    _check_waits(figures)
    _check_leftovers(figures, files, threads)
    _check_memory(figures)
    figures.wrong += [*figures.account.wrong, *figures.outcomes.notes]
    return figures


def _check_connections(phase: str, url: str, figures: Figures) -> None:
    if not comes_true(lambda: not _ask(url, "/counts")["open"], SETTLES):
        figures.wrong.append(f"{phase}: connections are left open: {_ask(url, '/counts')}")


def _check_waits(figures: Figures) -> None:
    """Every request beyond the first was waited for, and every wait led to a request.

    Unless nobody waited any more for the part it was for, the request met a closed connection, or
    the machine was so busy that patience was over before it was sent.
    """
    account = figures.account
    unseen = figures.waits - account.again - MAX_RETRIES * account.refused
    explained = account.cut + account.unseen + account.unsent + account.faults["reset after"]
    if not 0 <= unseen <= explained:
        figures.wrong.append(
            f"{figures.waits} waits, but {account.again} further requests:"
            f" {unseen} unseen, {explained} explained"
        )
    if figures.outcomes.doubled:
        figures.wrong.append(f"{figures.outcomes.doubled} calls with two outcomes")


def _check_leftovers(figures: Figures, files: int, threads: list[str]) -> None:
    """Neither a thread nor a descriptor; tasks were looked at within their loops."""

    def left() -> list[str]:
        return missing_from(threads, living_threads())

    if not comes_true(lambda: not left(), SETTLES):
        figures.wrong.append(f"threads are left: {left()}")
    if count_files() > files:
        figures.wrong.append(f"{count_files()} descriptors are open, {files} were before")


def _check_memory(figures: Figures) -> None:
    """As much is in use after the last tenth of each phase as after the first."""
    for phase, (first, *_, last) in figures.memory.items():
        if last.size > first.size + SIZE_SLACK:
            figures.wrong.append(f"{phase}: memory grew: {first.size} to {last.size} bytes")
        if last.blocks > first.blocks + BLOCKS_SLACK:
            figures.wrong.append(f"{phase}: more is in use: {first.blocks} to {last.blocks} blocks")


def report(figures: Figures) -> Iterator[str]:
    """What there was, and what is wrong, a line each."""
    account, outcomes = figures.account, figures.outcomes
    for phase, seconds in figures.seconds.items():
        sizes = " ".join(f"{memory.size / 2**20:.1f}" for memory in figures.memory[phase])
        blocks = " ".join(f"{memory.blocks / 1000:.1f}" for memory in figures.memory[phase])
        yield f"{phase:9} {seconds:7.1f} s, MiB after each tenth: {sizes}"
        yield f"          thousands of blocks in use: {blocks}"
    right = outcomes.codes.count(RIGHT)
    yield f"calls     {figures.calls}: {right} right, {outcomes.codes.count(WRONG)} wrong"
    for kind in outcomes.kinds:
        ended = sum(outcomes.error_of(call) is kind for call in range(figures.calls))
        yield f"          {ended} {kind.__name__}"
    yield (
        f"requests  {account.attempts}: {account.first} first, {account.again} again;"
        f" {figures.waits} waits, {account.late} late, {account.unseen} unseen"
    )
    yield f"accepted  {figures.accepted} connections; left open 0 unless said below"
    for name, count in sorted(account.faults.items()):
        yield f"          {count:6} {name}"
    for complaint in figures.wrong:
        yield f"WRONG     {complaint}"


def main() -> int:
    """Run it; 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--faults", type=float, default=0.05, help="the share of faulty replies")
    parser.add_argument("--seed", default="1", help="which requests meet which fault")
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds for one attempt")
    parser.add_argument("--limit", type=float, default=1500.0, help="seconds for the whole run")
    given = parser.parse_args()
    figures = run_soak(
        given.calls, rate=given.faults, seed=given.seed, timeout=given.timeout, limit=given.limit
    )
    sys.stdout.write("".join(f"{line}\n" for line in report(figures)))
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
