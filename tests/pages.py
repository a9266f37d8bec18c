"""Runs the Python of a page, where it needs what the ordinary tests do not install."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def run_page(page: Path) -> dict[str, object]:
    """Run a page's `python` blocks in order, each knowing those before it.

    Args:
        page: A Markdown file. A `text` block right behind a `python` block is what that prints.

    Returns:
        The names that the blocks made.
    """
    names: dict[str, object] = {"__name__": "page"}
    text = page.read_text(encoding="utf-8")
    blocks = [found for found in _FENCE.finditer(text) if found[1] == "python"]
    assert blocks, f"{page.name} has no python"
    for found in blocks:
        line = text.count("\n", 0, found.start(2))
        code = compile("\n" * line + found[2], str(page), "exec")
        with redirect_stdout(io.StringIO()) as printed:
            exec(code, names)  # noqa: S102 - our own documentation
        if found[3] is not None:
            assert printed.getvalue() == found[3], f"{page.name}:{line} prints {printed.getvalue()}"
    return names
