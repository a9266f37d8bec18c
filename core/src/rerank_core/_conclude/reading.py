"""A reply with a good status, read by the plugin: the ranking, or what it says instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define

from rerank_core._conclude.status import find_error
from rerank_core._prepare.requests import Part
from rerank_core._resolve.secrets import Hide
from rerank_core._resolve.target import Target
from rerank_core.errors import RerankError, ResponseParseError
from rerank_core.records import JSON, HTTPRequest, HTTPResponse, NextRequest
from rerank_core.records._text import kind_of
from rerank_core.records.response import RerankResponse
from rerank_core.records.results import RerankResult
from rerank_core.wire import decode_json

_PYTHON_S_OWN = (TypeError, IndexError, AttributeError)  # whose words say nothing of a reply


@define(eq=False, repr=False)
class Page:
    """What a plugin read from one reply, with the reply."""

    response: RerankResponse | None
    payload: JSON
    headers: Mapping[str, str]
    size: int = 0
    following: HTTPRequest | None = None

    @property
    def results(self) -> Sequence[RerankResult]:
        """The results that the plugin read."""
        return () if self.response is None else self.response.results


def read_reply(part: Part, target: Target, reply: HTTPResponse) -> Page:
    """Read the ranking from a reply with a good status."""
    payload = decode_json(reply.content)
    if isinstance(payload, dict) and payload.get("error"):
        raise ResponseParseError("the reply has an error", path="error")
    return read_payload(part, target, payload, reply)


def read_payload(part: Part, target: Target, payload: Any, reply: HTTPResponse) -> Page:
    """Have the plugin read a decoded reply, and keep the reply beside what it read."""
    answer = target.hooks.parse_response(
        target.provider, part.request, payload, reply.headers, reply.status_code
    )
    size = len(reply.content)
    if isinstance(answer, NextRequest):
        return Page(answer.response, payload, reply.headers, size, answer.request)
    return Page(answer, payload, reply.headers, size)


def explain(
    error: ResponseParseError,
    part: Part,
    target: Target,
    reply: HTTPResponse,
    now: float,
    hide: Hide,
) -> RerankError:
    """The error that an unreadable reply is in truth: what it says, or what it lacks."""
    try:
        payload = decode_json(reply.content)
    except ResponseParseError:
        return error
    if (said := find_error(target, reply, payload, now, hide)) is not None:
        said.__cause__ = error
        return said
    of_python = isinstance(error.__cause__, _PYTHON_S_OWN)
    if isinstance(payload, dict) and (error.path or not of_python):
        return error
    expected = _find_expected(part, target, reply)
    if not expected:
        return error
    if isinstance(payload, dict):
        message = f"what the reply has as {expected!r} is not what the service documents"
    else:
        kind = kind_of(payload) if reply.content else "empty"
        message = (
            f"the reply is {kind}, an object with {expected!r} was expected: docs/servers.md says"
            " which plugin speaks to which server"
        )
    better = ResponseParseError(message, path=error.path or expected)
    better.__cause__ = error
    return better


def _find_expected(part: Part, target: Target, reply: HTTPResponse) -> str:
    """The field that the plugin looks for first: what it misses in an empty object."""
    try:
        read_payload(part, target, {}, reply)
    except RerankError as error:
        return getattr(error, "path", "")
    return ""
