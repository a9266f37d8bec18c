"""A provider that ranks as a test tells it to, and sends nothing."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import frozen

from rerank_core.errors import ConfigurationError, RerankError
from rerank_core.facts import Provider
from rerank_core.hookspecs import hookimpl
from rerank_core.records import Compute, RerankRequest, RerankResponse, RerankResult
from rerank_core.wire import render_document

Score = Callable[[str, Any], float]
Scores = Sequence[float] | Mapping[str, float] | Score
Failure = RerankError | type[RerankError] | None


@frozen
class Answer:
    """What a fake answers, told from what services and models answer."""

    scores: list[float]


class FakeProvider:
    """A provider for the tests of an application: sends nothing, and ranks as it is told.

    Hand it to `Reranker("any-model", provider=fake)`, or `register(fake)` and name `"fake/..."`;
    the fixture `rerank_fake` puts one in the place of every service.

    Args:
        scores: One for each document of a call, by position; or by the document's text, 0.0 for
            all others; or a function from query and document. By default the caller's order,
            with falling scores.
        errors: How the first calls end, in order: an error, a class of errors, or `None` for a
            call that succeeds. Nothing is sent, so nothing is retried: each goes to the caller,
            to a fallback, or to a passthrough.
        latency: Seconds that each call takes, from 0.
        sleep: Called with those seconds; a test that has its own clock gives its own function.
        params: Names of the parameters that it takes beside those of every call.
        name: What it is called, before the `/`.

    Attributes:
        requests: What it was asked, oldest first: model, query, documents, `top_n`. One for
            each call that reached it, those that failed among them.
        params: The parameters of each of these, by their own names.
    """

    def __init__(
        self,
        scores: Scores | None = None,
        *,
        errors: Iterable[Failure] = (),
        latency: float = 0.0,
        sleep: Callable[[float], object] = time.sleep,
        params: Iterable[str] = (),
        name: str = "fake",
    ) -> None:
        self.scores = scores
        self.errors = [*errors]
        self.latency = latency
        self.sleep = sleep
        self.requests: list[RerankRequest] = []
        self.params: list[Mapping[str, Any]] = []
        of_calls = ("top_n", "rank_fields", "max_chunks_per_doc", "max_tokens_per_doc")
        self._facts = Provider(
            name=name,
            auth=None,
            api_key_required=False,
            takes_blank_documents=True,
            params={each: each for each in of_calls},
            extra_params={each: each for each in params},
        )
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        """How many calls have reached it."""
        return len(self.requests)

    @hookimpl
    def resolve_provider(self) -> Provider:
        """State the facts: no key, no service."""
        return self._facts

    @hookimpl
    def map_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the names."""
        return {name: value for name, value in params.items() if value is not None}

    @hookimpl
    def build_request(self, request: RerankRequest, params: Mapping[str, Any]) -> Compute:
        """Rank in this process."""
        return Compute(partial(self.answer, request, params))

    @hookimpl
    def parse_response(self, payload: Answer) -> RerankResponse:
        """Put the scores beside their positions."""
        return ranked(payload)

    def answer(self, request: RerankRequest, params: Mapping[str, Any]) -> Answer:
        """Note a request, and answer it.

        Raises:
            RerankError: The next of `errors`.
            ConfigurationError: There are more or fewer scores than documents.
        """
        with self._lock:  # parts of a split list come from several threads
            self.requests.append(request)
            self.params.append(dict(params))
            failure = self.errors.pop(0) if self.errors else None
        if self.latency:
            self.sleep(self.latency)
        if failure is not None:
            # Each call gets one of its own: core notes on it where it happened.
            raise (
                copy.copy(failure)
                if isinstance(failure, RerankError)
                else failure("a fake failure")
            )
        return Answer([*map(float, self._score(request))])

    def _score(self, request: RerankRequest) -> Iterable[float]:
        documents, scores = request.documents, self.scores
        if scores is None:
            return (1 / (1 + at) for at in range(len(documents)))
        if callable(scores):
            return [scores(request.query, document) for document in documents]
        if isinstance(scores, Mapping):
            return [_look_up(scores, document) for document in documents]
        if len(scores) != len(documents):
            message = f"the fake was given {len(scores)} scores for {len(documents)} documents"
            raise ConfigurationError(message)
        return scores

    def __repr__(self) -> str:
        """The name, and how often it was called."""
        return f"FakeProvider({self._facts.name!r}, calls={self.calls})"


def _look_up(scores: Mapping[str, float], document: str | Mapping[str, Any]) -> float:
    """The score of a document by its text: all of it, or of a mapping the field `text`."""
    sent = render_document(document)
    if sent in scores:
        return scores[sent]
    held = [text for text in scores if f"\ntext: {text}\n" in f"\n{sent}\n"]
    return scores[max(held, key=len)] if held else 0.0  # the shorter ones are its first lines


def ranked(answer: Answer) -> RerankResponse:
    """The ranking that a fake answered."""
    return RerankResponse([RerankResult(at, score) for at, score in enumerate(answer.scores)])
