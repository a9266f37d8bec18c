"""The records: what a caller receives, and what hooks take and return.

They grow by new fields; no field changes its meaning before a major version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from attrs.validators import ge, instance_of, is_callable, matches_re, optional

from rerank_core.records._text import mapping_of, shown_url
from rerank_core.records.response import RerankResponse
from rerank_core.records.results import BilledUnits, Document, Meta, RerankResult, Tokens

__all__ = [
    "JSON",
    "BilledUnits",
    "Compute",
    "Document",
    "HTTPRequest",
    "HTTPResponse",
    "Meta",
    "NextRequest",
    "RerankRequest",
    "RerankResponse",
    "RerankResult",
    "Tokens",
]

JSON = Any
"""A decoded JSON value."""
_mapping: Any = Mapping


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
        headers: In addition to those that core sends.
        delay: Seconds to wait before sending, where a service says "come back later".
    """

    url: str = field(repr=shown_url, validator=instance_of(str))
    body: JSON = field(default=None, repr=False)
    method: str = field(default="POST", validator=matches_re("[A-Za-z]+"))
    headers: Mapping[str, str] = field(
        factory=dict, validator=mapping_of(instance_of(str)), repr=lambda headers: repr([*headers])
    )
    delay: float = field(default=0.0, validator=[instance_of((int, float)), ge(0)])


@frozen
class Compute:
    """Work for a provider that runs in this process; in a worker thread under async.

    Attributes:
        function: Takes nothing; what it returns is the `payload` of `parse_response`. For long
            work it is a generator function: core takes one step at a time, stops between two
            where the call is cancelled or its deadline has passed, and ignores what is yielded.
    """

    function: Callable[[], Any] = field(validator=is_callable())


@frozen
class NextRequest:
    """Returned by `parse_response` where the reply is not the end: a further page, or "not yet".

    Attributes:
        request: What to send next.
        response: The results so far; those of all pages are put together.
    """

    request: HTTPRequest = field(validator=instance_of(HTTPRequest))
    response: RerankResponse | None = field(
        default=None, validator=optional(instance_of(RerankResponse))
    )


@frozen
class HTTPResponse:
    """A reply as it came.

    Attributes:
        status_code: The HTTP status.
        headers: Names in lower case; repeated headers are joined by a comma.
        content: The body, decompressed. In an error, without secrets and at most the
            first 64 KiB.
    """

    status_code: int = field(validator=instance_of(int))
    headers: Mapping[str, str] = field(factory=dict, repr=False, validator=instance_of(_mapping))
    content: bytes = field(default=b"", repr=False, validator=instance_of(bytes))

    @property
    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return self.content.decode("utf-8", "replace")
