"""What a flow may ask of its driver."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, field

if TYPE_CHECKING:
    from rerank_core._models import HTTPRequest
    from rerank_core._options import Timeout
    from rerank_core._target import Target

Flow = Generator[Any, Any, Any]

JSON_HEADERS = {"accept": "application/json", "content-type": "application/json"}
"""The headers of a request with a body, where the plugin and the caller add none."""


@define
class Send:
    """The effect of one HTTP attempt; its outcome is an `HTTPResponse`, or a `TransportError`.

    Attributes:
        target: For authentication.
        request: Without authentication.
        content: The encoded body.
        headers: All headers but authentication.
        timeout: Bounds of this attempt.
        deadline: When everything must be over, by the clock's `monotonic`; `None` for never.
    """

    target: Target
    request: HTTPRequest
    content: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    timeout: Timeout
    deadline: float | None


@define
class Run:
    """The effect of work in this process; its outcome is what the function returns."""

    function: Callable[[], Any]
    deadline: float | None


@define
class Sleep:
    """The effect of waiting."""

    seconds: float


@define
class Gather:
    """The effect of running flows side by side; its outcome is the list of what they return.

    The first failure ends the others, and is the outcome.
    """

    flows: Sequence[Flow]
    limit: int
