"""Every name that leaves this package, in one place: the conventions are still in development.

The GenAI conventions (open-telemetry/semantic-conventions-genai) have no rerank operation yet.
Those below `gen_ai.rerank` are the names of their proposal 253. All `gen_ai.*` constants of
`opentelemetry-semantic-conventions` are marked as moved, so the strings stand here.
"""

from __future__ import annotations

from collections.abc import Mapping

OPERATION = "rerank"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.39.0"

# Provider names that the conventions fix; all others keep ours.
PROVIDERS: Mapping[str, str] = {
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
}

# GenAI, general, and the proposal's.
OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
CANDIDATES = "gen_ai.rerank.candidate.count"
TOP_N = "gen_ai.rerank.top_n"
SCORES = "gen_ai.rerank.scores"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - a kind of token that is counted
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"

# Ours, for what no convention names.
ATTEMPTS = "rerank_core.attempts"
COST = "rerank_core.cost"
PART = "rerank_core.part"
RERANKED = "rerank_core.reranked"
SEARCH_UNITS = "rerank_core.usage.search_units"
WAIT = "rerank_core.wait"
RETRY_EVENT = "rerank_core.retry"
FALLBACK_EVENT = "rerank_core.fallback"
PASSTHROUGH_EVENT = "rerank_core.passthrough"

# OpenInference.
SPAN_KIND = "openinference.span.kind"
RERANKER = "RERANKER"
CHAIN = "CHAIN"
QUERY = "reranker.query"
MODEL_NAME = "reranker.model_name"
TOP_K = "reranker.top_k"
INPUT_DOCUMENT = "reranker.input_documents.{}.document.{}"
OUTPUT_DOCUMENT = "reranker.output_documents.{}.document.{}"
INPUT_VALUE = "input.value"
INPUT_MIME_TYPE = "input.mime_type"
OUTPUT_VALUE = "output.value"
OUTPUT_MIME_TYPE = "output.mime_type"

# Metrics, with the boundaries that the conventions give.
DURATION = "gen_ai.client.operation.duration"
DURATION_BOUNDARIES = tuple(0.01 * 2**step for step in range(14))
TOKEN_USAGE = "gen_ai.client.token.usage"  # noqa: S105 - likewise
TOKEN_BOUNDARIES = tuple(4**step for step in range(14))

# Variables that say whether content is recorded.
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
HIDE_INPUTS = "OPENINFERENCE_HIDE_INPUTS"
HIDE_OUTPUTS = "OPENINFERENCE_HIDE_OUTPUTS"
