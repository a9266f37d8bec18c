"""Small programs that count something in an environment and print it as JSON."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from benchmarks.clients import CLIENTS, HEADERS
from benchmarks.payloads import body, documents

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
    "modules": list_modules,
    "footprint": measure_footprint,
}


def main(name: str, *arguments: str) -> None:
    """Print what one of them finds."""
    print(json.dumps(PROBES[name](*arguments)))
