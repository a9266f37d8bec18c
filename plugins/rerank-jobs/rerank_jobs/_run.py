"""One run of a job: what earlier ones left, the engine, and what is left in the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from attrs import asdict, define, evolve, field

from rerank_cache import Cached, SQLiteStore
from rerank_jobs._content import Content, look_at
from rerank_jobs._engine import Asks, Engine
from rerank_jobs._journal import Journal, Marks, read_journal, replace_file
from rerank_jobs._limits import Throttle, Window
from rerank_jobs._output import write_output
from rerank_jobs._report import JobReport
from rerank_jobs._rows import Row, Source, find_source
from rerank_jobs._send import Connections, Gate
from rerank_jobs._spend import Ledger
from rerank_jobs._state import Folder, plain
from rerank_jobs.errors import JobError

if TYPE_CHECKING:
    from rerank_jobs._job import Job

Watch = Callable[[JobReport], None]

_SPENT = {"attempts": "requests", "tokens": "tokens", "cost": "usd"}
_TICK = 1.0  # seconds between two looks at the progress


@define
class Run:
    """One run of a job, which has its folder.

    Attributes:
        job: What it runs.
        folder: Its files, locked.
        content: What the input holds.
        fingerprint: What the job is.
        ledger: What is spent.
        done: Rows that are in the output.
        failed: Rows that are in `failed.jsonl`.
        ranked_now: Rows that this run ranked.
        listed: What the lines of both files say was spent.
        started: When it began.
    """

    job: Job
    folder: Folder
    content: Content
    fingerprint: Mapping[str, Any]
    ledger: Ledger
    done: Marks = field(init=False)
    failed: Marks = field(init=False)
    ranked_now: int = 0
    listed: dict[str, float] = field(factory=lambda: dict.fromkeys(_SPENT, 0))
    started: float = field(factory=time.monotonic)

    async def run(self, watch: Watch, begun: Callable[[Engine], None]) -> JobReport:
        job = self.job
        self._restore()
        journal, failures = Journal(self.folder.journal), Journal(self.folder.failed)

        def write(row: Row, line: dict[str, Any]) -> None:
            journal.append(line)
            self._list(line)
            self.done.add(row.number)
            self.failed.discard(row.number)
            self.ranked_now += 1

        def write_failed(row: Row, line: dict[str, Any]) -> None:
            failures.append(line)
            self._list(line)
            self.failed.add(row.number)

        throttle = Throttle(job.requests_per_minute, job.tokens_per_minute)
        gate = Gate(throttle, self.ledger, Window(job.concurrency))
        params = {"top_n": job.top_n, "rank_fields": job.rank_fields, **job.params}
        params["return_documents"] = False
        source = find_source(job.input, job.format, job.corpus, job.topics)
        again = job.retry_failed

        def skip(number: int) -> bool:
            if number >= self.content.rows:  # it grew since it was counted
                return True
            return number in self.done or (number in self.failed and not again)

        async with AsyncExitStack() as stack:
            stack.callback(journal.close)
            stack.callback(failures.close)
            connections = await stack.enter_async_context(Connections(job.model, job.options, gate))
            asks = self._cached(connections, stack)
            engine = Engine(asks, gate, params, write, write_failed, has_ranked=self.done.count > 0)
            begun(engine)
            ticker = asyncio.create_task(self._tick(watch, engine, journal, source))
            stack.callback(ticker.cancel)
            self._save(self._report(engine))
            try:
                await engine.run(source.read(skip))
                self._check_input(source)
            finally:
                journal.sync()
                failures.sync()
                report = self._report(engine, ended=True)
                self._save(report)
                watch(report)
        if report.pending == 0:
            self._finish(report)
        return report

    def _cached(self, connections: Connections, stack: AsyncExitStack) -> Asks:
        cache = self.job.cache
        if cache is None:
            return connections
        if isinstance(cache, (str, Path)):
            cache = SQLiteStore(cache)
            stack.callback(cache.close)
        return Cached(connections, cache, options=connections.choices)

    def _restore(self) -> None:
        """What earlier runs ranked, failed to rank, and spent."""
        self.done, self.failed = Marks(self.content.rows), Marks(self.content.rows)
        progress = (self.folder.read() or {}).get("progress", {})
        self.ledger.restore(progress.get("carried", {}))
        for line in read_journal(self.folder.journal, self.content.rows):
            if not self.done.add(line["row"]):
                raise JobError(f"{self.folder.journal.name}: row {line['row']} stands there twice")
            self.ledger.restore(line["usage"])
            self._list(line)
        for line in read_journal(self.folder.failed, self.content.rows):
            self.ledger.restore(line["usage"])
            self._list(line)
            if line["row"] not in self.done:
                self.failed.add(line["row"])
        # Lines may be gone, with an output that was removed: what was spent is not.
        for name in _SPENT.values():
            spent = max(getattr(self.ledger, name), progress.get(name, 0))
            setattr(self.ledger, name, spent)

    def _report(self, engine: Engine, *, ended: bool = False) -> JobReport:
        report = JobReport(
            state="running",
            rows=self.content.rows,
            ranked=self.done.count,
            failed=self.failed.count,
            requests=self.ledger.requests,
            tokens=self.ledger.tokens,
            usd=self.ledger.usd,
            unknown_costs=self.ledger.unknown_costs,
            seconds=time.monotonic() - self.started,
            ranked_now=self.ranked_now,
            reason=engine.reason,
        )
        if not ended:
            return report
        if report.pending == 0:
            return evolve(report, state="failed" if report.failed else "done", reason="")
        return evolve(report, state=engine.stopped or "aborted")

    def _save(self, report: JobReport) -> None:
        names = ("state", "rows", "ranked", "failed", "requests", "tokens", "usd")
        progress = {name: getattr(report, name) for name in (*names, "unknown_costs", "reason")}
        # What no line tells of: rows that are pending again, and failures that are left out.
        progress["carried"] = {
            name: getattr(self.ledger, field) - self.listed[name] for name, field in _SPENT.items()
        }
        self.folder.write(plain(self.fingerprint), asdict(self.content), progress)

    async def _tick(self, watch: Watch, engine: Engine, journal: Journal, source: Source) -> None:
        try:
            while True:
                await asyncio.sleep(_TICK)
                journal.sync()
                report = self._report(engine)
                self._save(report)
                watch(report)
                self._check_input(source)
        except (OSError, JobError) as error:
            engine.error = engine.error or error
            engine.stop("aborted", str(error))

    def _check_input(self, source: Source) -> None:
        """Refuse to go on where rows may be others than those that were counted.

        Raises:
            JobError: A file changed since then.
        """
        if look_at(source) != self.content.seen:
            raise JobError(f"{source.path.name} changed while the job ran")

    def _finish(self, report: JobReport) -> None:
        """Leave in `failed.jsonl` what is failed, each row once, and write the output."""
        last: dict[int, dict[str, Any]] = {}
        for line in read_journal(self.folder.failed, self.content.rows):
            if (earlier := last.pop(line["row"], None)) is not None:
                self._list(earlier, -1)
            last[line["row"]] = line
        for number in [number for number in last if number not in self.failed]:
            self._list(last.pop(number), -1)
        written = (orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in last.values())
        replace_file(self.folder.failed, b"".join(written))
        # Not before: a kill in between would have what is left out counted twice from then on.
        self._save(report)
        if self.folder.journal != self.job.output or self.job.in_order:
            write_output(self.job.output, self.folder.journal, self.content.rows)

    def _list(self, line: Mapping[str, Any], sign: int = 1) -> None:
        """Count what a line says was spent, or that it says so no more."""
        if line["usage"]["attempts"]:  # else nothing was: a cache or this process answered
            for name in _SPENT:
                self.listed[name] += sign * (line["usage"][name] or 0)
