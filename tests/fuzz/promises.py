"""What may come of a reply, whatever it is: a ranking that keeps the promises, or our own error."""

from __future__ import annotations

import json
import os
import pickle
import traceback
import warnings
from collections.abc import Mapping
from itertools import pairwise
from math import isfinite
from typing import Any
from unittest import mock

from attrs import evolve, field, frozen

from core.virtual import Reply, Service, VirtualClock, VirtualDriver, flow_of
from rerank_core import (
    APIStatusError,
    Compute,
    ConfigurationError,
    Meta,
    PluginError,
    Reranker,
    RerankError,
    RerankResponse,
    ResponseParseError,
    TransportError,
    hookimpl,
    wire,
)
from rerank_core.testing import CANARY, Case

MOST_ERROR_CHARS = 1000
"""Of an error's message; `str` puts the model's name in front."""
MOST_WARNING_CHARS = 500
_HALF = CANARY[: len(CANARY) // 2]
DOCUMENTS: tuple[str | Mapping[str, Any], ...] = (
    "first document",
    {"text": "second document", "year": 2},
    "third document",
)
TEXTS = tuple(map(wire.render_document, DOCUMENTS))
MOST_ATTEMPTS = 4
MOST_UNITS = 2**53  # as many as a float can count


@frozen
class HostileReply:
    """One reply, which is all that the service says."""

    content: bytes
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    top_n: int | None = None


class BrokenPromiseError(AssertionError):
    """Something came of a reply that must not."""


def require(kept: bool, fault: str) -> None:  # noqa: FBT001 - what is required
    """Raise where a promise is broken."""
    if not kept:
        raise BrokenPromiseError(fault)


class _Told:
    """A plugin that computes, told what it has computed."""

    def __init__(self, plugin: object) -> None:
        self.payload: Any = None
        self._plugin: Any = plugin
        for name in ("resolve_provider", "map_params", "parse_response"):
            setattr(self, name, getattr(plugin, name))

    @hookimpl
    def build_request(self) -> Compute:
        """Compute nothing."""
        return Compute(lambda: self.payload)


class Target:
    """One case, asked again and again by one reranker.

    Args:
        case: The plugin, with what its own tests state of it.
    """

    def __init__(self, case: Case) -> None:
        self._answer_auth = case.answer_auth
        self.told = _Told(case.plugin) if _computes(case) else None
        with mock.patch.dict(os.environ, clear=True):  # what this machine has set takes no part
            self.reranker = Reranker(
                case.model,
                provider=self.told or case.plugin,
                **{"api_key": CANARY, "max_retries": 0, **case.options},
            )

    def ask(self, hostile: HostileReply) -> RerankResponse:
        """Make a call that is answered so; the service falls silent after a few requests."""
        replies = iter(
            [Reply(0.0, hostile.status, hostile.headers, hostile.content)] * MOST_ATTEMPTS
        )
        clock = VirtualClock()

        def answer(_: str, content: bytes, __: int) -> Reply:
            if b"grant_type" in content:  # of a token service, which is not what is tried here
                return Reply(body=b'{"access_token": "t0ken", "expires_in": 3600}')
            return next(replies, Reply(status=410))

        service = Service(answer, clock)
        if self.told is not None:
            self.told.payload = _payload_of(hostile.content)
        flow = flow_of(self.reranker, DOCUMENTS, clock.to_clock(), top_n=hostile.top_n)
        response: RerankResponse = VirtualDriver(service).run(flow)
        return response

    def judge(self, hostile: HostileReply) -> RerankResponse | RerankError:
        """What comes of a reply.

        Raises:
            BrokenPromiseError: It is neither a ranking that keeps the promises nor an error that
                is the reply's.
        """
        outcome: RerankResponse | RerankError
        if self.told is not None:
            hostile = evolve(hostile, status=200)  # there is no other
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                outcome = self.ask(hostile)
            except RerankError as error:
                check_error(error, hostile)
                outcome = error
            except Exception as error:
                message = f"{type(error).__name__} instead of an error of ours: {str(error)[:200]}"
                raise BrokenPromiseError(message) from error
            else:
                check_response(outcome, hostile)
                if self.told is None:  # one that computes counts, and fails, for itself
                    check_usage(outcome.meta)
                    said = outcome.payload
                    failed = isinstance(said, dict) and bool(said.get("error"))
                    require(not failed, "a success that carries an error")
        return outcome


def _computes(case: Case) -> bool:
    return not case.example.url


def _payload_of(content: bytes) -> Any:
    """What a plugin may have computed."""
    try:
        return wire.decode_json(content)
    except ResponseParseError:
        return content.decode("latin-1")


def check_response(response: RerankResponse, hostile: HostileReply) -> None:
    """Sorted, no index twice or outside, finite scores, own documents, neither more nor fewer."""
    results, wanted = response.results, min(hostile.top_n or len(DOCUMENTS), len(DOCUMENTS))
    require(200 <= hostile.status < 300, f"a success out of status {hostile.status}")
    require(len(results) == wanted, f"{len(results)} results where {wanted} were asked for")
    indices = [result.index for result in results]
    require(all(type(at) is int for at in indices), f"indices that are no integers: {indices}")
    require(len(set(indices)) == len(indices), f"an index twice: {indices}")
    require(all(0 <= at < len(DOCUMENTS) for at in indices), f"an index outside: {indices}")
    for result in results:
        score, document, own = result.relevance_score, result.document, DOCUMENTS[result.index]
        require(type(score) is float and isfinite(score), f"no finite score: {score!r}")
        require(document is not None, "a result without its document")
        said = own if isinstance(own, str) else own["text"]
        require(document is not None and document.text == said, f"another document: {document}")
        fields = None if isinstance(own, str) else own
        require(document is not None and document.fields is fields, "not the caller's own mapping")
    order = [(-(result.relevance_score or 0.0), result.index) for result in results]
    require(all(one <= other for one, other in pairwise(order)), f"not sorted: {order}")
    require(isinstance(response.id, str) and response.id != "", f"no id: {response.id!r}")
    require(response.reranked, "a ranking that says it is none")
    for warning in response.warnings:
        _check_text(str(warning), "a warning", hostile, MOST_WARNING_CHARS)
    cost = response.cost
    billed = type(cost) in {float, int} and cost is not None and cost >= 0 and isfinite(cost)
    require(cost is None or billed, f"the cost is {cost!r}")
    json.dumps(response.to_dict())


def check_usage(meta: Meta) -> None:
    """Counts, or nothing."""
    units, tokens = meta.billed_units, meta.tokens
    for count in (units.total_tokens, tokens.input_tokens, tokens.output_tokens):
        require(count is None or (type(count) is int and count >= 0), f"usage: {count!r}")
    search = units.search_units
    counted = type(search) in {int, float} and search is not None and 0 <= search <= MOST_UNITS
    require(search is None or counted, f"search units: {search!r}")
    require(isinstance(meta.api_version, str | None), f"API version: {meta.api_version!r}")


def check_error(error: RerankError, hostile: HostileReply) -> None:
    """Of a kind that a reply can cause, short, and without the key."""
    good = 200 <= hostile.status < 300
    require(
        not isinstance(error, (PluginError, ConfigurationError)),
        f"a reply's fault is a {type(error).__name__}: {error}",
    )
    kinds = (ResponseParseError, APIStatusError, TransportError) if good else (APIStatusError,)
    if "content-encoding" in hostile.headers:
        kinds = (*kinds, TransportError)
    require(isinstance(error, kinds), f"status {hostile.status} is a {type(error).__name__}")
    require(bool(error.provider and error.model), "an error without provider or model")
    if isinstance(error, APIStatusError):
        expected = {hostile.status, 410}  # the latter once the service has fallen silent
        require(error.status_code in expected, f"its status is {error.status_code}")
    wait = error.retry_after
    require(wait is None or wait >= 0, f"a wait of {wait}")
    where = f"{error.provider}/{error.model}: "
    require(str(error) == where + error.message, f"its text is not its message: {error}")
    require(
        repr(error) == f"{type(error).__name__}({error.message!r})", f"it is shown as {error!r}"
    )
    for text in (error.message, *getattr(error, "__notes__", ())):
        _check_text(text, "an error's text", hostile, MOST_ERROR_CHARS)
    chained = "".join(traceback.format_exception_only(error))
    if error.__cause__ is not None:
        chained += str(error.__cause__)
    require(CANARY not in chained, "the key is in the traceback")
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    require(str(copied) == str(error), "it does not cross process boundaries")


def _check_text(text: str, what: str, hostile: HostileReply, most: int) -> None:
    require(len(text) <= most, f"{what} has {len(text)} characters: {text[:100]}")
    require(CANARY not in text, f"the key is in {what}: {text[:200]}")
    said = hostile.content + "".join(hostile.headers.values()).encode()
    if said.count(_HALF.encode()) == said.count(CANARY.encode()):
        require(_HALF not in text, f"half of the key is in {what}: {text[-100:]}")
