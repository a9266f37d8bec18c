"""What a call says - query, documents, scores - as attributes, where that was asked for."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from opentelemetry.instrumentation.rerank_core import _names as names
from rerank_core import RerankResponse
from rerank_core.wire import render_document

LOGGER = logging.getLogger(__name__)
# A span has 128 attributes by default, and the first go when more are set.
_MOST_INPUTS, _MOST_OUTPUTS = 32, 16
_MOST_CHARS = 4_096
_SPAN = {"SPAN_ONLY", "SPAN_AND_EVENT", "TRUE"}
_NO_SPAN = {"", "NO_CONTENT", "EVENT_ONLY", "FALSE"}


@frozen
class Content:
    """Which content is recorded.

    Attributes:
        inputs: Query and documents.
        outputs: The ranked documents and their scores.
    """

    inputs: bool = False
    outputs: bool = False

    @classmethod
    def chosen(cls, wanted: bool | None) -> Content:  # noqa: FBT001 - as the caller gave it
        """What is recorded, as the caller says, else the environment; nothing by default."""
        if wanted is None:
            wanted = _asked_for(os.environ.get(names.CAPTURE, ""))
        return cls(
            inputs=wanted and not _is_true(names.HIDE_INPUTS),
            outputs=wanted and not _is_true(names.HIDE_OUTPUTS),
        )

    def of_inputs(self, query: str, documents: Sequence[Any]) -> Iterator[tuple[str, Any]]:
        """Attributes of a call's documents, then of its query."""
        if not self.inputs:
            return
        for at, document in enumerate(documents[:_MOST_INPUTS]):
            yield names.INPUT_DOCUMENT.format(at, "content"), _text_of(document)
        yield names.INPUT_VALUE, _cut(query)
        yield names.INPUT_MIME_TYPE, "text/plain"
        yield names.QUERY, _cut(query)

    def of_outputs(self, response: RerankResponse) -> Iterator[tuple[str, Any]]:
        """Attributes of a ranking."""
        if not self.outputs:
            return
        shown = response.results[:_MOST_OUTPUTS]
        for at, result in enumerate(shown):
            fields: Mapping[str, Any] = {
                "id": str(result.index),
                "score": result.relevance_score,
                "content": result.document and _cut(result.document.text),
            }
            for name, value in fields.items():
                if value is not None:
                    yield names.OUTPUT_DOCUMENT.format(at, name), value
        ranking = [
            {"index": result.index, "relevance_score": result.relevance_score} for result in shown
        ]
        yield names.OUTPUT_VALUE, json.dumps(ranking)
        yield names.OUTPUT_MIME_TYPE, "application/json"
        if response.reranked:
            scores: Sequence[Any] = [result.relevance_score for result in shown]
            # Blank documents that were held back come last and have none: 0.0 may be above others.
            yield names.SCORES, [score for score in scores if score is not None]


def _asked_for(value: str) -> bool:
    """Whether the variable asks for content in spans; what it does not know means no."""
    if value.upper() not in _SPAN | _NO_SPAN:
        LOGGER.warning(
            "%s is %r, which means nothing: no content is recorded", names.CAPTURE, value
        )
    return value.upper() in _SPAN


def _is_true(name: str) -> bool:
    return os.environ.get(name, "").lower() in {"true", "1"}


def _text_of(document: Any) -> str:
    """A document as a reader of the trace knows it."""
    if isinstance(document, (str, Mapping)):
        return _cut(render_document(document))
    texts = (getattr(document, name, None) for name in ("page_content", "content", "text"))
    return _cut(next((text for text in texts if isinstance(text, str)), str(document)))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}…"
