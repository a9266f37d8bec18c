"""Measures everything that `docs/performance.md` and the README's table say, and writes it there.

`python tests/environments.py benchmarks` makes the environments, once. Then
`python tests/benchmarks/measure.py` measures: half an hour on a machine with nothing else to do.
It writes the raw figures, the page's tables and its plots. Options:
    --only A,B     some of: blocking, concurrency, startup, counts, profiles;
                   the other figures stay; `--only none` writes tables and plots again
    --rounds N     a quick look with few rounds
    --into FOLDER  another place than `docs`, for the figures, `performance.md` and the plots; the
                   README then stays as it is
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.blocking import measure_blocking
from benchmarks.clients import OURS, TRANSPORTS
from benchmarks.concurrency import measure_concurrency
from benchmarks.plots import draw_all
from benchmarks.profiles import sample
from benchmarks.report import fill_pages
from benchmarks.server import MockServer
from benchmarks.startup import measure_startup
from benchmarks.workers import install_ours, python_of, run_module, say
from environments import BENCHMARKS, ENVIRONMENTS

ROOT = Path(__file__).parents[2]
EVERYWHERE = tuple(environment.name for environment in BENCHMARKS)


def measure_counts(_: int, installations: Collection[str] = EVERYWHERE) -> dict[str, Any]:
    """What needs no rounds: counts and memory.

    Args:
        _: Rounds, of which it has one.
        installations: The environments whose size is told.
    """
    with MockServer() as server:
        base = server.base
        return {
            "garbage": {
                name: run_module(OURS, "probes", "garbage", name, base)
                for name in ("ours", "httpx", "httpx_orjson")
            },
            "growth": {
                name: run_module(OURS, "probes", "growth", name, base)
                for name in ("ours", "httpx", "httpx_orjson")
            },
            "split": {
                name: run_module(OURS, "probes", "split", name, base)
                for name in ("ours", "httpx_orjson")
            },
            "modules": run_module(OURS, "probes", "modules", "rerank_core"),
            "footprint": {name: run_module(name, "probes", "footprint") for name in installations},
        }


def measure_profiles(turns: int) -> dict[str, Any]:
    """Where the processor time goes, of calls that miss a goal."""
    found: dict[str, Any] = {"blocking": {}, "async": {}}
    for name in ("ours", "httpx_orjson"):
        say(f"a profile of {name}, 1,000 documents")
        found["blocking"][name] = sample("blocking", name, python_of(OURS), 1000, turns)
    for level in (64, 256, 1024):
        say(f"a profile of {level} concurrent calls")
        found["async"][str(level)] = sample("async", "ours", python_of(OURS), level, turns)
    return found


SECTIONS: dict[str, tuple[Callable[[int], dict[str, Any]], int]] = {
    "counts": (measure_counts, 1),
    "startup": (measure_startup, 15),
    "blocking": (measure_blocking, 25),
    "concurrency": (measure_concurrency, 5),
    "profiles": (measure_profiles, 3),
}
# What the rest of the machine's load falls on; the others count.
TIMED = {"startup", "blocking", "concurrency", "profiles"}


def describe_machine() -> dict[str, Any]:
    """Where and when this was."""
    model = "unknown"
    if (cpus := Path("/proc/cpuinfo")).exists():
        lines = cpus.read_text(encoding="utf-8").splitlines()
        model = next((line.split(":")[1].strip() for line in lines if "model name" in line), model)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": model,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--into", type=Path, default=ROOT / "docs")
    chosen = parser.parse_args()
    raw = chosen.into / "performance.json"
    found = json.loads(raw.read_text(encoding="utf-8")) if raw.exists() else {}
    found = {name: found[name] for name in ("machine", *SECTIONS) if name in found}
    wanted = [name for name in SECTIONS if name in chosen.only.split(",")]
    if wanted:
        missing = [found.name for found in BENCHMARKS if not ENVIRONMENTS[found.name].is_installed]
        if missing:
            sys.exit(f"Run `python tests/environments.py benchmarks`; missing: {missing}")
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        install_ours(OURS, TRANSPORTS)
        if "machine" not in found or {*wanted} & TIMED:
            found["machine"] = describe_machine()
    for name in wanted:
        measure, rounds = SECTIONS[name]
        found[name] = measure(chosen.rounds or rounds)
        raw.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")
    draw_all(found, chosen.into)
    readme = [ROOT / "README.md"] if chosen.into == ROOT / "docs" else []
    fill_pages(found, chosen.into / "performance.md", *readme)


if __name__ == "__main__":
    main()
