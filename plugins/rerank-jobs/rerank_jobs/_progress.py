"""How far a job is, on standard error: a line that changes, or one every half minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rerank_jobs._report import JobReport

_QUIET_SECONDS = 30.0


def describe(report: JobReport) -> str:
    """One line: rows, rate, time left, failed, tokens, dollars."""
    share = (report.ranked + report.failed) / report.rows if report.rows else 1.0
    left = report.seconds_left
    parts = [
        f"{report.ranked + report.failed:,} of {report.rows:,} rows ({share:.1%})",
        f"{report.rate:,.1f} rows/s",
        f"{timedelta(seconds=round(left))} left" if left else "",
        f"{report.failed:,} failed" if report.failed else "",
        f"{report.requests:,} requests",
        f"{report.tokens:,} tokens" if report.tokens else "",
        describe_cost(report.usd, report.unknown_costs),
    ]
    return ", ".join(filter(None, parts))


def describe_cost(usd: float, unknown: int) -> str:
    """Dollars, never 0 for what nobody knows."""
    if unknown:
        known = f" and ${usd:,.4f} for others" if usd else ""
        return f"unknown cost of {unknown:,} rows{known}"
    return f"${usd:,.4f}"


@contextmanager
def show_progress() -> Iterator[Callable[[JobReport], None]]:
    """Yield what shows a report."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        last = time.monotonic()

        def show_line(report: JobReport) -> None:
            nonlocal last
            if time.monotonic() - last >= _QUIET_SECONDS:
                last = time.monotonic()
                console.print(Text(describe(report)), soft_wrap=True)

        yield show_line
        return
    with Live(console=console, transient=True, redirect_stdout=False) as live:
        yield lambda report: live.update(Text(describe(report)))
