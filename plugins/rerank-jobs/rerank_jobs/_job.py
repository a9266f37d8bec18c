"""`Job`: a model over the rows of a file, resumed as often as it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
from attrs import asdict, define, evolve, field, frozen

from rerank_cache import Cached, SQLiteStore, Store
from rerank_core import Reranker
from rerank_jobs._engine import Asks, Engine
from rerank_jobs._journal import Journal, Marks, read_journal, replace_file
from rerank_jobs._limits import Throttle, Window
from rerank_jobs._output import check_output, write_output
from rerank_jobs._report import Estimate, JobReport
from rerank_jobs._rows import Content, Row, find_source, look_at, scan
from rerank_jobs._send import Connections, Gate, check_options
from rerank_jobs._spend import Caps, Ledger
from rerank_jobs._state import Folder, options_of_fingerprint, plain
from rerank_jobs.errors import JobError

_CHARS_PER_TOKEN = 4
_TICK = 1.0  # seconds between two looks at the progress

Watch = Callable[[JobReport], None]


def _to_path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _positive(_: object, attribute: Any, value: float | None) -> None:
    if value is not None and not value > 0:
        raise JobError(f"{attribute.name} must be more than 0, not {value!r}")


@frozen(kw_only=True)
class Job:
    """A model over the rows of a file; the same job run again goes on where it stopped.

    Attributes:
        input: The file of rows: JSON Lines, Parquet, CSV, or a TREC run.
        model: `provider/model`.
        output: Where rankings go: `.jsonl` as they are finished; `.parquet`, `.csv`, `.run` at
            the end. Beside it, `<output>.job/` keeps what a job that is resumed needs.
        format: The input's format, where its name does not tell it.
        corpus: For a TREC run: its documents.
        topics: For a TREC run: its queries.
        top_n: The most results a row; `None` for all.
        rank_fields: The fields of mapping documents that count; `None` for all.
        params: Further parameters of each call.
        options: Options of `Reranker`; not `fallbacks`, `on_failure` or `http_client`.
        concurrency: The most rows under way at once, from 1.
        requests_per_minute: The most requests, retries among them; `None` for no limit.
        tokens_per_minute: The most tokens; likewise.
        max_requests: The most requests over all runs; `None` for no cap.
        max_tokens: The most tokens over all runs.
        max_usd: The most US dollars over all runs; needs a model whose price is known.
        cache: A store of scores, or the path of one; `None` for none.
        retry_failed: Rank the rows in `failed.jsonl` again.
        in_order: Write a `.jsonl` output anew at the end, in the order of the input.

    Raises:
        JobError: A setting makes no sense.
    """

    input: Path = field(converter=Path)
    model: str
    output: Path = field(converter=Path)
    format: str | None = None
    corpus: Path | None = field(default=None, converter=_to_path)
    topics: Path | None = field(default=None, converter=_to_path)
    top_n: int | None = None
    rank_fields: Sequence[str] | None = None
    params: Mapping[str, Any] = field(factory=dict)
    options: Mapping[str, Any] = field(factory=dict, repr=False)
    concurrency: int = field(default=16, validator=_positive)
    requests_per_minute: float | None = field(default=None, validator=_positive)
    tokens_per_minute: float | None = field(default=None, validator=_positive)
    max_requests: int | None = field(default=None, validator=_positive)
    max_tokens: int | None = field(default=None, validator=_positive)
    max_usd: float | None = field(default=None, validator=_positive)
    cache: Store | str | Path | None = None
    retry_failed: bool = False
    in_order: bool = False

    def run(self, watch: Watch = lambda _: None) -> JobReport:
        """`arun`, blocking."""
        return asyncio.run(self.arun(watch))

    async def arun(
        self, watch: Watch = lambda _: None, begun: Callable[[Engine], None] = lambda _: None
    ) -> JobReport:
        """Rank every row that is neither ranked nor failed yet.

        Args:
            watch: Told of the progress, once a second and in the end.
            begun: Given the engine, which can be stopped.

        Returns:
            How far the job came, and why no further.

        Raises:
            JobError: The job cannot be run: nothing was sent.
            RerankError: Something that would fail for every row.
            OSError: The output cannot be written.
        """
        check_options(self.options)
        folder = Folder(self.output)
        with Reranker(self.model, **self.options) as reranker:
            price = reranker.facts.price
            check_cap(self.max_usd, price, self.model)
            content = self._scan(folder, reranker.facts.max_documents)
        fingerprint = self._fingerprint(content)
        check_output(self.output, documents_have_ids=content.documents_have_ids)
        folder.check(fingerprint)
        folder.acquire()
        try:
            ledger = Ledger(Caps(self.max_requests, self.max_tokens, self.max_usd), price)
            run = _Run(self, folder, content, fingerprint, ledger)
            return await run.run(watch, begun)
        finally:
            folder.release()

    def estimate(self) -> Estimate:
        """What the whole job would take; nothing is sent or written.

        Raises:
            JobError: The job cannot be run.
        """
        check_options(self.options)
        with Reranker(self.model, **self.options) as reranker:
            facts = reranker.facts
        check_cap(self.max_usd, facts.price, self.model)
        source = find_source(self.input, self.format, self.corpus, self.topics)
        content = scan(source, facts.max_documents)
        check_output(self.output, documents_have_ids=content.documents_have_ids)
        tokens = content.chars // _CHARS_PER_TOKEN
        usd = None
        if facts.price:
            units = content.requests if facts.price.unit == "search_units" else tokens
            usd = units * facts.price.usd
        minutes = [
            amount / limit
            for amount, limit in (
                (content.requests, self.requests_per_minute),
                (tokens, self.tokens_per_minute),
            )
            if limit
        ]
        return Estimate(
            rows=content.rows,
            pairs=content.pairs,
            faults=content.faults,
            requests=content.requests,
            tokens=tokens,
            usd=usd,
            minutes=max(minutes, default=None),
        )

    def _scan(self, folder: Folder, most: int | None) -> Content:
        """What the input holds: as an earlier run found it, where the files are the same."""
        source = find_source(self.input, self.format, self.corpus, self.topics)
        found = folder.read()
        if found and found["seen"] and found["seen"]["seen"] == look_at(source):
            return Content(**found["seen"])
        return scan(source, most)

    def _fingerprint(self, content: Content) -> dict[str, Any]:
        """What makes it another job, where it changes."""
        return {
            "model": self.model,
            "top_n": self.top_n,
            "rank_fields": self.rank_fields and list(self.rank_fields),
            "params": dict(self.params),
            "options": options_of_fingerprint(self.options),
            "rows": content.rows,
            "input": content.hash,
        }


def check_cap(max_usd: float | None, price: object, model: str) -> None:
    """Refuse a cap in dollars that could not be kept.

    Raises:
        JobError: The price is not known.
    """
    if max_usd is not None and price is None:
        raise JobError(f"{model}: no price is known, so cap the requests or the tokens instead")


@define
class _Run:
    """One run of a job, which has its folder."""

    job: Job
    folder: Folder
    content: Content
    fingerprint: Mapping[str, Any]
    ledger: Ledger
    done: Marks = field(init=False)
    failed: Marks = field(init=False)
    ranked_now: int = 0
    carried: dict[str, Any] = field(factory=dict)
    started: float = field(factory=time.monotonic)

    async def run(self, watch: Watch, begun: Callable[[Engine], None]) -> JobReport:
        job = self.job
        self._restore()
        journal, failures = Journal(self.folder.journal), Journal(self.folder.failed)

        def write(row: Row, line: dict[str, Any]) -> None:
            journal.append(line)
            self.done.add(row.number)
            self.failed.discard(row.number)
            self.ranked_now += 1

        def write_failed(row: Row, line: dict[str, Any]) -> None:
            failures.append(line)
            self.failed.add(row.number)

        throttle = Throttle(job.requests_per_minute, job.tokens_per_minute)
        gate = Gate(throttle, self.ledger, Window(job.concurrency))
        params = {**job.params, "top_n": job.top_n, "rank_fields": job.rank_fields}
        params["return_documents"] = False
        settled = self.done if job.retry_failed else None
        source = find_source(job.input, job.format, job.corpus, job.topics)
        rows = source.read(
            lambda number: number in self.done or (settled is None and number in self.failed)
        )
        async with AsyncExitStack() as stack:
            stack.callback(journal.close)
            stack.callback(failures.close)
            connections = await stack.enter_async_context(Connections(job.model, job.options, gate))
            asks = self._cached(connections, stack)
            engine = Engine(asks, gate, params, write, write_failed)
            begun(engine)
            ticker = asyncio.create_task(self._tick(watch, engine, journal))
            stack.callback(ticker.cancel)
            self._save(self._report(engine))
            try:
                await engine.run(rows)
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
        return Cached(connections, cache, options=options_of_fingerprint(self.job.options))

    def _restore(self) -> None:
        """What earlier runs ranked, failed to rank, and spent."""
        self.done, self.failed = Marks(self.content.rows), Marks(self.content.rows)
        self.carried = (self.folder.read() or {}).get("progress", {}).get("carried", {})
        self.ledger.restore(self.carried)
        for line in read_journal(self.folder.journal):
            if not self.done.add(line["row"]):
                raise JobError(f"{self.folder.journal.name}: row {line['row']} stands there twice")
            self.ledger.restore(line["usage"])
        for line in read_journal(self.folder.failed):
            self.ledger.restore(line["usage"])
            if line["row"] not in self.done:
                self.failed.add(line["row"])

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
        progress["carried"] = self.carried
        self.folder.write(plain(self.fingerprint), asdict(self.content), progress)

    async def _tick(self, watch: Watch, engine: Engine, journal: Journal) -> None:
        while True:
            await asyncio.sleep(_TICK)
            journal.sync()
            report = self._report(engine)
            self._save(report)
            watch(report)

    def _finish(self, report: JobReport) -> None:
        """Leave in `failed.jsonl` what is failed, each row once, and write the output."""
        last: dict[int, dict[str, Any]] = {}
        for line in read_journal(self.folder.failed):
            if (earlier := last.pop(line["row"], None)) is not None:
                self._carry(earlier)
            last[line["row"]] = line
        for number in [number for number in last if number not in self.failed]:
            self._carry(last.pop(number))
        self._save(report)
        written = (orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in last.values())
        replace_file(self.folder.failed, b"".join(written))
        if self.folder.journal != self.job.output or self.job.in_order:
            write_output(self.job.output, self.folder.journal, self.content.rows)

    def _carry(self, line: Mapping[str, Any]) -> None:
        """Remember what a line took that is left out of `failed.jsonl`."""
        for name in ("attempts", "tokens", "cost"):
            if line["usage"].get(name):
                self.carried[name] = self.carried.get(name, 0) + line["usage"][name]
