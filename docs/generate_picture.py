"""Draw what `rerank demo` shows on a terminal: `python docs/generate_picture.py`."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("command-line.svg")
_COMMAND = "rerank demo --format table"
# Fonts from elsewhere: a picture in a page asks no other host.
_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def run() -> str:
    """What the command prints, with the colours of a terminal."""
    os.environ |= {"COLUMNS": "96", "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    from rerank_core._cli.plugins import cli  # noqa: PLC0415 - after the variables that it reads

    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(io.StringIO()):
        cli.main(_COMMAND.split()[1:], "rerank", standalone_mode=False)
    return shown.getvalue()


def draw() -> str:
    """The picture as SVG."""
    from rich.console import Console  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    console = Console(record=True, width=96, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {_COMMAND.partition(' --')[0]}"))
    console.print(Text.from_ansi(run().rstrip()))
    svg = console.export_svg(title="rerank demo", unique_id="rerank")
    return _FONTS.sub("", svg) + "\n"


if __name__ == "__main__":
    PAGE.write_text(draw(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
