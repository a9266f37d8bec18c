"""The checks of what is installed: names that disagree, and imports that do more than import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from attrs import evolve

from rerank_core._cli.new_plugin import make_files
from rerank_core.testing import CHECKS, Case
from template.installed import imported, installed
from testing.planted import CASE

BY_NAME = {check.__name__: check for check in CHECKS}
NAMES, LIGHT = BY_NAME["check_names_agree"], BY_NAME["check_import_is_light"]
SOURCE = make_files("planted", "cohere")["rerank_planted.py"]
LATE = "\nimport os, socket, subprocess, sys, threading\n"


def _install(
    folder: Path,
    *,
    distribution: str = "rerank-planted",
    entry_point: str | None = "planted = rerank_planted",
) -> None:
    """Write metadata, as an installer would, with what a test wants wrong in it."""
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    if entry_point:
        (info / "entry_points.txt").write_text(f"[rerank_core.providers]\n{entry_point}\n")


def _case(plugin: ModuleType) -> Case:
    return evolve(CASE, plugin=plugin, installed=True)


def _finding(check: str, folder: Path, module: str = "rerank_planted") -> str:
    """What a check says of the plugin in a folder; empty where it says nothing."""
    with installed(folder), imported(folder / f"{module}.py") as plugin:
        try:
            BY_NAME[check](_case(plugin))
        except AssertionError as error:
            return str(error)
    return ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a healthy plugin stands, not installed yet."""
    (tmp_path / "rerank_planted.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("distribution", ["rerank-planted", "Rerank.Planted", "rerank_planted"])
def test_one_name_in_all_places_is_right(distribution: str, folder: Path) -> None:
    """However the distribution writes it."""
    _install(folder, distribution=distribution)

    assert _finding("check_names_agree", folder) == ""


def test_a_plugin_that_is_not_installed_is_found(folder: Path) -> None:
    """Nobody could name it."""
    found = _finding("check_names_agree", folder)

    assert "no installed distribution has an entry point 'planted'" in found
    assert "Why it matters: rerank('planted/...') finds a plugin by nothing else" in found
    assert '[project.entry-points."rerank_core.providers"] in pyproject.toml' in found


@pytest.mark.parametrize(
    ("entry_point", "what"),
    [
        (None, "no installed distribution has an entry point 'planted'"),
        ("plantd = rerank_planted", "no installed distribution has an entry point 'planted'"),
        ("planted = rerank_other", "leads to ['rerank_other'], not 'rerank_planted'"),
        ("planted = rerank_planted:plugin", "leads to ['rerank_planted:plugin']"),
    ],
)
def test_an_entry_point_that_leads_elsewhere_is_found(
    entry_point: str | None, what: str, folder: Path
) -> None:
    """Users would get another plugin, or none."""
    _install(folder, entry_point=entry_point)
    found = _finding("check_names_agree", folder)

    assert what in found
    assert "Why it matters: " in found
    assert "Where to look: the name in resolve_provider" in found


def test_a_module_of_another_name_is_found(folder: Path) -> None:
    """Although the entry point leads to it."""
    (folder / "rerank_planted.py").rename(folder / "planted_rerank.py")
    _install(folder, entry_point="planted = planted_rerank")
    found = _finding("check_names_agree", folder, "planted_rerank")

    assert "the module is 'planted_rerank' where the provider is 'planted'" in found
    assert "Why it matters: users expect rerank-planted and rerank_planted" in found
    assert "Where to look: the module's file name" in found


def test_a_distribution_of_another_name_is_found(folder: Path) -> None:
    """Core could not tell users what to install."""
    _install(folder, distribution="planted-reranker")
    found = _finding("check_names_agree", folder)

    assert "the distribution is 'planted-reranker'" in found
    assert "Why it matters: users look for rerank-planted" in found
    assert "Where to look: name in pyproject.toml" in found


def test_two_distributions_of_one_name_are_found(folder: Path) -> None:
    """Core refuses both."""
    _install(folder)
    _install(folder, distribution="rerank-planted-too")

    assert "leads to ['rerank_planted', 'rerank_planted'], not" in _finding(
        "check_names_agree", folder
    )


def test_a_light_import_is_right(folder: Path) -> None:
    """Also from the library, and of core."""
    (folder / "rerank_planted.py").write_text(SOURCE + LATE, encoding="utf-8")

    assert _finding("check_import_is_light", folder) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("print('hello')", "import prints: 'hello'"),
        ("print('hello', file=sys.stderr)", "import prints: 'hello'"),
        ("import warnings; warnings.warn('old')", "import prints: "),
        ("import httpx", "import brings in "),
        ("import pytest", "pytest"),
        ("threading.Thread(target=threading.Event().wait, daemon=True).start()", "a thread"),
        ("socket.socket()", "a socket"),
        ("socket.getaddrinfo('127.0.0.1', 80)", "a look-up of a host"),
        ("subprocess.run([sys.executable, '-c', ''])", "a process"),
        ("os.system('true')", "a process"),
        ("open(os.devnull, 'w')", "a file open for writing: "),
        ("os.open('scratch', os.O_CREAT | os.O_WRONLY)", "a file open for writing: scratch"),
        ("os.mkdir('scratch')", "a new folder"),
        ("os.environ['PLANTED'] = 'yes'", "a change of os.environ"),
        ("os.chdir('/')", "a change of the working directory"),
        ("threading.Thread(target=int).start()", "a thread"),
        ("sys.path.append('.')", "a change of sys.path"),
        ("import logging; logging.basicConfig()", "a change of the root logger"),
        ("raise RuntimeError('moon')", "import failed:"),
        ("sys.exit()", "import ends the process"),
        ("os._exit(0)", "import ends the process"),
    ],
)
def test_an_import_that_does_more_is_found(
    line: str, what: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what it does, why that matters, and where to look."""
    monkeypatch.chdir(folder)
    healthy = folder / "rerank_planted.py"
    with installed(folder), imported(healthy) as plugin:
        healthy.write_text(f"{SOURCE}{LATE}{line}\n", encoding="utf-8")

        with pytest.raises(AssertionError) as caught:
            LIGHT(_case(plugin))

    assert what in str(caught.value)
    assert "Why it matters: " in str(caught.value)
    assert "Where to look: the top of rerank_planted" in str(caught.value)


@pytest.mark.parametrize("check", [NAMES, LIGHT])
def test_an_object_is_no_module(check: Callable[[Case], None]) -> None:
    """It has neither a file nor an entry point, and nothing is said about it."""
    check(evolve(CASE, installed=True))
