"""Who is asked where the first one fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from attrs import evolve

from rerank_core._http.lifetime import SHARED
from rerank_core._plugins import find_plugin
from rerank_core._target import Target, resolve_target, split_model
from rerank_core.errors import ConfigurationError


def resolve_fallbacks(fallbacks: Any, first: Target) -> Iterator[Target]:
    """The targets of the fallbacks, now: a mistake in one must not wait for the day of need.

    Args:
        fallbacks: Models and `Reranker`s.
        first: Who is asked before them.

    Raises:
        ConfigurationError: And its kinds, for whatever cannot work.
    """
    if isinstance(fallbacks, str) or not isinstance(fallbacks or (), Iterable):
        message = f"fallbacks must be a list of models or Rerankers, not {fallbacks!r}"
        raise ConfigurationError(message)
    for fallback in fallbacks or ():
        if (targets := getattr(fallback, "_targets", None)) is not None:
            yield from targets
            continue
        name, model = split_model(fallback, None)
        if find_plugin(name).resolve_provider(model, {}).name == first.provider.name:
            # Another model may not know what the first does: left out, as in a call.
            options, connections = evolve(first.options, drop_params=True), first.connections
        else:
            # A key, a base URL and a client belong to the provider they were given for.
            options, connections = first.options.for_another_provider(), SHARED
        yield resolve_target(fallback, options, connections)
