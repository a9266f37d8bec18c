"""Turns the events of a call into spans and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from opentelemetry import context, trace
from opentelemetry.instrumentation.rerank_core import _names as names
from opentelemetry.instrumentation.rerank_core._content import Content
from rerank_core import APIStatusError, RerankResponse, hookimpl
from rerank_core.events import (
    CallEnded,
    CallStarted,
    Event,
    FallbackTaken,
    PartEnded,
    PartStarted,
    PassedThrough,
    Waited,
)

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

Attributes = dict[str, Any]
_KEY = context.create_key("rerank_core")  # of the innermost span of ours
_PORTS = {"http": 80, "https": 443}
_OF_METRICS = (
    names.OPERATION_NAME,
    names.PROVIDER_NAME,
    names.REQUEST_MODEL,
    names.SERVER_ADDRESS,
    names.SERVER_PORT,
)


@define
class _Open:
    """A span that has begun, in its context, which is taken back when it ends."""

    call: str
    span: Span
    token: Any
    few: Attributes
    """What may never be pushed out by content: set when the span begins, and again at its end."""
    fell_back: bool = False


class Observer:
    """An observer of all calls.

    Args:
        tracer: What spans are made with.
        meter: What metrics are made with.
        content: What of query, documents and ranking is recorded.
    """

    def __init__(self, tracer: Tracer, meter: Meter, content: Content) -> None:
        self._tracer, self._content = tracer, content
        self._duration = meter.create_histogram(
            names.DURATION,
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=names.DURATION_BOUNDARIES,
        )
        self._tokens = meter.create_histogram(
            names.TOKEN_USAGE,
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=names.TOKEN_BOUNDARIES,
        )
        self._open: dict[tuple[Any, ...], _Open] = {}

    @hookimpl
    def observe(self, event: Event) -> None:
        """Be told; core reports what this raises, and the call goes on."""
        match event:
            case CallStarted():
                self._begin_call(event)
            case CallEnded():
                self._end_call(event)
            case PartStarted():
                self._begin_part(event)
            case PartEnded():
                self._end_part(event)
            case Waited():
                details = {names.WAIT: event.seconds, names.ERROR_TYPE: _kind_of(event.error)}
                self._note(event, names.RETRY_EVENT, details)
            case FallbackTaken():
                details = {**_named(event), names.ERROR_TYPE: _kind_of(event.error)}
                self._note(event, names.FALLBACK_EVENT, details)
            case PassedThrough():
                kinds = [_kind_of(error) for error in event.errors]
                self._note(event, names.PASSTHROUGH_EVENT, {names.ERROR_TYPE: kinds})
            case _:
                pass

    def _begin_call(self, event: CallStarted) -> None:
        if not is_instrumentation_enabled():
            return
        kind = SpanKind.INTERNAL if event.base_url is None else SpanKind.CLIENT
        few = {
            names.SPAN_KIND: names.RERANKER,
            names.CANDIDATES: event.documents,
            **({} if event.top_n is None else {names.TOP_N: event.top_n, names.TOP_K: event.top_n}),
            **_named(event),
            **_server(event.base_url),
            names.MODEL_NAME: event.model,
        }
        opened = self._begin((event.call,), f"{names.OPERATION} {event.model}", kind, few)
        if opened.span.is_recording():
            for name, value in self._content.of_inputs(event.query, event.inputs):
                opened.few |= {name: value} if name == names.QUERY else {}
                opened.span.set_attribute(name, value)

    def _end_call(self, event: CallEnded) -> None:
        opened = self._open.pop((event.call,), None)
        if opened is None:
            return
        try:
            self._measure(event, opened)
            if opened.span.is_recording():
                if event.response is not None:
                    for name, value in self._content.of_outputs(event.response):
                        opened.span.set_attribute(name, value)
                    opened.few |= _told(event.response)
                opened.few[names.ATTEMPTS] = event.attempts
        finally:
            _end(opened, event.error, in_words=self._content.inputs)

    def _begin_part(self, event: PartStarted) -> None:
        if (event.call,) not in self._open:
            return
        # A fallback's turn is a ranking of its own; a share of a list is a step of one.
        fallback = event.number == 0
        self._open[event.call,].fell_back |= fallback
        few = {
            names.SPAN_KIND: names.RERANKER if fallback else names.CHAIN,
            names.CANDIDATES: event.documents,
            names.PART: event.number,
            **_named(event),
            names.MODEL_NAME: event.model,
        }
        what = "fallback" if fallback else "part"
        name = f"{names.OPERATION} {event.model} {what}"
        self._begin(_part_of(event), name, SpanKind.INTERNAL, few)

    def _end_part(self, event: PartEnded) -> None:
        opened = self._open.pop(_part_of(event), None)
        if opened is not None:
            _end(opened, event.error, in_words=self._content.inputs)

    def _begin(self, key: tuple[Any, ...], name: str, kind: SpanKind, few: Attributes) -> _Open:
        span = self._tracer.start_span(name, kind=kind, attributes=few)
        opened = _Open(key[0], span, None, few)
        inside = context.set_value(_KEY, opened, trace.set_span_in_context(span))
        opened.token = context.attach(inside)
        self._open[key] = opened
        return opened

    def _note(self, event: Event, name: str, attributes: Attributes) -> None:
        """Add an event to the innermost span of its call."""
        opened = context.get_value(_KEY)
        if isinstance(opened, _Open) and opened.call == event.call:
            opened.span.add_event(name, attributes)

    def _measure(self, event: CallEnded, opened: _Open) -> None:
        """Record a call as its span names it, and tokens for who billed them."""
        asked = {name: opened.few[name] for name in _OF_METRICS if name in opened.few}
        told = {} if event.response is None else {names.RESPONSE_MODEL: event.response.model}
        failed = {} if event.error is None else {names.ERROR_TYPE: _kind_of(event.error)}
        self._duration.record(event.seconds, {**asked, **told, **failed})
        tokens = None if event.response is None else _tokens_of(event.response)
        if tokens is not None:
            billed = _named(event) if opened.fell_back else asked  # its server is not known here
            self._tokens.record(tokens, {**billed, **told, names.TOKEN_TYPE: "input"})


def _end(opened: _Open, error: BaseException | None, *, in_words: bool) -> None:
    """End a span, and leave its context."""
    span = opened.span
    try:
        if span.is_recording():
            if error is not None:
                # A service may repeat the query in its message, so that is content, too.
                said = str(error) if in_words else _without_content(error)
                opened.few[names.ERROR_TYPE] = _kind_of(error)
                span.set_status(Status(StatusCode.ERROR, said))
            for name, value in opened.few.items():  # behind all content: the first set go first
                span.set_attribute(name, value)
        span.end()
    finally:
        context.detach(opened.token)


def _part_of(event: PartStarted | PartEnded) -> tuple[Any, ...]:
    return (event.call, event.provider, event.model, event.number)


def _named(event: Event) -> Attributes:
    return {
        names.OPERATION_NAME: names.OPERATION,
        names.PROVIDER_NAME: names.PROVIDERS.get(event.provider, event.provider),
        names.REQUEST_MODEL: event.model,
    }


def _server(base_url: str | None) -> Attributes:
    if base_url is None:
        return {}
    parts = urlsplit(base_url)
    port = parts.port or _PORTS.get(parts.scheme)
    found = {names.SERVER_ADDRESS: parts.hostname, names.SERVER_PORT: port}
    return {name: value for name, value in found.items() if value}


def _told(response: RerankResponse) -> Attributes:
    """What an answer says beside its ranking."""
    found = {
        names.RESPONSE_ID: response.id,
        names.RESPONSE_MODEL: response.model,
        names.INPUT_TOKENS: _tokens_of(response),
        names.SEARCH_UNITS: response.meta.billed_units.search_units,
        names.COST: response.cost,
        names.RERANKED: response.reranked,
    }
    return {name: value for name, value in found.items() if value not in {None, ""}}


def _tokens_of(response: RerankResponse) -> int | None:
    """The tokens that are paid for, else those counted; never an estimate."""
    billed = response.meta.billed_units.total_tokens
    return response.meta.tokens.input_tokens if billed is None else billed


def _kind_of(error: BaseException) -> str:
    return type(error).__qualname__


def _without_content(error: BaseException) -> str:
    status = error.status_code if isinstance(error, APIStatusError) else None
    return _kind_of(error) if status is None else f"{_kind_of(error)}, status {status}"
