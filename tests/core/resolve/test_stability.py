"""What was written to the first hookspecs works."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest

import rerank_core
from rerank_core import Reranker, hookspecs, list_providers
from rerank_core._resolve import discovery as found
from rerank_core._resolve.hooks import HOOKS
from rerank_core.testing import CANARY, Case, Check, Example, Ranking, conformance
from template.installed import imported, installed

FROZEN = Path(__file__).parents[2] / "fixtures" / "frozen-plugin"
# The arguments of HOOKSPEC_VERSION 1: later ones are appended to the hookspecs, never to this.
FIRST = {
    "resolve_provider": ["model", "options"],
    "map_params": ["provider", "params"],
    "build_request": ["provider", "request", "params"],
    "parse_response": ["provider", "request", "payload", "headers", "status_code"],
}
QUESTION: dict[str, Any] = {"query": "capital of France", "documents": ["Berlin", "Paris"]}


def _encode(ranking: Ranking, *_: object) -> Any:
    results = [{"index": index, "relevance_score": score} for index, score in ranking]
    return {"id": "an-id", "results": results}


def _encode_whole(ranking: Ranking, *_: object) -> Any:
    ranked = [{"at": index, "score": score, "label": "good"} for index, score in ranking]
    return {"ranked": ranked, "searches": 1, "tokens": 7}


with (
    imported(FROZEN / "rerank_frozen.py") as _plain,
    imported(FROZEN / "rerank_frozen_whole.py") as _whole,
):
    PLAIN = Case(
        plugin=_plain,
        model="frozen-1",
        encode=_encode,
        installed=False,
        example=Example(
            call={**QUESTION, "top_n": 1},
            url="https://api.example.com/v1/rerank",
            headers={"authorization": f"Bearer {CANARY}"},
            json={"model": "frozen-1", **QUESTION, "top_n": 1},
            reply=_encode([(1, 0.9)]),
            ranking=[(1, 0.9)],
        ),
    )
    WHOLE = Case(
        plugin=_whole,
        model="frozen-1",
        encode=_encode_whole,
        params={"priority": 1},
        error_in_200={"failed": "no such engine"},
        installed=False,
        example=Example(
            call={**QUESTION, "top_n": 1},
            url="https://example.com/rank",
            headers={"x-key": CANARY, "x-client": "frozen"},
            json={
                "engine": "frozen-1",
                "question": QUESTION["query"],
                "passages": QUESTION["documents"],
                "limit": 1,
            },
            reply=_encode_whole([(1, 0.9)]),
            ranking=[(1, 0.9)],
        ),
    )


@pytest.fixture
def discovery() -> Iterator[None]:
    """Have the frozen plugins found as installed ones are, and nothing kept afterwards."""
    with installed(FROZEN), mock.patch.dict(found.plugins, clear=True):
        yield
    list_providers()  # a scan anew


@conformance(PLAIN)
@pytest.mark.usefixtures("discovery")
def test_a_plugin_that_names_what_it_uses_still_passes(check: Check) -> None:
    """All of the kit."""
    check()


@conformance(WHOLE)
@pytest.mark.usefixtures("discovery")
def test_a_plugin_that_names_every_argument_still_passes(check: Check) -> None:
    """All of the kit."""
    check()


@pytest.mark.usefixtures("discovery")
def test_a_frozen_plugin_answers_to_its_name() -> None:
    """Found, loaded and asked as on its first day."""
    later = httpx.Response(202, headers={"location": "/jobs/1"})
    found = httpx.Response(200, json=_encode_whole([(1, 0.9), (0, 0.1)]))
    replies = iter([later, found])
    transport = httpx.MockTransport(lambda _: next(replies))
    with Reranker(
        "frozen_whole/frozen-1", api_key="a-key", region="eu", http_client=transport
    ) as reranker:
        response = reranker.rerank(**QUESTION, priority=3)

    assert [result.index for result in response.results] == [1, 0]
    assert response.results[0].extra == {"label": "good"}
    assert response.meta.tokens.input_tokens == 7
    assert response.cost == 0.002


def test_hooks_keep_their_first_arguments() -> None:
    """In their order; a new one makes a new version."""
    arguments = {
        name: list(inspect.signature(getattr(hookspecs, name)).parameters) for name in HOOKS
    }
    grown = [name for name in HOOKS if arguments[name] != FIRST[name]]

    assert all(arguments[name][: len(FIRST[name])] == FIRST[name] for name in HOOKS)
    assert rerank_core.HOOKSPEC_VERSION == hookspecs.HOOKSPEC_VERSION
    assert (rerank_core.HOOKSPEC_VERSION > 1) == bool(grown)
