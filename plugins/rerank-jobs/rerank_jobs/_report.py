"""How far a job is, and what it would take."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

State = Literal["running", "done", "failed", "paused", "capped", "aborted", "interrupted"]


@frozen(kw_only=True)
class JobReport:
    """How far a job is.

    Attributes:
        state: `done`; `failed`, where some rows did; `paused` by a spent quota; `capped`;
            `aborted` by what would fail for every row; `interrupted`; or `running`.
        rows: Rows of the input.
        ranked: Rows that are in the output.
        failed: Rows that are in `failed.jsonl`.
        requests: Requests that were sent, over all runs.
        tokens: Tokens over all runs, estimated where the service does not count them.
        usd: US dollars, as far as they are known, over all runs; likewise.
        unknown_costs: Ranked rows whose cost nobody knows.
        seconds: Seconds of this run.
        ranked_now: Rows that this run ranked.
        reason: Why it stopped early; empty where it did not.
    """

    state: State
    rows: int
    ranked: int
    failed: int
    requests: int
    tokens: int
    usd: float
    unknown_costs: int
    seconds: float = 0.0
    ranked_now: int = 0
    reason: str = ""

    @property
    def pending(self) -> int:
        """Rows that are neither ranked nor failed."""
        return self.rows - self.ranked - self.failed

    @property
    def rate(self) -> float:
        """Rows per second in this run."""
        return self.ranked_now / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end at this rate; `None` while there is no rate."""
        return self.pending / self.rate if self.rate else None


@frozen(kw_only=True)
class Estimate:
    """What a job would take: from characters and list prices, not from the service.

    Attributes:
        rows: Rows of the input.
        pairs: Documents over all rows.
        faults: Rows that cannot be ranked.
        requests: Requests, retries apart.
        tokens: A quarter of the characters of each query with each of its documents.
        usd: US dollars by the list price; `None` where none is known.
        minutes: At the limits that were given; `None` without limits.
    """

    rows: int
    pairs: int
    faults: int
    requests: int
    tokens: int
    usd: float | None
    minutes: float | None
