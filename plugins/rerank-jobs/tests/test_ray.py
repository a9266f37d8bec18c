"""Ray Data: the same output as the plain engine, no row lost, and resumed after a kill.

Needs `python tests/environments.py ray`; `pytest -m ray` with that environment's Python runs it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from job_service import JobService
from rerank_core import ConfigurationError
from rerank_jobs import Job
from rerank_jobs.ray import RerankRows, check_no_key

ROWS = 225
BAD = 100
UNDER_WAY = 2 * 16  # two batches at once, as `rerank_dataset` has it
MODEL = "local/bm25"

RESUMED = """
import os, sys
import ray, ray.data
from rerank_jobs.ray import rerank_dataset
from ray.data.checkpoint import CheckpointConfig

source, target, checkpoint, url = sys.argv[1:]
ray.init(num_cpus=6, include_dashboard=False, object_store_memory=200_000_000, log_to_driver=False)
context = ray.data.DataContext.get_current()
context.enable_progress_bars = False
context.checkpoint_config = CheckpointConfig(
    id_column="id", checkpoint_path=checkpoint, delete_checkpoint_on_success=False
)
rerank_dataset(
    ray.data.read_parquet(source), "infinity/any", options={"api_base": url}, at_once=8
).write_parquet(target)
ray.shutdown()
"""


def rows() -> list[dict[str, Any]]:
    """Rows, one of them with a blank query."""
    return [
        {
            "id": f"r{at}",
            "query": " " if at == BAD else f"wing flow {at}",
            "documents": [f"document {each} of row {at}: wing flow" for each in range(5)],
        }
        for at in range(ROWS)
    ]


def shape(row: dict[str, Any]) -> list[tuple[int, float]]:
    """Positions and scores."""
    return [(each["index"], each["relevance_score"]) for each in row["results"]]


def kept(folder: Path) -> int:
    """How many blocks are written, and known to be."""
    files = folder.glob("checkpoint/*.parquet")
    return len([file for file in files if not file.stem.endswith(".pending")])


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A real one, on this machine."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=200_000_000,
        log_to_driver=False,
        configure_logging=False,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


def test_the_class_ranks_a_batch_without_ray() -> None:
    """It yields one table, with an error where a row cannot be ranked."""

    async def rank() -> list[pa.Table]:
        batch = pa.Table.from_pylist(rows()[BAD - 1 : BAD + 2])
        return [table async for table in RerankRows(MODEL, at_once=2)(batch)]

    (table,) = asyncio.run(rank())
    first, bad, last = table.to_pylist()

    assert first["error"] is last["error"] is None
    assert len(first["results"]) == len(last["results"]) == 5
    assert "query is blank" in bad["error"]


@pytest.mark.parametrize("name", ["api_key", "headers", "extra_headers", "http_client"])
def test_a_key_does_not_travel(name: str) -> None:
    """Ray would keep it for all to see."""
    with pytest.raises(ConfigurationError, match="environment"):
        check_no_key({name: "a"})


@pytest.mark.ray
@pytest.mark.filterwarnings("default")  # Ray's own, of several kinds
@pytest.mark.parametrize("actors", [1, 2])
def test_a_dataset_gives_what_the_plain_engine_gives(
    cluster: Any, tmp_path: Path, actors: int
) -> None:
    """225 rows in and out; the bad one has its error."""
    from rerank_jobs.ray import rerank_dataset  # noqa: PLC0415 - with Ray alone

    parquet.write_table(pa.Table.from_pylist(rows()), tmp_path / "in.parquet")
    dataset = cluster.data.read_parquet(str(tmp_path / "in.parquet"))
    ranked = rerank_dataset(dataset, MODEL, actors=actors, at_once=4).take_all()
    output = tmp_path / "out.jsonl"
    Job(input=tmp_path / "in.parquet", model=MODEL, output=output).run()
    plain = [json.loads(line) for line in output.read_text().splitlines()]
    good = {row["id"]: shape(row) for row in ranked if row["error"] is None}

    assert len(ranked) == ROWS
    assert good == {row["id"]: shape(row) for row in plain}
    (bad,) = [row for row in ranked if row["error"] is not None]
    assert bad["id"] == f"r{BAD}"
    assert "query is blank" in bad["error"]


@pytest.mark.ray
@pytest.mark.timeout(900)  # Ray starts three times
@pytest.mark.filterwarnings("default")  # likewise
def test_a_job_that_is_killed_twice_is_resumed_twice(tmp_path: Path) -> None:
    """Each row is there once; what was under way is paid again, what is written is not."""
    parquet.write_table(pa.Table.from_pylist(rows()), tmp_path / "in.parquet")
    words = [str(tmp_path / name) for name in ("in.parquet", "out", "checkpoint")]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    with JobService(delay=0.3) as service:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(  # noqa: S603 - our own
                [sys.executable, "-c", RESUMED, *words, service.url],
                env=environment,
                start_new_session=True,
                stderr=subprocess.DEVNULL,
            )

        written = [0]
        for _ in range(2):
            killed, done = start(), kept(tmp_path)
            while kept(tmp_path) <= done:  # one that ends, or hangs, is ended by the timeout
                assert killed.poll() is None
                time.sleep(0.01)
            os.killpg(killed.pid, signal.SIGKILL)
            killed.wait()
            written.append(parquet.read_table(tmp_path / "out").num_rows)
        before = len(service.bodies)
        assert start().wait() == 0
        asked = len(service.bodies) - before
    found = parquet.read_table(tmp_path / "out").to_pylist()

    assert 0 < written[1] < written[2] < ROWS
    assert sorted(row["id"] for row in found) == sorted(row["id"] for row in rows())
    assert asked <= ROWS - written[2] + UNDER_WAY  # a killed job's actor ends its batches
