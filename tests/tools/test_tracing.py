"""OpenTelemetry's and Sentry's instrumentation of httpx see each request and its parent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sentry_sdk
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sentry_sdk.integrations.httpx import HttpxIntegration
from sentry_sdk.transport import Transport

from recorder import Recorder, Reply, recording
from rerank_core import TransportError
from tools.conftest import RANKING, Ask, order

if TYPE_CHECKING:
    from sentry_sdk.envelope import Envelope

NINE = [f"{at}" for at in range(9)]
# A deadline may put the work into another thread, a split list into several tasks or threads.
HOW = pytest.mark.parametrize(
    ("options", "requests"),
    [
        ({}, 1),
        ({"deadline": 60}, 1),
        ({"documents": NINE, "max_documents": 3}, 3),
        ({"documents": NINE, "max_documents": 3, "deadline": 60}, 3),
        ({"fallbacks": ["cohere/another"], "deadline": 60}, 1),
    ],
    ids=["plain", "deadline", "split", "split-deadline", "fallbacks"],
)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A service on loopback that ranks three documents."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with recording(Reply(RANKING)) as recorder:
        yield recorder


class Spans:
    """What OpenTelemetry was told, and the tracer of the application itself."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("application")

    def of_requests(self) -> list[ReadableSpan]:
        """The spans of HTTP requests."""
        return [span for span in self._exporter.get_finished_spans() if span.name != "application"]


@pytest.fixture
def spans() -> Iterator[Spans]:
    """The instrumentation, for the length of one test."""
    told = Spans()
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=told.provider)
    yield told
    instrumentor.uninstrument()
    told.provider.shutdown()


def _trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}"


@HOW
def test_opentelemetry_sees_each_request(
    ask: Ask, service: Recorder, spans: Spans, options: dict[str, Any], requests: int
) -> None:
    """A span for each, under the caller's, and its id in the request that arrives."""
    with spans.tracer.start_as_current_span("application") as parent:
        ask(api_base=service.base_url, **options)

    found = spans.of_requests()
    assert len(found) == requests
    assert {span.parent and span.parent.span_id for span in found} == {
        parent.get_span_context().span_id
    }
    arrived = [request.headers["traceparent"].rpartition("-")[0] for request in service.requests]
    assert sorted(arrived) == sorted(map(_trace_of, found))


def test_opentelemetry_sees_every_attempt(ask: Ask, service: Recorder, spans: Spans) -> None:
    """A retry has a span of its own; the failed one says so."""
    service.answer(Reply({}, status=503, headers={"retry-after-ms": "1"}), Reply(RANKING))
    with spans.tracer.start_as_current_span("application"):
        response = ask(api_base=service.base_url, max_retries=1)

    assert order(response) == [1, 2, 0]
    assert [span.status.status_code for span in spans.of_requests()] == [
        StatusCode.ERROR,
        StatusCode.UNSET,
    ]


def test_opentelemetry_sees_a_connection_that_fails(ask: Ask, spans: Spans) -> None:
    """Where there is no reply, the span has the exception."""
    with recording() as gone:
        base = gone.base_url
    with pytest.raises(TransportError):
        ask(api_base=base)

    (span,) = spans.of_requests()
    assert span.status.status_code is StatusCode.ERROR


class Envelopes(Transport):
    """Keeps what Sentry would be sent."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.kept: list[Envelope] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        """Keep it."""
        self.kept.append(envelope)

    def transactions(self) -> list[Any]:
        """The transactions, decoded."""
        found = (envelope.get_transaction_event() for envelope in self.kept)
        return [event for event in found if event]


@pytest.fixture(scope="module")
def _sentry() -> Iterator[Envelopes]:
    """Sentry's own set-up can be done once in a process; afterwards httpx is as it was."""
    with pytest.MonkeyPatch.context() as patch:
        for client in (httpx.Client, httpx.AsyncClient):
            patch.setattr(client, "send", client.send)  # to be put back: it stays patched
        transport = Envelopes()
        sentry_sdk.init(
            dsn="https://key@sentry.invalid/1",
            transport=transport,
            traces_sample_rate=1.0,
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[HttpxIntegration()],
            auto_session_tracking=False,
            enable_backpressure_handling=False,
        )
        yield transport
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def sentry(_sentry: Envelopes) -> Envelopes:
    """What Sentry is told from now on."""
    _sentry.kept.clear()
    return _sentry


@HOW
def test_sentry_sees_each_request(
    ask: Ask, service: Recorder, sentry: Envelopes, options: dict[str, Any], requests: int
) -> None:
    """A span for each in the transaction, and its trace header in the request that arrives.

    Work that runs side by side shares Sentry's scope, as it does with plain httpx: which span is
    the other's parent is told only where there is one request.
    """
    with sentry_sdk.start_transaction(name="application", op="task") as transaction:
        ask(api_base=service.base_url, **options)

    (told,) = sentry.transactions()
    found = [span for span in told["spans"] if span["op"] == "http.client"]
    traces = [request.headers["sentry-trace"].split("-")[:2] for request in service.requests]
    assert len(found) == len(traces) == requests
    assert {trace for trace, _ in traces} == {transaction.trace_id}
    if requests == 1:
        assert found[0]["parent_span_id"] == transaction.span_id
        assert found[0]["span_id"] == traces[0][1]
    assert all(request.headers["baggage"] for request in service.requests)
