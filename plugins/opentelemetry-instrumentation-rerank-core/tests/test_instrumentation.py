"""Each call is a span with what the conventions say, and httpx's spans are its children."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from typing import Any

import httpx
import pytest
import trio
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import SpanKind, StatusCode

from opentelemetry import trace
from opentelemetry.instrumentation.rerank_core import RerankInstrumentor
from recorder import Recorder, Reply, recording
from rerank_core import BadRequestError, RateLimitError, Reranker, RerankResponse, arerank, rerank

MODEL = "cohere/rerank-v3.5"
SECRET = "the-secret-of-the-document"  # noqa: S105 - no password: what must not be recorded
Ask = Callable[..., RerankResponse]


def ranking(request: Any = None) -> dict[str, Any]:
    """The documents in the order in which they were sent, with tokens and units."""
    count = 3 if request is None else len(request["documents"])
    rows = [{"index": at, "relevance_score": 1 / (1 + at)} for at in range(count)]
    billed = {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": 12}}
    return {"id": "reply", "results": rows, "meta": billed}


BUSY = Reply({"message": "busy"}, status=503, headers={"retry-after-ms": "1"})


class Seen:
    """What the SDK was told: spans and metrics."""

    def __init__(self, sampler: Sampler, **limits: int) -> None:
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracer_provider = TracerProvider(sampler, span_limits=SpanLimits(**limits))
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meter_provider = MeterProvider([self._metrics])

    @property
    def spans(self) -> list[ReadableSpan]:
        """All of them, in the order in which they ended."""
        return [*self._spans.get_finished_spans()]

    @property
    def roots(self) -> list[ReadableSpan]:
        """Those without a parent."""
        return [span for span in self.spans if span.parent is None]

    @property
    def root(self) -> ReadableSpan:
        """The only one without a parent."""
        (root,) = self.roots
        return root

    def below(self, parent: ReadableSpan) -> list[ReadableSpan]:
        """The spans right below another."""
        assert parent.context
        at = parent.context.span_id
        return [span for span in self.spans if span.parent and span.parent.span_id == at]

    def points(self, name: str) -> list[Any]:
        """The points of a metric."""
        data = self._metrics.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


Instrument = Callable[..., Seen]


@pytest.fixture
def instrument() -> Iterator[Instrument]:
    """Instruments rerank-core and httpx until the test is over."""

    def begin(
        *, limits: dict[str, int] | None = None, sampler: Sampler = ALWAYS_ON, **options: Any
    ) -> Seen:
        seen = Seen(sampler, **(limits or {}))
        providers = {
            "tracer_provider": seen.tracer_provider,
            "meter_provider": seen.meter_provider,
        }
        RerankInstrumentor().instrument(**providers, **options)
        HTTPXClientInstrumentor().instrument(**providers)
        return seen

    yield begin
    RerankInstrumentor().uninstrument()
    HTTPXClientInstrumentor().uninstrument()


@pytest.fixture
def seen(instrument: Instrument) -> Seen:
    """What was seen, with nothing said about content."""
    return instrument()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A service on loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with recording(Reply(ranking())) as recorder:
        yield recorder


def _through_asyncio(*arguments: Any, **options: Any) -> RerankResponse:
    return asyncio.run(arerank(*arguments, **options))


def _through_trio(*arguments: Any, **options: Any) -> RerankResponse:
    async def main() -> RerankResponse:
        return await arerank(*arguments, **options)

    return trio.run(main)


@pytest.fixture(params=[rerank, _through_asyncio, _through_trio], ids=["sync", "asyncio", "trio"])
def ask(request: pytest.FixtureRequest, service: Recorder) -> Ask:
    """Asks the service, in each of the ways there are."""

    def ask_service(documents: Any = ("a", "b", "c"), **options: Any) -> RerankResponse:
        usual = {"api_base": service.base_url, "api_key": "sk-0123456789abcdef"}
        call: Ask = request.param
        return call(MODEL, "q", [*documents], **{**usual, **options})

    return ask_service


def test_a_retried_call_is_one_span_with_three_requests_below(
    ask: Ask, service: Recorder, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    """A 503, a 503 and a 200: seen in spans, in the log and in the response alike."""
    caplog.set_level(logging.DEBUG, "rerank_core")
    service.answer(BUSY, BUSY, Reply(ranking()))
    response = ask()

    assert response.attempts == 3
    levels = [record.levelno for record in caplog.records if record.name == "rerank_core"]
    assert levels.count(logging.DEBUG) == 3
    assert levels.count(logging.WARNING) == 2
    assert seen.root.name == "rerank rerank-v3.5"
    assert seen.root.status.status_code is StatusCode.UNSET
    statuses = [span.status.status_code for span in seen.below(seen.root)]
    assert statuses == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert len(seen.spans) == 4
    assert [event.name for event in seen.root.events] == ["rerank_core.retry"] * 2
    assert dict(seen.root.attributes or {})["rerank_core.attempts"] == 3


def test_a_span_says_what_the_conventions_ask(ask: Ask, service: Recorder, seen: Seen) -> None:
    """Of GenAI, of OpenInference and ours; nothing of the content."""
    ask([SECRET, "b", "c"], top_n=2)

    attributes = dict(seen.root.attributes or {})
    assert attributes == {
        "gen_ai.operation.name": "rerank",
        "gen_ai.provider.name": "cohere",
        "gen_ai.request.model": "rerank-v3.5",
        "gen_ai.response.model": "rerank-v3.5",
        "gen_ai.response.id": "reply",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.rerank.candidate.count": 3,
        "gen_ai.rerank.top_n": 2,
        "server.address": "127.0.0.1",
        "server.port": httpx.URL(service.base_url).port,
        "openinference.span.kind": "RERANKER",
        "reranker.model_name": "rerank-v3.5",
        "reranker.top_k": 2,
        "rerank_core.attempts": 1,
        "rerank_core.cost": attributes["rerank_core.cost"],
        "rerank_core.reranked": True,
        "rerank_core.usage.search_units": 1,
    }
    assert seen.root.kind is SpanKind.CLIENT
    assert seen.root.instrumentation_scope is not None
    assert seen.root.instrumentation_scope.name == "opentelemetry.instrumentation.rerank_core"
    assert seen.root.instrumentation_scope.version
    assert SECRET not in seen.root.to_json()


def test_a_call_in_this_process_is_internal(seen: Seen) -> None:
    """It has no server, and no request below it."""
    rerank("local/bm25", "red", ["red", "blue"])

    assert seen.root.kind is SpanKind.INTERNAL
    assert "server.address" not in (seen.root.attributes or {})
    assert len(seen.spans) == 1


def test_metrics(ask: Ask, service: Recorder, seen: Seen) -> None:
    """Duration of each call, failed ones too; tokens where the service counts them."""
    ask()
    service.answer(Reply({"message": "no"}, status=400))
    with pytest.raises(BadRequestError):
        ask()

    points = seen.points("gen_ai.client.operation.duration")
    good, bad = sorted(points, key=lambda point: "error.type" in point.attributes)
    assert good.explicit_bounds[:3] == (0.01, 0.02, 0.04)
    assert good.explicit_bounds[-1] == 81.92
    assert good.attributes == {
        "gen_ai.operation.name": "rerank",
        "gen_ai.provider.name": "cohere",
        "gen_ai.request.model": "rerank-v3.5",
        "gen_ai.response.model": "rerank-v3.5",
        "server.address": "127.0.0.1",
        "server.port": httpx.URL(service.base_url).port,
    }
    assert bad.attributes["error.type"] == "BadRequestError"
    assert (good.count, bad.count) == (1, 1)
    (tokens,) = seen.points("gen_ai.client.token.usage")
    assert (tokens.sum, tokens.attributes["gen_ai.token.type"]) == (12, "input")
    assert tokens.explicit_bounds[-1] == 67108864


def test_a_failed_call_is_an_error(ask: Ask, service: Recorder, seen: Seen) -> None:
    """Its kind is told; the service's words, which may repeat a document, are not."""
    service.answer(Reply({"message": f"cannot read {SECRET}"}, status=400))
    with pytest.raises(BadRequestError, match=SECRET):
        ask()

    assert seen.root.status.status_code is StatusCode.ERROR
    assert seen.root.status.description == "BadRequestError, status 400"
    assert dict(seen.root.attributes or {})["error.type"] == "BadRequestError"
    assert SECRET not in seen.root.to_json()


def test_where_content_is_recorded_the_words_of_a_failure_are(
    ask: Ask, service: Recorder, instrument: Instrument
) -> None:
    """They are what a person needs to correct the call."""
    seen = instrument(capture_content=True)
    service.answer(Reply({"message": "too long"}, status=400))
    with pytest.raises(BadRequestError):
        ask()

    assert "too long" in (seen.root.status.description or "")


@pytest.mark.parametrize("deadline", [None, 60])
def test_the_parts_of_a_split_list_are_children(
    ask: Ask, service: Recorder, seen: Seen, deadline: float | None
) -> None:
    """Each with its own request below; side by side, in threads or in tasks."""
    service.answer(Reply(ranking()))
    ask([f"{at}" for at in range(9)], max_documents=3, deadline=deadline)

    parts = seen.below(seen.root)
    assert {dict(part.attributes or {})["rerank_core.part"] for part in parts} == {1, 2, 3}
    assert {part.name for part in parts} == {"rerank rerank-v3.5 part"}
    assert [len(seen.below(part)) for part in parts] == [1, 1, 1]
    assert len(seen.spans) == 7


def test_a_fallback_is_a_child(ask: Ask, service: Recorder, seen: Seen) -> None:
    """With its own model, and the root says why it was asked."""
    service.answer(Reply({"message": "busy"}, status=429), Reply(ranking()))
    response = ask(fallbacks=["cohere/another"], max_retries=0)

    assert response.model == "another"
    first, turn = seen.below(seen.root)
    assert first.status.status_code is StatusCode.ERROR
    assert turn.name == "rerank another fallback"
    assert dict(turn.attributes or {})["openinference.span.kind"] == "RERANKER"
    assert len(seen.below(turn)) == 1
    (told,) = seen.root.events
    assert told.name == "rerank_core.fallback"
    assert dict(told.attributes or {})["error.type"] == "RateLimitError"
    assert dict(told.attributes or {})["gen_ai.request.model"] == "another"
    assert dict(seen.root.attributes or {})["gen_ai.response.model"] == "another"


def test_what_a_fallback_answered_is_measured_as_what_was_asked(
    ask: Ask, service: Recorder, seen: Seen
) -> None:
    """As the span has it: the fallback's name never stands beside the other one's server."""
    service.answer(Reply({"message": "busy"}, status=429))
    ask(fallbacks=["local/bm25"], max_retries=0)

    (point,) = seen.points("gen_ai.client.operation.duration")
    measured, spanned = dict(point.attributes), dict(seen.root.attributes or {})
    assert measured == {name: spanned[name] for name in measured}
    assert measured["gen_ai.provider.name"] == "cohere"
    assert measured["gen_ai.response.model"] == "bm25"


@pytest.mark.parametrize("model", ["another", "rerank-v3.5"])
def test_tokens_are_those_of_who_billed_them(
    model: str, ask: Ask, service: Recorder, seen: Seen
) -> None:
    """A fallback's are under its own name, without the server of the first one."""
    service.answer(Reply({"message": "busy"}, status=429), Reply(ranking()))
    other = Reranker(f"cohere/{model}", api_key="k", api_base=f"{service.base_url}/other")
    ask(fallbacks=[other], max_retries=0)

    (point,) = seen.points("gen_ai.client.token.usage")
    assert dict(point.attributes) == {
        "gen_ai.operation.name": "rerank",
        "gen_ai.provider.name": "cohere",
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.token.type": "input",
    }


def test_a_passthrough_is_told(ask: Ask, service: Recorder, seen: Seen) -> None:
    """The call succeeds, but nothing was ranked."""
    service.answer(Reply({"message": "busy"}, status=429))
    ask(on_failure="passthrough", max_retries=0)

    assert dict(seen.root.attributes or {})["rerank_core.reranked"] is False
    assert seen.root.status.status_code is StatusCode.UNSET
    assert [event.name for event in seen.root.events] == ["rerank_core.passthrough"]


def test_the_callers_span_is_the_parent_and_comes_back(ask: Ask, seen: Seen) -> None:
    """The context is as it was when a call has ended, however it ended."""
    tracer = seen.tracer_provider.get_tracer("application")
    with tracer.start_as_current_span("application") as own:
        ask()

        assert trace.get_current_span() is own
    assert seen.root.name == "application"
    (call,) = seen.below(seen.root)
    assert len(seen.below(call)) == 1


def test_calls_side_by_side_keep_apart(service: Recorder, seen: Seen) -> None:
    """In threads, and in tasks of one loop, each has its own request below."""
    options: dict[str, Any] = {"api_base": service.base_url, "api_key": "k-0123456789"}
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(rerank, MODEL, "q", ["a", "b", "c"], **options) for _ in range(8)]
        assert all(call.result() for call in calls)

    async def main() -> None:
        ways = (arerank(MODEL, "q", ["a", "b", "c"], **options) for _ in range(8))
        await asyncio.gather(*ways)

    asyncio.run(main())

    assert len(seen.roots) == 16
    assert [len(seen.below(root)) for root in seen.roots] == [1] * 16


def test_a_cancelled_call_ends_its_span(seen: Seen) -> None:
    """It is an error of its own kind."""

    async def main() -> None:
        asked = asyncio.Event()

        async def never(_: httpx.Request) -> httpx.Response:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        client = httpx.MockTransport(never)
        call = arerank(MODEL, "q", ["a"], api_key="k-0123456789", http_client=client)
        task = asyncio.create_task(call)
        await asked.wait()
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())

    assert dict(seen.root.attributes or {})["error.type"] == "CancelledError"
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_suppressed_calls_leave_nothing(ask: Ask, seen: Seen) -> None:
    """As OpenTelemetry's own key asks."""
    with suppress_instrumentation():
        ask([f"{at}" for at in range(9)], max_documents=3)

    assert seen.spans == []
    assert seen.points("gen_ai.client.operation.duration") == []


def test_content_never_pushes_out_what_matters(ask: Ask, instrument: Instrument) -> None:
    """The SDK drops the oldest of more than 128, or fewer where one sets it so."""
    seen = instrument(capture_content=True, limits={"max_span_attributes": 20})
    ask([f"{SECRET} {at}" for at in range(3)])

    attributes = dict(seen.root.attributes or {})
    assert len(attributes) == 20
    assert attributes["openinference.span.kind"] == "RERANKER"
    assert attributes["reranker.query"] == "q"
    assert attributes["reranker.model_name"] == attributes["gen_ai.request.model"] == "rerank-v3.5"


def test_content_is_recorded_where_it_is_asked_for(instrument: Instrument) -> None:
    """Bounded, so that nothing is pushed out of the usual 128 attributes."""
    seen = instrument(capture_content=True)
    documents = ["red " * 3000, {"text": "red", "title": "a"}, *(f"blue {n}" for n in range(98))]
    rerank("local/bm25", "red", documents)

    attributes = dict(seen.root.attributes or {})
    assert seen.root.dropped_attributes == 0
    assert len(str(attributes["reranker.input_documents.0.document.content"])) == 4097
    assert "red" in str(attributes["reranker.input_documents.1.document.content"])
    assert attributes["reranker.query"] == attributes["input.value"] == "red"
    assert attributes["reranker.output_documents.0.document.id"] in {"0", "1"}
    shown = json.loads(str(attributes["output.value"]))
    scores = attributes["gen_ai.rerank.scores"]
    assert scores == tuple(row["relevance_score"] for row in shown)
    assert attributes["openinference.span.kind"] == "RERANKER"


def test_a_document_without_a_score_has_none(instrument: Instrument, service: Recorder) -> None:
    """One that was held back as blank comes last: a 0.0 would stand above a score below it."""
    seen = instrument(capture_content=True)
    rows = [{"index": 0, "relevance_score": -3.5}, {"index": 1, "relevance_score": -4.5}]
    service.answer(Reply({"results": rows}))
    rerank(MODEL, "q", ["a", " ", "b"], api_key="k", api_base=service.base_url)

    assert dict(seen.root.attributes or {})["gen_ai.rerank.scores"] == (-3.5, -4.5)


@pytest.mark.parametrize(
    ("variables", "inputs", "outputs"),
    [
        ({}, False, False),
        ({"": "NO_CONTENT"}, False, False),
        ({"": "EVENT_ONLY"}, False, False),
        ({"": "false"}, False, False),
        ({"": "span_only"}, True, True),
        ({"": "SPAN_AND_EVENT"}, True, True),
        ({"": "true"}, True, True),
        ({"": "true", "OPENINFERENCE_HIDE_INPUTS": "true"}, False, True),
        ({"": "true", "OPENINFERENCE_HIDE_OUTPUTS": "1"}, True, False),
    ],
)
def test_the_environment_says_what_is_recorded(
    instrument: Instrument,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    *,
    inputs: bool,
    outputs: bool,
) -> None:
    """By OpenTelemetry's variable for content, and OpenInference's two to hide it."""
    for name, value in variables.items():
        usual = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
        monkeypatch.setenv(name or usual, value)
    seen = instrument()
    rerank("local/bm25", "red", [SECRET, "red"])

    attributes = seen.root.attributes or {}
    assert ("reranker.query" in attributes) is inputs
    assert ("gen_ai.rerank.scores" in attributes) is outputs
    assert any("input_documents" in name for name in attributes) is inputs
    assert any("output_documents" in name for name in attributes) is outputs


def test_a_value_that_means_nothing_is_told(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And records nothing."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "yes please")
    seen = instrument()
    rerank("local/bm25", "red", ["red"])

    assert "'yes please', which means nothing" in caplog.text
    assert "reranker.query" not in (seen.root.attributes or {})


class _Broken(SpanProcessor):
    """Fails at both ends of a span."""

    def on_start(self, *_: object, **__: object) -> None:
        """Fail."""
        raise RuntimeError("broken")

    def on_end(self, *_: object) -> None:
        """Fail."""
        raise RuntimeError("broken")


class _BrokenAtTheEnd(_Broken):
    """Fails at the end of a span."""

    def on_start(self, *_: object, **__: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize("processor", [_Broken, _BrokenAtTheEnd])
def test_a_broken_sdk_harms_no_call(
    instrument: Instrument, processor: type[SpanProcessor], caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported once, and the context is as it was."""
    seen = instrument()
    seen.tracer_provider.add_span_processor(processor())
    for _ in range(3):
        assert rerank("local/bm25", "red", ["red"]).results

    assert caplog.text.count("an observer of rerank_core failed") == 1
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_span_that_is_not_recorded_costs_no_content(instrument: Instrument) -> None:
    """Nothing is read of the documents for a call that sampling leaves out."""
    seen = instrument(capture_content=True, sampler=ALWAYS_OFF)

    class Watched(dict[str, str]):
        """Counts its readers."""

        read = 0

        def __getitem__(self, name: str) -> str:
            type(self).read += 1
            return super().__getitem__(name)

    document = Watched(text="red")
    rerank("local/bm25", "red", [document])
    by_core, Watched.read = Watched.read, 0
    RerankInstrumentor().uninstrument()
    rerank("local/bm25", "red", [document])

    assert seen.spans == []
    assert by_core == Watched.read


def test_taken_back_nothing_is_seen(ask: Ask, seen: Seen) -> None:
    """And it can be put in again."""
    RerankInstrumentor().uninstrument()
    RerankInstrumentor().uninstrument()
    ask()

    assert [span.name for span in seen.roots] == ["POST"]


def test_opentelemetry_instrument_finds_it() -> None:
    """By the group of entry points that it loads."""
    (found,) = entry_points(group="opentelemetry_instrumentor", name="rerank_core")

    assert found.load() is RerankInstrumentor
    assert [*RerankInstrumentor().instrumentation_dependencies()] == ["rerank-core >= 0.1, < 0.2"]


def test_a_rate_limit_is_an_error_of_its_kind(ask: Ask, service: Recorder, seen: Seen) -> None:
    """The status of the request's span and ours agree."""
    service.answer(Reply({"message": "slow down"}, status=429))
    with pytest.raises(RateLimitError):
        ask(max_retries=0)

    (request,) = seen.below(seen.root)
    assert seen.root.status.description == "RateLimitError, status 429"
    assert request.status.status_code is StatusCode.ERROR
