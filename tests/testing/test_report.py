"""Cases are found, reports can be read, and exceptions are no place to hide."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner

from rerank_core import ConfigurationError, Provider, ResponseParseError, hookimpl
from rerank_core._cli.new_plugin import write_plugin
from rerank_core._cli.plugins import cli
from rerank_core.testing import CHECKS, Case, Check, conformance, run_checks
from rerank_core.testing._report import find_cases, write_report
from template.installed import installed, write_metadata
from testing.planted import CASE, FAULTS

pytest_plugins = ["pytester"]


@pytest.fixture
def few_checks(monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """All checks take a while; these are names of the few that are left."""
    names = [
        "check_hooks_fit",
        "check_query_and_documents_are_carried",
        "check_example_reply",
        "check_damaged_replies_do_no_harm",
    ]
    checks = tuple(check for check in CHECKS if check.__name__ in names)
    monkeypatch.setattr("rerank_core.testing._run.CHECKS", checks)
    return names


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin `rerank_reported`, as if installed, away from the working directory."""
    folder = write_plugin("reported", tmp_path / "home", shape="scores")
    write_metadata(folder)
    monkeypatch.chdir(tmp_path)
    return folder


def _find(folder: Path, module: str = "rerank_reported", file: Path | None = None) -> list[Case]:
    with installed(folder):
        return find_cases(module, str(file) if file else None)


def _move(file: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return file.rename(folder / file.name)


def test_a_case_is_found_beside_the_module(folder: Path) -> None:
    """Where the template puts it."""
    (case,) = _find(folder)

    assert case.model == "rerank-1"
    assert case.positional


def test_a_case_is_found_in_the_working_directory(folder: Path) -> None:
    """Where the module is installed elsewhere."""
    _move(folder / "tests" / "test_reported.py", Path.cwd() / "tests")

    assert len(_find(folder)) == 1


def test_a_case_is_found_above_a_package(folder: Path) -> None:
    """A plugin of several files has its tests beside it, too."""
    module = folder / "rerank_reported.py"
    _move(module, folder / "rerank_reported").rename(folder / "rerank_reported" / "__init__.py")

    assert len(_find(folder)) == 1


def test_a_case_is_found_in_the_file_that_is_named(folder: Path) -> None:
    """All cases of it: a service may have several models that differ."""
    file = folder / "tests" / "test_reported.py"
    more = file.with_name("cases.py")
    more.write_text(file.read_text() + "\nfrom attrs import evolve\nMORE = evolve(CASE, model='b')")
    file.unlink()

    assert [case.model for case in _find(folder, file=more)] == ["rerank-1", "b"]


def test_a_module_that_is_not_there_is_named(folder: Path) -> None:
    """With what to do."""
    with pytest.raises(ConfigurationError, match=r"rerank_nothing cannot be imported.*pip install"):
        _find(folder, "rerank_nothing")


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("reported", "the plugin for the provider 'reported' is rerank_reported"),
        ("home/rerank_reported.py", "is no module's name: write 'rerank_reported'"),
        ("./rerank_reported.py", "is no module's name: write 'rerank_reported'"),
        ("rerank_reported.py", "is no module's name: write 'rerank_reported'"),
        ("rerank..reported", "is no module's name: write 'rerank_acme'"),
    ],
)
def test_what_is_not_the_module_is_answered_with_it(module: str, said: str, folder: Path) -> None:
    """The provider's name, or a file."""
    with pytest.raises(ConfigurationError) as caught:
        _find(folder, module)

    assert said in caught.value.message


def test_what_a_plugin_lacks_is_told_from_the_plugin(folder: Path) -> None:
    """It is not the plugin that is to be installed."""
    module = folder / "rerank_reported.py"
    module.write_text(f"{module.read_text()}\nimport no_such_module\n")

    with pytest.raises(ConfigurationError, match=r"'no_such_module'\): the plugin needs that"):
        _find(folder)


def test_a_finding_is_told_once(few_checks: Sequence[str]) -> None:
    """A hook that fails whatever is checked would fill the report with one message."""

    class Failing(type(CASE.plugin)):  # type: ignore[misc]
        @hookimpl
        def resolve_provider(self) -> Provider:
            message = "moon"
            raise RuntimeError(message)

    lines, failed = write_report([evolve(CASE, plugin=Failing())])
    report = "\n".join(lines)

    assert failed == len(few_checks) - 1
    assert report.count("moon") == failed - 1  # what fails elsewhere is told in its own words
    assert "         the same as check_query_and_documents_are_carried" in lines


@pytest.mark.parametrize("line", ["raise RuntimeError('moon')", "raise SystemExit('moon')", "1 +"])
@pytest.mark.parametrize("path", ["rerank_reported.py", "tests/test_reported.py"])
def test_a_file_that_fails_is_named(line: str, path: str, folder: Path) -> None:
    """Be it the plugin or its tests."""
    file = folder / path
    file.write_text(f"{file.read_text()}\n{line}\n")

    with pytest.raises(ConfigurationError, match=rf"{file.stem}.* cannot be imported \("):
        _find(folder)


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    """With all places that were looked at, and how to name another."""
    (folder / "tests" / "test_reported.py").unlink()

    with pytest.raises(ConfigurationError, match="no file with a Case") as caught:
        _find(folder)

    assert str(folder / "tests" / "test_reported.py") in caught.value.message
    assert str(Path.cwd() / "tests" / "test_reported.py") in caught.value.message
    assert "--case FILE" in caught.value.message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.py", "", r"states no rerank_core\.testing\.Case"),
        ("case.txt", "", "is no Python file"),
        ("nowhere.py", None, "no file with a Case"),
    ],
)
def test_a_file_without_a_case_is_named(
    name: str, text: str | None, message: str, folder: Path
) -> None:
    """A file that is given by hand may be the wrong one."""
    file = folder / name
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigurationError, match=message) as caught:
        _find(folder, file=file)

    assert str(file) in caught.value.message


def test_a_report_has_a_line_for_each_check(few_checks: Sequence[str]) -> None:
    """With what it is about."""
    lines, failed = write_report([CASE])

    assert failed == 0
    assert lines[0] == "Healthy, model healthy-1"
    assert [line.split()[1] for line in lines[1:]] == [f"{name}:" for name in few_checks]
    assert all(line.startswith("  ok     check_") for line in lines[1:])
    assert all(line.endswith(".") for line in lines[1:])


@pytest.mark.usefixtures("few_checks")
def test_a_report_says_what_why_and_where() -> None:
    """Below the check, indented; what stands after goes on being checked."""
    broken = FAULTS["check_query_and_documents_are_carried"]["documents backwards"]
    lines, failed = write_report([broken, CASE])
    at = next(at for at, line in enumerate(lines) if "check_query_and_documents" in line)

    assert failed == sum(line.startswith("  FAILED ") for line in lines)
    assert lines[at].startswith("  FAILED check_query_and_documents_are_carried: ")
    assert lines[at + 1].startswith("         the documents in the body are ")
    assert lines[at + 2].strip().startswith("Why it matters: ")
    assert lines[at + 3].strip() == "Where to look: build_request"
    assert "Healthy, model healthy-1" in lines


@pytest.mark.usefixtures("few_checks")
def test_an_error_in_a_check_is_a_finding() -> None:
    """A case that is wrong itself is reported as well."""

    def encode(*_: Any) -> Any:
        message = "no such reply"
        raise LookupError(message)

    findings = [outcome.finding for outcome in run_checks(evolve(CASE, encode=encode))]

    assert "LookupError: no such reply" in findings


def test_an_error_of_a_call_says_where_to_look() -> None:
    """Although no check expected it."""

    def fail(_: Case) -> None:
        message = "results[0] is a number"
        raise ResponseParseError(message)

    with pytest.raises(AssertionError, match=r"results\[0\] is a number") as caught:
        Check("check_something", CASE, fail)()

    assert "Why it matters: " in str(caught.value)
    assert "Where to look: parse_response" in str(caught.value)


def test_the_command_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit needs an extra."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "hypothesis" else find(name)
    )
    ran = CliRunner().invoke(cli, ["check-plugin", "rerank_local"])

    assert ran.exit_code == 3
    assert "hypothesis is not installed: pip install 'rerank-core[testing]'" in ran.output


def test_the_command_cannot_check_what_is_not_there() -> None:
    """Neither a finding nor a success."""
    ran = CliRunner().invoke(cli, ["check-plugin", "rerank_nothing"])

    assert ran.exit_code == 3
    assert "error: rerank_nothing cannot be imported" in ran.output


def test_the_command_takes_a_file_by_name(folder: Path) -> None:
    """Wherever the case stands."""
    file = _move(folder / "tests" / "test_reported.py", folder / "elsewhere")
    with installed(folder):
        lost = CliRunner().invoke(cli, ["check-plugin", "rerank_reported"])
        found = CliRunner().invoke(cli, ["check-plugin", "rerank_reported", "--case", str(file)])

    assert lost.exit_code == 3
    assert found.exit_code == 0, found.output


def test_an_exception_names_a_check() -> None:
    """A misspelt one would leave nothing out, and stay for ever."""
    with pytest.raises(ValueError, match="exceptions names no check: check_nothing"):
        conformance(CASE, exceptions={"check_nothing": "because"})


def test_an_exception_without_reason_is_none() -> None:
    """The reason is what a reader wants to know."""
    with pytest.raises(ValueError, match="check_hooks_fit has no reason"):
        conformance(CASE, exceptions={"check_hooks_fit": " "})


def test_an_exception_that_does_not_fail_is_reported(pytester: pytest.Pytester) -> None:
    """The others run as without it."""
    pytester.makepyfile(
        """
        from testing.planted import CASE, FAULTS
        from rerank_core.testing import conformance

        BROKEN = FAULTS["check_retry_after_is_read"]["headers lost"]
        REASONS = {"check_retry_after_is_read": "lost", "check_hooks_fit": "none"}

        @conformance(BROKEN, exceptions=REASONS)
        def test_conformance(check):
            check()
        """
    )
    ran = pytester.runpytest_inprocess(
        "-q", "-k", "retry or fit or carried", "-p", "no:cacheprovider"
    )

    ran.assert_outcomes(xfailed=1, failed=1, passed=2)
    ran.stdout.fnmatch_lines(["*test_conformance?check_hooks_fit?*", "*XPASS(strict)*"])
