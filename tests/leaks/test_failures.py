"""Every provider, every place for a key, every failure: nothing that is written shows the key."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from rerank_core import Reranker, RerankError

from .canary import (
    CANARY,
    TOKEN,
    found_in,
    sent_secrets,
    texts_of_error,
    texts_of_response,
)
from .failures import Answer, answering, failures
from .places import PROVIDERS, Place, clear_environment, model_of, needed_options, places_of

ALL = os.environ.get("RERANK_LEAKS") == "all"
SHARE = 1 if ALL else 13
"""In the ordinary run a place tries one in so many failures; all places together try all."""
FAILURES = [(name, answering(answer)) for name, answer in failures()]
FAILURES.append(("token refused", answering(lambda _: httpx.Response(401), refuse_tokens=True)))
PLACES = [(name, place) for name, facts in PROVIDERS.items() for place in places_of(facts)]


class Switch(httpx.MockTransport):
    """A service whose answer is changed from call to call; keeps what authentication sent."""

    def __init__(self) -> None:
        super().__init__(self._handle)
        self.answer: Answer = lambda _: httpx.Response(500)
        self.secrets = {CANARY, TOKEN}

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.secrets.update(sent_secrets(request))
        return self.answer(request)


@contextmanager
def logged(*, everything: bool = False) -> Iterator[list[str]]:
    """What is logged at any level by anyone, written out; URLs only where everything is asked."""
    texts: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # httpx logs the URL, which is why no key belongs into its query; see SECURITY.md.
            if everything or not record.getMessage().startswith("HTTP Request: "):
                texts.append(f"{record.name}: {record.getMessage()} {record.args!r}")

    handler, root = Keep(logging.DEBUG), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield texts
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def _written(reranker: Reranker, *, awaited: bool) -> Iterator[str]:
    try:
        call = ("query", ["one", "two"])
        response = asyncio.run(reranker.arerank(*call)) if awaited else reranker.rerank(*call)
    except RerankError as error:
        yield from texts_of_error(error)
    else:
        yield from texts_of_response(response)


def tried_at(place: Place, turn: int) -> Iterator[tuple[str, Answer, bool]]:
    """The failures that are tried at a place, and whether the call is awaited."""
    ways = (False,) if place.client else (False, True)
    shared = [found for at, found in enumerate(FAILURES) if (at + turn) % SHARE == 0]
    for at, (failure, answer) in enumerate(shared, turn):
        for awaited in ways if ALL else (ways[at % len(ways)],):
            yield failure, answer, awaited


def leaks_of(name: str, place: Place, turn: int, patch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What shows a key that was given to a provider at a place, by the failure that made it."""
    facts, switch = PROVIDERS[name], Switch()
    clear_environment(facts, patch)
    for variable, value in place.variables.items():
        patch.setenv(variable, value)
    client = httpx.Client(transport=switch, **place.client) if place.client else switch
    options = {**needed_options(facts, place), "max_retries": 0, "http_client": client}
    leaks: dict[str, list[str]] = {}
    with logged() as log:
        try:
            reranker = Reranker(model_of(facts), **options)
        except RerankError as error:
            return {"made": found_in(texts_of_error(error), {CANARY})}
        for failure, switch.answer, awaited in tried_at(place, turn):
            texts = found_in(_written(reranker, awaited=awaited), switch.secrets)
            leaks[failure] = leaks.get(failure, []) + texts
        target = reranker._routes[0].target  # noqa: SLF001 - whose repr is looked at
        parts = (reranker, target, target.options, target.provider)
        leaks["repr"] = found_in(map(repr, parts), switch.secrets)
    return {**leaks, "log": found_in(log, switch.secrets)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("turn", "provider", "place"),
    [(turn, *where) for turn, where in enumerate(PLACES)],
    ids=[f"{name}-{place.name}" for name, place in PLACES],
)
def test_no_failure_shows_a_key(
    turn: int, provider: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it was given, however the service quotes it."""
    leaks = leaks_of(provider, place, turn, monkeypatch)

    assert {name: texts for name, texts in leaks.items() if texts} == {}


def test_a_key_that_is_not_hidden_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail, for every failure that quotes what was sent."""
    monkeypatch.setattr(
        "rerank_core._resolve.target.make_hider", lambda _: lambda text, most=100_000: text[:most]
    )
    place = Place("api_key", {"api_key": CANARY})

    found = {
        name
        for turn in range(SHARE)
        for name, texts in leaks_of(min(PROVIDERS), place, turn, monkeypatch).items()
        if texts
    }

    assert {name for name, _ in FAILURES} - found <= {"token refused", "wrong shape"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_is_tried_with_both_drivers(provider: str) -> None:
    """In the ordinary run too, and each with several failures."""
    tried = [
        awaited
        for turn, (name, place) in enumerate(PLACES)
        if name == provider
        for _, _, awaited in tried_at(place, turn)
    ]

    assert min(tried.count(False), tried.count(True)) >= 5


def test_every_failure_is_tried_with_both_drivers() -> None:
    """By all places together."""
    tried = {
        (failure, awaited)
        for turn, (_, place) in enumerate(PLACES)
        for failure, _, awaited in tried_at(place, turn)
    }

    assert tried == {(failure, awaited) for failure, _ in FAILURES for awaited in (False, True)}


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_keys_are_sent(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above would prove nothing."""
    facts, seen = PROVIDERS[provider], list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(repr((request.url, request.headers.raw, request.content)))
        return httpx.Response(401)

    clear_environment(facts, monkeypatch)
    for place in places_of(facts):
        with pytest.MonkeyPatch.context() as patch, suppress(RerankError):
            for variable, value in place.variables.items():
                patch.setenv(variable, value)
            options = needed_options(facts, place)
            client = httpx.Client(transport=httpx.MockTransport(answer), **place.client)
            Reranker(model_of(facts), http_client=client, **options).rerank("query", ["one"])

        if any(CANARY in text for text in seen):
            return
    pytest.fail(f"no key reached {provider}: {seen}")
