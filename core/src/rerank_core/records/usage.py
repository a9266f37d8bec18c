"""What a service says about a call as a whole."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from rerank_core.records.fields import Subscriptable, of_type

_NUMBERS = {int, float}
_MAX_COUNT = 2**53  # more is no count; sums of such numbers may be too large for a float


def _to_number(value: Any) -> float | None:
    return value if type(value) in _NUMBERS and 0 <= value <= _MAX_COUNT else None


def _to_count(value: Any) -> int | None:
    number = _to_number(value)
    return None if number is None or number % 1 else int(number)


@frozen
class BilledUnits(Subscriptable):
    """What the service bills for; `None` where it does not say, or says what is no count.

    Attributes:
        search_units: Searches, as the provider counts them, from 0.
        total_tokens: Tokens, from 0.
    """

    search_units: float | None = field(default=None, converter=_to_number)
    total_tokens: int | None = field(default=None, converter=_to_count)


@frozen
class Tokens(Subscriptable):
    """Tokens that the service counted, from 0; `None` where it does not say.

    Attributes:
        input_tokens: Tokens of query and documents.
        output_tokens: Tokens that the service wrote.
    """

    input_tokens: int | None = field(default=None, converter=_to_count)
    output_tokens: int | None = field(default=None, converter=_to_count)


@frozen
class Meta(Subscriptable):
    """What the service says about the call as a whole.

    Attributes:
        api_version: The version of the API that answered, or `None`.
        billed_units: What the service bills for.
        tokens: What it counted.
    """

    api_version: str | None = None
    billed_units: BilledUnits = field(default=BilledUnits(), validator=of_type(BilledUnits))
    tokens: Tokens = field(default=Tokens(), validator=of_type(Tokens))
