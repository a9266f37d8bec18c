"""What all tests of all providers share."""

from __future__ import annotations

import pytest

from .plugins import variables


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that this machine has set takes part."""
    for name in variables():
        monkeypatch.delenv(name)
