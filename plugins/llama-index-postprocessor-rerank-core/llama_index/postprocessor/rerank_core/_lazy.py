"""What ranks: a reranker that is handed over, or a `Reranker` that is made on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from rerank_core import Reranker

OF_A_CALL = ("max_chunks_per_doc", "max_tokens_per_doc", "rank_fields")
"""The options that are parameters of each call, so that they may stand beside a reranker."""


def check_settings(reranker: Any, model: str | None, others: Mapping[str, Any]) -> None:
    """Refuse a reranker beside what another one would be made of, and neither.

    Args:
        reranker: What was handed over, or `None`.
        model: Which model is asked, where no reranker was handed over.
        others: What else a `Reranker` would be made of; `None` is not given.

    Raises:
        ValueError: It says what to leave out, or to give.
    """
    if reranker is None and model is None:
        raise ValueError("Give model, or reranker.")
    settings = {"model": model, **others}
    given = [name for name in settings if name not in OF_A_CALL and settings[name] is not None]
    if reranker is not None and given:
        raise ValueError(
            f"reranker comes with its own settings: leave out {', '.join(given)} here, "
            "and make the reranker with them"
        )


class LazyReranker:
    """Makes its `Reranker` once, whichever thread is first; a copy or a pickle begins without one.

    A `Reranker` has open connections, so that it can be neither copied nor pickled. Whatever
    holds one of these can.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Reranker | None = None

    def get(self, make: Callable[[], Reranker]) -> Reranker:
        """The `Reranker`, made now where there is none."""
        with self._lock:
            if self._made is None:
                self._made = make()
            return self._made

    def close(self) -> None:
        """Close the connections of blocking calls; a later call opens new ones."""
        if reranker := self._take():
            reranker.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop as well."""
        if reranker := self._take():
            await reranker.aclose()

    def _take(self) -> Reranker | None:
        with self._lock:
            made, self._made = self._made, None
        return made

    def __eq__(self, other: object) -> bool:
        """Settings make the difference between two owners, not what was made of them."""
        return isinstance(other, LazyReranker)

    __hash__ = None  # type: ignore[assignment] # equal ones are not the same

    def __deepcopy__(self, _: object) -> LazyReranker:
        return LazyReranker()

    def __reduce__(self) -> tuple[type[LazyReranker], tuple[()]]:
        return LazyReranker, ()
