"""The checks as a report for people, without pytest."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from rerank_core.errors import ConfigurationError
from rerank_core.testing._case import Case
from rerank_core.testing._run import run_checks


def find_cases(module_name: str, path: str | None = None) -> list[Case]:
    """The cases that a plugin's tests state.

    Args:
        module_name: The plugin, for example `rerank_acme`.
        path: The file with the cases; else `tests/test_acme.py`, looked for beside the plugin and
            in the working directory.

    Raises:
        ConfigurationError: No such module, no such file, one that fails, or no case in it.
    """
    parts = module_name.split(".")
    if parts[-1] == "py" or not all(map(str.isidentifier, parts)):
        name = Path(module_name).name.removesuffix(".py")
        advice = name if name.isidentifier() else "rerank_acme"
        message = f"{module_name!r} is no module's name: write {advice!r}"
        raise ConfigurationError(message)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        advice = _advise(module_name, error)
        message = f"{module_name} cannot be imported ({error}): {advice}"
        raise ConfigurationError(message) from error
    except (Exception, SystemExit) as error:
        raise ConfigurationError(_failed(module_name, error)) from error
    files = [Path(path)] if path else list(_usual_places(module))
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        looked = " or ".join(str(file) for file in files)
        message = f"no file with a Case: looked for {looked}; name it with --case FILE"
        raise ConfigurationError(message)
    cases = [value for value in vars(_load(found)).values() if isinstance(value, Case)]
    if not cases:
        message = f"{found} states no rerank_core.testing.Case at its top level"
        raise ConfigurationError(message)
    return cases


def _advise(module_name: str, error: ImportError) -> str:
    own = module_name.partition(".")[0]
    if not isinstance(error, ModuleNotFoundError):
        return "another release of what it imports from may have it"
    if error.name != own:
        return "the plugin needs that; install it, and name it in the plugin's dependencies"
    if importlib.util.find_spec(f"rerank_{own}"):
        return f"the plugin for the provider {own!r} is rerank_{own}"
    return "pip install that plugin first"


def _usual_places(module: ModuleType) -> Iterator[Path]:
    name = f"test_{module.__name__.removeprefix('rerank_')}.py"
    home = Path(module.__file__ or ".").parent
    for folder in (home, home.parent, Path.cwd()):
        yield folder / "tests" / name


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"rerank_case_{file.stem}", file)
    if spec is None or spec.loader is None:
        message = f"{file} is no Python file"
        raise ConfigurationError(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(_failed(str(file), error)) from error
    return module


def _failed(what: str, error: BaseException) -> str:
    return f"{what} cannot be imported ({type(error).__name__}: {error})"


def write_report(cases: list[Case]) -> tuple[list[str], int]:
    """The report's lines, and how many checks found something."""
    lines, failed = [], 0
    for case in cases:
        first: dict[str, str] = {}
        name = getattr(case.plugin, "__name__", type(case.plugin).__name__)
        lines.append(f"{name}, model {case.model}")
        for outcome in run_checks(case):
            failed += bool(outcome.finding)
            word = "FAILED" if outcome.finding else "ok"
            lines.append(f"  {word:6} {outcome.name}: {outcome.promise}")
            # A hook that is missing, or facts that are wrong, fail nearly every check.
            same = first.setdefault(outcome.finding, outcome.name)
            finding = outcome.finding if same == outcome.name else f"the same as {same}"
            lines += [f"         {line}" for line in finding.splitlines() if outcome.finding]
    return lines, failed
