"""The records: what a caller receives, and what hooks take and return.

They grow by new fields; no field changes its meaning before a major version.
"""

from rerank_core.records.exchange import (
    JSON,
    Compute,
    HTTPRequest,
    HTTPResponse,
    NextRequest,
    RerankRequest,
)
from rerank_core.records.response import RerankResponse
from rerank_core.records.results import BilledUnits, Document, Meta, RerankResult, Tokens

__all__ = [
    "JSON",
    "BilledUnits",
    "Compute",
    "Document",
    "HTTPRequest",
    "HTTPResponse",
    "Meta",
    "NextRequest",
    "RerankRequest",
    "RerankResponse",
    "RerankResult",
    "Tokens",
]
