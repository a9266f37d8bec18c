"""Core's rooms, in the order of a call, read from the imports: the tree tells the design."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "src" / "rerank_core"
_DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
# From whoever calls down to what everybody may import.
FLOORS = ("_client", "_send", "_conclude", "_prepare", "_resolve", "public")
# Beside the call: they stand on the whole of it, and nothing of it stands on them.
ABOVE = {"_cli", "testing", "__main__", "__init__"}
PUBLIC = {"hookspecs", "facts", "records", "errors", "wire", "auth", "tokens", "events"}
UNCOUNTED = {"__main__", "_version", "py"}
MOST_ENTRIES = 16
MOST_LINES = 6_250  # without testing/ and _cli/; the goal is 5,500
MOST_LINES_OF_HTTPX = 700  # of modules that know httpx, each counted whole
KNOW_HTTPX_ANYWAY = {"auth", "tokens", "testing"}
CEILING = 250
KNOWN_TO_ALL = {"_repr_html_", "_asdict", "_replace", "_fields", "_exit", "_hidden_params"}
MODULES = {
    ".".join(("rerank_core", *path.relative_to(CORE).with_suffix("").parts)): path
    for path in sorted(CORE.rglob("*.py"))
    if "_template" not in path.parts
}


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _room(module: str) -> str:
    """The entry at the top that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _floor(module: str) -> int:
    """How far down it lies; 0 for what lies above the call."""
    room = _room(module)
    if room in ABOVE:
        return 0
    return FLOORS.index(room if room in FLOORS else "public") + 1


def _resolved(name: str) -> str:
    """The module that holds a name."""
    while name and name not in MODULES and f"{name}.__init__" not in MODULES:
        name = name.rpartition(".")[0]
    return name if name in MODULES else f"{name}.__init__"


def _imported(path: Path, *, late: bool = True) -> Iterator[str]:
    """What a module imports, by full names; without what only type checkers read.

    Args:
        path: The module.
        late: Whether what functions import counts.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        or (not late and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: imports are written in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _imported_of_core(module: str, *, late: bool = True) -> set[str]:
    names = _imported(MODULES[module], late=late)
    found = {_resolved(name) for name in names if name.split(".")[0] == "rerank_core"}
    return found - {module}


def test_the_entries_at_the_top_can_be_read_at_a_glance() -> None:
    """The folder is the drawing: rooms, public modules, and little else."""
    entries = {path.name for path in CORE.iterdir()} - {"__pycache__"}
    counted = {name for name in entries if name.split(".")[0] not in UNCOUNTED}
    assert len(counted) <= MOST_ENTRIES, sorted(counted)
    assert {*FLOORS} - {"public"} <= counted
    assert {name.removesuffix(".py") for name in counted} >= PUBLIC


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_the_rooms(module: str) -> None:
    """A room knows those below it, never one above it; late imports count, too."""
    here = _floor(module)
    upward = {name for name in _imported_of_core(module) if _floor(name) < here}

    assert upward == set()


def test_imports_have_no_circle() -> None:
    """Each module can be imported after those it needs; what a call needs may be imported late."""
    graph = {module: _imported_of_core(module, late=False) for module in MODULES if _floor(module)}
    within = {module: {name for name in names if name in graph} for module, names in graph.items()}
    try:
        order = [*TopologicalSorter(within).static_order()]
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")

    assert {*order} >= {*graph}


def test_what_is_imported_late_lies_in_the_same_room_where_it_leads_back() -> None:
    """So that the rooms themselves have no circle, not even one that a late import would open."""
    rooms: dict[str, set[str]] = {}
    for module in filter(_floor, MODULES):
        beyond = rooms.setdefault(_room(module), set())
        beyond |= {_room(name) for name in _imported_of_core(module) if _floor(name)}
        beyond -= {_room(module)}
    try:
        order = [*TopologicalSorter(rooms).static_order()]
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")

    assert {*order} >= {*FLOORS} - {"public"}


def test_what_authors_import_stands_on_no_room() -> None:
    """A public module can be moved out of the house with what it stands on."""
    found = {
        module: sorted(name for name in _imported_of_core(module) if 0 < _floor(name) < len(FLOORS))
        for module in MODULES
        if _room(module) in PUBLIC
    }

    assert {module: names for module, names in found.items() if names} == {}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_can_be_read_at_once(module: str) -> None:
    """No module grows for ever."""
    assert _lines(MODULES[module]) <= CEILING


@pytest.mark.parametrize("room", [floor for floor in FLOORS if floor not in {"_client", "public"}])
def test_the_drawing_has_every_module_of_a_room(room: str) -> None:
    """The page that explains core is as true as its imports."""
    drawing = _DESIGN.partition("```text\n")[2].partition("```")[0]
    (part,) = (each for each in re.split(r"\n(?=\w)", drawing) if each.startswith(room))
    modules = {name.split(".")[2] for name in MODULES if _room(name) == room} - {"__init__"}

    assert modules
    assert modules <= set(re.findall(r"\w+", part))


def test_the_design_has_every_effect() -> None:
    """In its table, in which a reader looks for what a driver has to carry out."""
    tree = ast.parse((CORE / "_send" / "effects.py").read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    effects = {c.name for c in classes if (ast.get_docstring(c) or "").startswith("The effect")}

    assert "Send" in effects
    assert effects == set(re.findall(r"^\| `(\w+)` \|", _DESIGN, flags=re.MULTILINE))


def test_core_stays_small() -> None:
    """All that a call goes through, without the kit and the command line."""
    counted = {
        module: _lines(path)
        for module, path in MODULES.items()
        if _room(module) not in {"testing", "_cli"}
    }

    assert sum(counted.values()) <= MOST_LINES


def test_little_of_core_knows_httpx() -> None:
    """Modules that import it, at once or late, each counted whole."""
    counted = {
        module: _lines(path)
        for module, path in MODULES.items()
        if _room(module) not in KNOW_HTTPX_ANYWAY
        and any(name.split(".")[0] == "httpx" for name in _imported(path))
    }

    assert counted
    assert sum(counted.values()) <= MOST_LINES_OF_HTTPX, counted


def test_nothing_of_a_protocol_is_core_s_own() -> None:
    """Httpx sends: what lies below it is not imported."""
    below = {"h11", "h2", "httpcore", "socket", "asyncio.streams"}
    found = {
        module: sorted(below & {name.split(".")[0] for name in _imported(path)})
        for module, path in MODULES.items()
        if _room(module) != "testing"  # the kit watches what plugins open
    }

    assert {module: names for module, names in found.items() if names} == {}


# Private attributes of others.

PATTERNS = ("core/src/**/*.py", "plugins/*/**/*.py", "tests/**/*.py", "plugin-template/**/*.py")
SOURCES = [
    path
    for pattern in PATTERNS
    for path in sorted(ROOT.glob(pattern))
    if not {"_template", ".venv", "fixtures"} & {*path.parts}
]


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name.strip("_") != ""


def _is_ours(name: str) -> bool:
    """Whether a source of this repository is the module, or holds the name."""
    parts = tuple(name.split("."))
    places = {parts, parts[:-1], (*parts[:-1], "__init__")}
    ends = {path.with_suffix("").parts[-len(place) :] for path in SOURCES for place in places}
    return bool(places & ends)


def _names_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _defined_in(path: Path) -> Iterator[str]:
    """Each private name that a source defines: functions, classes, variables, attributes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and ast.unparse(node.value) in {"self", "cls"}
        ):
            yield node.attr


@pytest.mark.slow
def test_no_private_name_of_another_library_is_imported() -> None:
    """Neither a module nor a name in it."""
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        for name in _names_of(path)
        if any(map(_is_private, name.split("."))) and not _is_ours(name)
    ]

    assert found == []


@pytest.mark.slow
def test_a_private_attribute_is_of_a_class_of_our_own() -> None:
    """Each one that is read or set anywhere is defined somewhere in this repository."""
    ours = {name for path in SOURCES for name in _defined_in(path)}
    modules = {path.stem for path in SOURCES} | {path.parent.name for path in SOURCES}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and _is_private(node.attr)
        and node.attr not in ours | modules | KNOWN_TO_ALL
    ]

    assert found == []
