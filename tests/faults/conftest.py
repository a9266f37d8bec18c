"""What the fault tests share: both drivers, and waiting that takes no time."""

from __future__ import annotations

import pytest

from core.loopback import PROXY_VARIABLES
from faults.calls import DRIVERS, MakeCalls
from rerank_core._send import exchange
from service import noting_waits


@pytest.fixture(autouse=True)
def _nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither proxies nor keys of whoever runs the tests take part."""
    for name in (*PROXY_VARIABLES, "COHERE_API_KEY", "CO_API_KEY", "COHERE_API_BASE", "CO_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _short_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the service does not say how long to wait, next to no time passes."""
    monkeypatch.setattr(exchange, "FIRST_BACKOFF", 0.001)


@pytest.fixture(params=DRIVERS)
def call(request: pytest.FixtureRequest) -> MakeCalls:
    """Calls one after another with one `Reranker`: blocking, under asyncio, under trio."""
    return MakeCalls(request.param)


waits = noting_waits()
