"""`rerank` and `python -m rerank_core`: the command line, or how to get it."""

from __future__ import annotations

import sys

_EXTRA = ("click", "rich")
_MISSING = 3
_INTERRUPTED = 130


def main() -> None:
    """Run the command line; without the extra `cli`, say how to install it."""
    try:
        from rerank_core._cli.plugins import cli  # noqa: PLC0415 - click is an extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write("The command line needs an extra: pip install 'rerank-core[cli]'\n")
        sys.exit(_MISSING)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    cli(prog_name="rerank")


if __name__ == "__main__":
    main()
