"""What is in the wheels and sdists of a folder: the package, its licence and metadata, no more.

Run `python .ci/packages.py FOLDER`; it prints what is wrong. `python .ci/packages.py --frameworks`
prints which plugins are no part of the workspace.
"""

from __future__ import annotations

import os
import sys
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LICENSE = (ROOT / "LICENSE").read_bytes()
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
# The last is of the repository: by it hatchling knows what to leave out.
SDIST = {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", ".gitignore"}
# What runs without being imported, is compiled, or is left over from a run of something.
UNWANTED = {".pth", ".pyc", ".pyd", ".so", ".egg-link"}
CACHES = {"__pycache__", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv"}


def frameworks() -> list[str]:
    """The folders of what is made for frameworks, which the workspace leaves out."""
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    return list(workspace["workspace"].get("exclude", []))


def _unwanted(names: set[str]) -> list[str]:
    return [
        f"{name} does not belong there"
        for name in sorted(names)
        if Path(name).suffix in UNWANTED or CACHES & {*Path(name).parts}
    ]


def _differences(what: str, names: set[str], expected: set[str]) -> list[str]:
    return [f"{name} is no {what}" for name in sorted(names - expected)] + [
        f"{name} is missing" for name in sorted(expected - names)
    ]


def _stated(package: Path) -> dict[str, Any]:
    """What a package's pyproject.toml says; core's stands elsewhere, and says the usual."""
    path = package / "pyproject.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _module_of(package: Path, distribution: str) -> str:
    """Where a package has its module: for frameworks, where these look for it."""
    tables = _stated(package)
    if not tables:
        return distribution
    [module] = tables["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    return str(module).removesuffix(".py")


def _metadata_of(package: Path) -> set[str]:
    """The files of metadata: entry points only where it states some."""
    project = _stated(package).get("project", {"entry-points": True})
    return METADATA if "entry-points" in project else METADATA - {"entry_points.txt"}


def _files_of(package: Path, module: str) -> set[str]:
    """The files of a package's source, whatever they hold, and the mark that they have types."""
    if (package / f"{module}.py").is_file():
        return {f"{module}.py"}
    # A single module cannot have the mark.
    return _files_below(package, module) | {f"{module}/py.typed"}


def _files_below(package: Path, name: str) -> set[str]:
    """What stands in a folder, by its path in the package; the template is there by a link."""
    return {
        (Path(folder) / file).relative_to(package).as_posix()
        for folder, _, files in os.walk(package / name, followlinks=True)
        for file in files
        if Path(file).suffix not in UNWANTED and not CACHES & {*Path(folder).parts}
    }


def _wrong_in_metadata(text: str) -> list[str]:
    """Say what is wrong with a distribution's metadata."""
    metadata = HeaderParser().parsestr(text)
    needs = metadata.get_all("Requires-Dist", [])
    return [
        f"{field} is {metadata[field]!r}, not {value!r}"
        for field, value in (("License-Expression", "Apache-2.0"), ("Requires-Python", ">=3.11"))
        if metadata[field] != value
    ] + [f"{need} has no lower bound" for need in needs if ">=" not in need and "==" not in need]


def wrong_in_wheel(wheel: Path, package: Path) -> list[str]:
    """Say what is wrong with the wheel of a package whose files stand in this folder."""
    distribution, version, *_ = wheel.stem.split("-")
    module = _module_of(package, distribution)
    about = f"{distribution}-{version}.dist-info/"
    with zipfile.ZipFile(wheel) as archive:
        names = {*archive.namelist()}
        metadata = {name.removeprefix(about) for name in names if name.startswith(about)}
        licence = archive.read(f"{about}licenses/LICENSE")
        text = archive.read(f"{about}METADATA").decode()
    code = {name for name in names if not name.startswith(about)}
    wrong = _unwanted(names) + _wrong_in_metadata(text)
    wrong += _differences("metadata", metadata, _metadata_of(package))
    wrong += _differences("file of the package", code, _files_of(package, module))
    return wrong + ["its LICENSE is another"] * (licence != LICENSE)


def wrong_in_sdist(sdist: Path, package: Path) -> list[str]:
    """Say what is wrong with the sdist of a package whose files stand in this folder."""
    base = sdist.name.removesuffix(".tar.gz")
    module = _module_of(package, base.split("-")[0])
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(f"{base}/") for name in archive.getnames()}
    # Core's modules stand below src/.
    folders = ("tests/", f"{module}/", f"src/{module}/")
    top = {name for name in names if not name.startswith(folders)}
    code = {name.removeprefix("src/") for name in names - top}
    code |= top & {f"{module}.py"}
    files = _files_of(package, module) | _files_below(package, "tests")
    return (
        _unwanted(names)
        + _differences("part of an sdist", top - {f"{module}.py"}, SDIST)
        + _differences("file of the package", code, files)
    )


def main(folder: Path) -> int:
    """Look at every distribution in the folder; return how much is wrong."""
    packages = {"rerank_core": ROOT / "core" / "src"}
    elsewhere = {ROOT / path for path in frameworks()}
    for path in sorted((ROOT / "plugins").iterdir()):
        name = path.name.replace("-", "_")
        packages[f"frameworks/{name}" if path in elsewhere else name] = path
    wrong = []
    for name, package in packages.items():
        wheels, sdists = [*folder.glob(f"{name}-*.whl")], [*folder.glob(f"{name}-*.tar.gz")]
        if len(wheels) != 1 or len(sdists) != 1:
            wrong.append(f"{name}: {len(wheels)} wheels and {len(sdists)} sdists")
        wrong += [f"{path.name}: {it}" for path in wheels for it in wrong_in_wheel(path, package)]
        wrong += [f"{path.name}: {it}" for path in sdists for it in wrong_in_sdist(path, package)]
    print("\n".join(wrong) or f"{len(packages)} packages hold what they should")
    return len(wrong)


if __name__ == "__main__":
    if sys.argv[1:] == ["--frameworks"]:
        print(*frameworks(), sep="\n")
        sys.exit()
    sys.exit(main(Path(sys.argv[1])) > 0)
