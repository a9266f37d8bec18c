"""OpenTelemetry for rerank-core: a span and metrics for each call.

    from opentelemetry.instrumentation.rerank_core import RerankInstrumentor

    RerankInstrumentor().instrument()

`opentelemetry-instrument` finds it by itself. What is recorded, and under which names, stands in
the README.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import version
from typing import Any

from opentelemetry.metrics import get_meter
from opentelemetry.trace import get_tracer

from opentelemetry.instrumentation import instrumentor
from opentelemetry.instrumentation.rerank_core import _names as names
from opentelemetry.instrumentation.rerank_core._content import Content
from opentelemetry.instrumentation.rerank_core._observer import Observer
from opentelemetry.instrumentation.rerank_core.package import _instruments
from rerank_core import register, unregister

__all__ = ["RerankInstrumentor"]


# The module that it comes from says that its types are not to be read.
class RerankInstrumentor(instrumentor.BaseInstrumentor):  # type: ignore[misc,name-defined]
    """Records the calls of `rerank` and `arerank` of this process."""

    _registered: str | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """The versions of rerank-core that this is for."""
        return _instruments

    def _instrument(self, **options: Any) -> None:
        """Begin.

        Args:
            **options: `tracer_provider` and `meter_provider`, the global ones by default;
                `capture_content`, whether query, documents and scores are recorded, else as the
                environment says.
        """
        own = version("opentelemetry-instrumentation-rerank-core")
        tracer = get_tracer(
            __name__, own, options.get("tracer_provider"), schema_url=names.SCHEMA_URL
        )
        meter = get_meter(__name__, own, options.get("meter_provider"), schema_url=names.SCHEMA_URL)
        content = Content.chosen(options.get("capture_content"))
        self._registered = register(Observer(tracer, meter, content))

    def _uninstrument(self, **_: Any) -> None:
        """End; calls that are under way are recorded to their end."""
        if self._registered is not None:
            unregister(self._registered)
            self._registered = None
