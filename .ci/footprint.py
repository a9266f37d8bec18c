"""How much a plain install of core and one plugin brings, and that it needs no compiler.

Run `python .ci/footprint.py FOLDER` where the wheels are. Byte code, which pip writes beside the
modules, is counted apart: it is a cache, and `pip install --no-compile` leaves it out.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

NAMES = ("rerank-core", "rerank-cohere")
MAX_DISTRIBUTIONS = 16  # importlib_metadata brings two of its own
MAX_BYTES = 4_000_000


def main(wheels: str) -> int:
    """Install, count, print, and return whether it is too much."""
    with tempfile.TemporaryDirectory() as target:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", target]
        command += ["--only-binary", ":all:", "--find-links", wheels, *NAMES]
        subprocess.run(command, check=True)  # noqa: S603 - pip, with names from above
        found = sorted(f"{each.name} {each.version}" for each in distributions(path=[target]))
        files = [path for path in Path(target).rglob("*") if path.is_file()]
        cached = sum(path.stat().st_size for path in files if path.suffix == ".pyc")
        size = sum(path.stat().st_size for path in files) - cached
    print(", ".join(found))
    print(
        f"{len(found)} distributions of at most {MAX_DISTRIBUTIONS}, "
        f"{size / 1e6:.2f} MB of at most {MAX_BYTES / 1e6:.0f}, "
        f"and {cached / 1e6:.2f} MB of byte code"
    )
    return len(found) > MAX_DISTRIBUTIONS or size > MAX_BYTES


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
