"""How long a model will be there."""

from __future__ import annotations

import functools
import inspect
import warnings
from datetime import UTC, date, datetime

from rerank_core._resolve.observers import LOGGER
from rerank_core.facts import Provider


def warn_of_retirement(provider: Provider, model: str) -> None:
    """Warn, once per process and model, of the day on which a model is switched off."""
    if provider.retires is not None:
        _warn_once(provider.name, model, provider.retires)


@functools.cache
def _warn_once(provider: str, model: str, retires: str) -> None:
    gone = date.fromisoformat(retires) <= datetime.now(UTC).date()
    what = "was switched off on" if gone else "will be switched off on"
    message = f"{provider}/{model} {what} {retires}, by its documentation; choose another model"
    LOGGER.warning(message, extra={"rerank_provider": provider, "rerank_model": model})
    warnings.warn(message, FutureWarning, stacklevel=_level_of_caller())


def _level_of_caller() -> int:
    """How many frames above the one that warns the first stands that is not this package's."""
    level, frame = 1, inspect.currentframe()
    while frame := frame and frame.f_back:
        if frame.f_globals.get("__name__", "").partition(".")[0] != "rerank_core":
            break
        level += 1
    return level
