"""The page about providers says what the plugins say."""

import importlib.util
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", DOCS / "generate_providers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_plugins_state() -> None:
    """Whoever changes a fact writes the page anew: python docs/generate_providers.py."""
    written = (DOCS / "providers.md").read_text(encoding="utf-8")

    assert written == _generator().make_page()
