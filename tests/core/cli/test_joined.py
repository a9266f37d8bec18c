"""Commands of other distributions: listed without importing, imported when called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rerank_core._cli.plugins import cli

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution that brings the command `weigh`; returns its module's name."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    made: list[str] = []

    def install(source: str, name: str = "rerank-scales", value: str = "weigh") -> str:
        module = f"scales_{len(made)}_{tmp_path.name.replace('-', '_')}"
        made.append(module)
        info = tmp_path / f"{name.replace('-', '_')}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(
            f"[rerank_core.commands]\nweigh = {module}:{value}\n"
        )
        (tmp_path / f"{module}.py").write_text(source)
        return module

    return install


COMMAND = """
import click

@click.command()
@click.argument("what")
def weigh(what):
    "Weigh something."
    click.echo(f"weighed {what}")
"""
FAILING = """
import click
from rerank_core import InvalidRequestError, ServerError

@click.command()
@click.argument("what")
def weigh(what):
    raise InvalidRequestError("too heavy") if what == "much" else ServerError("busy")
"""


def run(*args: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, args, prog_name="rerank")


def test_it_is_listed_without_importing_it(install: Install) -> None:
    """With the distribution that brings it."""
    module = install(COMMAND)
    result = run("--help")

    assert "  weigh         From rerank-scales 1.5.\n" in result.stdout
    assert module not in sys.modules


def test_it_is_imported_when_it_is_called(install: Install) -> None:
    """And is then a command as any other."""
    module = install(COMMAND)
    called, helped, wrong = run("weigh", "a fox"), run("weigh", "--help"), run("weigh")

    assert (called.exit_code, called.stdout) == (0, "weighed a fox\n")
    assert helped.stdout.startswith("Usage: rerank weigh [OPTIONS] WHAT\n\n  Weigh something.\n")
    assert wrong.exit_code == 2
    assert module in sys.modules


def test_our_own_commands_import_no_others(install: Install) -> None:
    """However broken those are."""
    module = install("raise RuntimeError('mould')")

    assert run("providers").exit_code == 0
    assert module not in sys.modules


@pytest.mark.parametrize(("what", "code"), [("much", 3), ("little", 4)])
def test_its_errors_end_as_ours_do(install: Install, what: str, code: int) -> None:
    """With a line and an exit code."""
    install(FAILING)
    result = run("weigh", what)

    assert result.exit_code == code
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('mould')", "import failed (RuntimeError: mould)"),
        ("raise SystemExit(0)", "import failed (SystemExit: 0)"),
        ("other = 1", "import failed (AttributeError"),
        ("weigh = print", "is no click command"),
    ],
)
def test_a_broken_one_says_so(install: Install, source: str, said: str) -> None:
    """When it is called, and to the doctor."""
    install(source)
    result, doctor = run("weigh", "a fox"), run("doctor")

    assert result.exit_code == 3
    assert "rerank-scales 1.5" in result.stderr
    assert said in result.stderr
    assert doctor.exit_code == 3
    assert said in doctor.stdout
    assert "pip install --upgrade --force-reinstall rerank-scales" in doctor.stdout


def test_two_that_bring_one_command_are_refused(install: Install) -> None:
    """Naming both."""
    install(COMMAND)
    install(COMMAND, "rerank-balance")
    result = run("weigh", "a fox")

    assert result.exit_code == 3
    assert "rerank-scales 1.5" in result.stderr
    assert "rerank-balance 1.5" in result.stderr


def test_a_known_one_that_is_not_installed_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the package that brings it."""
    monkeypatch.setattr("rerank_core._cli.group.joined_commands", dict)
    result = run("eval", "--help")

    assert result.exit_code == 2
    assert "pip install rerank-eval" in result.stderr
