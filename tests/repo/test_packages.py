"""What is built holds the packages and nothing else, and importing them does nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from io import BytesIO
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
CI = ROOT / ".ci"
WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
ELSEWHERE = {ROOT / path for path in WORKSPACE["workspace"]["exclude"]}  # not installed here
MODULES = [
    "rerank_core",
    "rerank_core.hookspecs",
    "rerank_core.wire",
    *(
        path.name.replace("-", "_")
        for path in sorted((ROOT / "plugins").glob("rerank-*"))
        if path not in ELSEWHERE
    ),
]
# Imports modules and prints what that did, as JSON. Modules and folders of them may be read: that
# is what an import is. numpy looks for variables of its own, and is imported before the watch.
_IMPORT = """
import json, os, sys, threading
import numpy
WATCHED = ("open", "socket.", "subprocess.", "os.", "shutil.", "tempfile.", "ctypes.", "urllib.",
    "http.", "ssl.", "sqlite3.", "_thread.", "signal.")
MODULE = (".py", ".pyc", ".so", ".pyd")
done = []
def audit(event, arguments):
    read = event == "open" and str(arguments[0]).endswith(MODULE) and arguments[1] in ("r", "rb")
    if event.startswith(WATCHED) and not read and event not in ("os.listdir", "os.scandir"):
        done.append(f"{event} {arguments}")
class Environment(type(os.environ)):
    def __getitem__(self, name):
        done.append(f"environ {name}")
        return super().__getitem__(name)
    def __iter__(self):
        done.append("environ")
        return super().__iter__()
os.environ.__class__ = Environment
start = threading.Thread.start
threading.Thread.start = lambda thread: done.append(f"thread {thread.name}") or start(thread)
sys.addaudithook(audit)
for name in sys.argv[1:]:
    done.append(name)
    __import__(name)
print(json.dumps(done[:]))
"""


def _done_by_importing(folder: Path, *modules: str) -> list[str]:
    """What importing these did, behind the name of each, from this folder."""
    ran = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-B", "-c", _IMPORT, *modules],
        capture_output=True,
        check=True,
        text=True,
        cwd=folder,
    )
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


def _script(name: str) -> ModuleType:
    spec = spec_from_file_location(f"ci_{name}", CI / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_importing_does_nothing_but_import(tmp_path: Path) -> None:
    """No file, socket, process or thread, and not a look at the environment."""
    assert _done_by_importing(tmp_path, *MODULES) == MODULES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("open('notes.txt', 'w').close()", "open "),
        ("import os; open(os.devnull).close()", "open "),
        ("import socket; socket.socket().close()", "socket."),
        ("import subprocess, sys; subprocess.run([sys.executable, '-c', ''])", "subprocess."),
        ("import threading; threading.Thread(target=int).start()", "thread "),
        ("import os; os.environ.get('ANY')", "environ ANY"),
        ("import os; os.getenv('ANY')", "environ ANY"),
        ("import os; dict(os.environ)", "environ"),
        ("import os; 'ANY' in os.environ", "environ ANY"),
    ],
)
def test_what_an_import_does_is_seen(line: str, seen: str, tmp_path: Path) -> None:
    """So that the test above can fail."""
    (tmp_path / "busy.py").write_text(line, encoding="utf-8")

    assert any(what.startswith(seen) for what in _done_by_importing(tmp_path, "busy"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of core, as the build backend makes it, without a network."""
    hatchling = pytest.importorskip("hatchling.build")
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT / "core")
        return folder / str(hatchling.build_wheel(str(folder)))


@pytest.fixture
def packages() -> ModuleType:
    """The script that looks into distributions."""
    return _script("packages")


def _with(wheel: Path, folder: Path, name: str) -> Path:
    """The wheel with one more file."""
    copy = folder / wheel.name
    copy.write_bytes(wheel.read_bytes())
    with zipfile.ZipFile(copy, "a") as archive:
        archive.writestr(name, "import os")
    return copy


def test_the_wheel_of_core_holds_the_package_alone(packages: ModuleType, wheel: Path) -> None:
    """With its licence, its metadata, and the mark that it has types."""
    assert packages.wrong_in_wheel(wheel, ROOT / "core" / "src") == []


@pytest.mark.parametrize(
    "name",
    [
        "rerank_core.pth",
        "rerank_core/_fast.so",
        "rerank_core/__pycache__/x.pyc",
        "tests/test_x.py",
        "rerank_core-0.1.0.dist-info/extra.json",
        "rerank_core-0.1.0.data/scripts/rerank",
    ],
)
def test_a_wheel_with_more_is_found_out(
    packages: ModuleType, wheel: Path, tmp_path: Path, name: str
) -> None:
    """Above all what would run without being imported."""
    wrong = packages.wrong_in_wheel(_with(wheel, tmp_path, name), ROOT / "core" / "src")

    assert any(name in each or name.endswith(each.split()[0]) for each in wrong)


@pytest.mark.parametrize("name", ["_late.py", "minilm/tokenizer.json"])
def test_a_wheel_that_lacks_a_file_is_found_out(
    packages: ModuleType, wheel: Path, tmp_path: Path, name: str
) -> None:
    """A module of the source that was not packed, or what it reads."""
    source = tmp_path / "rerank_core" / name
    source.parent.mkdir(parents=True)
    source.touch()

    assert f"rerank_core/{name} is missing" in packages.wrong_in_wheel(wheel, tmp_path)


def test_an_sdist_with_more_is_found_out(packages: ModuleType, tmp_path: Path) -> None:
    """What lies about in a working tree, and what is not there."""
    path = tmp_path / "rerank_x-1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("LICENSE", "PKG-INFO", "README.md", "rerank_x.py", "notes.txt"):
            archive.addfile(tarfile.TarInfo(f"rerank_x-1/{name}"), BytesIO())
    (tmp_path / "rerank_x.py").touch()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "replies.json").touch()

    wrong = packages.wrong_in_sdist(path, tmp_path)

    assert "notes.txt is no part of an sdist" in wrong
    assert "pyproject.toml is missing" in wrong
    assert "tests/replies.json is missing" in wrong
    assert "rerank_x.py is missing" not in wrong


@pytest.mark.parametrize(
    "project",
    [ROOT / "core", *sorted((ROOT / "plugins").iterdir())],
    ids=lambda path: str(path.name),
)
def test_dependencies_have_a_lower_bound_and_come_from_an_index(project: Path) -> None:
    """The bound is what the lowest run installs; an address would go around the index."""
    table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = table.get("optional-dependencies", {}).values()
    needs = [*table["dependencies"], *(need for extra in extras for need in extra)]

    assert [need for need in needs if not re.match(r"[\w.\-\[\]]+ ?[>=]=", need)] == []
    assert [need for need in needs if "://" in need] == []


def _sbom_and_wheel(folder: Path) -> tuple[dict[str, object], Path]:
    """An SBOM that is right about one wheel."""
    wheel = folder / "rerank_core-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "rerank_core-1.0.dist-info/METADATA",
            "Name: rerank-core\nRequires-Dist: typing_extensions>=4\n"
            "Requires-Dist: click>=8.2; extra == 'cli'\n\n",
        )
    licences = [{"license": {"id": "Apache-2.0"}}]
    core = {"name": "rerank-core", "version": "1.0", "bom-ref": "a", "licenses": licences}
    other = {"name": "typing-extensions", "version": "4", "bom-ref": "b", "licenses": licences}
    return {
        "metadata": {"component": core},
        "components": [other],
        "dependencies": [{"ref": "a", "dependsOn": ["b"]}, {"ref": "b"}],
    }, wheel


def test_an_sbom_that_lacks_something_is_found_out(tmp_path: Path) -> None:
    """A dependency, a licence, a version, or the package itself."""
    wrong_in = _script("check_sbom").wrong_in
    sbom, wheel = _sbom_and_wheel(tmp_path)
    text = json.dumps(sbom)
    damages = [
        ('"dependsOn": ["b"]', '"dependsOn": []', "rerank-core needs typing-extensions too"),
        ('"version": "1.0"', '"version": "1.1"', "rerank-core 1.0 is not named"),
        ('"version": "4"', '"version": ""', "typing-extensions has no version"),
        ('"name": "rerank-core"', '"name": "other"', "it is about other"),
        ("Apache-2.0", "MIT", "rerank-core has another licence"),
        ('"licenses": [{"license": {"id": "Apache-2.0"}}]', '"licenses": []', "no licence"),
    ]

    assert wrong_in(sbom, [wheel]) == []
    for before, after, complaint in damages:
        assert before in text
        wrong = wrong_in(json.loads(text.replace(before, after)), [wheel])
        assert any(complaint in each for each in wrong), complaint
