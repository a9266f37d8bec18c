"""The caller's own function that is told how far a ranking is."""

from __future__ import annotations

from rerank_core import InvalidRequestError
from rerank_local._options import Settings


def tell(settings: Settings, done: int, total: int) -> None:
    """Tell it how many documents are done.

    Raises:
        InvalidRequestError: It raised something.
    """
    if settings.progress is None:
        return
    try:
        settings.progress(done, total)
    except Exception as error:  # the caller's own function, and no fault of this one
        message = f"progress raised {type(error).__name__}: {error}"
        raise InvalidRequestError(message) from error
