"""Our own OpenTelemetry instrumentation beside httpx's: one call, one root, a child per attempt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from opentelemetry.instrumentation.rerank_core import RerankInstrumentor
from recorder import Reply, recording
from rerank_core import RerankResponse, arerank, rerank

BUSY = Reply({"message": "busy"}, status=503, headers={"retry-after-ms": "1"})
RANKING = Reply({"id": "x", "results": [{"index": 0, "relevance_score": 0.5}]})


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What both instrumentations tell the SDK."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    both = (RerankInstrumentor(), HTTPXClientInstrumentor())
    for instrumentor in both:
        instrumentor.instrument(tracer_provider=provider)
    yield exporter
    for instrumentor in both:
        instrumentor.uninstrument()


def _call(way: str, base_url: str) -> RerankResponse:
    options: dict[str, Any] = {"api_key": "k-0123456789", "api_base": base_url}
    if way == "rerank":
        return rerank("cohere/rerank-v3.5", "q", ["a"], **options)
    return asyncio.run(arerank("cohere/rerank-v3.5", "q", ["a"], **options))


@pytest.mark.parametrize("way", ["rerank", "arerank"])
def test_two_failures_and_an_answer_are_one_root_with_three_children(
    way: str, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """A 503, a 503 and a 200: three DEBUG records, two WARNINGs, three spans below one."""
    caplog.set_level(logging.DEBUG, logger="rerank_core")
    with recording() as service:
        service.answer(BUSY, BUSY, RANKING)
        response = _call(way, service.base_url)

    found: list[ReadableSpan] = [*spans.get_finished_spans()]
    (root,) = (span for span in found if span.parent is None)
    assert root.name == "rerank rerank-v3.5"
    assert root.context is not None
    children = [span for span in found if span.parent is not None]
    assert [span.parent.span_id for span in children if span.parent] == [root.context.span_id] * 3
    assert response.attempts == 3
    levels = [record.levelname for record in caplog.records if record.name == "rerank_core"]
    assert levels.count("DEBUG") == 3
    assert levels.count("WARNING") == 2
