"""What hooks take and return, and a reply as it came."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from attrs import field, frozen

from rerank_core._text import shown_url
from rerank_core.records.fields import RecordError, of_type
from rerank_core.records.response import RerankResponse

JSON = Any
"""A decoded JSON value."""


def _seconds(_: object, attribute: Any, value: Any) -> None:
    if type(value) not in {int, float} or not (value >= 0 and isfinite(value)):
        message = f"{attribute.name} must be seconds, 0 or more, not {value!r}"
        raise RecordError(message)


def _headers(_: object, attribute: Any, value: Any) -> None:
    if not (isinstance(value, Mapping) and all(isinstance(name, str) for name in value)):
        message = f"{attribute.name} must be a mapping of strings"
        raise RecordError(message)


@frozen
class RerankRequest:
    """What hooks are asked to translate: one request's worth of a call, already checked.

    Attributes:
        model: The model's name without its provider.
        query: Never blank.
        documents: Never empty. Strings, unless the provider states `takes_mappings`.
        top_n: From 1 to the number of documents, or `None` for all.
        rank_fields: The fields to rank by, in order; `None` where no document is a mapping.
        options: The provider's own options of the connection, without secrets.
    """

    model: str
    query: str = field(repr=False)
    documents: Sequence[str | Mapping[str, Any]] = field(repr=False)
    top_n: int | None = None
    rank_fields: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(factory=dict)


@frozen
class HTTPRequest:
    """A request without authentication, which core adds.

    Attributes:
        url: Absolute.
        body: What is sent as JSON; `None` for no body.
        method: The HTTP method.
        headers: Beside those that core sends.
        delay: Seconds to wait before sending, where a service says "come back later".
    """

    url: str = field(repr=shown_url, validator=of_type(str))
    body: JSON = field(default=None, repr=False)
    method: str = field(default="POST", validator=of_type(str))
    headers: Mapping[str, str] = field(
        factory=dict, validator=_headers, repr=lambda headers: repr(list(headers))
    )
    delay: float = field(default=0.0, validator=_seconds)


def _function(_: object, attribute: Any, value: object) -> None:
    if not callable(value):
        message = f"{attribute.name} must be a function, not {type(value).__name__}"
        raise RecordError(message)


@frozen
class Compute:
    """Work for a provider that runs in this process; in a worker thread under async.

    Attributes:
        function: Takes nothing; what it returns is the `payload` of `parse_response`. For long
            work it is a generator function: core takes one step at a time, stops between two
            where the call is cancelled or its deadline has passed, and ignores what is yielded.
    """

    function: Callable[[], Any] = field(validator=_function)


@frozen
class NextRequest:
    """Returned by `parse_response` where the reply is not the end: a further page, or "not yet".

    Attributes:
        request: What to send next.
        response: The results so far; those of all pages are put together.
    """

    request: HTTPRequest = field(validator=of_type(HTTPRequest))
    response: RerankResponse | None = field(
        default=None, validator=of_type(RerankResponse, optional=True)
    )


@frozen
class HTTPResponse:
    """A reply as it came.

    Attributes:
        status_code: The HTTP status.
        headers: Names in lower case; repeated headers are joined by a comma.
        content: The body, decompressed. In an error, secrets are left out, and all behind the
            first 64 KiB.
    """

    status_code: int
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)

    @property
    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return self.content.decode("utf-8", "replace")
