"""What the cases share: both functions, a bare environment, and a switch for what hangs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from core.cases.plain import Ask, awaited, blocking

_OF_PROVIDERS = ("API_KEY", "APIKEY", "_TOKEN", "AWS_", "AZURE_", "WATSONX", "VERTEX", "GOOGLE_")
_OF_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that this machine has set about a provider or a proxy takes part."""
    for name in [*os.environ]:
        if name.upper() in _OF_PROXIES or any(part in name for part in _OF_PROVIDERS):
            monkeypatch.delenv(name)


@pytest.fixture(params=["rerank", "arerank"])
def call(request: pytest.FixtureRequest) -> Ask:
    """Both functions."""
    return blocking if request.param == "rerank" else awaited


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What hangs waits for this; it is set when the test is over, at the latest."""
    event = threading.Event()
    yield event
    event.set()
