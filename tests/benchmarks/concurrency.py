"""Concurrent calls: so many under way at any time, to a server that takes 20 ms for each.

Each turn opens its client afresh and makes one call per place before it is timed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from time import monotonic
from typing import Any

from benchmarks.async_clients import CLIENTS
from benchmarks.server import MockServer
from benchmarks.workers import Worker, say, shuffled

LEVELS = (1, 16, 64, 256, 1024)
DOCUMENTS = 100
LATENCY_SECONDS = 0.02
TURN_SECONDS = 0.7
MOST_CALLS = 6000
ENOUGH_SECONDS = 60  # of one client at one level, after which it sits out: some take minutes


def measure_concurrency(
    rounds: int, names: Collection[str] = CLIENTS, levels: Sequence[int] = LEVELS
) -> dict[str, Any]:
    """For each client and number of concurrent calls, each round's figures.

    Args:
        rounds: How many.
        names: Which clients.
        levels: How many calls are under way.
    """
    found: dict[str, Any] = {name: {} for name in names}
    spent: dict[tuple[str, int], float] = defaultdict(float)
    with MockServer() as server, ExitStack() as stack:
        server.wait(LATENCY_SECONDS)
        workers = {
            name: stack.enter_context(
                Worker("async", name, CLIENTS[name].environment, server.base)
            ).wait()
            for name in names
        }
        rates: dict[object, float] = {}
        for turn in range(rounds):
            for level in levels:
                say(f"{level} concurrent calls, round {turn + 1} of {rounds}")
                for name in shuffled([*names], turn * 10_000 + level):
                    place = name, level
                    if spent[place] > ENOUGH_SECONDS:
                        continue
                    begin = monotonic()
                    # As many calls as take a moment at the rate of the turn before this one.
                    rate = rates.get(place) or rates.get(name)
                    calls = max(level, 20, min(MOST_CALLS, int((rate or 50) * TURN_SECONDS)))
                    used = server.cpu_ns()
                    figures = workers[name].ask(count=DOCUMENTS, calls=calls, concurrency=level)
                    figures["server_us"] = (server.cpu_ns() - used) / (calls + level) / 1e3
                    rates[place] = rates[name] = figures["requests_per_second"]
                    spent[place] += monotonic() - begin
                    kept = found[name].setdefault(str(level), defaultdict(list))
                    for kind, figure in figures.items():
                        kept[kind].append(round(figure, 2))
        bad = server.counts()["bad"]
    if bad:
        raise RuntimeError(f"{bad} requests were no rankings")
    return found
