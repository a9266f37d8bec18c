"""Steps that are finished before the process exits."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Generator
from typing import Any

_LONGEST_WAIT = 60
_POLL = 0.01
_under_way: set[object] = set()
_ending = threading.Event()


def finish_steps(
    steps: Generator[None, None, dict[str, Any]],
) -> Generator[None, None, dict[str, Any]]:
    """The same steps; exit waits for the one that is under way.

    A call that is given up leaves its last step behind in a thread. Where the interpreter ended
    that thread inside onnxruntime or tokenizers, the whole process would abort. A call that begins
    while the process exits, in another function of `atexit`, is waited for by whoever makes it.
    """
    token = object()
    begun_at_exit = _ending.is_set()
    while True:
        _under_way.add(token)
        # Whatever began before and goes on is in a daemon thread, which ends with the process.
        if _ending.is_set() and not begun_at_exit:
            _under_way.discard(token)
            threading.Event().wait()
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            _under_way.discard(token)
        yield


@atexit.register
def _wait() -> None:
    _ending.set()
    end = time.monotonic() + _LONGEST_WAIT
    while _under_way and time.monotonic() < end:
        time.sleep(_POLL)


# A forked process has none of its parent's threads; Windows has no fork.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_under_way.clear)
