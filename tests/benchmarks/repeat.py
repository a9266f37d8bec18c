"""Calls one client so many times and ends: what valgrind and a profiler look at."""

from __future__ import annotations

import cProfile
import gc
import os
import sys
from contextlib import ExitStack

from benchmarks.clients import CLIENTS
from benchmarks.payloads import check_answer, documents

WARM = 20


def main(name: str, base: str, count: str, calls: str, profile: str = "") -> None:
    """Call it: first until the interpreter has specialised the code, then as often as asked."""
    sent, client = documents(int(count)), CLIENTS[name]
    call = client.open(base, ExitStack())
    for _ in range(WARM):
        reply = call(sent)
    gc.collect()
    gc.freeze()  # what is there by now is not walked again and again
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    for _ in range(int(calls)):
        reply = call(sent)
    profiler.disable()
    check_answer(client.pairs(reply), len(sent))
    if profile:
        profiler.dump_stats(profile)
    sys.stdout.flush()
    os._exit(0)  # closing down is not what is counted
