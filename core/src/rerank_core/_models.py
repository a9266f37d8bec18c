"""The records: what a caller receives, and what hooks take and return.

They grow by new fields; no field changes its meaning before a major version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from rerank_core._messages import shown_url
from rerank_core._results import Document, RerankResult, Results, Subscriptable

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


_NUMBERS = {int, float}
_MAX_COUNT = 2**53  # what is more is no count; sums of such numbers may be too large for a float


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
    """Tokens that the service counted, from 0; `None` as in `BilledUnits`."""

    input_tokens: int | None = field(default=None, converter=_to_count)
    output_tokens: int | None = field(default=None, converter=_to_count)


def _is(*kinds: type) -> Any:
    """A validator at half the price of attrs' own: records are made in every call."""

    def check(_: object, attribute: Any, value: object) -> None:
        if not isinstance(value, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            message = f"{attribute.name} must be of type {wanted}, not {type(value).__name__}"
            raise TypeError(message)

    return check


def _to_id(value: Any) -> str:
    """An identifier as text: some services count."""
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    message = f"id must be of type str, not {type(value).__name__}"
    raise TypeError(message)


@frozen
class Meta(Subscriptable):
    """What the service says about the call as a whole."""

    api_version: str | None = None
    billed_units: BilledUnits = field(default=BilledUnits(), validator=_is(BilledUnits))
    tokens: Tokens = field(default=Tokens(), validator=_is(Tokens))


_SHOWN = ("results", "id", "model", "provider", "meta", "warnings", "cost", "reranked")


@frozen(repr=False)
class RerankResponse(Subscriptable):
    """A ranking.

    Attributes:
        id: The service's identifier of the call, or one made here where it gives none.
        results: By descending `relevance_score`, equal scores in the caller's order, at most
            `top_n`.
        model: The model that was asked for, without its provider.
        provider: The provider that answered.
        meta: Usage and version, as far as the service reports them.
        warnings: What the caller should know: a parameter left out, a fallback that answered,
            the service's own warnings.
        cost: US dollars, as the service reports them or by its list price; `None` where neither is
            known.
        reranked: False where `results` is only the caller's order.
        payload: The decoded reply; a list of them where it took several.
        headers: The reply's headers, names in lower case; of the last reply where it took
            several.
    """

    _results: Sequence[RerankResult] = field(validator=_is(list, Results), eq=list)
    id: str = field(default="", converter=_to_id)
    model: str = ""
    provider: str = ""
    meta: Meta = field(default=Meta(), validator=_is(Meta))
    warnings: Sequence[str] = ()
    cost: float | None = None
    reranked: bool = True
    payload: JSON = field(default=None, repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)

    @property
    def results(self) -> list[RerankResult]:
        """The results, made into records the first time that somebody looks."""
        results = self._results
        return results.made() if isinstance(results, Results) else results  # type: ignore[return-value]

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in _SHOWN)
        return f"RerankResponse({', '.join(shown)})"

    def to_dict(self) -> dict[str, Any]:
        """The response in the shape of Cohere's API: plain, JSON-ready, unset values left out."""
        from rerank_core._dicts import response_to_dict  # noqa: PLC0415 - cattrs only when used

        return response_to_dict(self)


def holds_results(response: RerankResponse) -> bool:
    """Whether all results are `RerankResult`s; those that are not made yet will be."""
    results = response._results  # noqa: SLF001 - of this module
    if isinstance(results, Results) and not results.is_made:
        return True
    return set(map(type, results)) <= {RerankResult}


def columns_of(response: RerankResponse) -> Results:
    """The results as columns, which core checks and sorts without making records."""
    return Results.of(response._results)  # noqa: SLF001 - of this module


@frozen
class RerankRequest:
    """What hooks are asked to translate: one request's worth of a call, already checked.

    Attributes:
        model: The model's name without its provider.
        query: Never blank.
        documents: Never empty. Strings, unless the provider states `takes_mappings`.
        top_n: From 1 to the number of documents, or `None` for all.
        rank_fields: The fields to rank by, in order; `None` where no document is a mapping.
        options: The provider's own options (`Provider.options`): argument, else environment.
    """

    model: str
    query: str = field(repr=False)
    documents: Sequence[str | Mapping[str, Any]] = field(repr=False)
    top_n: int | None = None
    rank_fields: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(factory=dict)


@frozen
class HTTPRequest:
    """One HTTP request, without authentication.

    Attributes:
        url: Absolute, with its query string.
        body: Sent as JSON; `None` sends no body.
        method: Upper case.
        headers: Beyond content type, accept and authentication, which core adds.
        delay: Seconds to wait before sending, where a service says "come back later".
    """

    url: str = field(repr=shown_url, validator=_is(str))
    body: JSON = field(default=None, repr=False)
    method: str = field(default="POST", validator=_is(str))
    headers: Mapping[str, str] = field(factory=dict, repr=lambda headers: repr(list(headers)))
    delay: float = 0.0


@frozen
class Compute:
    """Work for a provider that runs in this process; in a worker thread under async.

    Attributes:
        function: Takes nothing; what it returns is the `payload` of `parse_response`. For long
            work it is a generator function: core takes one step at a time, gives up between two
            where the call is cancelled or its deadline has passed, and ignores what is yielded.
    """

    function: Callable[[], Any]


@frozen
class NextRequest:
    """Returned by `parse_response` where the reply is not the end: a further page, or "not yet".

    Attributes:
        request: What to send next.
        response: The results so far; those of all pages are put together.
    """

    request: HTTPRequest = field(validator=_is(HTTPRequest))
    response: RerankResponse | None = None


@frozen
class HTTPResponse:
    """A reply as it came.

    Attributes:
        status_code: The HTTP status.
        headers: Names in lower case; repeated headers are joined by a comma.
        content: The body, decompressed.
    """

    status_code: int
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)

    @property
    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return self.content.decode("utf-8", "replace")
