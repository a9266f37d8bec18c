"""What the commands write on a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rerank_eval import _ask, _text

_WIDE = 160  # where standard output is no terminal, nothing wraps a table


def printable(text: str) -> str:
    """One line without what could steer a terminal: a service or a file may have written it."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))


def make_console() -> Console:
    """A console on standard output, wide enough for a table that goes to a file."""
    return Console(width=None if sys.stdout.isatty() else _WIDE)


def show_table(console: Console, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table, the first column left, the others right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(header):
        table.add_column(Text(name), justify="right" if at else "left", overflow="fold")
    for cells in rows:
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(table)


def show_report(content: _text.Content) -> None:
    """The table, what to know of it, the tests, and the gates."""
    console = make_console()
    show_table(console, *_text.table(content))
    for finding in _text.findings(content):
        console.print(Text(f"- {printable(finding)}"))
    show_table(console, *_text.comparisons(content))
    console.print(Text(printable(_text.headline(content))))
    for gate in content["gates"]:
        word = "passed" if gate["passed"] else "FAILED"
        console.print(Text(printable(f"{word}: {gate['model']}, {gate['why']}")))


@contextlib.contextmanager
def show_progress() -> Iterator[_ask.Progress]:
    """A bar for each model, on standard error, where that is a terminal."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield lambda *_: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as bar:
        tasks: dict[str, object] = {}

        def show(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bar.add_task(printable(label), total=total)
            bar.update(tasks[label], completed=done)  # type: ignore[arg-type]  # rich's own number

        yield show
