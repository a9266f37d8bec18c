"""The calls of a soak: made side by side by either driver, each outcome noted once."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Iterable
from typing import Any, Final
from zlib import crc32

import anyio
from attrs import define, field

from core.virtual import ScriptedPlugin
from rerank_core import Reranker, RerankError, RerankResponse
from soak.behaviours import has_deadline, is_refused, is_split, score
from soak.watch import living_tasks, missing_from

CONCURRENCY: Final = 64
MAX_RETRIES: Final = 2
PART: Final = 3
MOST_BYTES: Final = 100_000
DEADLINE: Final = 50.0
"""Seconds: less than the minute that a service which asks for a day is given."""
UNKNOWN: Final = 0
RIGHT: Final = 1
WRONG: Final = 2
FOREIGN: Final = 3
_KINDS: Final = 4  # the first number that stands for an error of ours


def documents_of(call: int) -> list[str]:
    """What a call ranks: 3 to 10 documents that no other call has."""
    return [f"{call} {at} {'word ' * (at % 3)}" for at in range(3 + crc32(b"%d" % call) % 8)]


def count_parts(call: int) -> int:
    """In how many parts a call's list is sent."""
    return -(-len(documents_of(call)) // PART) if is_split(call) else 1


def _is_right(call: int, response: RerankResponse) -> bool:
    documents = documents_of(call)
    truth = sorted(((score(text), at) for at, text in enumerate(documents)), key=_by_score)
    return [
        (result.relevance_score, result.index, result.document and result.document.text)
        for result in response.results
    ] == [(relevance, at, documents[at]) for relevance, at in truth]


def _by_score(pair: tuple[float, int]) -> tuple[float, int]:
    return -pair[0], pair[1]


@define(eq=False)
class Outcomes:
    """What became of each call, in a few bytes each.

    Attributes:
        calls: How many there are.
        limit: Seconds after which no further call is begun.
        codes: What each ended in.
        seconds: How long each took.
        kinds: The errors that the codes from `_KINDS` stand for.
        notes: What nobody expected.
    """

    calls: int
    limit: float
    codes: array[int] = field(init=False)
    seconds: array[float] = field(init=False)
    kinds: list[type[RerankError]] = field(factory=list)
    notes: list[str] = field(factory=list)
    doubled: int = 0
    _began: float = field(factory=time.monotonic)
    _lock: threading.Lock = field(factory=threading.Lock)

    def __attrs_post_init__(self) -> None:
        """Make room at once, so that memory tells of the calls alone."""
        self.codes = array("b", bytes(self.calls))
        self.seconds = array("d", bytes(8 * self.calls))

    def error_of(self, call: int) -> type[RerankError] | None:
        """The error that a call ended in."""
        code = self.codes[call]
        return self.kinds[code - _KINDS] if code >= _KINDS else None

    def time_is_up(self) -> bool:
        """Whether no further call is to be begun."""
        return time.monotonic() - self._began > self.limit

    def note(self, call: int, began: float, found: RerankResponse | BaseException) -> None:
        """Enter one outcome."""
        if isinstance(found, RerankResponse):
            code = RIGHT if _is_right(call, found) else WRONG
        elif isinstance(found, RerankError):
            code = self._code(type(found))
        else:
            code = FOREIGN
            self.notes.append(f"call {call}: {found!r}")
        with self._lock:
            self.doubled += self.codes[call] != UNKNOWN
            self.codes[call] = code
        self.seconds[call] = time.monotonic() - began

    def _code(self, kind: type[RerankError]) -> int:
        with self._lock:
            if kind not in self.kinds:
                self.kinds.append(kind)
            return _KINDS + self.kinds.index(kind)


class Asking:
    """The rerankers of one service: with and without a deadline, whole lists and parts.

    One more asks where nobody listens.
    """

    def __init__(self, url: str, nobody: str, timeout: float, outcomes: Outcomes) -> None:
        self.outcomes = outcomes
        options: dict[str, Any] = {
            "provider": ScriptedPlugin(),
            "timeout": timeout,
            "max_retries": MAX_RETRIES,
            "max_response_bytes": MOST_BYTES,
        }
        self.whole = Reranker("m", api_base=url, **options)
        self.hurried = Reranker("m", api_base=url, deadline=DEADLINE, **options)
        self.split = Reranker("m", api_base=url, deadline=DEADLINE, max_documents=PART, **options)
        self.lost = Reranker("m", api_base=nobody, **options)

    def reranker(self, call: int) -> Reranker:
        """The one for this call."""
        if is_split(call):
            return self.split
        if is_refused(call):
            return self.lost
        return self.hurried if has_deadline(call) else self.whole

    @property
    def _all(self) -> tuple[Reranker, ...]:
        return self.whole, self.hurried, self.split, self.lost

    def run_threads(self, calls: Iterable[int]) -> None:
        """Make the calls from threads."""
        left, lock = iter(calls), threading.Lock()

        def work() -> None:
            while not self.outcomes.time_is_up():
                with lock:
                    call = next(left, None)
                if call is None:
                    return
                began = time.monotonic()
                found: RerankResponse | BaseException
                try:
                    found = self.reranker(call).rerank(f"question {call}", documents_of(call))
                except BaseException as error:  # noqa: BLE001 - it is the outcome
                    found = error
                self.outcomes.note(call, began, found)

        threads = [threading.Thread(target=work) for _ in range(CONCURRENCY)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for reranker in self._all:
            reranker.close()

    def run_asyncio(self, calls: Iterable[int]) -> None:
        """Make the calls from tasks of asyncio."""
        anyio.run(self._run_tasks, calls)

    def run_trio(self, calls: Iterable[int]) -> None:
        """Make the calls from tasks of trio."""
        anyio.run(self._run_tasks, calls, backend="trio")

    async def _run_tasks(self, calls: Iterable[int]) -> None:
        before, left = living_tasks(), iter(calls)

        async def work() -> None:
            for call in left:
                if self.outcomes.time_is_up():
                    return
                began = time.monotonic()
                found: RerankResponse | BaseException
                try:
                    found = await self.reranker(call).arerank(
                        f"question {call}", documents_of(call)
                    )
                except Exception as error:  # noqa: BLE001 - it is the outcome
                    found = error
                self.outcomes.note(call, began, found)

        async with anyio.create_task_group() as group:
            for _ in range(CONCURRENCY):
                group.start_soon(work)
        for reranker in self._all:
            await reranker.aclose()
        # Here, for what runs a loop cancels in silence whatever is left.
        if tasks := missing_from(before, living_tasks()):
            self.outcomes.notes.append(f"tasks are left: {tasks}")
