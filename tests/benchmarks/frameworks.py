"""The adapters for frameworks beside the vendor's own: calls per second, 64 at once.

Run `python tests/environments.py frameworks`, put this project's packages there as `.ci/frameworks`
does, then `python tests/benchmarks/frameworks.py`. Each framework has a process of its own in its
environment, in which both take turns against one mock server on loopback. Every call ranks 100
documents of a hundred words; the server waits 50 ms before it answers, as a service would.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.payloads import KEY, MODEL, QUERY, documents, expected_index
from benchmarks.server import CLIENT_CPU, MockServer, pin
from environments import ENVIRONMENTS

DOCUMENTS = 100
AT_ONCE = 64
CALLS = 256
ROUNDS = 5
LATENCY = 0.05
THEIRS = {
    "langchain": "langchain-cohere",
    "llama_index": "llama-index-postprocessor-cohere-rerank",
    "haystack": "cohere-haystack",
}

Call = Callable[[], Awaitable[Any]]


def langchain(base: str) -> tuple[Call, Call]:
    """One call of ours and one of theirs; each gives what stands where a document's number was."""
    found = import_module("langchain_core.documents").Document
    given = [
        found(page_content=text, metadata={"at": at})
        for at, text in enumerate(documents(DOCUMENTS))
    ]
    ours = import_module("langchain_rerank_core").RerankCompressor(
        f"cohere/{MODEL}", api_key=KEY, api_base=base
    )
    theirs = import_module("langchain_cohere").CohereRerank(
        model=MODEL, cohere_api_key=KEY, base_url=base, top_n=DOCUMENTS
    )

    def calling(compressor: Any) -> Call:
        async def call() -> list[int]:
            ranked = await compressor.acompress_documents(given, QUERY)
            return [document.metadata["at"] for document in ranked]

        return call

    return calling(ours), calling(theirs)


def llama_index(base: str) -> tuple[Call, Call]:
    """As above."""
    schema = import_module("llama_index.core.schema")
    given = [
        schema.NodeWithScore(node=schema.TextNode(text=text, id_=str(at)), score=0.5)
        for at, text in enumerate(documents(DOCUMENTS))
    ]
    ours = import_module("llama_index.postprocessor.rerank_core").RerankPostprocessor(
        f"cohere/{MODEL}", api_key=KEY, api_base=base
    )
    theirs = import_module("llama_index.postprocessor.cohere_rerank").CohereRerank(
        model=MODEL, api_key=KEY, base_url=base, top_n=DOCUMENTS
    )

    def calling(postprocessor: Any) -> Call:
        async def call() -> list[int]:
            ranked = await postprocessor.apostprocess_nodes(given, query_str=QUERY)
            return [int(node.node_id) for node in ranked]

        return call

    return calling(ours), calling(theirs)


def haystack(base: str) -> tuple[Call, Call]:
    """As above."""
    found, secret = import_module("haystack").Document, import_module("haystack.utils").Secret
    given = [found(content=text, id=str(at)) for at, text in enumerate(documents(DOCUMENTS))]
    rankers = "haystack_integrations.components.rankers"
    ours = import_module(f"{rankers}.rerank_core").RerankCoreRanker(
        f"cohere/{MODEL}", api_key=secret.from_token(KEY), api_base=base
    )
    theirs = import_module(f"{rankers}.cohere").CohereRanker(
        MODEL, DOCUMENTS, api_key=secret.from_token(KEY), api_base_url=base
    )

    def calling(ranker: Any) -> Call:
        async def call() -> list[int]:
            ranked = await ranker.run_async(QUERY, given)
            return [int(document.id) for document in ranked["documents"]]

        return call

    return calling(ours), calling(theirs)


async def rate(call: Call) -> float:
    """Calls per second, so many at once; every answer is looked at."""
    wanted = [expected_index(DOCUMENTS, rank) for rank in range(DOCUMENTS)]

    async def work() -> None:
        for _ in range(CALLS // AT_ONCE):
            if await call() != wanted:
                raise ValueError("another ranking than the server's")

    begin = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return CALLS / (time.perf_counter() - begin)


async def compare(name: str, base: str) -> dict[str, list[float]]:
    """Rates of ours and of theirs, in turns, after a round that is not counted."""
    pin(CLIENT_CPU)
    calls = {"langchain": langchain, "llama_index": llama_index, "haystack": haystack}[name](base)
    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    for round_ in range(ROUNDS + 1):
        for whose, call in zip(rates, calls, strict=True):
            found = await rate(call)
            if round_:
                rates[whose].append(found)
    return rates


def main() -> None:
    """Print a line of a table for each framework."""
    print("| framework | ours | calls per second | theirs | calls per second |")
    print("|---|---|---|---|---|")
    for name, package in THEIRS.items():
        with MockServer() as server:
            server.wait(LATENCY)
            done = subprocess.run(  # noqa: S603 - our own
                [ENVIRONMENTS[name].bin / "python", __file__, name, server.base],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
        read = json.loads(done.stdout.splitlines()[-1])
        ours, theirs = (
            f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})"
            for rates in (read["ours"], read["theirs"])
        )
        print(
            f"| {name} {read['framework']} | {read['core']} | {ours} "
            f"| {package} {read['package']} | {theirs} |"
        )


def child(name: str, base: str) -> None:
    """What runs in the environment of one framework."""
    frameworks = {"langchain": "langchain-core", "haystack": "haystack-ai"}
    read: dict[str, Any] = dict(asyncio.run(compare(name, base)))
    read["framework"] = version(frameworks.get(name, "llama-index-core"))
    read["package"], read["core"] = version(THEIRS[name]), version("rerank-core")
    print(json.dumps(read))


if __name__ == "__main__":
    child(*sys.argv[1:]) if sys.argv[1:] else main()
