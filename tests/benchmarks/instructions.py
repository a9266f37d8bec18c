"""Instructions per call, counted by valgrind: they hardly depend on what else the machine does.

`python tests/benchmarks/instructions.py` prints them for ours and for raw httpx. Each count is the
difference of two runs, so that the start drops out: about half a minute each. Options:
    --python FILE       the interpreter whose packages are used
    --clients A,B       `ours`, `ours_read`, `layer`, `httpx_orjson`, `httpx`, `socket`
    --documents 10,100  how many
    --profile FILE      no counting: cProfile of the first client, printed and kept
    --callgrind FILE    the same by callgrind
"""

from __future__ import annotations

import argparse
import os
import pstats
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.server import MockServer
from benchmarks.workers import RUN

FEW, MORE = 5, 35
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc", "NO_PROXY": "127.0.0.1"}


def run(command: Sequence[str], **variables: str) -> str:
    """What a run writes to its standard error."""
    ended = subprocess.run(  # noqa: S603 - our own
        command,
        capture_output=True,
        check=False,
        env={**os.environ, **ENVIRONMENT, **variables},
        text=True,
        timeout=900,
    )
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}: {ended.stderr[-2000:]}")
    return ended.stderr


def count_run(command: Sequence[str], **variables: str) -> int:
    """Instructions of a whole run, without the kernel's."""
    tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    text = run([*tool, *command], **variables)
    found = re.search(r"I\s+refs:\s+([\d,]+)", text)
    if not found:
        raise RuntimeError(f"valgrind counted nothing: {text[-2000:]}")
    return int(found[1].replace(",", ""))


def make_command(server: MockServer, python: str, client: str, documents: int) -> list[str]:
    """What calls a client, but for the number of calls."""
    repeat = [python, "-P", "-c", RUN.format("repeat")]
    return [*repeat, client, server.base, str(documents)]


def count_instructions(server: MockServer, python: str, client: str, documents: int) -> float:
    """Instructions per call, without the kernel's."""
    command = make_command(server, python, client, documents)
    few, more = (count_run([*command, str(calls)]) for calls in (FEW, MORE))
    return (more - few) / (MORE - FEW)


def main() -> None:
    """Count, or profile."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--clients", default="httpx_orjson,ours,layer")
    parser.add_argument("--documents", default="10,100,1000")
    parser.add_argument("--profile")
    parser.add_argument("--callgrind")
    chosen = parser.parse_args()
    clients, counts = chosen.clients.split(","), [int(n) for n in chosen.documents.split(",")]
    with MockServer() as server:
        first = make_command(server, chosen.python, clients[0], counts[0])
        if chosen.profile:
            run([*first, "500", chosen.profile])
            pstats.Stats(chosen.profile).strip_dirs().sort_stats("tottime").print_stats(40)
            return
        if not shutil.which("valgrind"):
            sys.exit("valgrind is not installed.")
        if chosen.callgrind:
            tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={chosen.callgrind}"]
            run([*tool, *first, "100"])
            return
        print(f"| client | {' | '.join(f'{n} documents' for n in counts)} |")
        print(f"| --- |{' ---: |' * len(counts)}")
        reference: list[float] = []
        for client in clients:
            found = [count_instructions(server, chosen.python, client, n) for n in counts]
            reference = reference or found
            cells = [
                f"{own:,.0f} ({own / base:.3f})" for own, base in zip(found, reference, strict=True)
            ]
            print(f"| {client} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
