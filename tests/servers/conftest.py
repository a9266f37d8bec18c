"""Start real servers on loopback, and end them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest

from environments import INFINITY, LITELLM_PROXY, LLAMACPP
from recorder import Recorder, recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE = Path(__file__).parent
SECONDS_TO_START = 120
SECONDS_TO_END = 10
INFINITY_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",  # else a thread reports usage one minute after the start
    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}
INFINITY_OPTIONS = (
    "--device=cpu",
    "--engine=torch",
    "--no-bettertransformer",
    "--no-trust-remote-code",
    "--no-model-warmup",
    "--host=127.0.0.1",
)
PROXY_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else its price list is fetched at the start
    "LITELLM_LOG": "ERROR",
    "NO_PROXY": "127.0.0.1",
}


@attrs.frozen
class InfinityServer:
    """Where a server listens, its key, and the name it serves its model under."""

    base_url: str
    api_key: str = "test-key"
    model: str = "tiny-reranker"


@attrs.frozen
class LiteLLMProxy:
    """A proxy with three groups: the real Infinity server, a stub of Cohere's API, and nobody.

    Attributes:
        base_url: Where it listens.
        stub: What stands behind `stub`.
        api_key: Its master key.
    """

    base_url: str
    stub: Recorder
    api_key: str = "sk-test-key"


@attrs.frozen
class LlamaServer:
    """Where a llama.cpp server listens, its key, and the most tokens of a pair."""

    base_url: str
    api_key: str = "test-key"
    model: str = "tiny-reranker"
    max_tokens: int = 128


@pytest.hookimpl(tryfirst=True)  # before the marker expression is applied
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the marker `servers` on every test of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.servers)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
def running(
    folder: Path, *command: str | Path, health: str, environment: Mapping[str, str]
) -> Iterator[None]:
    """Run a server in a folder for the length of a `with` block."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(process, health, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(SECONDS_TO_END)


@contextmanager
def running_infinity(
    folder: Path, model: Path, *options: str, prefix: str = ""
) -> Iterator[InfinityServer]:
    """Run an Infinity server with this model for the length of a `with` block."""
    port = free_port()
    server = InfinityServer(f"http://127.0.0.1:{port}{prefix}")
    with running(
        folder,
        INFINITY.bin / "infinity_emb",
        *("v2", *INFINITY_OPTIONS, *options, f"--port={port}", f"--url-prefix={prefix}"),
        *(f"--model-id={model}", f"--served-model-name={server.model}"),
        f"--api-key={server.api_key}",
        health=f"http://127.0.0.1:{port}/health",
        environment=INFINITY_ENVIRONMENT | {"INFINITY_HOME": str(folder)},
    ):
        yield server


@contextmanager
def running_proxy(
    folder: Path, behind: InfinityServer, *, rests: bool = False
) -> Iterator[LiteLLMProxy]:
    """Run a LiteLLM proxy for the length of a `with` block.

    Args:
        folder: For its configuration and its log.
        behind: The Infinity server.
        rests: Whether a service that fails is left in peace for some seconds.
    """
    if not LITELLM_PROXY.is_installed:
        pytest.fail(LITELLM_PROXY.how_to_install, pytrace=False)
    with recording() as stub:
        proxy = LiteLLMProxy(f"http://127.0.0.1:{free_port()}", stub)
        behind_groups = {
            "inf-rerank": (f"infinity/{behind.model}", behind.base_url, behind.api_key),
            "stub": ("cohere/rerank-v3.5", stub.base_url, "key-of-the-stub"),
            "down": ("cohere/rerank-v3.5", f"http://127.0.0.1:{free_port()}", "key-of-nobody"),
        }
        config: dict[str, Any] = {
            "model_list": [
                {
                    "model_name": name,
                    "litellm_params": {"model": model, "api_base": base, "api_key": key},
                }
                for name, (model, base, key) in behind_groups.items()
            ],
            "litellm_settings": {"telemetry": False, "num_retries": 0},
            "general_settings": {"master_key": proxy.api_key},
            "router_settings": {"num_retries": 0, "disable_cooldowns": not rests},
        }
        path = folder / "config.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML as well
        with running(
            folder,
            LITELLM_PROXY.bin / "litellm",
            *("--config", path, "--host", "127.0.0.1", "--port", proxy.base_url.rpartition(":")[2]),
            *("--telemetry", "False", "--num_workers", "1"),
            health=f"{proxy.base_url}/health/liveliness",
            environment=PROXY_ENVIRONMENT,
        ):
            yield proxy


@contextmanager
def running_llamacpp(folder: Path, model: Path, *options: str) -> Iterator[LlamaServer]:
    """Run a llama.cpp server with this model for the length of a `with` block."""
    port = free_port()
    server = LlamaServer(f"http://127.0.0.1:{port}")
    with running(
        folder,
        *(LLAMACPP.bin / "python", HERE / "serve_llamacpp.py", model),
        *(str(port), server.api_key, *options),
        health=f"{server.base_url}/health",
        environment={},
    ):
        yield server


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the model that llama.cpp serves."""
    if not LLAMACPP.is_installed:
        pytest.fail(LLAMACPP.how_to_install, pytrace=False)
    path = tmp_path_factory.mktemp("tiny-gguf") / "tiny-reranker.gguf"
    subprocess.run(  # noqa: S603 - our own command
        [LLAMACPP.bin / "python", HERE / "make_tiny_gguf.py", path],
        check=True,
        timeout=SECONDS_TO_START,
    )
    return path


@pytest.fixture(scope="session")
def llamacpp(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Iterator[LlamaServer]:
    """Run a server with a key, as `llama-server --rerank` starts."""
    with running_llamacpp(tmp_path_factory.mktemp("llamacpp"), tiny_gguf) as server:
        yield server


@pytest.fixture(scope="session")
def chatting_llamacpp(
    tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path
) -> Iterator[LlamaServer]:
    """Run a server as it starts by default, without `--rerank`."""
    folder = tmp_path_factory.mktemp("chatting-llamacpp")
    with running_llamacpp(folder, tiny_gguf, "--chat") as server:
        yield server


@pytest.fixture(scope="session")
def tiny_reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the model that the servers serve."""
    if not INFINITY.is_installed:
        pytest.fail(INFINITY.how_to_install, pytrace=False)
    folder = tmp_path_factory.mktemp("tiny-reranker")
    subprocess.run(  # noqa: S603 - our own command
        [INFINITY.bin / "python", HERE / "make_tiny_reranker.py", folder],
        check=True,
        timeout=SECONDS_TO_START,
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


@pytest.fixture(scope="session")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, infinity: InfinityServer
) -> Iterator[LiteLLMProxy]:
    """Run a proxy that asks the service behind it each time."""
    with running_proxy(tmp_path_factory.mktemp("proxy"), infinity) as server:
        yield server


@pytest.fixture(scope="session")
def resting_proxy(
    tmp_path_factory: pytest.TempPathFactory, infinity: InfinityServer
) -> Iterator[LiteLLMProxy]:
    """Run a proxy as it starts by default: after a failure it lets a service rest."""
    folder = tmp_path_factory.mktemp("resting-proxy")
    with running_proxy(folder, infinity, rests=True) as server:
        yield server
