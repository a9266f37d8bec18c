"""Start real servers on loopback, and end them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import httpx
import pytest

from . import install_infinity

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SECONDS_TO_START = 120
SECONDS_TO_END = 10
ENVIRONMENT = {
    "DO_NOT_TRACK": "1",  # else a thread reports usage one minute after the start
    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}
OPTIONS = (
    "--device=cpu",
    "--engine=torch",
    "--no-bettertransformer",
    "--no-trust-remote-code",
    "--no-model-warmup",
    "--host=127.0.0.1",
)


@attrs.frozen
class InfinityServer:
    """Where a server listens, its key, and the name it serves its model under."""

    base_url: str
    api_key: str = "test-key"
    model: str = "tiny-reranker"


@pytest.hookimpl(tryfirst=True)  # before the marker expression is applied
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the marker `servers` on every test of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.servers)


def wait_for(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    """Return once the server is healthy; show the tail of its log if it does not get there."""
    give_up = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < give_up:
        try:
            if httpx.get(health, timeout=1, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    tail = log.read_text(encoding="utf-8", errors="replace")[-3000:]
    pytest.fail(f"The server did not start (exit status {process.poll()}):\n{tail}", pytrace=False)


@contextmanager
def running_infinity(
    folder: Path, model: Path, *options: str, prefix: str = ""
) -> Iterator[InfinityServer]:
    """Run a server with this model for the length of a `with` block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = InfinityServer(f"http://127.0.0.1:{port}{prefix}")
    log = folder / "infinity.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [
                install_infinity.home() / "bin" / "infinity_emb",
                *("v2", *OPTIONS, *options, f"--port={port}", f"--url-prefix={prefix}"),
                *(f"--model-id={model}", f"--served-model-name={server.model}"),
                f"--api-key={server.api_key}",
            ],
            env=os.environ | ENVIRONMENT | {"INFINITY_HOME": str(folder)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(process, f"http://127.0.0.1:{port}/health", log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(SECONDS_TO_END)


@pytest.fixture(scope="session")
def tiny_reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the model that the servers serve."""
    if not install_infinity.is_installed():
        pytest.fail("Infinity: run `python tests/servers/install_infinity.py`.", pytrace=False)
    folder = tmp_path_factory.mktemp("tiny-reranker")
    python = install_infinity.home() / "bin" / "python"
    subprocess.run(  # noqa: S603 - our own command
        [python, HERE / "make_tiny_reranker.py", folder], check=True, timeout=SECONDS_TO_START
    )
    return folder


@pytest.fixture(scope="session")
def infinity(
    tmp_path_factory: pytest.TempPathFactory, tiny_reranker: Path
) -> Iterator[InfinityServer]:
    """Run a server as it starts by default, but for a key."""
    with running_infinity(tmp_path_factory.mktemp("infinity"), tiny_reranker) as server:
        yield server


@pytest.fixture(scope="session")
def prefixed_infinity(
    tmp_path_factory: pytest.TempPathFactory, tiny_reranker: Path
) -> Iterator[InfinityServer]:
    """Run a server whose routes begin with `/v1`, and whose usage is in tokens."""
    folder = tmp_path_factory.mktemp("prefixed-infinity")
    with running_infinity(folder, tiny_reranker, "--lengths-via-tokenize", prefix="/v1") as server:
        yield server
