"""Programs of their own, for what a test's process must not go through."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

TESTS = Path(__file__).parents[2]
OPENING = """
import os, signal, sys, threading, time
import rerank_core

def fork_and_wait(work):
    child = os.fork()
    if not child:
        signal.alarm(20)  # a child that hangs is ended
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print("child:", "done" if status == 0 else f"status {status}", flush=True)
"""


def run_program(
    script: str, *, path: Path | None = None, arguments: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a script, with a folder more to import from.

    Args:
        script: What comes after the opening.
        path: A folder that `import` looks into.
        arguments: What stands in `sys.argv` behind the script.
    """
    paths = [str(path) if path else "", str(TESTS), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-W", "ignore", "-c", OPENING + textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
