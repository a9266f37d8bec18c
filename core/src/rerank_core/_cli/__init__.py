"""The command line: `rerank`, or how to get it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without the extra `cli`, say how to install it."""
    try:
        from rerank_core._cli.plugins import cli  # noqa: PLC0415 - click is an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"click", "rich"}:
            raise
        sys.stderr.write("The command line needs an extra: pip install 'rerank-core[cli]'\n")
        sys.exit(3)  # a mistake of configuration, as of every command
    except KeyboardInterrupt:
        sys.exit(130)  # interrupted
    cli(prog_name="rerank")
