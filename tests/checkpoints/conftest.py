"""Build tiny checkpoints and ask sentence-transformers, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from environments import TORCH

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECONDS = 1500


@pytest.hookimpl(tryfirst=True)  # before the marker expression is applied
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the marker `torch` on every test of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.torch)
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was asked of each checkpoint, and what the library said, by its name."""
    if not TORCH.is_installed:
        pytest.fail(TORCH.how_to_install, pytrace=False)
    home = tmp_path_factory.mktemp("checkpoints")
    sources = [ROOT / "core" / "src", ROOT / "plugins" / "rerank-local"]
    done = subprocess.run(  # noqa: S603 - our own command
        [TORCH.bin / "python", HERE / "checkpoints.py", home],
        env={
            "HOME": str(home),
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join(map(str, sources)),
            "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        timeout=SECONDS,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"The checkpoints failed:\n{done.stderr[-3000:]}", pytrace=False)
    found = json.loads((home / "cases.json").read_text(encoding="utf-8"))
    return {case["name"]: case for case in found}
