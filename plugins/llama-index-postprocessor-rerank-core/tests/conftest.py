"""These tests need LlamaIndex, which has an environment of its own: see `.ci/frameworks`."""

from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("llama_index") else ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    """Let LlamaIndex warn of itself: its oldest version, with a pydantic that came later."""
    config.addinivalue_line("filterwarnings", "ignore:The 'validate_default' attribute")
