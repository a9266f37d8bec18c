"""The requests of one row, and what a service says that they took."""

from __future__ import annotations

from contextvars import ContextVar

from attrs import Factory, define

from rerank_core import Meta

GOOD = range(200, 300)
_BETWEEN = 8  # tokens that a model puts around query and document


@define
class Attempt:
    """One request of a row.

    Attributes:
        size: Bytes of its body.
        tokens: What it is likely to take.
        usd: Likewise, in dollars.
        reserved: Requests, tokens and dollars at most, while it is under way.
        status: Of the reply; `None` where there is none.
    """

    size: int
    tokens: float
    usd: float
    reserved: tuple[int, float, float]
    status: int | None = None


@define(eq=False)
class Sent:
    """The requests of one row, in the order in which they were sent.

    Attributes:
        of_pairs: Tokens that may come to those of the bodies: the query once more with each
            document, and what stands between them.
        attempts: Each of them.
        is_settled: Whether the service said what they took.
    """

    of_pairs: int = 0
    attempts: list[Attempt] = Factory(list)
    is_settled: bool = False

    def unsure(self) -> list[Attempt]:
        """Those that may have been billed, and that no usage was told of."""
        return [each for each in self.attempts if each.status is None or each.status in GOOD]


SENT: ContextVar[Sent | None] = ContextVar("rerank_jobs_sent", default=None)


def begin_row(query: object, documents: int) -> Sent:
    """Count the requests of a row from here on, in this task."""
    asked = len(query.encode(errors="replace")) if isinstance(query, str) else 0
    sent = Sent((asked + _BETWEEN) * documents)
    SENT.set(sent)
    return sent


def tokens_of(meta: Meta) -> int | None:
    """The tokens that a service counted."""
    counts = (meta.billed_units.total_tokens, meta.tokens.input_tokens)
    return next((count for count in counts if count is not None), None)
