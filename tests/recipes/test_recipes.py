"""Every recipe works as its page says it."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import lancedb
import nbformat
import pytest
from celery.contrib.testing.worker import start_worker  # type: ignore[import-untyped] # no types
from fastapi.testclient import TestClient
from lancedb.index import FTS
from nbclient import NotebookClient

from pages import run_page
from recorder import Reply, recording
from rerank_core import RateLimitError

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
ASKED = {
    "query": "capital of France",
    "documents": ["Berlin is in Germany.", "Paris is the capital of France."],
    "top_n": 1,
}
REPLY = {"results": [{"index": 1, "relevance_score": 0.9}]}
BY_HAND = {"mteb"}
BUSY = Reply({"message": "slow down"}, 429, {"retry-after": "7"})
SECONDS_TO_START = 60


def blocks_of(name: str, language: str) -> list[str]:
    """The page's blocks of this language."""
    text = (RECIPES / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def module_of(name: str, model: str = "local/bm25", **replaced: str) -> ModuleType:
    """The page's file as a module, of this model."""
    [source] = blocks_of(name, "python")
    assert source.startswith("# search.py\n")
    for before, after in {"local/bm25": model, **replaced}.items():
        source = source.replace(before, after)
    module = ModuleType("search")
    sys.modules["search"] = module  # where FastAPI looks for what annotations name
    exec(compile(source, name, "exec"), vars(module))  # noqa: S102 - our own documentation
    return module


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """The module is gone after each test."""
    yield
    sys.modules.pop("search", None)


@pytest.fixture
def cohere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A service on loopback, where `cohere/...` finds it."""
    with recording(Reply(REPLY)) as recorder:
        monkeypatch.setenv("COHERE_API_KEY", "a-key")
        monkeypatch.setenv("COHERE_API_BASE", recorder.base_url)
        yield recorder


@pytest.mark.parametrize("name", ["dspy", "lancedb", "qdrant"])
def test_a_page_runs_and_prints_what_it_says(name: str) -> None:
    """From the first import to what comes back."""
    run_page(RECIPES / f"{name}.md")


def test_every_recipe_is_tried() -> None:
    """But for those that say why not."""
    here = Path(__file__).read_text(encoding="utf-8")
    names = {page.stem for page in RECIPES.glob("*.md")}

    assert {name for name in names if f'"{name}"' not in here} == set()
    assert all("by hand" in (RECIPES / f"{name}.md").read_text("utf-8") for name in BY_HAND)


def test_fastapi_ranks_and_tells_failures_apart(cohere: Any) -> None:
    """The lifespan opens and closes the `Reranker`."""
    with TestClient(module_of("fastapi").app) as client:
        found = client.post("/search", json=ASKED)
        refused = client.post("/search", json={**ASKED, "query": " "})
    cohere.answer(Reply({"message": "no"}, 401))
    with TestClient(module_of("fastapi", "cohere/rerank-v3.5").app) as client:
        failed = client.post("/search", json=ASKED)

    assert [row["index"] for row in found.json()] == [1]
    assert refused.status_code == 422
    assert failed.status_code == 503


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def serving(folder: Path, model: str) -> Iterator[str]:
    """The page's command, for the length of a `with` block."""
    [source] = blocks_of("gunicorn", "python")
    (folder / "search.py").write_text(source.replace("local/bm25", model), encoding="utf-8")
    [shown] = blocks_of("gunicorn", "sh")
    command = shlex.split(shown.splitlines()[1].replace("8000", str(port := free_port())))
    process = subprocess.Popen(  # noqa: S603 - our own documentation
        [Path(sys.executable).with_name(command[0]), *command[1:]], cwd=folder
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(SECONDS_TO_START)


def test_gunicorns_workers_rank_after_the_fork(tmp_path: Path, cohere: Any) -> None:
    """Each with connections of its own."""
    with serving(tmp_path, "cohere/rerank-v3.5") as url, httpx.Client(timeout=30) as client:
        until = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                replies = [client.post(url, json=ASKED)]
                break
            except httpx.ConnectError:
                assert time.monotonic() < until
                time.sleep(0.1)
        replies += [httpx.post(url, json=ASKED, timeout=30) for _ in range(8)]

    assert [reply.json()["results"][0]["index"] for reply in replies] == [1] * 9
    assert len(cohere.requests) == 9


def test_a_notebook_runs() -> None:
    """Cell by cell, in a kernel with its own event loop."""
    text = (RECIPES / "notebook.md").read_text(encoding="utf-8")
    pairs = re.findall(
        r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    )
    notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call] # has no types
        cells=[nbformat.v4.new_code_cell(source) for source, _ in pairs]  # type: ignore[no-untyped-call] # has no types
    )

    NotebookClient(notebook, timeout=120).execute()

    assert len(pairs) == len(blocks_of("notebook", "python")) == 3
    assert [cell.outputs[0]["text"] for cell in notebook.cells] == [shown for _, shown in pairs]


def test_dspy_module_is_awaited_and_copied() -> None:
    """As optimisers do."""
    made: Any = run_page(RECIPES / "dspy.md")["ranker"]
    asked = {"query": ASKED["query"], "passages": ASKED["documents"]}

    assert asyncio.run(made.deepcopy().acall(**asked)).indices == [1]


def test_lancedb_keeps_scores_where_asked_and_takes_no_rows(tmp_path: Path) -> None:
    """Vector, full-text and hybrid search."""
    ranker: Any = run_page(RECIPES / "lancedb.md")["RerankCoreReranker"]
    rows = [
        {"vector": [0.9, 0.1], "text": "Berlin is in Germany."},
        {"vector": [0.8, 0.2], "text": "Paris is the capital of France."},
    ]
    table = lancedb.connect(tmp_path).create_table("notes", rows)
    table.create_index("text", config=FTS())
    all_scores = ranker("local/bm25", return_score="all")
    words = table.search("Germany", query_type="fts").limit(5).rerank(all_scores).to_list()
    both = (
        table.search(query_type="hybrid").vector([1.0, 0.0]).text("capital").rerank(all_scores)
    ).to_list()
    none = table.search("Rome", query_type="fts").rerank(ranker("local/bm25")).to_list()

    assert [row["text"] for row in words] == ["Berlin is in Germany."]
    assert "_score" in words[0]
    assert both[0]["text"] == "Paris is the capital of France."
    assert none == []


def test_celery_ranks_in_a_worker_and_leaves_waiting_to_it(cohere: Any) -> None:
    """A task is tried again after the time that the service names."""
    memory = {'broker="redis://localhost"': 'broker="memory://"'}
    memory |= {'backend="redis://localhost"': 'backend="cache+memory://"'}
    module = module_of("celery", "cohere/rerank-v3.5", **memory)
    with start_worker(module.app, perform_ping_check=False, pool="solo"):
        done = module.rank.delay(**ASKED).get(timeout=60)
    cohere.answer(BUSY)

    assert [row["index"] for row in done["results"]] == [1]
    waits: list[float] = []

    def retry(*, exc: Exception, countdown: float) -> Exception:
        waits.append(countdown)
        return exc

    module.rank.retry = retry
    with pytest.raises(RateLimitError):
        module.rank.run(**ASKED)
    assert waits == [7]
    assert len(cohere.requests) == 1


def test_a_lambda_keeps_its_reranker_between_invocations(cohere: Any) -> None:
    """Its connections, too."""
    assert (RECIPES / "aws-lambda.md").exists()
    handler = module_of("aws-lambda", "cohere/rerank-v3.5").handler

    for _ in range(2):
        assert handler(json.loads(json.dumps(ASKED)), None) == [{"index": 1, "score": 0.9}]
    assert len(cohere.requests) == 2
    assert copy.copy(cohere.last.json)["documents"] == ASKED["documents"]
