"""`Compute` with a generator function: steps, between which a call can be given up."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import anyio
import anyio.to_thread
import pytest

from rerank_core import (
    Compute,
    InvalidRequestError,
    PluginError,
    Provider,
    RequestTimeoutError,
    Reranker,
    RerankResponse,
    RerankResult,
    hookimpl,
)


class Steps:
    """A plugin that scores in steps."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    @hookimpl
    def resolve_provider(self) -> Provider:
        """State that nothing is sent."""
        return Provider(name="steps", auth=None, api_key_required=False)

    @hookimpl
    def map_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Take none."""
        return dict(params)

    @hookimpl
    def build_request(self) -> Compute:
        """Compute in steps."""
        return Compute(self._function)

    @hookimpl
    def parse_response(self, payload: Any) -> RerankResponse:
        """Number the scores."""
        return RerankResponse([RerankResult(at, score) for at, score in enumerate(payload)])


def test_what_the_generator_returns_is_the_payload() -> None:
    """What it yields is ignored; blocking and awaited alike."""

    def compute() -> Generator[Any, None, list[float]]:
        yield 1
        yield 2
        return [0.25, 0.75]

    reranker = Reranker("m", provider=Steps(compute))
    awaited = anyio.run(reranker.arerank, "q", ["a", "b"])

    assert [result.index for result in awaited.results] == [1, 0]
    assert reranker.rerank("q", ["a", "b"]).results == awaited.results


def test_a_lone_surrogate_is_refused_before_the_work_begins() -> None:
    """As where documents are sent: by its place."""
    begun = iter([[0.25, 0.75]])

    with pytest.raises(InvalidRequestError, match=r"documents\[1\] has a lone surrogate"):
        Reranker("m", provider=Steps(lambda: next(begun))).rerank("q", ["a", "b\ud83d"])

    assert next(begun)


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_what_a_step_raises_is_the_plugin_s_fault(kind: type[BaseException]) -> None:
    """As of work in one piece; a library that would end the program ends no event loop."""

    def compute() -> Iterator[None]:
        yield
        message = "odd"
        raise kind(message)

    reranker = Reranker("m", provider=Steps(compute))

    with pytest.raises(PluginError, match=f"the computation raised {kind.__name__}: odd"):
        asyncio.run(reranker.arerank("q", ["a"]))


@pytest.mark.parametrize("options", [{}, {"deadline": 60}, {"on_failure": "passthrough"}], ids=str)
def test_a_program_that_is_told_to_end_during_a_computation_ends(options: dict[str, Any]) -> None:
    """A handler that exits, as servers' have, is not taken for the plugin's fault."""

    def compute() -> Iterator[None]:
        yield
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.01)
        yield from itertools.repeat(None)

    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    try:
        with pytest.raises(SystemExit, match="told to end"):
            Reranker("m", provider=Steps(compute), **options).rerank("q", ["a"])
    finally:
        signal.signal(signal.SIGTERM, before)


class Endless:
    """Counts steps without end."""

    def __init__(self) -> None:
        self.steps = 0
        self.begun = threading.Event()

    def __call__(self) -> Iterator[None]:
        """Go on for ever."""
        while True:
            self.steps += 1
            self.begun.set()
            time.sleep(0.01)
            yield

    def has_ended(self) -> bool:
        """Whether no step is taken any more; the one that was under way may end."""
        time.sleep(0.1)
        before = self.steps
        time.sleep(0.2)
        return self.steps == before


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_computation_ends_behind_its_step(backend: str) -> None:
    """And no later."""
    endless = Endless()

    async def run() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(Reranker("m", provider=Steps(endless)).arerank, "q", ["a"])
            await anyio.to_thread.run_sync(endless.begun.wait, 10)
            group.cancel_scope.cancel()

    anyio.run(run, backend=backend)

    assert endless.has_ended()


def test_a_cancelled_task_ends_its_computation_too() -> None:
    """Cancelled by asyncio itself, as servers do."""
    endless = Endless()

    async def run() -> None:
        asked = Reranker("m", provider=Steps(endless)).arerank("q", ["a"])
        task = asyncio.create_task(asked)
        await asyncio.to_thread(endless.begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())

    assert endless.has_ended()


@pytest.mark.parametrize("awaited", [False, True])
def test_a_computation_ends_at_the_deadline(awaited: bool) -> None:  # noqa: FBT001 - a case
    """Between two steps."""
    endless = Endless()
    reranker = Reranker("m", provider=Steps(endless), deadline=0.1)

    def ask() -> object:
        return anyio.run(reranker.arerank, "q", ["a"]) if awaited else reranker.rerank("q", ["a"])

    with pytest.raises(RequestTimeoutError):
        ask()

    assert endless.has_ended()
