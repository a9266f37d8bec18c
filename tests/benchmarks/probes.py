"""Small programs that count something in an environment and print it as JSON."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from http.client import HTTPConnection
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from benchmarks import async_clients
from benchmarks.clients import CLIENTS, HEADERS
from benchmarks.payloads import body, check_answer, documents

SPLIT, PART, THREADS = 10_000, 1000, 4


def _memory(field: str) -> float:
    """Resident memory in MiB: `VmRSS` now, `VmHWM` at its peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def count_garbage(name: str, base: str) -> float:
    """Objects per call that only the cyclic collector frees."""
    call, sent = CLIENTS[name].open(base, ExitStack()), documents(10)
    for _ in range(5):
        call(sent)
    gc.collect()
    gc.disable()
    for _ in range(20):
        call(sent)
    return gc.collect() / 20


def measure_growth(name: str, base: str) -> float:
    """MiB that a thousand calls of a thousand documents leave behind."""
    call, sent = CLIENTS[name].open(base, ExitStack()), documents(1000)
    for _ in range(100):
        call(sent)
    before = _memory("VmRSS")
    for _ in range(1000):
        call(sent)
    return round(_memory("VmRSS") - before, 2)


def measure_split(name: str, base: str) -> dict[str, float]:
    """Peak memory of a list that is sent in ten requests, four at a time."""
    sent = documents(SPLIT)
    before = _memory("VmRSS")
    with ExitStack() as stack:
        call = _split_by_hand(base, stack) if name == "httpx_orjson" else _ours(base, stack)
        for _ in range(3):
            if call(sent) != SPLIT:
                raise ValueError("some documents got lost")
    return {"peak_mib": round(_memory("VmHWM"), 2), "documents_mib": round(before, 2)}


def _ours(base: str, stack: ExitStack) -> Callable[[list[str]], int]:
    call = CLIENTS["ours"].open(base, stack)
    return lambda sent: len({result.index for result in call(sent).results})


def _split_by_hand(base: str, stack: ExitStack) -> Callable[[list[str]], int]:
    """What somebody would write: parts, four threads, one sorted list with the documents."""
    orjson, httpx = import_module("orjson"), import_module("httpx")
    client = stack.enter_context(httpx.Client(timeout=60))
    pool = stack.enter_context(ThreadPoolExecutor(THREADS))

    def send(part: list[str]) -> Any:
        content = orjson.dumps(body(part))
        reply = client.post(f"{base}/v2/rerank", content=content, headers=HEADERS)
        reply.raise_for_status()
        return orjson.loads(reply.content)["results"]

    def call(sent: list[str]) -> int:
        starts = range(0, len(sent), PART)
        replies = pool.map(send, [sent[start : start + PART] for start in starts])
        merged = [
            {**result, "index": start + result["index"], "document": sent[start + result["index"]]}
            for start, results in zip(starts, replies, strict=True)
            for result in results
        ]
        merged.sort(key=lambda result: -result["relevance_score"])
        return len({result["index"] for result in merged})

    return call


def _call_in_turn(base: str) -> None:
    call, sent = CLIENTS["ours"].open(base, ExitStack()), documents(10)
    for _ in range(20):
        call(sent)


def _call_at_once(base: str, concurrency: int = 64) -> None:
    async def gather() -> None:
        call, sent = await async_clients.open_ours(base, AsyncExitStack()), documents(10)
        for _ in range(3):
            replies = await asyncio.gather(*(call(sent) for _ in range(concurrency)))
            for reply in replies:
                check_answer(CLIENTS["ours"].pairs(reply), 10)

    asyncio.run(gather())


def _call_in_loops(base: str) -> None:
    for _ in range(5):
        _call_at_once(base, 8)


def _call_in_threads(base: str) -> None:
    for _ in range(2):
        threads = [threading.Thread(target=_call_in_turn, args=[base]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


WAYS = {
    "sequential": _call_in_turn,
    "concurrent": _call_at_once,
    "loops": _call_in_loops,
    "threads": _call_in_threads,
}


def count_connections(way: str, base: str) -> dict[str, int]:
    """Connections that one way of calling opens, and those that it leaves open.

    Args:
        way: 20 calls in turn, 64 at once, 8 at once in each of 5 event loops, or 20 in turn in
            each of 8 threads and, when these have ended, of 8 others.
        base: The server's base URL.
    """
    control = HTTPConnection(base.removeprefix("http://"), timeout=60)

    def counts() -> dict[str, int]:
        control.request("GET", "/stats")
        found: dict[str, int] = json.loads(control.getresponse().read())
        return found

    before = counts()
    WAYS[way](base)
    time.sleep(0.1)  # the server learns of a closed connection a moment later
    after = counts()
    return {kind: after[kind] - before[kind] for kind in ("connections", "open", "requests")}


def list_modules(name: str) -> list[str]:
    """What an interpreter imports that imports a module and nothing else."""
    command = [sys.executable, "-P", "-c", f"import {name}, sys; print(*sys.modules)"]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    return sorted(ended.stdout.split())


def measure_footprint() -> dict[str, Any]:
    """What is installed here, beside the installer: distributions, MB without byte code."""
    site = Path(sysconfig.get_paths()["purelib"])
    installer = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}
    files = [
        path
        for path in site.rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and path.relative_to(site).parts[0].split("-")[0] not in installer
    ]
    versions = {found.metadata["Name"]: found.version for found in metadata.distributions()}
    versions = {name: versions[name] for name in sorted(versions) if name not in installer}
    weights = {
        found.metadata["Name"]: round(
            sum(
                path.stat().st_size
                for listed in found.files or ()
                if (path := Path(str(listed.locate()))).is_file() and path.suffix != ".pyc"
            )
            / 1e6,
            3,
        )
        for found in metadata.distributions()
    }
    return {
        "weights": {name: weights[name] for name in versions},
        "distributions": len(versions),
        "mb": round(sum(path.stat().st_size for path in files) / 1e6, 2),
        "native": sum(path.suffix == ".so" for path in files),
        "versions": versions,
    }


PROBES: dict[str, Callable[..., Any]] = {
    "garbage": count_garbage,
    "growth": measure_growth,
    "split": measure_split,
    "connections": count_connections,
    "modules": list_modules,
    "footprint": measure_footprint,
}


def main(name: str, *arguments: str) -> None:
    """Print what one of them finds."""
    print(json.dumps(PROBES[name](*arguments)))
