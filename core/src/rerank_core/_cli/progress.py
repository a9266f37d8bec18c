"""What is shown, and where: text that cannot steer a terminal, and how far a computation is."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rerank_core.facts import Provider

_USAGE = 2


@contextlib.contextmanager
def checked_output() -> Iterator[None]:
    """Standard output that takes any character; what it cannot show is replaced.

    Where it is closed, or nothing can be read or written, ends the program with a line.
    """
    try:
        if (output := sys.stdout) is None:  # so Python shows a descriptor that is closed
            raise OSError(errno.EBADF, "standard output is closed")  # noqa: TRY301 - one way out
        if isinstance(output, TextIOWrapper):
            output.reconfigure(errors="replace")
        yield
    except OSError as error:  # but for a closed pipe, where click ends in silence
        if sys.stderr:
            sys.stderr.write(printable(f"error: {error.strerror or error}") + "\n")
        _write_no_more()
        sys.exit(_USAGE)


def _write_no_more() -> None:
    """Keep Python from writing once more at its end what could not be written."""
    with contextlib.suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_terminal() -> bool:
    """Whether results are shown to somebody, rather than read by a program."""
    return sys.stdout.isatty()


def printable(text: str) -> str:
    """One line without what could steer a terminal: a service may have written it."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))


@contextlib.contextmanager
def show_progress(facts: Provider) -> Iterator[dict[str, Callable[[int, int], None]]]:
    """A bar while standard error is a terminal; it is gone afterwards, whatever happened.

    Args:
        facts: Where they have no parameter `progress`, nothing is shown.

    Yields:
        The parameter that moves the bar, or none.
    """
    if "progress" not in facts.extra_params or not (sys.stderr and sys.stderr.isatty()):
        yield {}
        return
    from rich.console import Console  # noqa: PLC0415 - only where a bar is shown
    from rich.progress import (  # noqa: PLC0415 - likewise
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # What is printed meanwhile goes where it would go without a bar.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("documents", total=None)  # a model may have to be loaded first

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield {"progress": show}
