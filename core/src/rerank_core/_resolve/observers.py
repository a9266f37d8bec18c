"""Who is told what happens to a call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from rerank_core import events

LOGGER = logging.getLogger("rerank_core")
LOGGER.addHandler(logging.NullHandler())
_reported: set[int] = set()
registered: dict[str, Callable[..., Any]] = {}
"""The observers of all calls, by the names that `register` gave them."""

# What an operator should know; all else is for whoever looks closely.
_LEVELS: dict[type[events.Event], int] = {
    events.AttemptEnded: logging.DEBUG,
    events.Waited: logging.WARNING,
    events.FallbackTaken: logging.WARNING,
    events.PassedThrough: logging.WARNING,
}


def forget(name: str) -> None:
    """Tell an observer of all calls nothing more."""
    _reported.discard(id(registered.pop(name, None)))  # another one may get its place in memory


def tell(observer: Callable[..., Any], event: events.Event) -> None:
    """Tell one observer; what it raises is reported once and harms nobody."""
    try:
        observer(event=event)
    except Exception:  # no SystemExit: a handler of SIGTERM raises it while an observer works
        if id(observer) not in _reported:
            _reported.add(id(observer))
            LOGGER.warning("an observer of rerank_core failed", exc_info=True)


def is_logged(kind: type[events.Event]) -> bool:
    """Whether an event of this kind leaves a log record."""
    return kind in _LEVELS and LOGGER.isEnabledFor(_LEVELS[kind])


def log(event: Any) -> None:
    """Write an event to the log, its fields in `extra`; never query, documents, key or body."""
    if not is_logged(type(event)):
        return
    fields = {"provider": event.provider, "model": event.model, "call": event.call}
    errors = event.errors if isinstance(event, events.PassedThrough) else [event.error]
    if why := "; ".join(_kind_of(error) for error in errors if error is not None):
        fields["error"] = why
    if isinstance(event, events.AttemptEnded):
        outcome = f"status {event.status_code}" if event.status_code else "no reply"
        words = f"attempt {event.number}: {outcome} after {event.seconds:.3f} s"
        fields |= {"attempt": event.number, "status": event.status_code}
        fields |= {"seconds": event.seconds, "documents": event.documents}
    elif isinstance(event, events.Waited):
        words = f"attempt {event.number} failed, next in {event.seconds:.2f} s: {why}"
        fields |= {"attempt": event.number, "wait": event.seconds}
    elif isinstance(event, events.FallbackTaken):
        words = f"asked as a fallback, because of: {why}"
    else:
        words = f"not reranked, the caller's order is returned: {why}"
    extra = {f"rerank_{name}": value for name, value in fields.items()}
    LOGGER.log(_LEVELS[type(event)], "%s/%s: %s", event.provider, event.model, words, extra=extra)


def _kind_of(error: BaseException) -> str:
    """What failed, without the service's words: they may repeat the query or a document."""
    said = getattr(error, "status_code", None)
    return type(error).__name__ if said is None else f"{type(error).__name__} (status {said})"
