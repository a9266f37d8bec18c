"""A new plugin from the template: one folder with one name in every spelling."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Collection, Mapping
from keyword import iskeyword
from pathlib import Path

from rerank_core.errors import ConfigurationError

TEMPLATE = Path(__file__).with_name("_template")
_VARIANTS = TEMPLATE / "variants"
SHAPES: Mapping[str, str] = json.loads((_VARIANTS / "shapes.json").read_text(encoding="utf-8"))
"""What a service may answer, with a description; the first is the template itself."""
_FILES = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    ".gitignore",
    ".github/workflows/test.yml",
    "rerank_example.py",
    "tests/test_example.py",
)
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
# The template's name, but for the hosts of the invented API and the kit's Example(...).
_SPELLINGS: Mapping[str, Callable[[str], str]] = {
    r"rerank-example\b": lambda name: f"rerank-{name.replace('_', '-')}",
    r"(?<![.\w])(rerank_|test_)?example(?!\.com|=|\w)": lambda name: rf"\g<1>{name}",
    r"\bEXAMPLE_": lambda name: f"{name.upper()}_",
    r"\bExample(?!\w|\(|,)": lambda name: " ".join(map(str.capitalize, name.split("_"))),
}


def check_name(text: str) -> str:
    """The provider's name, with underscores, from what a person wrote.

    Raises:
        ValueError: It cannot name a provider, a module and a distribution.
    """
    name = text.replace("-", "_")
    if not _NAME.fullmatch(text):
        message = (
            f"{text!r} is no name: lower-case letters, digits and single hyphens or underscores"
            " between them, beginning with a letter"
        )
        raise ValueError(message)
    if iskeyword(name):
        message = f"{text!r} is a word of the Python language"
        raise ValueError(message)
    if name == "core":
        message = "'core' is taken: rerank-core is the package that loads plugins"
        raise ValueError(message)
    if name.partition("_")[0] == "rerank":
        message = f"{text!r} would make the distribution rerank-{text}: leave the first rerank out"
        raise ValueError(message)
    return name


def make_files(name: str, shape: str) -> dict[str, str]:
    """The files of a new plugin, by path.

    Args:
        name: The provider's, as `check_name` returns it.
        shape: One of `SHAPES`.
    """
    variant = _VARIANTS / shape
    files = {}
    for path in _FILES:
        own = variant / path
        text = (own if own.is_file() else TEMPLATE / path).read_text(encoding="utf-8")
        files[_rename(path, name)] = text if path == "LICENSE" else _rename(text, name)
    return files


def _rename(text: str, name: str) -> str:
    for pattern, spell in _SPELLINGS.items():
        text = re.sub(pattern, spell(name), text)
    return text


def write_plugin(
    text: str, directory: Path, *, shape: str | None = None, taken: Collection[str] = ()
) -> Path:
    """Write the folder of a new plugin: all of it, or nothing.

    Args:
        text: The name as a person wrote it.
        directory: Where the folder goes; made if it is not there.
        shape: One of `SHAPES`; the first where it is `None`.
        taken: The names of providers that are installed.

    Returns:
        The folder.

    Raises:
        ValueError: The name is none.
        ConfigurationError: It is taken, the folder exists, or cannot be written.
    """
    name = check_name(text)
    if name in taken:
        message = f"a plugin for {name!r} is installed: choose another name, or uninstall it first"
        raise ConfigurationError(message)
    folder = directory / f"rerank-{name.replace('_', '-')}"
    if os.path.lexists(folder):
        message = f"{folder} exists: nothing was written"
        raise ConfigurationError(message)
    files = make_files(name, shape or next(iter(SHAPES)))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".rerank-") as scratch:
            whole = Path(scratch) / folder.name
            for path, content in files.items():
                (whole / path).parent.mkdir(parents=True, exist_ok=True)
                (whole / path).write_text(content, encoding="utf-8", newline="\n")
            whole.rename(folder)
    except OSError as error:
        message = f"{folder} cannot be written ({error}): nothing was written"
        raise ConfigurationError(message) from error
    return folder
