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
from rerank_core.records._text import kind_of
from rerank_core.records.exchange import JSON, HTTPRequest, HTTPResponse, NextRequest
from rerank_core.records.response import RerankResponse
from rerank_core.records.results import Fresh, RerankResult
from rerank_core.wire import decode_json

_PYTHON_S_OWN = (TypeError, IndexError, AttributeError)  # whose words say nothing of a reply


@define(eq=False, repr=False)
class Page:
    """What a plugin read from one reply, with the reply."""

    response: RerankResponse | None
    results: Sequence[RerankResult]
    following: HTTPRequest | None
    payload: JSON
    headers: Mapping[str, str]
    size: int


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
    response, following = (
        (answer.response, answer.request) if isinstance(answer, NextRequest) else (answer, None)
    )
    results = [] if response is None else response.results
    if not isinstance(results, Fresh):  # somebody else may hold them
        results = [RerankResult(r.index, r.relevance_score, extra=r.extra) for r in results]
    return Page(response, results, following, payload, reply.headers, len(reply.content))


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
    better: RerankError | None = find_error(target, reply, payload, now, hide)
    if better is None:
        kind = kind_of(payload) if reply.content else "empty"
        if isinstance(payload, dict):
            if error.path or not isinstance(error.__cause__, _PYTHON_S_OWN):
                return error
            kind = "an object of another shape"
        if not (expected := _find_expected(part, target, reply)):
            return error
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
