"""Blocking calls, one after another, to a server that answers at once.

All clients live at once, each in its own process, and take short turns in shuffled order: what
else the machine does falls on all alike, and the figures of one round may be divided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from contextlib import ExitStack
from typing import Any

from benchmarks.clients import CLIENTS
from benchmarks.server import MockServer
from benchmarks.workers import Worker, say, shuffled

COUNTS = (10, 100, 1000)
TURN_US = 80_000
LEAST, MOST = 3, 400


def measure_blocking(rounds: int, names: Collection[str] = CLIENTS) -> dict[str, Any]:
    """For each client and number of documents, each round's figures.

    Args:
        rounds: How many.
        names: Which clients.
    """
    found: dict[str, Any] = {name: {} for name in names}
    with MockServer() as server, ExitStack() as stack:
        workers = {
            name: stack.enter_context(
                Worker("blocking", name, CLIENTS[name].environment, server.base)
            ).wait()
            for name in names
        }
        calls = {}
        for name, worker in workers.items():
            for count in COUNTS:
                worker.ask(count=count, calls=20 if count < max(COUNTS) else 8)
                wall = worker.ask(count=count, calls=LEAST)["wall_us"]
                calls[name, count] = max(LEAST, min(MOST, int(TURN_US / wall)))
                found[name][str(count)] = defaultdict(list)
        for turn in range(rounds):
            say(f"blocking calls, round {turn + 1} of {rounds}")
            for count in COUNTS:
                for name in shuffled([*names], turn * 10_000 + count):
                    used = server.cpu_ns()
                    figures = workers[name].ask(count=count, calls=calls[name, count])
                    figures["server_us"] = (server.cpu_ns() - used) / calls[name, count] / 1e3
                    for kind, figure in figures.items():
                        found[name][str(count)][kind].append(round(figure, 2))
        bad = server.counts()["bad"]
    if bad:
        raise RuntimeError(f"{bad} requests were no rankings")
    return found
