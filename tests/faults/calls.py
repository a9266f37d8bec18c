"""Calls made against a faulty server, and what is asked of every one of them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
from attrs import field, frozen

from core.loopback import comes_true
from faults.server import FaultServer, Step, rank, serving, step
from rerank_core import Reranker, RerankError, RerankResponse

KEY = "canary-0123456789-abcdef"
MODEL = "cohere/rerank-v3.5"
DOCUMENTS = ["one", "two"]
DRIVERS = ("rerank", "arerank", "arerank-trio")
TWO_DRIVERS = pytest.mark.parametrize("call", DRIVERS[:2], indirect=True)
"""For what happens above the sockets: there the event loop makes no difference."""
QUICK = {"timeout": 0.5, "max_retries": 1}
"""For services that say nothing: they cost this much time."""
USUAL = {"api_key": KEY, "max_retries": 1, "timeout": 5.0}
"""Options of every call that has no others."""
MOST_TEXT = 1100  # 1000 characters of a message, behind provider and model
"""The most characters that an error may say, whatever a service sends."""

Outcome = RerankResponse | RerankError


def _nothing() -> None:
    """Do nothing."""


def _outcome_of(reranker: Reranker, query: str) -> Outcome:
    try:
        return reranker.rerank(query, DOCUMENTS)
    except RerankError as error:
        return error


@frozen
class MakeCalls:
    """Makes calls one after another with one `Reranker`.

    Attributes:
        driver: One of `DRIVERS`.
    """

    driver: str

    def __call__(
        self,
        url: str,
        *queries: str,
        between: Callable[[], None] = _nothing,
        documents: Any = DOCUMENTS,
        **options: Any,
    ) -> list[Outcome]:
        """Ask each query of the service, and return what each came to.

        Args:
            url: The service's base URL.
            queries: One for each call.
            between: Done before every call but the first.
            documents: The same for all.
            options: Of the `Reranker`.
        """
        options = {**USUAL, "api_base": url, **options}
        outcomes: list[Outcome] = []
        if self.driver == "rerank":
            with Reranker(MODEL, **options) as reranker:
                for at, query in enumerate(queries):
                    if at:
                        between()
                    try:
                        outcomes.append(reranker.rerank(query, documents))
                    except RerankError as error:
                        outcomes.append(error)
            return outcomes

        async def main() -> None:
            async with Reranker(MODEL, **options) as reranker:
                for at, query in enumerate(queries):
                    if at:
                        between()
                    try:
                        outcomes.append(await reranker.arerank(query, documents))
                    except RerankError as error:
                        outcomes.append(error)

        anyio.run(main, backend="trio" if self.driver == "arerank-trio" else "asyncio")
        return outcomes

    def side_by_side(self, url: str, *queries: str, **options: Any) -> list[Outcome]:
        """Ask all queries at the same time, with one `Reranker`; the outcomes in their order."""
        options = {**USUAL, "api_base": url, **options}
        if self.driver == "rerank":
            with Reranker(MODEL, **options) as reranker, ThreadPoolExecutor(len(queries)) as pool:
                return list(pool.map(lambda query: _outcome_of(reranker, query), queries))
        outcomes: dict[str, Outcome] = {}

        async def ask(reranker: Reranker, query: str) -> None:
            try:
                outcomes[query] = await reranker.arerank(query, DOCUMENTS)
            except RerankError as error:
                outcomes[query] = error

        async def main() -> None:
            async with Reranker(MODEL, **options) as reranker, anyio.create_task_group() as group:
                for query in queries:
                    group.start_soon(ask, reranker, query)

        anyio.run(main, backend="trio" if self.driver == "arerank-trio" else "asyncio")
        return [outcomes[query] for query in queries]

    def once(self, url: str, query: str = "first", **keywords: Any) -> Outcome:
        """Make one call."""
        return self(url, query, **keywords)[0]


@frozen
class Fault:
    """What a server does, and what the call is to come to.

    Attributes:
        script: The server's steps, one for each attempt; the last one again and again.
        outcome: The kind of the error; `None` where the ranking is to be had all the same.
        requests: How many the server is to see.
        connections: How many it is to see, where that matters.
        says: What stands in the error's text.
        options: Of the `Reranker`.
    """

    script: tuple[Step, ...]
    outcome: type[RerankError] | None
    requests: int = 1
    connections: int | None = None
    says: str = ""
    options: Mapping[str, Any] = field(factory=dict)


def fault(name: str, *script: Step, outcome: type[RerankError] | None, **expected: Any) -> Any:
    """A row of a table of faults, under the name that the test report shows."""
    return pytest.param(Fault(script, outcome, **expected), id=name)


def check_fault(call: MakeCalls, found: Fault) -> None:
    """The call comes to what is expected, and the next one to its own answer in one request."""
    seen: list[int] = []

    def recover() -> None:
        server.answer(step(rank))
        assert comes_true(lambda: len(server.requests) >= found.requests)
        seen.extend((len(server.requests), server.connections))

    with serving(*found.script) as server:
        first, second = call(server.url, "first", "second", between=recover, **found.options)

        check_outcome(first, found.outcome, says=found.says)
        requests, connections = seen
        assert requests == found.requests, f"{requests} requests"
        assert found.connections in {None, connections}, f"{connections} connections"
        check_outcome(second, None, query="second")
        assert len(server.requests) == found.requests + 1, "the next call was harmed"


def check_outcome(
    outcome: Outcome, kind: type[RerankError] | None, *, says: str = "", query: str = "first"
) -> None:
    """It is the ranking for this query, or exactly this error, in few words and without the key."""
    if kind is None:
        assert isinstance(outcome, RerankResponse), shown(outcome)
        assert outcome.id == query
        assert [result.index for result in outcome.results] == [1, 0]
        return
    assert type(outcome) is kind, shown(outcome)
    assert says in str(outcome)
    assert len(str(outcome)) <= MOST_TEXT
    assert KEY not in shown(outcome)


def shown(outcome: Outcome) -> str:
    """Everything that a traceback, a log line or a debugger would show of an outcome."""
    if isinstance(outcome, RerankResponse):
        return f"{outcome!r} {outcome.warnings}"
    return "".join(traceback.format_exception(outcome)) + repr(outcome) + repr(outcome.response)


def check_next_calls(call: MakeCalls, server: FaultServer, url: str) -> None:
    """The calls after the first, to which the server does as it was told, get their own answers."""
    _, second, third = call(
        url,
        "first",
        "second",
        "third",
        between=lambda: server.answer(step(rank)),
        max_retries=0,
    )

    check_outcome(second, None, query="second")
    check_outcome(third, None, query="third")
