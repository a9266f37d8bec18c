"""The engine: a window of rows under way, each written when it is finished."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

from attrs import define, field

from rerank_core import (
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    PluginError,
    RateLimitError,
    RerankError,
    RerankResponse,
)
from rerank_jobs._limits import LONGEST_GATE, EndedError
from rerank_jobs._rows import Row
from rerank_jobs._send import Gate
from rerank_jobs._sent import Sent, begin_row
from rerank_jobs._spend import CapReachedError

# What would fail alike for every further row.
_FATAL = (
    AuthenticationError,
    PermissionDeniedError,
    ConfigurationError,
    PluginError,
    NotFoundError,
)
_PAYMENT_REQUIRED = 402
_SPENT_WORDS = ("quota", "billing", "credit", "balance", "payment", "monthly", "trial key")
# Said with a rate, whatever else is: advice to pay for a higher one often stands beside it.
_RATE = re.compile(r"(?:(?:\bper|/) *(?:s|sec|m|min)|\b(?:seconds?|minutes?|[rt]pm))\b")
_SOON = 120.0  # seconds: what comes back so soon is a rate, whatever the service calls it
_MOST_REFUSALS = 5  # of one row, each after core's own retries
_FIRST_FAILURES = 10
_FAILURES_IN_A_ROW = 50

Stop = Literal["paused", "capped", "aborted", "interrupted"]


class Asks(Protocol):
    """What ranks one row: a `Reranker`, or what stands in front of one."""

    async def arerank(self, query: str, documents: Any, **params: Any) -> RerankResponse:
        """Order documents by relevance to a query."""


@define
class Engine:
    """Ranks rows, some at once.

    Attributes:
        asks: What ranks.
        gate: What every request passes.
        params: Of every call.
        write: Takes a ranked row's line.
        write_failed: Takes a failed row's line.
        stopped: Why no further row is begun; `None` while rows are.
        reason: The same for people.
        error: What is raised in the end: a fault that is no row's.
        has_ranked: Whether any row was ranked, in an earlier run perhaps.
    """

    asks: Asks
    gate: Gate
    params: dict[str, Any]
    write: Callable[[Row, dict[str, Any]], None]
    write_failed: Callable[[Row, dict[str, Any]], None]
    stopped: Stop | None = None
    reason: str = ""
    error: BaseException | None = None
    has_ranked: bool = False
    _again: deque[Row] = field(factory=deque)
    _refusals: Counter[int] = field(factory=Counter)
    _failures_in_a_row: int = 0
    _tasks: set[asyncio.Task[None]] = field(factory=set)
    _wake: asyncio.Event = field(factory=asyncio.Event)

    async def run(self, rows: Iterator[Row]) -> None:
        """Rank rows until there are none, or something stops it; then finish what is under way."""
        try:
            while True:
                self._wake.clear()
                if self.stopped is None and len(self._tasks) < self.gate.window.size:
                    row = self._again.popleft() if self._again else next(rows, None)
                    if row is not None:
                        task = asyncio.create_task(self._rank(row))
                        self._tasks.add(task)
                        task.add_done_callback(self._ended)
                        continue
                if not self._tasks and (self.stopped or not self._again):
                    break
                await self._wake.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.error is not None:
            raise self.error

    def stop(self, why: Stop, reason: str) -> None:
        """Begin no further row; those that wait for their first request stay pending."""
        if self.stopped is None:
            self.stopped, self.reason = why, reason
            if why != "capped":  # there, what fits is still sent
                self.gate.throttle.end()
        self._wake.set()

    def cancel(self) -> None:
        """Give up what is under way as well: it stays pending."""
        self.stop("interrupted", "interrupted")
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.error = self.error or error
            self.stop("aborted", f"{type(error).__name__}: {error}")
        self._wake.set()

    async def _rank(self, row: Row) -> None:
        sent, started = begin_row(row.query, len(row.documents)), time.monotonic()
        try:
            if row.fault:
                raise InvalidRequestError(row.fault)
            response = await self.asks.arerank(row.query, row.documents, **self.params)
        except CapReachedError:
            self.stop("capped", "the cap is reached")
        except EndedError:
            pass  # it was not sent: the row is pending
        except RerankError as error:
            self._sort_out(row, error, sent, time.monotonic() - started)
        else:
            self.write(row, self._line(row, response, sent, time.monotonic() - started))
            self._failures_in_a_row, self.has_ranked = 0, True
            self.gate.window.answered()
        finally:
            self.gate.ledger.close(sent)

    def _line(
        self, row: Row, response: RerankResponse, sent: Sent, seconds: float
    ) -> dict[str, Any]:
        tokens, cost, more = self.gate.ledger.settle(sent, response.meta, response.cost)
        self.gate.throttle.settle(more)
        results: list[dict[str, Any]] = [
            {"index": result.index, "relevance_score": result.relevance_score}
            for result in response.results
        ]
        for result in results if row.document_ids is not None else ():
            result["id"] = (row.document_ids or ())[result["index"]]
        line: dict[str, Any] = {"id": row.id, "row": row.number, "results": results}
        if response.warnings:
            line["warnings"] = list(response.warnings)
        return line | {"usage": _usage(sent, tokens, cost, seconds)}

    def _sort_out(self, row: Row, error: RerankError, sent: Sent, seconds: float) -> None:
        if _is_spent(error):
            self.stop("paused", f"nothing is left of a quota: {error}")
        elif isinstance(error, RateLimitError) and (error.retry_after or 0) > LONGEST_GATE:
            self.stop("paused", f"the service asks to wait {error.retry_after:,.0f} s: {error}")
        elif isinstance(error, RateLimitError):
            self.gate.throttle.close(error.retry_after)
            self.gate.window.refused()
            self._again.append(row)
            self._refusals[row.number] += 1
            if self._refusals[row.number] >= _MOST_REFUSALS:
                self.stop("paused", f"the service goes on refusing: {error}")
        elif isinstance(error, _FATAL) and not isinstance(error, InvalidRequestError):
            self.stop("aborted", str(error))
            self.error = self.error or error
        else:
            self._fail(row, error, sent, seconds)

    def _fail(self, row: Row, error: RerankError, sent: Sent, seconds: float) -> None:
        unsure = sent.unsure()
        tokens = sum(round(each.tokens) for each in unsure) or None
        cost = sum(each.usd for each in unsure)
        line = {
            "id": row.id,
            "row": row.number,
            "error": type(error).__name__,
            "message": str(error),
            "usage": _usage(sent, tokens, cost, seconds),
        }
        self.write_failed(row, line)
        self._failures_in_a_row += 1
        most = _FAILURES_IN_A_ROW if self.has_ranked else _FIRST_FAILURES
        if self._failures_in_a_row >= most:
            where = "in a row" if self.has_ranked else "from the first on"
            self.stop("aborted", f"{most} rows failed {where}, the last one: {error}")


def _is_spent(error: RerankError) -> bool:
    """Whether a quota or the money is gone, which no waiting of minutes brings back."""
    if not isinstance(error, APIStatusError):
        return False
    if error.status_code == _PAYMENT_REQUIRED:
        return True
    if error.retry_after is not None and error.retry_after <= _SOON:
        return False
    said = str(error).lower()
    refused = isinstance(error, (RateLimitError, PermissionDeniedError))
    return refused and not _RATE.search(said) and any(word in said for word in _SPENT_WORDS)


def _usage(sent: Sent, tokens: int | None, cost: float | None, seconds: float) -> dict[str, Any]:
    return {
        "attempts": len(sent.attempts),
        "tokens": tokens,
        "cost": cost,
        "seconds": round(seconds, 4),
    }
