"""Every plugin of this repository that asks a service, and calls of it against a stand-in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import frozen

from fuzz.seeds import PLUGINS, cases_of
from rerank_core import Provider, RerankResponse, list_providers, rerank
from rerank_core.testing import Case
from service import Send, Service

ROOT = Path(__file__).parents[2]
KEY = "key-0123456789"
DOCUMENTS = ("the first text", "the second text", "the third text")
# A 500 of these says nothing of the server's health, and is not retried.
FINAL_500 = {
    "llamacpp": "a pair that is too long for a batch is answered with it, every time",
    "xinference": "any fault of a model is answered with it, a text that is too long above all",
}
RANKING = ((1, 0.75), (0, 0.5), (2, 0.25))


@frozen
class Plugin:
    """One plugin, with the case that its own tests state."""

    folder: str
    case: Case
    facts: Provider

    @property
    def name(self) -> str:
        """As it stands before the `/`."""
        return self.facts.name

    @property
    def readme(self) -> str:
        """The text of its README."""
        return (ROOT / "plugins" / f"rerank-{self.folder}" / "README.md").read_text()

    def reply(self, count: int = len(DOCUMENTS)) -> Any:
        """A good reply, which ranks so many documents."""
        ranking = [(at, 0.9 - at / 1000) for at in range(count)]
        return self.case.encode(ranking, [f"text {at}" for at in range(count)], None)

    def ask(
        self,
        service: Service,
        documents: Any = DOCUMENTS,
        *,
        query: str = "a query",
        send: Send = rerank,
        **keywords: Any,
    ) -> RerankResponse:
        """Make a call with nothing but what none can do without."""
        options = {"api_key": KEY, "max_retries": 0, **self.case.options, **keywords}
        model = options.pop("model", self.case.model)
        return send(
            f"{self.name}/{model}",
            query,
            documents,
            http_client=self._before(service),
            **options,
        )

    def _before(self, service: Service) -> httpx.MockTransport:
        """What answers the requests of authentication, and hands on all others."""

        def answer(request: httpx.Request) -> httpx.Response:
            return self.case.answer_auth(request) or service.answer(request)

        return httpx.MockTransport(answer)


def _found() -> list[Plugin]:
    listed = {found.facts.name: found.facts for found in list_providers() if found.facts}
    plugins = []
    for folder in PLUGINS:
        facts = listed.get(folder.replace("-", "_"))
        # The others run in this process, or are no provider.
        if facts and (facts.base_url or facts.base_url_env):
            case = next(iter(cases_of(folder).values()))
            plugins.append(Plugin(folder, case, facts))
    return plugins


ALL = _found()
BY_NAME: Mapping[str, Plugin] = {plugin.name: plugin for plugin in ALL}
every_plugin = pytest.mark.parametrize("plugin", ALL, ids=[plugin.name for plugin in ALL])


def installed() -> set[str]:
    """The distributions that state a provider."""
    return {point.dist.name for point in entry_points(group="rerank_core.providers") if point.dist}


def variables() -> set[str]:
    """All that a plugin reads, so that none that is set here takes part in a test."""
    read: set[str] = set()
    for plugin in ALL:
        facts = plugin.facts
        read |= {*facts.base_url_env, *facts.api_key_env, *facts.watched_env}
        for names in (*facts.options.values(), *facts.secret_options.values()):
            read |= {*names}
    return read & {*os.environ}
