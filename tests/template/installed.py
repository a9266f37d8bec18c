"""Plugins that Python takes for installed, without pip: their metadata beside their modules."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


def write_metadata(folder: Path) -> None:
    """Write what pip would write for the plugin in a folder, from its `pyproject.toml`."""
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    lines = [f"Name: {project['name']}", f"Version: {project['version']}"]
    lines += [f"Requires-Dist: {dependency}" for dependency in project["dependencies"]]
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]))
    points = [f"{name} = {to}" for name, to in project["entry-points"][_GROUP].items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{_GROUP}]", *points, ""]))


_GROUP = "rerank_core.providers"


@contextmanager
def installed(*folders: Path) -> Iterator[None]:
    """Have this process and its children find the plugins in some folders."""
    before, path = set(sys.modules), os.environ.get("PYTHONPATH")
    places = [str(folder) for folder in folders]
    sys.path[:0] = places
    os.environ["PYTHONPATH"] = os.pathsep.join([*places, *filter(None, [path])])
    importlib.invalidate_caches()
    try:
        yield
    finally:
        del sys.path[: len(places)]
        os.environ["PYTHONPATH"] = path or ""
        for name in set(sys.modules) - before:
            if name.startswith(("rerank_", "test_")) and not name.startswith("rerank_core"):
                del sys.modules[name]


@contextmanager
def imported(file: Path) -> Iterator[ModuleType]:
    """A module from its file, under its own name, for as long as this lasts."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[file.stem]
