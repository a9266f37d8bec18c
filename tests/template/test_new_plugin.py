"""A new plugin passes from the start, and breaking any line of it is found."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
from attrs import evolve
from click.testing import CliRunner

from rerank_core import ConfigurationError
from rerank_core._cli.new_plugin import SHAPES, TEMPLATE, check_name, make_files, write_plugin
from rerank_core._cli.plugins import cli
from rerank_core.testing import CHECKS, Case, Check
from template.installed import imported, installed, write_metadata
from template.mutants import Mutant, make_mutants

ROOT = Path(__file__).parents[2]
# An awkward name for each shape: digits, an underscore beside a hyphen, one letter, a long one.
NAMES = {
    "cohere": "my-2nd_service",
    "scores": "b2b",
    "bare-list": "x",
    "in-process": "some-rather-long-name",
}
# Only the host of the invented API and the kit's own words may say "example" still.
_LEFT = re.compile(r"example(?!\.com|=Example\()|(?<!, )(?<!example=)Example|EXAMPLE")
MUTANTS = [
    (shape, mutant)
    for shape, name in NAMES.items()
    for mutant in make_mutants(make_files(check_name(name), shape)[f"rerank_{check_name(name)}.py"])
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A new plugin of each shape, as if installed; laid out as here, for the linters' settings."""
    home = tmp_path_factory.mktemp("new")
    (home / "core").symlink_to(ROOT / "core")
    folders = {
        shape: write_plugin(name, home / "plugins", shape=shape) for shape, name in NAMES.items()
    }
    for folder in folders.values():
        write_metadata(folder)
    return folders


@pytest.fixture(scope="module")
def cases(folders: Mapping[str, Path]) -> Mapping[str, Case]:
    """The case that each new plugin's tests state."""
    cases: dict[str, Case] = {}
    for shape, folder in folders.items():
        name = check_name(NAMES[shape])
        test = folder / "tests" / f"test_{name}.py"
        with imported(folder / f"rerank_{name}.py"), imported(test) as module:
            cases[shape] = module.CASE
    return cases


def _run(*arguments: str, home: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-m", *arguments], cwd=home, capture_output=True, text=True, check=False
    )


def test_every_shape_is_tried() -> None:
    """With a name of its own."""
    variants = {path.name for path in (TEMPLATE / "variants").iterdir() if path.is_dir()}
    default, *others = SHAPES

    assert NAMES.keys() == SHAPES.keys()
    assert default == "cohere"
    assert variants == {*others}


@pytest.mark.slow
def test_their_own_tests_pass(folders: Mapping[str, Path]) -> None:
    """As soon as they are written, with warnings as errors."""
    tests = [str(folder / "tests") for folder in folders.values()]
    with installed(*folders.values()):
        ran = _run("pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *tests)

    assert ran.returncode == 0, ran.stdout
    assert f"\n{len(CHECKS) * len(SHAPES)} passed" in ran.stdout


@pytest.mark.parametrize(
    "tool",
    [
        pytest.param(("ruff", "check"), id="ruff check"),
        pytest.param(("ruff", "format", "--check"), id="ruff format"),
        pytest.param(("mypy",), id="mypy", marks=pytest.mark.slow),
    ],
)
def test_linters_find_nothing(tool: tuple[str, ...], folders: Mapping[str, Path]) -> None:
    """With the settings of this repository, which are strict."""
    config = "--config-file" if tool == ("mypy",) else "--config"
    cache = f"--cache-dir={ROOT / f'.{tool[0]}_cache'}"
    files = [str(file) for folder in folders.values() for file in folder.rglob("*.py")]
    home = folders["cohere"].parents[1]
    ran = _run(*tool, config, str(ROOT / "pyproject.toml"), cache, *files, home=home)

    assert len(files) == 2 * len(SHAPES)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("shape", SHAPES)
def test_every_spelling_is_replaced(shape: str, folders: Mapping[str, Path]) -> None:
    """In names of files, and in every file but the license."""
    left = []
    for path, text in make_files(check_name(NAMES[shape]), shape).items():
        written = (folders[shape] / path).read_text(encoding="utf-8")
        left += _LEFT.findall(path) + (_LEFT.findall(written) if path != "LICENSE" else [])

        assert written == text

    assert left == []


def test_the_name_stands_in_every_spelling() -> None:
    """Hyphens in the distribution, underscores elsewhere, capitals in variables."""
    files = make_files("my_2nd_service", "cohere")

    assert 'name = "rerank-my-2nd-service"' in files["pyproject.toml"]
    assert 'my_2nd_service = "rerank_my_2nd_service"' in files["pyproject.toml"]
    assert '"my_2nd_service/rerank-1"' in files["README.md"]
    assert "My 2nd Service's rerank API" in files["README.md"]
    assert '"MY_2ND_SERVICE_API_KEY"' in files["rerank_my_2nd_service.py"]
    assert "import rerank_my_2nd_service\n" in files["tests/test_my_2nd_service.py"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "mutant"), MUTANTS, ids=[f"{shape}-{mutant}" for shape, mutant in MUTANTS]
)
def test_one_broken_line_is_found(
    shape: str,
    mutant: Mutant,
    folders: Mapping[str, Path],
    cases: Mapping[str, Case],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a check whose message names the hook, what matters and where to look."""
    monkeypatch.syspath_prepend(folders[shape])
    plugin = ModuleType(f"rerank_{check_name(NAMES[shape])}")
    exec(compile(mutant.source, plugin.__name__, "exec"), vars(plugin))  # noqa: S102 - our own code
    case = evolve(cases[shape], plugin=plugin)
    findings = []
    for check in CHECKS:
        if check.__name__ != "check_import_is_light":  # it imports the healthy one by its name
            try:
                Check(check.__name__, case, check)()
            except AssertionError as error:
                findings.append(str(error))
        if findings and mutant.hook in findings[-1]:
            break

    assert findings
    assert mutant.hook in findings[-1]
    assert "Where to look: " in findings[-1]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_the_command_finds_nothing_in_it(shape: str, folders: Mapping[str, Path]) -> None:
    """`rerank check-plugin` finds the case beside the module."""
    with installed(folders[shape]):
        ran = CliRunner().invoke(cli, ["check-plugin", f"rerank_{check_name(NAMES[shape])}"])

    assert ran.exit_code == 0, ran.output
    assert ran.output.count("\n  ok ") == len(CHECKS)
    assert ran.output.endswith("all checks passed\n")


@pytest.mark.slow
def test_the_command_says_what_is_broken(tmp_path: Path) -> None:
    """With 1 as its exit code."""
    folder = write_plugin("acme", tmp_path)
    write_metadata(folder)
    module = folder / "rerank_acme.py"
    healthy = module.read_text(encoding="utf-8")
    module.write_text(healthy.replace('"query": request.query', '"query": "cats"'))
    with installed(folder):
        ran = CliRunner().invoke(cli, ["check-plugin", "rerank-acme"])

    assert ran.exit_code == 1, ran.output
    assert "FAILED check_example_request" in ran.output
    assert "Where to look: build_request" in ran.output
    assert ran.output.endswith("checks found something\n")


def test_the_command_writes_it(tmp_path: Path) -> None:
    """And says what comes next."""
    ran = CliRunner().invoke(
        cli, ["new-plugin", "my-service", "--directory", str(tmp_path), "--like", "scores"]
    )
    folder = tmp_path / "rerank-my-service"
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}

    assert ran.exit_code == 0
    assert "pip install -e '.[test]' && pytest" in ran.output
    assert files == make_files("my_service", "scores").keys()
    assert [*tmp_path.iterdir()] == [folder]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "lower-case letters"),
        ("Acme", "lower-case letters"),
        ("2nd", "beginning with a letter"),
        ("a b", "lower-case letters"),
        ("a--b", "single hyphens"),
        ("a-_b", "single hyphens"),
        ("-a", "lower-case letters"),
        ("a-", "lower-case letters"),
        ("_a", "lower-case letters"),
        ("a/b", "lower-case letters"),
        ("../a", "lower-case letters"),
        ("a.b", "lower-case letters"),
        ("é", "lower-case letters"),
        ("a\n", "lower-case letters"),
        ("class", "word of the Python language"),
        ("core", "is taken"),
        ("rerank-acme", "leave the first rerank out"),
        ("rerank", "leave the first rerank out"),
    ],
)
def test_a_name_that_is_none_is_refused(name: str, why: str, tmp_path: Path) -> None:
    """As a usage error, before anything is written."""
    ran = CliRunner().invoke(cli, ["new-plugin", "--directory", str(tmp_path), "--", name])

    assert ran.exit_code == 2
    assert why in ran.output
    assert [*tmp_path.iterdir()] == []


def test_an_installed_provider_is_not_doubled(tmp_path: Path) -> None:
    """Two plugins of one name would both be refused."""
    ran = CliRunner().invoke(cli, ["new-plugin", "local", "--directory", str(tmp_path)])

    assert ran.exit_code == 3
    assert "a plugin for 'local' is installed" in ran.output
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_nothing_is_overwritten(kind: str, tmp_path: Path) -> None:
    """Whatever stands there, it stays."""
    there = tmp_path / "rerank-my-service"
    if kind == "folder":
        there.mkdir()
    elif kind == "file":
        there.write_text("mine")
    else:
        there.symlink_to(tmp_path / "nowhere")
    before = there.lstat()
    ran = CliRunner().invoke(cli, ["new-plugin", "my_service", "--directory", str(tmp_path)])

    assert ran.exit_code == 3
    assert "exists: nothing was written" in ran.output
    assert there.lstat() == before
    assert [*tmp_path.iterdir()] == [there]


def test_a_name_too_long_for_a_folder_is_refused(tmp_path: Path) -> None:
    """In one line, like whatever else cannot be written."""
    ran = CliRunner().invoke(cli, ["new-plugin", "a" * 300, "--directory", str(tmp_path)])

    assert ran.exit_code == 3
    assert "nothing was written" in ran.output
    assert [*tmp_path.iterdir()] == []


def test_nothing_is_left_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full after some files."""
    write, count = Path.write_text, 0

    def fail_later(self: Path, *arguments: str, **named: str) -> int:
        nonlocal count
        count += 1
        if count == 4:
            message = "No space left on device"
            raise OSError(message)
        return write(self, *arguments, **named)

    monkeypatch.setattr(Path, "write_text", fail_later)

    with pytest.raises(ConfigurationError, match=r"No space left on device.*nothing was written"):
        write_plugin("acme", tmp_path)

    assert [*tmp_path.iterdir()] == []
