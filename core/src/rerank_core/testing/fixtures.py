"""Fixtures for the tests of applications; pytest loads them only where it is told to.

Either import one into a `conftest.py`, or name the module there::

    pytest_plugins = ["rerank_core.testing.fixtures"]
"""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

import pytest
from attrs import evolve

from rerank_core._client import functions
from rerank_core._resolve.hooks import ProviderHooks
from rerank_core._resolve.target import Kept
from rerank_core._send import drivers
from rerank_core.errors import ConfigurationError
from rerank_core.facts import Provider
from rerank_core.records import Compute
from rerank_core.testing._fake import Answer, FakeProvider, ranked

__all__ = ["rerank_fake"]


@pytest.fixture
def rerank_fake(monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    """A `FakeProvider` that answers in the place of every service; nothing can be sent.

    The application's models, parameters and documents still go through its own plugins, so a
    misspelt provider or parameter is found; keys are not needed. Models that run in this process
    run. A `Reranker` that was made before the test is answered, too. A parameter of the ranking
    is noted by the service's own name for it.
    """
    fake = FakeProvider()
    resolve, build, parse = (
        getattr(ProviderHooks, name)
        for name in ("resolve_provider", "build_request", "parse_response")
    )

    def resolve_provider(self: ProviderHooks, model: str, options: Any) -> Provider:
        facts: Provider = resolve(self, model, options)
        if not model:  # what a plugin states in general is kept beyond the test
            return facts
        base_url = facts.base_url or (facts.base_url_required and "https://fake.invalid") or None
        return evolve(
            facts,
            base_url=base_url,
            api_key_required=False,
            api_key_required_hosts=(),
            option_sources={},
        )

    def build_request(
        self: ProviderHooks, provider: Provider, request: Any, params: Any
    ) -> Compute:
        work = build(self, provider, request, params)
        return work if isinstance(work, Compute) else Compute(partial(fake.answer, request, params))

    def parse_response(self: ProviderHooks, *arguments: Any) -> Any:
        payload = arguments[2]
        return ranked(payload) if isinstance(payload, Answer) else parse(self, *arguments)

    monkeypatch.setattr(ProviderHooks, "resolve_provider", resolve_provider)
    monkeypatch.setattr(ProviderHooks, "build_request", build_request)
    monkeypatch.setattr(ProviderHooks, "parse_response", parse_response)
    monkeypatch.setattr(functions, "_kept", Kept())  # resolved otherwise, and only for this test
    monkeypatch.setattr(drivers, "send", _refuse)
    monkeypatch.setattr(drivers, "asend", _refuse)
    return fake


def _refuse(effect: Any, *_: object) -> NoReturn:
    """Refuse to send; not as an error that a fallback or a passthrough would hide."""
    message = f"rerank_fake refuses to send to {effect.url}: no test of an application may"
    raise ConfigurationError(message)
