"""Measures everything that `docs/jobs.md` says, and writes it there.

`python tests/benchmarks/measure_jobs.py`, on a quiet machine, after `python tests/environments.py
ray`. Options:

    --only engine,million,ray   some of it: figures are printed, and the page stays as it is
    --share 0.01                so much of the rows, to try it; the page stays as it is
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import jobs

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "jobs.md"
BEGIN, END = "<!-- jobs -->\n", "<!-- end -->"
AT_ONCE = (1, 16, 64, 256)
KINDS = {
    "engine": "`rerank job`",
    "gather": "a loop with `asyncio.gather`",
    "client": "the same with one `httpx.AsyncClient` for all",
}
RAY_ROWS = 4_000


def measure(python: Path | str, kind: str, path: Path, url: str, amount: int) -> dict[str, Any]:
    """Run one in a program of its own."""
    with tempfile.TemporaryDirectory() as folder:
        words = [kind, str(path), str(Path(folder) / "out.jsonl"), url, str(amount)]
        done = subprocess.run(  # noqa: S603 - our own
            [python, jobs.HERE, *words], check=True, stdout=subprocess.PIPE, text=True
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["rate"] = found["rows"] / found["seconds"]
    print(f"{kind}, {amount}:", json.dumps(found), flush=True)
    return found


def measure_engine(folder: Path, url: str, share: float) -> str:
    """The engine, and loops, at several widths."""
    lines = [f"| at once | {' | '.join(KINDS.values())} |", "|---" * (len(KINDS) + 1) + "|"]
    for at_once in AT_ONCE:
        path = folder / "in.jsonl"
        jobs.write_rows(path, max(1, int(max(1_000, min(4_000, 200 * at_once)) * share)))
        found = [measure(sys.executable, kind, path, url, at_once) for kind in KINDS]
        cells = [f"{each['rate']:,.0f} rows/s, {each['cpu_ms_per_row']:.1f} ms" for each in found]
        lines.append(f"| {at_once} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measure_million(folder: Path, url: str, share: float) -> str:
    """A million generated rows once."""
    path = folder / "in.jsonl"
    jobs.write_rows(path, int(1_000_000 * share), documents=3)
    found = measure(sys.executable, "million", path, url, 16)
    memory = [mb for _, mb in found["resident_mb"]]
    return (
        f"- {found['rows']:,} rows in this process: {found['seconds']:,.0f} s,"
        f" {found['rate']:,.0f} rows/s, {min(memory)} to {max(memory)} MB resident."
    )


def measure_ray(folder: Path, url: str, share: float) -> str:
    """Ray by one worker and by two."""
    where = [sys.executable, str(ROOT / "tests" / "environments.py"), "--where", "ray"]
    found = subprocess.run(where, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    python = Path(found.stdout.strip()) / "python"
    path = folder / "in.jsonl"
    jobs.write_rows(path, int(RAY_ROWS * share))
    one, two = (measure(python, "ray", path, url, workers) for workers in (1, 2))
    return (
        f"- Ray Data, {one['rows']:,} such rows, 16 at once in each actor: one worker"
        f" {one['seconds']:.0f} s, {one['rate']:.0f} rows/s; two {two['seconds']:.0f} s,"
        f" {two['rate']:.0f} rows/s."
    )


PARTS = {"engine": measure_engine, "million": measure_million, "ray": measure_ray}


def fill_page(told: Mapping[str, str]) -> None:
    """Put the figures between the page's comments."""
    text = PAGE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{PAGE.name} has no place for the figures")
    seen = (
        f"Seen on {datetime.now(UTC):%Y-%m-%d} on a machine of {os.cpu_count()} cores, Python"
        f" {platform.python_version()}."
    )
    part = "\n".join([seen, "", told["engine"], "", told["million"], told["ray"]])
    PAGE.write_text(f"{before}{begin}\n{part}\n\n{end}{after}", encoding="utf-8")


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--share", type=float, default=1.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, jobs.serving() as url:
        told = {name: PARTS[name](Path(folder), url, given.share) for name in given.only.split(",")}
    print("\n\n".join(told.values()))
    if told.keys() == PARTS.keys() and given.share == 1:
        fill_page(told)


if __name__ == "__main__":
    main()
