"""Threads that can be left behind: none of them keeps a caller, or a program's end, waiting."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from rerank_core.errors import RequestTimeoutError

T = TypeVar("T")


class Wait:
    """What a thread that may be left behind looks at: whether somebody still waits for it.

    Args:
        outer: The wait of which this one is a part.
    """

    def __init__(self, outer: Wait | None = None) -> None:
        self._outer = outer
        self.over = False

    def is_over(self) -> bool:
        """Whether nobody does."""
        return self.over or (self._outer is not None and self._outer.is_over())


def outcome_of(function: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """What a function returns or raises, to be handed to another thread."""
    try:
        return function(), None
    except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for it
        return None, error


def start_thread(function: Callable[[], None]) -> None:
    """Start a thread that no exit waits for, with the caller's context variables."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(function,), name="rerank", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        # What comes of an interrupt while `start` waits for the thread to have begun.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


def within(deadline: float | None, function: Callable[[], Any], wait: Wait) -> Any:
    """Call the function, and stop waiting for it at the deadline.

    A look-up of a name, a trickling reply and a long computation heed no timeout, so with a
    deadline they run in a thread that is left behind when it passes.
    """
    if deadline is None:
        return function()
    seconds = remaining(deadline)
    box: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    try:
        start_thread(lambda: box.put(outcome_of(function)))
        outcome, error = box.get(timeout=seconds)
    except queue.Empty:
        raise deadline_passed() from None
    finally:
        wait.over = True
    if error is not None:
        raise error
    return outcome


def remaining(deadline: float) -> float:
    """The seconds until then.

    Raises:
        RequestTimeoutError: There are none.
    """
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise deadline_passed()
    return seconds


def deadline_passed() -> RequestTimeoutError:
    """What is raised then."""
    return RequestTimeoutError("the deadline has passed")
