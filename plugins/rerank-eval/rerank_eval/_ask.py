"""Asking every model every query, once, in a window of calls."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import metadata
from time import perf_counter
from typing import Any, TypeGuard

from attrs import frozen

from rerank_core import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    PluginError,
    RerankError,
    RerankResponse,
)
from rerank_eval._data import Collection, Topic, topic_checksum
from rerank_eval._entrants import Entrant
from rerank_eval._responses import Answer, Responses
from rerank_eval._timing import asking, listening

# Each further query would fail alike, and may be paid.
_FINAL = (
    AuthenticationError,
    PermissionDeniedError,
    NotFoundError,
    PluginError,
    ConfigurationError,
)
_HOPELESS = 10
_PACKAGES = (
    "rerank-core",
    "rerank-eval",
    "numpy",
    "bm25s",
    "PyStemmer",
    "onnxruntime",
    "tokenizers",
)

Progress = Callable[[str, int, int], None]
"""Told the model, how many of its answers there are, and how many there will be."""


@frozen
class Question:
    """One call that is to be made."""

    entrant: Entrant
    topic: Topic
    repeat: int


def open_questions(
    collection: Collection,
    entrants: Sequence[Entrant],
    responses: Responses,
    *,
    repeats: int = 1,
    retry_failed: bool = False,
) -> list[Question]:
    """What is not answered yet; a query without candidates asks nothing."""
    return [
        Question(entrant, topic, repeat)
        for entrant in entrants
        for repeat in range(repeats)
        for topic in collection.topics
        if topic.ids and not _is_answered(responses, entrant, topic, repeat, retry_failed)
    ]


def _is_answered(
    responses: Responses,
    entrant: Entrant,
    topic: Topic,
    repeat: int,
    retry_failed: bool,  # noqa: FBT001 - one caller
) -> bool:
    answer = responses.answers.get((entrant.label, topic.query_id, repeat))
    return answer is not None and not (retry_failed and answer.error)


def ask(
    questions: Sequence[Question],
    responses: Responses,
    *,
    concurrency: int = 1,
    about: Mapping[str, Any] | None = None,
    progress: Progress = lambda *_: None,
) -> None:
    """Ask, model after model, and keep every answer as soon as it is there.

    A call that fails is an answer, too. What would fail in every further call ends everything.

    Args:
        questions: From `open_questions`.
        responses: Where answers go.
        concurrency: The most calls under way at once, from 1.
        about: What else is noted about this run.
        progress: Told after every answer.

    Raises:
        RerankError: A wrong key, a missing model, a broken plugin; or a model's first ten calls
            all failed.
    """
    if not questions:
        return
    entrants = {question.entrant.label: question.entrant for question in questions}
    responses.add_run(
        {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "concurrency": concurrency,
            "models": [describe_entrant(entrant) for entrant in entrants.values()],
            "versions": find_versions(entrants.values()),
            **(about or {}),
        }
    )
    with listening():
        for label in entrants:
            mine = [question for question in questions if question.entrant.label == label]
            _ask_one(mine, responses, concurrency, progress)


def _ask_one(
    questions: Sequence[Question], responses: Responses, concurrency: int, progress: Progress
) -> None:
    label, failed, answered = questions[0].entrant.label, 0, 0
    progress(label, 0, len(questions))
    waiting = list(enumerate(questions))[::-1]
    under_way: set[Future[tuple[Answer, RerankError | None]]] = set()
    try:
        with ThreadPoolExecutor(concurrency) as pool, ExitStack() as stack:
            stack.callback(lambda: [future.cancel() for future in under_way])
            while waiting or under_way:
                while waiting and len(under_way) < concurrency:
                    started, question = waiting.pop()
                    under_way.add(pool.submit(_answer, question, started))
                wait(under_way, return_when=FIRST_COMPLETED)
                for future in [future for future in under_way if future.done()]:
                    under_way.discard(future)
                    answer, error = future.result()
                    if _is_final(error):
                        raise error
                    responses.add(answer)
                    answered += 1
                    failed += error is not None
                    if error and failed == answered >= min(_HOPELESS, len(questions) + 1):
                        raise error
                    progress(label, answered, len(questions))
    finally:  # what was under way when something ended it all was paid as well
        for future in under_way:
            if not future.cancelled() and future.exception() is None:
                answer, error = future.result()
                if not _is_final(error):
                    responses.add(answer)


def _is_final(error: RerankError | None) -> TypeGuard[RerankError]:
    return isinstance(error, _FINAL) and not isinstance(error, InvalidRequestError)


def _answer(question: Question, started: int) -> tuple[Answer, RerankError | None]:
    """Make one call."""
    entrant, topic = question.entrant, question.topic
    named: dict[str, Any] = {
        "model": entrant.label,
        "query_id": topic.query_id,
        "repeat": question.repeat,
        "asked": topic_checksum(topic),
        "started": started,
    }
    with asking() as heard:
        clock = perf_counter()
        try:
            response = entrant.reranker.rerank(topic.query, [*topic.documents], **entrant.params)
            error = _find_imposture(entrant.reranker, response)
        except RerankError as failure:
            response, error = None, failure
        # Of one call core says it itself; of a cascade the whole counts.
        seconds = heard.seconds[0] if len(heard.seconds) == 1 else perf_counter() - clock
    named |= {"seconds": seconds, "waited": heard.waited}
    named["attempts"] = heard.attempts if heard.seconds else None
    if error is not None or response is None:
        return Answer(**named, error=f"{type(error).__name__}: {error}"), error
    return Answer(
        **named,
        order=[result.index for result in response.results],
        scores=[result.relevance_score for result in response.results],
        cost=response.cost,
        warnings=[*response.warnings],
    ), None


def _find_imposture(reranker: Any, response: RerankResponse) -> RerankError | None:
    """Whether something else answered under this name: a fallback, or the caller's own order."""
    if not response.reranked:
        return RerankError("the order is the caller's own: nothing was reranked")
    expected = [getattr(reranker, name, None) for name in ("provider", "model")]
    answered = [response.provider, response.model]
    if all(expected) and expected != answered:
        return RerankError(f"{'/'.join(answered)} answered in its place")
    return None


def describe_entrant(entrant: Entrant) -> dict[str, Any]:
    """What is known of a model before it is called."""
    reranker = entrant.reranker
    facts = getattr(reranker, "facts", None)
    about = {
        "label": entrant.label,
        "base_url": getattr(reranker, "base_url", None),
        "listwise": facts.listwise if facts else None,
        "score_kind": facts.score_kind if facts else None,
        "params": dict(entrant.params),
    }
    return {name: value for name, value in about.items() if value not in (None, {})}


def find_versions(entrants: Iterable[Entrant]) -> dict[str, str]:
    """The versions of what computes, and of the providers' distributions."""
    providers = {
        getattr(entrant.reranker, "provider", None) or entrant.label.partition("/")[0]
        for entrant in entrants
    }
    plugins = [f"rerank-{name.replace('_', '-')}" for name in sorted(map(str, providers))]
    found = {"Python": platform.python_version()}
    for name in (*_PACKAGES, *plugins):
        try:
            found[name] = metadata.version(name)
        except (metadata.PackageNotFoundError, ValueError):
            continue
    return found
