"""A `Reranker` that is made on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rerank_core import Reranker


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
