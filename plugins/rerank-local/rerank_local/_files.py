"""The files of a folder: found, read, and described where they are not what they should be."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rerank_core import ConfigurationError, ResponseParseError, wire


def find_model(folder: Path, variant: str | None) -> Path:
    """The ONNX file of a folder.

    Raises:
        ConfigurationError: There is no such folder or file, or more than one to choose from.
    """
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "nothing"
        message = f"model_path: expected a folder with model.onnx at {folder}, found {found}"
        raise ConfigurationError(message)
    paths = [*sorted(folder.glob("*.onnx")), *sorted(folder.glob("onnx/*.onnx"))]
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    wanted = (
        ["model.onnx"]
        if variant is None
        else [f"model_{variant}.onnx", f"{variant}.onnx", str(variant)]
    )
    for name in wanted:
        for place in (name, f"onnx/{name}"):
            if place in names:
                return names[place]
    if variant is None and len(paths) == 1:  # as a quantising tool leaves it: only its own
        return paths[0]
    expected = (
        "model.onnx or onnx/model.onnx" if variant is None else f"{wanted[0]} or onnx/{wanted[0]}"
    )
    choice = "; choose with variant=" if names else ""
    message = f"{folder}: expected {expected}, found {', '.join(names) or listing(folder)}{choice}"
    raise ConfigurationError(message)


def listing(folder: Path) -> str:
    """A few of the files there are, for messages."""
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""  # noqa: PLR2004 - one line
    return f"{', '.join(names[:8])}{more}" if names else "an empty folder"


def find_beside(model: Path, folder: Path, name: str) -> Path | None:
    """A file of the export: in the folder, or where the model is."""
    return next((at / name for at in (folder, model.parent) if (at / name).is_file()), None)


def read_json(path: Path) -> Any:
    """What a file of JSON holds.

    Raises:
        ConfigurationError: It holds something else.
    """
    content = path.read_bytes()
    try:
        return wire.decode_json(content.removeprefix(BOM_UTF8))
    except ResponseParseError as error:
        message = f"{path}: expected JSON, found {describe_content(content)}"
        raise ConfigurationError(message) from error


def read_stated(config: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    """What a file says of something; `None` where it says nothing.

    Raises:
        ConfigurationError: It is of another type.
    """
    value = config.get(name)
    if value is not None and not isinstance(value, kind):
        message = f"{where}: expected {name} to be of type {kind.__name__}, found {value!r}"
        raise ConfigurationError(message)
    return value


def read_object(path: Path) -> Mapping[str, Any]:
    """The object that a file of JSON holds.

    Raises:
        ConfigurationError: It holds something else.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        message = f"{path}: expected a JSON object, found {type(value).__name__}"
        raise ConfigurationError(message)
    return value


def describe_file(path: Path) -> str:
    """How a file begins, or why it cannot be read, for messages."""
    try:
        return describe_content(path.read_bytes())
    except OSError as error:
        return "a folder" if path.is_dir() else f"a file that cannot be read ({error.strerror})"


def describe_content(content: bytes) -> str:
    """How a file begins, for messages: an error page and a Git LFS pointer show themselves."""
    return f"{len(content):,} bytes that begin {content[:40]!r}" if content else "an empty file"
