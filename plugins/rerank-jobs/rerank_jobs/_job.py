"""`Job`: a model over the rows of a file, resumed as often as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from rerank_cache import Store
from rerank_core import Provider, Reranker
from rerank_jobs._content import Content, look_at, scan
from rerank_jobs._engine import Engine
from rerank_jobs._output import check_output
from rerank_jobs._report import Estimate, JobReport
from rerank_jobs._rows import Source, find_source
from rerank_jobs._run import Run, Watch
from rerank_jobs._send import check_options
from rerank_jobs._spend import Caps, Ledger
from rerank_jobs._state import Folder, options_of_fingerprint, plain_url
from rerank_jobs.errors import JobError

_CHARS_PER_TOKEN = 4
_ITS_OWN = {"query", "documents", "return_documents"}
_SETTINGS = ("top_n", "rank_fields")


def _to_path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _to_names(value: Sequence[str] | None) -> list[str] | None:
    names = None if value is None else list(value)
    if isinstance(value, str) or names == [] or not all(names or ["all"]):
        raise JobError(f"rank_fields must be a list of field names, not {value!r}")
    return names


def _positive(_: object, attribute: Any, value: float | None) -> None:
    if value is not None and not value > 0:
        raise JobError(f"{attribute.name} must be more than 0, not {value!r}")


def _said_once(made: Job, attribute: Any, value: Mapping[str, Any]) -> None:
    settings = {name for name in _SETTINGS if getattr(made, name) is not None}
    if refused := sorted((_ITS_OWN | settings) & {*value}):
        raise JobError(f"{attribute.name} cannot have {', '.join(refused)}: the rows or the job do")


@frozen(kw_only=True)
class Job:
    """Ranks the rows of a file with one model; running the same job again resumes it.

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
        options: Options of `Reranker`; not `fallbacks`, `on_failure` or `http_client`. A `deadline`
            includes the time that a limit holds a row back; `timeout` does not.
        concurrency: The most rows under way at once, from 1.
        requests_per_minute: The most requests, including retries; `None` for no limit.
        tokens_per_minute: The most tokens, partly estimated; `None` for no limit.
        max_requests: The most requests over all runs; `None` for no cap.
        max_tokens: The most tokens over all runs; estimated where the service does not count them.
        max_usd: The most US dollars over all runs; needs a model whose price is known.
        cache: A store of scores, or the path of one; `None` for none.
        retry_failed: Rank the rows in `failed.jsonl` again.
        in_order: Rewrite a `.jsonl` output at the end, in the order of the input.

    Raises:
        JobError: A setting makes no sense.
    """

    input: Path = field(converter=Path)
    model: str
    output: Path = field(converter=Path)
    format: str | None = None
    corpus: Path | None = field(default=None, converter=_to_path)
    topics: Path | None = field(default=None, converter=_to_path)
    top_n: int | None = field(default=None, validator=_positive)
    rank_fields: Sequence[str] | None = field(default=None, converter=_to_names)
    params: Mapping[str, Any] = field(factory=dict, validator=_said_once)
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
            self._check_params(reranker)
            source = find_source(self.input, self.format, self.corpus, self.topics)
            content = self._scan(source, folder, self._most(reranker.facts))
            fingerprint = self._fingerprint(source, content, reranker)
        check_output(self.output, documents_have_ids=content.documents_have_ids)
        folder.check(fingerprint)
        folder.acquire()
        try:
            folder.check(fingerprint)  # another may have begun and ended in between
            ledger = Ledger(Caps(self.max_requests, self.max_tokens, self.max_usd), price)
            run = Run(self, folder, content, fingerprint, ledger)
            return await run.run(watch, begun)
        finally:
            folder.release()

    def estimate(self) -> Estimate:
        """Estimate what the whole job would need; nothing is sent or written.

        Raises:
            JobError: The job cannot be run.
        """
        check_options(self.options)
        with Reranker(self.model, **self.options) as reranker:
            facts = reranker.facts
            self._check_params(reranker)
        check_cap(self.max_usd, facts.price, self.model)
        source = find_source(self.input, self.format, self.corpus, self.topics)
        content = scan(source, self._most(facts))
        check_output(self.output, documents_have_ids=content.documents_have_ids)
        tokens = content.chars // _CHARS_PER_TOKEN
        usd = None
        if facts.price:
            units = content.searches if facts.price.unit == "search_units" else tokens
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

    def _check_params(self, reranker: Reranker) -> None:
        """Refuse what no call would take, by one that sends nothing; else a key might be kept."""
        settings = {"top_n": self.top_n, "rank_fields": self.rank_fields, **self.params}
        reranker.rerank("-", [], **settings)

    def _most(self, facts: Provider) -> int | None:
        """The most documents in one request."""
        most: int | None = self.options.get("max_documents") or facts.max_documents
        return most

    def _scan(self, source: Source, folder: Folder, most: int | None) -> Content:
        """What the input holds: as an earlier run found it, where the files are the same."""
        found = folder.read()
        if found and found["seen"] and found["seen"]["seen"] == look_at(source):
            return Content(**found["seen"])
        return scan(source, most)

    def _fingerprint(self, source: Source, content: Content, reranker: Reranker) -> dict[str, Any]:
        """What makes it another job, where it changes."""
        return {
            "model": self.model,
            "format": source.format,
            "top_n": self.top_n,
            "rank_fields": self.rank_fields,
            "params": dict(self.params),
            "base_url": plain_url(reranker.base_url),
            "options": options_of_fingerprint(self.options, reranker.facts),
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
