"""Replies that are errors, as the rows of a table, and a test of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import pytest
from attrs import field, frozen

from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
from service import Ask, Send, Service, both_ways

USUAL: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PermissionDeniedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
}
FINAL_5XX = 501


def _words(said: str | tuple[str, ...]) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else said


@frozen
class Failure:
    """A reply that is an error, and what it is raised as.

    Attributes:
        status: The HTTP status.
        reply: The body, decoded or as text.
        words: What the message says, among other things.
        kind: The class of the error, where it is not the usual one of the status.
        retried: Whether the request is sent again, where that is not usual for the status.
        headers: Headers of the reply.
    """

    status: int
    reply: Any
    words: tuple[str, ...] = field(converter=_words)
    kind: type[APIStatusError] | None = None
    retried: bool | None = None
    headers: Mapping[str, str] = field(factory=dict)

    @property
    def response(self) -> httpx.Response:
        """The whole reply, after which nobody waits long."""
        text = self.reply if isinstance(self.reply, str) else json.dumps(self.reply)
        headers = {"retry-after-ms": "1", **self.headers}
        return httpx.Response(self.status, headers=headers, text=text)

    @property
    def raised(self) -> type[APIStatusError]:
        """The class of the error."""
        usual = ServerError if self.status >= 500 else APIStatusError
        return self.kind or USUAL.get(self.status, usual)

    @property
    def requests(self) -> int:
        """How often the request is sent where it may be sent again once."""
        passes = self.status in {408, 425, 429} or self.status >= 500
        usual = passes and self.status != FINAL_5XX
        return 1 + (usual if self.retried is None else self.retried)


def failing(
    ask: Ask,
    model: str,
    failures: Sequence[Failure],
    *,
    make: Callable[[httpx.Response], Service] = Service,
    hidden: str = "no secret",
) -> Callable[..., None]:
    """Make a test of each failure: of its kind, in the service's words, retried where it may pass.

    Args:
        ask: Asks a stand-in for a ranking.
        model: What a message begins with, and how the provider is called.
        failures: What the service answers.
        make: Makes the stand-in that gives a reply.
        hidden: What no message has.
    """

    @pytest.mark.parametrize(
        "failure", failures, ids=lambda row: f"{row.status}-{row.raised.__name__}"
    )
    @both_ways
    def test(failure: Failure, send: Send) -> None:
        service = make(failure.response)
        with pytest.raises(APIStatusError) as caught:
            ask(service, send=send, max_retries=1)

        text = str(caught.value)
        assert (type(caught.value), caught.value.status_code) == (failure.raised, failure.status), (
            text
        )
        assert [word for word in failure.words if word not in text] == [], text
        assert text.startswith(f"{model}: "), text
        assert hidden not in text
        assert len(service.requests) == failure.requests, text

    return test
