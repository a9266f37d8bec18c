"""The cases that plugins state for the conformance kit, for tests over all of them."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import httpx
import pytest

from rerank_core import Reranker, RerankResponse
from rerank_core.testing import Case

PLUGINS = Path(__file__).parents[2] / "plugins"
KEY = "key-of-the-odd-replies-0123456789"
DOCUMENTS = ["a first text", "a second text"]
RANKING = [(1, 0.9), (0, 0.25)]
_OF_PROVIDERS = ("KEY", "TOKEN", "AWS_", "AZURE_", "_BASE", "_URL", "WATSONX", "VERTEX", "GOOGLE_")

Reply = Callable[[httpx.Request], httpx.Response]


def load_cases() -> Iterator[tuple[str, Case]]:
    """Every case of a provider that sends, by provider and the name of the case."""
    for file in sorted(PLUGINS.glob("rerank-*/tests/test_*.py")):
        module = _load(file)
        for name, case in vars(module).items():
            if isinstance(case, Case) and case.example.json is not None:
                provider = file.parents[1].name.removeprefix("rerank-")
                yield provider if name == "CASE" else f"{provider}-{name.lower()}", case


def _load(file: Path) -> ModuleType:
    name = f"odd_replies_{file.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec
        assert spec.loader
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


CASES = dict(load_cases())
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def good(case: Case, ranking: Any = None) -> Any:
    """The provider's own reply for a ranking, decoded; a copy."""
    ranked = RANKING if ranking is None else ranking
    return json.loads(json.dumps(case.encode(ranked, DOCUMENTS, None)))


def ask(case: Case, *replies: Any, awaited: bool = False, **options: Any) -> RerankResponse:
    """Call the plugin against a service that gives these replies in turn, the last for ever.

    Args:
        case: The plugin.
        *replies: Responses, or what is sent as JSON with status 200.
        awaited: Whether `arerank` is called.
        **options: Of the `Reranker`.
    """
    with reranker_of(case, *replies, **options) as reranker:
        if awaited:
            return asyncio.run(reranker.arerank("a query", DOCUMENTS))
        return reranker.rerank("a query", DOCUMENTS)


def reranker_of(case: Case, *replies: Any, **options: Any) -> Reranker:
    """A `Reranker` of the plugin, with a service that gives these replies."""
    left = list(replies)

    def answer(request: httpx.Request) -> httpx.Response:
        if (of_token := case.answer_auth(request)) is not None:
            return of_token
        reply = left.pop(0) if len(left) > 1 else left[0]
        if not isinstance(reply, httpx.Response):
            return httpx.Response(200, json=reply)
        raw = reply.headers.raw
        return httpx.Response(reply.status_code, headers=raw, content=reply.content)

    usual: dict[str, Any] = {"api_key": KEY, "max_retries": 0, **case.options}
    usual["http_client"] = httpx.MockTransport(answer)
    bare = {
        name: value
        for name, value in os.environ.items()
        if not any(part in name.upper() for part in _OF_PROVIDERS)
    }
    with mock.patch.dict(os.environ, bare, clear=True):
        return Reranker(case.model, provider=case.plugin, **{**usual, **options})
