"""The mock server, in a process of its own: C where a compiler is at hand, Python where not."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CPU = CPUS[0] if len(CPUS) > 1 else -1
CLIENT_CPU = CPUS[-1] if len(CPUS) > 1 else -1


def pin(cpu: int) -> None:
    """Keep this process on one core, where that can be done."""
    if cpu >= 0:
        os.sched_setaffinity(0, {cpu})


def find_compiler() -> str | None:
    """A C compiler, where the server in C can run."""
    if sys.platform != "linux":
        return None
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(folder: str) -> list[str]:
    """The command; what it runs may be in the folder."""
    compiler = find_compiler()
    if not compiler:
        return [sys.executable, "-P", str(HERE / "mock_server.py")]
    program = f"{folder}/mock_server"
    source = str(HERE / "mock_server.c")
    subprocess.run([compiler, "-O2", "-o", program, source], check=True)  # noqa: S603 - our own
    return [program]


class MockServer:
    """Answers every request alike, and counts requests and connections."""

    def __init__(self, cpu: int = SERVER_CPU) -> None:
        self._folder = tempfile.TemporaryDirectory()
        command = [*build(self._folder.name), "--cpu", str(cpu)]
        self.process = subprocess.Popen(  # noqa: S603 - our own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline().split()[1])
        self.base = f"http://127.0.0.1:{self.port}"
        self._control = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def _get(self, path: str) -> dict[str, int]:
        self._control.request("GET", path)
        counts: dict[str, int] = json.loads(self._control.getresponse().read())
        return counts

    def counts(self) -> dict[str, int]:
        """Requests, connections that carried one, connections open now, and bad requests."""
        return self._get("/stats")

    def wait(self, seconds: float) -> None:
        """Let every later answer wait so long."""
        self._get(f"/latency/{int(seconds * 1e6)}")

    def cpu_ns(self) -> int:
        """The processor time it has used."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()  # it ends when this does
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self._folder.cleanup()
