"""Speed that can be checked anywhere: instructions, counts and ratios of the two, never seconds.

`pytest tests/benchmarks/gates.py` runs them, in a few minutes; no run of all tests finds them. They
look at core and rerank-cohere alone in the environment `bench_ours`, which they make if need be.

Each bound lies a tenth or so above what was reached, not at what is promised: what gets slower is
to be seen when it does.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.instructions import count_instructions, count_run
from benchmarks.server import MockServer
from benchmarks.startup import DISCOVER, install_neighbours
from benchmarks.workers import install_ours, python_of, run_module
from environments import ENVIRONMENTS

OURS = "bench_ours"
needs_valgrind = pytest.mark.skipif(
    not shutil.which("valgrind"), reason="valgrind is not installed: no instructions are counted"
)


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    ENVIRONMENTS[OURS].install()
    install_ours(OURS)


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    """The mock server."""
    with MockServer(cpu=-1) as running:
        yield running


@pytest.fixture(scope="module")
def count(server: MockServer) -> Any:
    """Counts instructions per call, of each client once."""
    return cache(
        lambda client, documents: count_instructions(server, python_of(OURS), client, documents)
    )


@needs_valgrind
@pytest.mark.parametrize(("documents", "most"), [(10, 0.69), (100, 0.94), (1000, 1.8)])
def test_a_call_costs_little_more_than_httpx_with_orjson(
    count: Any, documents: int, most: float
) -> None:
    """Checks, hooks and records take no more instructions than this share of raw httpx."""
    assert count("ours", documents) / count("httpx_orjson", documents) <= most


@needs_valgrind
def test_the_layer_alone_is_thin(count: Any) -> None:
    """All that is done for a call of ten documents beside sending it."""
    # A ratio, since interpreters differ; docs/performance.md tells why it is no less.
    assert count("layer", 10) / count("httpx_orjson", 10) <= 0.21


@needs_valgrind
def test_a_discovery_does_not_grow_with_the_neighbours(tmp_path: Path) -> None:
    """Fifty plugins cost hardly more than one."""
    alone, many = tmp_path / "alone", tmp_path / "many"
    alone.mkdir()
    many.mkdir()
    install_neighbours(many)
    counted: Mapping[Path, int] = {
        folder: count_run([python_of(OURS), "-c", DISCOVER], PYTHONPATH=str(folder))
        - count_run([python_of(OURS), "-c", "import rerank_core, time"], PYTHONPATH=str(folder))
        for folder in (alone, many)
    }

    assert counted[many] / counted[alone] <= 1.1


@pytest.mark.parametrize(
    ("way", "opened", "requests"),
    [("sequential", 1, 20), ("concurrent", 64, 192), ("loops", 40, 120), ("threads", 8, 320)],
)
def test_connections_are_used_again_and_closed(
    server: MockServer, way: str, opened: int, requests: int
) -> None:
    """One for each call under way: none outlives its event loop, and those of threads go on."""
    found = run_module(OURS, "probes", "connections", way, server.base)

    assert found["connections"] <= opened
    assert found["requests"] == requests
    if way in {"concurrent", "loops"}:
        assert found["open"] == 0


def test_importing_imports_neither_a_client_nor_an_event_loop() -> None:
    """What is not needed before a call is not imported before one."""
    modules = run_module(OURS, "probes", "modules", "rerank_core")

    assert "rerank_core" in modules
    assert {"httpx", "ssl", "asyncio", "cattrs"} & {*modules} == set()


def test_a_blocking_call_leaves_nothing_to_the_collector(server: MockServer) -> None:
    """Httpx itself leaves 49 objects in a reference cycle."""
    assert run_module(OURS, "probes", "garbage", "ours", server.base) == 0


def test_memory_does_not_grow_with_the_calls(server: MockServer) -> None:
    """A thousand calls of a thousand documents leave nothing behind, but for the allocator's."""
    assert run_module(OURS, "probes", "growth", "ours", server.base) <= 0.5


def test_split_calls_need_no_more_memory_than_httpx_by_hand(server: MockServer) -> None:
    """At their peak, with ten thousand documents in ten requests, four at a time."""
    ours, by_hand = (
        run_module(OURS, "probes", "split", client, server.base)["peak_mib"]
        for client in ("ours", "httpx_orjson")
    )

    assert ours / by_hand <= 1.03
