"""One client in a process of its own, told what to do by lines of JSON.

`workers.Worker` starts it. Its answers
begin with `@@`, so that what a client prints does no harm.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, nullcontext
from typing import Any

from benchmarks import async_clients, clients
from benchmarks.payloads import check_answer, documents
from benchmarks.server import pin

SETTLE_SECONDS = 0.02  # what a client left to its threads counts too
UNWATCHED: AbstractContextManager[Any] = nullcontext()


def answer(**message: Any) -> None:
    """Write one line to whoever asked."""
    print(f"@@{json.dumps(message)}", flush=True)


def run_blocking(
    client: clients.Client,
    call: Any,
    *,
    count: int,
    calls: int,
    watch: AbstractContextManager[Any] = UNWATCHED,
) -> dict[str, Any]:
    """Call one after another."""
    sent, clock, times = documents(count), time.perf_counter_ns, []
    cpu = time.process_time_ns()
    with watch:
        for _ in range(calls):
            begin = clock()
            reply = call(sent)
            times.append(clock() - begin)
    time.sleep(SETTLE_SECONDS)
    cpu = time.process_time_ns() - cpu
    check_answer(client.pairs(reply), count)
    return {"wall_us": sorted(times)[len(times) // 2] / 1e3, "cpu_us": cpu / calls / 1e3}


async def run_async(
    client: clients.Client,
    base: str,
    *,
    count: int,
    calls: int,
    concurrency: int,
    watch: AbstractContextManager[Any] = UNWATCHED,
) -> dict[str, Any]:
    """Keep so many calls under way, first for one each and then until all are made."""
    sent, clock = documents(count), time.perf_counter_ns
    async with AsyncExitStack() as stack:
        call = await client.open(base, stack)
        replies: list[Any] = []

        async def warm_up() -> None:
            replies.append(await call(sent))

        async def work() -> None:
            for _ in turns:  # what was answered is done with, but for the last
                replies[:] = [await call(sent)]

        def check() -> None:
            for reply in replies:
                check_answer(client.pairs(reply), count)

        await asyncio.gather(*(warm_up() for _ in range(concurrency)))
        check()
        replies.clear()
        turns = iter(range(calls))
        begin, cpu = clock(), time.process_time_ns()
        with watch:
            await asyncio.gather(*(work() for _ in range(min(concurrency, calls))))
        wall = clock() - begin
        await asyncio.sleep(SETTLE_SECONDS)
        cpu = time.process_time_ns() - cpu
        check()
    return {"requests_per_second": calls / wall * 1e9, "cpu_us": cpu / calls / 1e3}


def main(kind: str, name: str, base: str, cpu: str) -> None:
    """Open the client, then do as told until nobody says anything more."""
    pin(int(cpu))
    run: Callable[..., dict[str, Any]]
    with ExitStack() as stack:
        if kind == "blocking":
            client = clients.CLIENTS[name]
            call = client.open(base, stack)

            def run(**order: Any) -> dict[str, Any]:
                return run_blocking(client, call, **order)
        else:
            client = async_clients.CLIENTS[name]
            runner = stack.enter_context(asyncio.Runner())

            def run(**order: Any) -> dict[str, Any]:
                return runner.run(run_async(client, base, **order))

        answer()
        for line in sys.stdin:
            answer(**run(**json.loads(line)))
