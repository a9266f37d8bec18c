"""Programs of their own, which are watched to their end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from core.loopback import PROXY_VARIABLES

TESTS = Path(__file__).parents[1]
HANGS = 60.0
OPENING = """
import asyncio, gc, logging, os, signal, sys, threading, time
import rerank_core
from core.virtual import ScriptedPlugin

MODEL = rerank_core.register(ScriptedPlugin()) + "/m"
BASE = sys.argv[1]
DOCUMENTS = ["a 1", "b 3", "c 2"]
RIGHT = [1, 2, 0]
# In development mode asyncio tells how long a step takes; the first call imports httpx.
logging.getLogger("asyncio").setLevel(logging.ERROR)

def order(response):
    return [result.index for result in response.results]

def make(**options):
    return rerank_core.Reranker(MODEL, api_base=BASE, **options)

def ask(documents=DOCUMENTS, **options):
    return order(rerank_core.rerank(MODEL, "q", documents, api_base=BASE, **options))

async def aask(**options):
    return order(await rerank_core.arerank(MODEL, "q", DOCUMENTS, api_base=BASE, **options))
"""


def run_program(
    script: str, url: str = "", *, opening: str = OPENING
) -> subprocess.CompletedProcess[str]:
    """Run a script in development mode, where every warning is an error.

    Args:
        script: What comes after the opening.
        url: The server that is asked.
        opening: What it begins with.
    """
    environment = {name: text for name, text in os.environ.items() if name not in PROXY_VARIABLES}
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")])
    )
    program = opening + textwrap.dedent(script)
    return subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, url],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS,
        env=environment,
    )
