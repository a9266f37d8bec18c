"""Run the official SDKs in an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from environments import SDKS

HERE = Path(__file__).parent
SECONDS = 120


@pytest.hookimpl(tryfirst=True)  # before the marker expression is applied
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the marker `sdks` on every test of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.sdks)


def call_sdk(name: str, base_url: str, call: dict[str, Any], home: Path) -> list[list[float]]:
    """Make a call with an SDK, which has no account on this machine: what it read of the reply."""
    if not SDKS.is_installed:
        pytest.fail(SDKS.how_to_install, pytrace=False)
    done = subprocess.run(  # noqa: S603 - our own command
        [SDKS.bin / "python", HERE / "call_sdk.py", name, base_url],
        input=json.dumps(call),
        env={"HOME": str(home), "PATH": os.defpath, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        timeout=SECONDS,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"The SDK of {name} failed:\n{done.stderr[-3000:]}", pytrace=False)
    ranking: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
    return ranking
