"""What a failed check says: what is wrong, why it matters, where to look."""

from __future__ import annotations


class NonconformityError(AssertionError):
    """A plugin does not keep its side of the contract."""


def require(condition: object, what: str, *, why: str, where: str) -> None:
    """Fail the check unless the condition holds.

    Raises:
        NonconformityError: It does not.
    """
    if not condition:
        message = f"{what}\n  Why it matters: {why}\n  Where to look: {where}"
        raise NonconformityError(message)
