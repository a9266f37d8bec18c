"""Where things stand, and which may know which."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

import rerank_core
from rerank_core import list_providers

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "src" / "rerank_core"
PLUGINS = sorted((ROOT / "plugins").iterdir())
PACKAGES = [ROOT / "core", *PLUGINS, ROOT / "plugin-template"]
# Whose module has another name than the distribution; the ordinary tests do not install them.
FRAMEWORKS = {
    "haystack": "haystack-ai",
    "haystack_integrations": "rerank-core-haystack",
    "llama_index": "llama-index-core",
}
CEILING = 250
# Imported only where the caller's program runs it already.
UNDECLARED = {"rerank-core": {"trio", "pydantic_core"}}


def _tables(package: Path) -> dict[str, Any]:
    return tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))


def _metadata(package: Path) -> dict[str, Any]:
    return _tables(package)["project"]  # type: ignore[no-any-return]


PROVIDERS = [
    package
    for package in PLUGINS
    if "rerank_core.providers" in _metadata(package).get("entry-points", {})
]


def _normal(need: str) -> str:
    """The name of the distribution that a requirement is for, as an index writes it."""
    return re.split(r"[^\w.-]", need, maxsplit=1)[0].replace("_", "-").lower()


def _tracked(*patterns: str) -> Iterator[Path]:
    listed = subprocess.run(  # noqa: S603 - git, of this repository
        ["git", "-C", str(ROOT), "ls-files", "-z", "--", *patterns],  # noqa: S607 - whichever git
        check=True,
        capture_output=True,
        text=True,
    )
    return (ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists())


def _modules(package: Path) -> list[Path]:
    """What a package brings, whether that is one module or a package of modules."""
    if package == ROOT / "core":
        return sorted(CORE.rglob("*.py"))
    wheel = _tables(package)["tool"]["hatch"]["build"]["targets"]["wheel"]
    places = [package / place for place in wheel["only-include"]]
    return sorted(
        path for place in places for path in [place, *place.rglob("*.py")] if path.is_file()
    )


def _imports(module: Path) -> Iterator[str]:
    """Each module that is imported, at once or late."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


@pytest.mark.parametrize("package", PLUGINS, ids=lambda path: path.name)
def test_a_package_has_its_files(package: Path) -> None:
    """The four things that each of them is, below a folder of its name."""
    assert _metadata(package)["name"] == package.name
    assert _modules(package)
    assert (package / "README.md").is_file()
    assert (package / "LICENSE").is_file()
    assert [*(package / "tests").glob("test_*.py")]


@pytest.mark.parametrize("package", PROVIDERS, ids=lambda path: path.name)
def test_a_plugin_has_one_name(package: Path) -> None:
    """Folder, distribution, module, entry point, provider and test carry the same name."""
    name = package.name.removeprefix("rerank-").replace("-", "_")
    project = _metadata(package)
    entry_points = project["entry-points"]["rerank_core.providers"]
    module = f"rerank_{name}"
    listed = {found.name: found for found in list_providers()}

    assert entry_points[name] == module
    assert {*entry_points.values()} == {module}
    for alias in entry_points:
        facts = listed[alias].facts
        assert facts is not None, listed[alias].error
        assert facts.name == name
    assert (package / f"{module}.py").is_file() or (package / module / "__init__.py").is_file()
    assert (package / "tests" / f"test_{name}.py").is_file()


def test_all_packages_have_one_version_and_allow_a_range_of_each_other() -> None:
    """Siblings share a version, and none pins another exactly."""
    projects = [_metadata(package) for package in PACKAGES]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    dependencies = [
        dependency
        for project in projects
        for dependency in project["dependencies"]
        if dependency.startswith("rerank-")
    ]

    assert {project["version"] for project in projects} == {rerank_core.__version__}
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [rerank_core.__version__]
    assert len(dependencies) > len(PLUGINS)
    assert not [dependency for dependency in dependencies if "==" in dependency]


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_what_a_package_imports_it_declares(package: Path) -> None:
    """Also what only a function imports: nothing is there by the grace of a dependency's own."""
    project = _metadata(package)
    extras = project.get("optional-dependencies", {}).values()
    needs = [*project["dependencies"], *(need for extra in extras for need in extra)]
    declared = {_normal(need) for need in [project["name"], *needs]}
    distributions = {**_distributions(), **{k: [v] for k, v in FRAMEWORKS.items()}}
    roots = {name.split(".")[0] for path in _modules(package) for name in _imports(path)}
    foreign = roots - sys.stdlib_module_names - UNDECLARED.get(project["name"], set())
    undeclared = {
        name
        for name in foreign
        if not declared & {_normal(each) for each in distributions.get(name, [name])}
    }

    assert "rerank_core" in foreign
    assert undeclared == set()


def test_the_public_names_are_sorted_and_there() -> None:
    """`__all__` is in order, and every name in it exists and says what it is."""
    names = rerank_core.__all__

    assert names == sorted(names)
    assert all(hasattr(rerank_core, name) for name in names)


@pytest.mark.parametrize(
    "module",
    [path for plugin in PLUGINS for path in _modules(plugin)],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_a_module_stays_below_the_ceiling(module: Path) -> None:
    """No module grows for ever."""
    assert len(module.read_text(encoding="utf-8").splitlines()) <= CEILING


def test_core_names_no_provider_but_the_one_in_this_process() -> None:
    """What differs between providers is a fact in a plugin, never a branch in core.

    `local/bm25` may stand in an example: it is the one that everybody can run.
    """
    names = {found.name for found in list_providers()} - {"local"}
    pattern = re.compile("|".join(rf"['\"/`_-]{name}['\"/`]" for name in names))
    found = [
        f"{module.name}:{number}: {line}"
        for module in CORE.rglob("*.py")
        for number, line in enumerate(module.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []


def test_what_frameworks_hold_of_a_reranker_is_one_file() -> None:
    """Each distribution stands alone, so that each has it; they must not drift apart."""
    found = [*(ROOT / "plugins").rglob("_lazy.py")]

    assert len(found) == 3
    assert len({path.read_bytes() for path in found}) == 1


def test_nothing_of_one_machine_is_tracked() -> None:
    """No lock file, no registry's host, no path of the machine it was written on."""
    registries = re.compile(
        r"(pypi|pythonhosted|npmjs)\.(org|com)|deb\.debian\.org"
    )  # its own line
    home = re.compile(r"(?<![\w.])/(home|root|work)/\w")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _tracked("*.py", "*.md", "*.toml", "*.yml", "*.yaml", "*.json", ".ci/*")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (registries.search(line) or home.search(line)) and "its own line" not in line
    ]

    assert found == []
    assert not list(_tracked("*uv.lock"))
