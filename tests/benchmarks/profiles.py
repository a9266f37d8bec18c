"""Where a client's processor time goes: sampled, so that nothing is slowed down by being watched.

`python tests/benchmarks/profiles.py --concurrent 256` prints it for ours with so many calls under
way, `--documents 1000` for blocking calls of so many documents. Options:
    --python FILE   the interpreter whose packages are used
    --client NAME   another client than `ours`
    --turns N       how often a few thousand calls are made

A timer of the process's own time, the kernel's included, interrupts it; what counts is the
innermost line of Python that belongs to one of the parts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import linecache
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Self

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import async_clients, clients
from benchmarks.concurrency import DOCUMENTS, LATENCY_SECONDS
from benchmarks.payloads import documents
from benchmarks.server import CLIENT_CPU, MockServer, pin
from benchmarks.worker import run_async, run_blocking
from benchmarks.workers import RUN, environ

EVERY_SECONDS = 0.001  # the kernel may do so less often
TURNS, CALLS = 3, 6000
COLLECTING = "of all this, collecting cyclic garbage"
# The first that is found in "file:function:line of source"; a frame with none is its caller's.
PARTS = {
    "send (system calls)": r"_?sock(et)?\.(send|sendall|sendmsg)\(",
    "receive (system calls)": r"_?sock(et)?\.(recv|recv_into)\(",
    "look which connections are ready (system calls)": r"_selector\.poll\(|/selectors\.py:.*poll\(",
    "encode": r"\borjson\.dumps\(",
    "decode": r"\borjson\.loads\(",
    "h11": r"/h11/",
    "httpx, httpcore, anyio": r"/(httpx|httpcore|anyio)/",
    "asyncio": r"/(asyncio/|selectors\.py)",
    "hooks": r"/(rerank_cohere\.|pluggy/)",
    "resolve": r"/rerank_core/_resolve/",
    "prepare": r"/rerank_core/_prepare/",
    "send": r"/rerank_core/_send/",
    "conclude": r"/rerank_core/_conclude/",
    "the way through the rooms, and what is public": r"/rerank_core/",
    "the caller, who drops the reply before": r"/benchmarks/",
}
_PATTERNS = {part: re.compile(pattern) for part, pattern in PARTS.items()}


class Sampler:
    """Counts in which part the process is whenever a bit of its time has passed."""

    def __init__(self) -> None:
        self._places: Counter[tuple[tuple[str, str, int], ...]] = Counter()
        self._began = self._collecting = self._used = 0

    def _count(self, _: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            code = frame.f_code
            if code.co_filename != __file__:  # else within the collector: its caller's
                stack.append((code.co_filename, code.co_name, frame.f_lineno or 0))
            frame = frame.f_back
        self._places[tuple(stack)] += 1

    def _time_collector(self, phase: str, _: dict[str, int]) -> None:
        now = time.process_time_ns()
        if phase == "start":
            self._began = now
        else:
            self._collecting += now - self._began

    def __enter__(self) -> Self:
        gc.callbacks.append(self._time_collector)
        signal.signal(signal.SIGPROF, self._count)
        self._used -= time.process_time_ns()
        signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._used += time.process_time_ns()
        gc.callbacks.remove(self._time_collector)

    def tell(self, calls: int) -> dict[str, float]:
        """Microseconds per call of each part, the largest first."""
        found: Counter[str] = Counter()
        for stack, times in self._places.items():
            found[next((part for place in stack if (part := _part_of(*place))), "other")] += times
        cpu, taken = self._used / 1e3 / calls, sum(found.values())
        print(f"{taken} samples", file=sys.stderr)
        parts = {part: round(cpu * times / taken, 2) for part, times in found.most_common()}
        collecting = round(self._collecting / 1e3 / calls, 2)
        return {"the whole call": round(cpu, 2), **parts, COLLECTING: collecting}


def _part_of(file: str, function: str, line: int) -> str | None:
    place = f"{file}:{function}:{linecache.getline(file, line).strip()}"
    return next((part for part, pattern in _PATTERNS.items() if pattern.search(place)), None)


def main(kind: str, name: str, base: str, size: str, turns: str) -> None:
    """Make the calls, and print where the time went."""
    pin(CLIENT_CPU)
    sampler, number = Sampler(), int(size)
    calls = CALLS if kind == "async" else max(50, CALLS * 300 // number)
    if kind == "async":
        order = {"count": DOCUMENTS, "calls": calls, "concurrency": number}
        with asyncio.Runner() as runner:
            for _ in range(int(turns)):
                client = async_clients.CLIENTS[name]
                runner.run(run_async(client, base, watch=sampler, **order))
    else:
        with ExitStack() as stack:
            call = clients.CLIENTS[name].open(base, stack)
            for _ in range(20):
                call(documents(number))
            for _ in range(int(turns)):
                run_blocking(clients.CLIENTS[name], call, count=number, calls=calls, watch=sampler)
    print(json.dumps(sampler.tell(calls * int(turns))))


def sample(kind: str, name: str, python: str, size: int, turns: int = TURNS) -> dict[str, float]:
    """Microseconds per call of each part of a client.

    Args:
        kind: `blocking`, or `async`.
        name: The client's.
        python: The interpreter that has it.
        size: How many documents a blocking call has, or how many other calls are under way.
        turns: How often.
    """
    with MockServer() as server:
        if kind == "async":
            server.wait(LATENCY_SECONDS)
        command = [python, "-P", "-c", RUN.format("profiles"), kind, name, server.base]
        ended = subprocess.run(  # noqa: S603 - our own
            [*command, str(size), str(turns)],
            check=True,
            env=environ(),
            stdout=subprocess.PIPE,
            text=True,
            timeout=900,
        )
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def run() -> None:
    """Sample one, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--client", default="ours")
    parser.add_argument("--turns", type=int, default=TURNS)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--concurrent", type=int)
    which.add_argument("--documents", type=int)
    chosen = parser.parse_args()
    kind = "async" if chosen.concurrent else "blocking"
    size = chosen.concurrent or chosen.documents
    found = sample(kind, chosen.client, chosen.python, size, chosen.turns)
    whole = found["the whole call"]
    print("| part | CPU \u00b5s | share |\n| --- | ---: | ---: |")
    for part, cpu in found.items():
        print(f"| {part} | {cpu:.1f} | {cpu / whole:.1%} |")


if __name__ == "__main__":
    run()
