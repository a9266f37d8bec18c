"""The pages for authors of plugins say what the hooks are, and what they lead to passes."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import rerank_core
from rerank_core import auth, errors, hookspecs, testing, tokens, wire
from rerank_core._cli.new_plugin import SHAPES, write_plugin
from rerank_core._resolve.discovery import GROUP
from rerank_core._resolve.hooks import HOOKS
from rerank_core.testing._report import find_cases, write_report
from template.installed import installed, write_metadata

DOCS = Path(__file__).parents[2] / "docs"
HOOKS_PAGE = (DOCS / "hooks.md").read_text(encoding="utf-8")
STORY = (DOCS / "writing-a-plugin.md").read_text(encoding="utf-8")
_FOR_USERS = {
    "Reranker",
    "rerank",
    "arerank",
    "list_providers",
    "InstalledProvider",
    "PluginSource",
}


def _section(hook: str) -> str:
    return HOOKS_PAGE.partition(f"\n## {hook}(")[2].partition("\n## ")[0]


def _files() -> dict[str, str]:
    """The files that the story shows, by path."""
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", STORY, re.DOTALL)
    return dict(blocks)


def test_every_hook_has_a_heading_that_is_its_signature() -> None:
    """In the order in which they are called."""
    headings = re.findall(r"^## (\w+\(.*\))$", HOOKS_PAGE, re.MULTILINE)
    signatures = [
        f"{name}({', '.join(inspect.signature(getattr(hookspecs, name)).parameters)})"
        for name in HOOKS
    ]

    assert headings == signatures


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_described(hook: str) -> None:
    """Its smallest use, when it is called, what it returns and what it must not do."""
    section = _section(hook)

    assert f"@hookimpl\ndef {hook}(" in section
    assert "\n- Called " in section
    assert "\n- Returns " in section
    assert "ust not " in section


@pytest.mark.parametrize("hook", HOOKS)
def test_every_error_that_a_hook_may_raise_is_named(hook: str) -> None:
    """As its specification has them."""
    raises = (inspect.getdoc(getattr(hookspecs, hook)) or "").partition("Raises:")[2]
    named = set(re.findall(r"\b\w+Error\b", raises))

    assert [name for name in named if f"`{name}`" not in _section(hook)] == []


@pytest.mark.parametrize(
    "module", [rerank_core, wire, auth, tokens, testing], ids=lambda m: str(m.__name__)
)
def test_what_is_public_for_plugins_is_listed(module: ModuleType) -> None:
    """And nothing is listed that is not there; errors have a page of their own."""
    row = re.search(rf"^\| `{module.__name__}` \|(.*)\|$", HOOKS_PAGE, re.MULTILINE)
    listed = set(re.findall(r"`(\w+)`", row[1])) if row else set()
    kinds = {name for name in vars(errors) if name.endswith("Error")}
    left = _FOR_USERS | kinds | {"__version__"} if module is rerank_core else set()

    assert listed == {*module.__all__} - left


def test_the_version_and_the_group_are_those_in_force() -> None:
    """A reader copies them."""
    assert f"`HOOKSPEC_VERSION` is {rerank_core.HOOKSPEC_VERSION}." in HOOKS_PAGE
    assert f"the group `{GROUP}`" in HOOKS_PAGE


def test_the_story_names_every_shape() -> None:
    """With the command that writes one."""
    assert [shape for shape in SHAPES if f"`{shape}`" not in STORY] == []
    assert "rerank new-plugin plumb\n" in STORY


def _told(folder: Path, misspelt: tuple[str, str] = ("", "")) -> tuple[list[str], int]:
    """The report on a new plugin with the story's files."""
    whole = write_plugin("plumb", folder)
    write_metadata(whole)
    for path, text in _files().items():
        (whole / path).write_text(text.replace(*misspelt), encoding="utf-8")
        misspelt = ("", "")  # in the plugin alone, which comes first
    with installed(whole):
        return write_report(find_cases("rerank_plumb"))


def test_the_story_leads_to_a_plugin_that_passes(tmp_path: Path) -> None:
    """Its two files over those of a new plugin."""
    lines, failed = _told(tmp_path)

    assert _files().keys() == {"rerank_plumb.py", "tests/test_plumb.py"}
    assert failed == 0, "\n".join(lines)


def test_the_story_shows_a_true_finding(tmp_path: Path) -> None:
    """Line by line, up to where it is cut."""
    report, failed = _told(tmp_path, ('"question"', '"quest"'))
    shown = re.search(r"```text\n(  FAILED .*?)```", STORY, re.DOTALL)
    lines = shown[1].splitlines() if shown else []
    starts = [line.partition(" ...")[0] for line in lines]

    assert failed > 0
    assert len(lines) == 4
    assert [start for start in starts if not any(line.startswith(start) for line in report)] == []
