"""Starting what runs in the environments, and asking it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from benchmarks.server import CLIENT_CPU
from environments import ENVIRONMENTS

TESTS = Path(__file__).parents[1]
# Our modules come last: a folder of tests may have the name of a module that a client imports.
START = f"import sys; sys.path.append({str(TESTS)!r})\n"
RUN = f"{START}from benchmarks import {{0}}; {{0}}.main(*sys.argv[1:])"
# No traffic but to the mock server, nothing printed that nobody reads.
QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "DO_NOT_TRACK": "1",
    "NO_PROXY": "127.0.0.1",
    "PYTHONWARNINGS": "ignore",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": "",
}


def environ(**more: str) -> dict[str, str]:
    """The environment variables of every process that is measured."""
    return {**os.environ, **QUIET, **more}


def python_of(environment: str) -> str:
    """An environment's interpreter."""
    return str(ENVIRONMENTS[environment].bin / "python")


def install_ours(*environments: str) -> None:
    """Put core and rerank-cohere, as they are now, into environments that hold their needs."""
    root = TESTS.parent
    with tempfile.TemporaryDirectory() as folder:
        pip = [python_of(environments[0]), "-m", "pip", "--quiet"]
        sources = [str(root / "core"), str(root / "plugins" / "rerank-cohere")]
        command = [*pip, "wheel", "--no-deps", "--wheel-dir", folder, *sources]
        subprocess.run(command, check=True)  # noqa: S603 - our own
        wheels = [str(wheel) for wheel in Path(folder).glob("*.whl")]
        for environment in environments:
            command = [python_of(environment), *pip[1:], "install", "--no-deps"]
            subprocess.run([*command, "--force-reinstall", *wheels], check=True)  # noqa: S603 - our own


def run_module(environment: str, module: str, *arguments: str, **more: str) -> Any:
    """What a module prints as JSON in its last line.

    Args:
        environment: Where it runs.
        module: Its name.
        *arguments: Its arguments.
        **more: Environment variables.
    """
    ended = subprocess.run(  # noqa: S603 - our own
        [python_of(environment), "-P", "-c", RUN.format(module), *arguments],
        capture_output=True,
        check=False,
        env=environ(**more),
        text=True,
        timeout=600,
    )
    if ended.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)}: {ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


class Worker:
    """One client's process."""

    def __init__(self, kind: str, name: str, environment: str, base: str) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed at the end
        command = [python_of(environment), "-P", "-c", RUN.format("worker"), kind, name, base]
        self._process = subprocess.Popen(  # noqa: S603 - our own
            [*command, str(CLIENT_CPU)],
            env=environ(),
            stderr=self._errors,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> Self:
        """Wait until it is ready."""
        self._read()
        return self

    def _read(self) -> dict[str, float]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("@@"):
                found: dict[str, float] = json.loads(line[2:])
                return found
        self._errors.seek(0)
        raise RuntimeError(f"{self.name}: {self._errors.read()[-2000:]}")

    def ask(self, **order: int) -> dict[str, float]:
        """Have it make calls."""
        assert self._process.stdin
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def shuffled(names: Sequence[str], seed: int) -> Iterator[str]:
    """The names in another order each round, the same in every run."""
    order = [*names]
    random.Random(seed).shuffle(order)  # noqa: S311 - no secret
    yield from order


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(text, file=sys.stderr, flush=True)
