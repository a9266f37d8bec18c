"""What a process pays before its first answer: interpreter, import, client, call.

Each statement runs in a new interpreter, again and again in turn with the others. Byte code is
cached. Beside each import stands the bare interpreter of the same environment and round.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

from benchmarks.clients import CLIENTS, OURS
from benchmarks.server import CLIENT_CPU, CPUS, MockServer, pin
from benchmarks.workers import TESTS, environ, python_of, say, shuffled

IMPORTS = {
    "ours": (OURS, "import rerank_core"),
    "httpx": (OURS, "import httpx"),
    "litellm": ("bench_litellm", "import litellm"),
    "rerankers": ("bench_rerankers", "import rerankers"),
    "cohere": ("bench_cohere", "from cohere import ClientV2"),
    "voyageai": ("bench_voyageai", "import voyageai"),
}
FIRST = ("ours", "socket", "httpx", "litellm", "rerankers", "cohere", "voyageai")
NEIGHBOURS = 49
FIRST_ANSWER = """
import sys; sys.path.append({tests!r})
from contextlib import ExitStack
from benchmarks.clients import CLIENTS
from benchmarks.payloads import check_answer, documents
client, sent = CLIENTS[{name!r}], documents(10)
check_answer(client.pairs(client.open({base!r}, ExitStack())(sent)), 10)
"""
DISCOVER = """
import rerank_core, time
begin = time.process_time_ns()
rerank_core.Reranker("cohere/rerank-v3.5", api_key="test-key")
print((time.process_time_ns() - begin) / 1e6)
"""
_END = """
import sys
print(len(sys.modules), *(line.split()[1] for line in open("/proc/self/status") if "VmHWM" in line))
"""


def run_once(environment: str, source: str, **more: str) -> tuple[dict[str, float], str]:
    """What one interpreter costs from its start to its end, and what it prints."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(  # noqa: S603 - our own
        [python_of(environment), "-P", "-c", source + _END],
        capture_output=True,
        check=False,
        env=environ(**more),
        text=True,
        timeout=120,
    )
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        raise RuntimeError(f"{source}: {ended.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    modules, peak = ended.stdout.split()[-2:]
    figures = {
        "cpu_ms": round(cpu * 1e3, 2),
        "wall_ms": round(wall * 1e3, 2),
        "peak_mib": round(int(peak) / 1024, 2),
        "modules": int(modules),
    }
    return figures, ended.stdout


def install_neighbours(folder: Path) -> None:
    """Put plugins beside the real one, as an installer leaves them."""
    for number in range(NEIGHBOURS):
        name = f"rerank_neighbour{number}"
        info = folder / f"{name}-0.1.0.dist-info"
        info.mkdir()
        (folder / f"{name}.py").write_text("", encoding="utf-8")
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: {name}\nVersion: 0.1.0\nRequires-Dist: rerank-core\n",
            encoding="utf-8",
        )
        (info / "entry_points.txt").write_text(
            f"[rerank_core.providers]\nneighbour{number} = {name}\n", encoding="utf-8"
        )


def measure_startup(
    rounds: int, imports: Collection[str] = IMPORTS, first: Collection[str] = FIRST
) -> dict[str, Any]:
    """For each statement, each round's figures.

    Args:
        rounds: How many.
        imports: Whose import is measured.
        first: Whose first answer.
    """
    found: dict[str, Any] = defaultdict(lambda: defaultdict(list))
    jobs: dict[str, tuple[str, str, str]] = {}
    with MockServer() as server, tempfile.TemporaryDirectory() as holder:
        alone, many = Path(holder, "alone"), Path(holder, "many")
        alone.mkdir()
        many.mkdir()
        install_neighbours(many)
        for name in imports:
            environment, statement = IMPORTS[name]
            jobs[f"bare:{name}"] = environment, "", ""
            jobs[f"import:{name}"] = environment, statement, ""
        for name in first:
            source = FIRST_ANSWER.format(tests=str(TESTS), name=name, base=server.base)
            jobs[f"first:{name}"] = CLIENTS[name].environment, source, ""
        jobs["discovery:alone"] = OURS, DISCOVER, str(alone)
        jobs["discovery:many"] = OURS, DISCOVER, str(many)
        pin(CLIENT_CPU)  # and so every child
        try:
            for turn in range(-1, rounds):  # the first writes byte code and is dropped
                say(f"starting, round {turn + 1} of {rounds}")
                for name in shuffled([*jobs], turn):
                    environment, source, path = jobs[name]
                    figures, output = run_once(environment, source, PYTHONPATH=path)
                    if name.startswith("discovery:"):
                        figures["discovery_ms"] = float(output.split()[0])
                    for kind, figure in figures.items() if turn >= 0 else ():
                        found[name][kind].append(figure)
        finally:
            if CPUS:
                os.sched_setaffinity(0, CPUS)
    return found
