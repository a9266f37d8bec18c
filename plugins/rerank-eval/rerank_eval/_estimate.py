"""What a run would send and cost, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

from attrs import frozen

from rerank_core.wire import render_document
from rerank_eval._ask import Question

_CHARS_PER_TOKEN = 4


@frozen
class Estimate:
    """What is left to ask of one model.

    Attributes:
        label: The row.
        queries: Calls to make, repeats included.
        requests: Requests for them; `None` where the calls send none, in this process.
        tokens: Of queries and documents, at four characters each.
        usd: By the list price; `None` where it is not known.
    """

    label: str
    queries: int
    requests: int | None
    tokens: int
    usd: float | None


def estimate(questions: Sequence[Question]) -> list[Estimate]:
    """Estimate what the questions will send, model by model."""
    labels = dict.fromkeys(question.entrant.label for question in questions)
    found = []
    for label in labels:
        mine = [question for question in questions if question.entrant.label == label]
        calls = [call for question in mine for call in _calls(question)]
        requests = sum(call[0] or 0 for call in calls)
        prices = [call[2] for call in calls]
        known = [price for price in prices if price is not None]
        found.append(
            Estimate(
                label,
                len(mine),
                requests if all(call[0] is not None for call in calls) else None,
                sum(call[1] for call in calls),
                sum(known) if len(known) == len(prices) else None,
            )
        )
    return found


def _calls(question: Question) -> Iterator[tuple[int | None, int, float | None]]:
    """Requests, tokens and dollars of each reranker behind a question."""
    topic = question.topic
    query = len(topic.query)
    for reranker, depth in _leaves(question.entrant.reranker, None):
        documents = [len(render_document(each, None)) for each in topic.documents[:depth]]
        tokens = ceil((sum(documents) + query * len(documents)) / _CHARS_PER_TOKEN)
        facts = getattr(reranker, "facts", None)
        if facts is None:
            yield 1, tokens, None
            continue
        if facts.base_url is None and not facts.base_url_required and not facts.api_key_required:
            yield None, tokens, None
            continue
        requests = ceil(len(documents) / (facts.max_documents or len(documents) or 1))
        price = facts.price
        units = tokens if price and price.unit == "total_tokens" else requests
        yield requests, tokens, units * price.usd if price else None


def _leaves(reranker: Any, depth: int | None) -> Iterator[tuple[Any, int | None]]:
    parts = getattr(reranker, "parts", None)
    if parts is None:
        yield reranker, depth
        return
    for part, bound in parts:
        depths = [each for each in (depth, bound) if each is not None]
        yield from _leaves(part, min(depths, default=None))
