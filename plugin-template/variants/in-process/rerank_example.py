"""Example's reranker, in this process.

A score is the share of the query's words that a document has.
https://docs.example.com/rerank
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from rerank_core import (
    Compute,
    Provider,
    RerankRequest,
    RerankResponse,
    RerankResult,
    hookimpl,
    wire,
)


@hookimpl
def resolve_provider() -> Provider:
    """State the facts; `help(rerank_core.Provider)` lists what can be stated."""
    return Provider(
        name="example",
        docs_url="https://docs.example.com/rerank",
        api_key_required=False,
        auth=None,
    )


@hookimpl
def map_params() -> dict[str, Any]:
    """Take no parameters."""
    return {}


@hookimpl
def build_request(request: RerankRequest) -> Compute:
    """Score in this process; core calls the function, in a worker thread under async."""
    documents = wire.render_documents(request.documents)
    return Compute(functools.partial(score_words, request.query, documents))


@hookimpl
def parse_response(payload: Sequence[float]) -> RerankResponse:
    """Number the scores."""
    return RerankResponse([RerankResult(at, score) for at, score in enumerate(payload)])


def score_words(query: str, documents: Sequence[str]) -> list[float]:
    """Score documents; a model would be imported and loaded here, not at the top."""
    words = set(query.lower().split())
    return [len(words & set(document.lower().split())) / len(words) for document in documents]
