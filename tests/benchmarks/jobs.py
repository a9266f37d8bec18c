"""The programs that `measure_jobs.py` measures: a job, a loop that a user would write, and Ray.

Each is a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__)
DOCUMENTS = 10
LATENCY_US = 20_000
MODEL = "infinity/any"


def write_rows(path: Path, rows: int, documents: int = DOCUMENTS) -> None:
    """So many rows of JSON Lines."""
    with path.open("w", encoding="utf-8") as file:
        for at in range(rows):
            texts = [f"document {each} of row {at}, about wings" for each in range(documents)]
            file.write(json.dumps({"id": at, "query": f"wing {at}", "documents": texts}) + "\n")


@contextmanager
def serving() -> Iterator[str]:
    """The stand-in of these benchmarks, replying after 20 ms; its base URL."""
    server = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, HERE.with_name("mock_server.py"), "--cpu", str(os.cpu_count() - 1)],  # type: ignore[operator]  # known on any machine that serves
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().split()[1]}"
    import httpx  # noqa: PLC0415 - the programs that are measured import what they need

    httpx.get(f"{url}/latency/{LATENCY_US}", trust_env=False)
    try:
        yield url
    finally:
        server.communicate("")


@contextmanager
def timed(found: dict[str, Any]) -> Iterator[None]:
    """Note seconds, and processor time by row, which a busy machine changes least."""
    started, used = time.monotonic(), time.process_time()
    yield
    found["seconds"] = time.monotonic() - started
    found["cpu_ms_per_row"] = round((time.process_time() - used) / found["rows"] * 1e3, 2)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows at once, as a first script does."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run_engine(path: Path, output: Path, url: str, at_once: int) -> dict[str, Any]:
    """A job over HTTP."""
    return _run_job(path, output, at_once, MODEL, {"api_base": url})


def _run_job(
    path: Path, output: Path, at_once: int, model: str, options: dict[str, Any]
) -> dict[str, Any]:
    """A job; how much memory there was with each tenth of the rows."""
    from rerank_jobs import Job, JobReport  # noqa: PLC0415 - this program's own

    memory: list[tuple[float, int]] = []

    def watch(report: JobReport) -> None:
        share = report.ranked / report.rows
        if share * 10 >= len(memory) + (share == 1):
            memory.append((round(share, 2), _resident_mb()))

    job = Job(input=path, model=model, output=output, options=options, concurrency=at_once)
    rows: dict[str, Any] = {"resident_mb": memory}
    with timed(rows):
        rows["rows"] = job.run(watch).ranked
    return rows


def run_million(path: Path, output: Path, _: str, at_once: int) -> dict[str, Any]:
    """The engine over a model in this process that ranks as sent."""
    from rerank_core import (  # noqa: PLC0415 - this program's own
        Compute,
        Provider,
        RerankRequest,
        RerankResponse,
        RerankResult,
        hookimpl,
    )

    class AsSent:
        @hookimpl
        def resolve_provider(self) -> Provider:
            return Provider(name="as_sent", api_key_required=False)

        @hookimpl
        def map_params(self) -> dict[str, Any]:
            return {}

        @hookimpl
        def build_request(self, request: RerankRequest) -> Compute:
            return Compute(lambda: len(request.documents))

        @hookimpl
        def parse_response(self, payload: int) -> RerankResponse:
            return RerankResponse([RerankResult(at, 1 / (at + 1)) for at in range(payload)])

    found = _run_job(path, output, at_once, "any", {"provider": AsSent()})
    check_rows(output, found["rows"])
    return found


def run_client(path: Path, output: Path, url: str, at_once: int) -> dict[str, Any]:
    """The user's loop with a client of the user's own, which has one pool for all."""
    import httpx  # noqa: PLC0415 - this program's own

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    client = httpx.AsyncClient(limits=limits)
    return run_gather(path, output, url, at_once, http_client=client)


def run_gather(path: Path, output: Path, url: str, at_once: int, **options: Any) -> dict[str, Any]:
    """A user's loop: everything in memory, one reranker, `asyncio.gather`, written at the end."""
    from rerank_core import Reranker  # noqa: PLC0415 - this program's own

    async def rank_all() -> list[dict[str, Any]]:
        gate = asyncio.Semaphore(at_once)

        async def rank(row: dict[str, Any]) -> dict[str, Any]:
            async with gate:
                response = await reranker.arerank(row["query"], row["documents"])
            results = [(each.index, each.relevance_score) for each in response.results]
            return {"id": row["id"], "results": results}

        async with Reranker(MODEL, api_base=url, **options) as reranker:
            return await asyncio.gather(*map(rank, read_rows(path)))

    rows: dict[str, Any] = {}
    with timed(rows):
        ranked = asyncio.run(rank_all())
        output.write_text("".join(json.dumps(line) + "\n" for line in ranked))
        rows["rows"] = len(ranked)
    return rows


def run_ray(path: Path, _: Path, url: str, workers: int) -> dict[str, Any]:
    """Ray Data by so many actors, 16 rows at once in each; without Ray's own start."""
    import ray  # noqa: PLC0415 - in an environment of its own
    import ray.data  # noqa: PLC0415 - likewise

    ray.init(num_cpus=4, include_dashboard=False, object_store_memory=200_000_000)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows: dict[str, Any] = {}
    with timed(rows):
        rows["rows"] = _count_ranked(ray.data.read_json(str(path)), url, workers)
    ray.shutdown()
    return rows


def _count_ranked(dataset: Any, url: str, workers: int) -> int:
    from rerank_jobs.ray import rerank_dataset  # noqa: PLC0415 - in an environment of its own

    ranked = rerank_dataset(
        dataset, MODEL, options={"api_base": url}, actors=workers, at_once=16, rows_per_block=64
    )
    return sum(1 for row in ranked.iter_rows() if row["error"] is None)


RUNS = {
    "engine": run_engine,
    "gather": run_gather,
    "client": run_client,
    "million": run_million,
    "ray": run_ray,
}


def _resident_mb() -> int:
    """What this process holds now, where the system says so."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize() // 2**20


def check_rows(output: Path, rows: int) -> None:
    """See that each row is there once."""
    seen = bytearray(rows)
    with output.open("rb") as file:
        for line in file:
            seen[json.loads(line)["row"]] += 1
    assert seen == b"\1" * rows, "a row is missing, or stands there twice"


if __name__ == "__main__":
    _, kind, source, target, base, amount = sys.argv
    result = RUNS[kind](Path(source), Path(target), base, int(amount))
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(result))
