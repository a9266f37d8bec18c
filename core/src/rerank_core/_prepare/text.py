"""What can be sent as text, and how a value is shown that cannot."""

from __future__ import annotations

from rerank_core.errors import InvalidRequestError


def check_text(text: str, where: str) -> None:
    """Refuse text that has no UTF-8 form.

    Raises:
        InvalidRequestError: It holds a lone surrogate, as text decoded wrongly does.
    """
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = (
            f"{where} has a lone surrogate at position {error.start}; it was decoded wrongly:"
            " decode it with errors='replace'"
        )
        raise InvalidRequestError(message) from None


def shown(value: object) -> str:
    """A value as a message shows it: small ones whole, others by their type."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    return type(value).__name__
