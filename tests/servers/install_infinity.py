"""Put an Infinity server into a virtual environment of its own, for the tests in this folder.

Run `python tests/servers/install_infinity.py` once; it takes some minutes and 1.5 GB, and nothing
the second time. It uses pip rather than uv, so that pip's own configuration decides where the CPU
build of torch comes from.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# torch first and alone: the server would otherwise be free to choose another one.
REQUIREMENTS = ("torch==2.13.0", "infinity-emb[torch,server]==0.0.78")
STAMP = "\n".join(REQUIREMENTS) + "\n"


def home() -> Path:
    """Say where the environment of the Infinity server lives."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    servers = os.environ.get("RERANK_SERVERS_HOME") or cache / "rerank-servers"
    return Path(servers).expanduser().resolve() / "infinity"


def is_installed() -> bool:
    """Say whether an installation of exactly these requirements was finished."""
    stamp = home() / "installed.txt"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == STAMP


def main() -> None:
    """Build the environment, unless it is already there."""
    if is_installed():
        return
    python = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
    if not python:
        sys.exit("Infinity needs Python 3.11: run this file with it, or put python3.11 on PATH.")
    subprocess.run([python, "-m", "venv", "--clear", home()], check=True)  # noqa: S603 - our own
    for requirement in REQUIREMENTS:
        subprocess.run(  # noqa: S603 - our own
            [home() / "bin" / "python", "-m", "pip", "install", requirement], check=True
        )
    (home() / "installed.txt").write_text(STAMP, encoding="utf-8")


if __name__ == "__main__":
    main()
