"""What OpenTelemetry's tools read of an instrumentation."""

_instruments = ("rerank-core >= 0.1, < 0.2",)
_supports_metrics = True
