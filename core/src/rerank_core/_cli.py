"""The commands: `rank`, `providers` and `doctor`.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import inspect
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import attrs
import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rerank_core import wire
from rerank_core._call import CALL_PARAMS
from rerank_core._client import rerank
from rerank_core._facts import Provider
from rerank_core._models import RerankResponse
from rerank_core._plugins import InstalledProvider, list_providers
from rerank_core._reranker import Reranker
from rerank_core._version import __version__
from rerank_core.errors import (
    ConfigurationError,
    PluginError,
    RerankError,
    ResponseParseError,
)

CONFIGURATION, FAILED, INTERRUPTED = 3, 4, 130

_EXIT_CODES = (
    "Exit codes: 0 done, 2 usage, 3 configuration (model, key, parameter, plugin),"
    " 4 the provider failed, 130 interrupted."
)
_OWN_OPTIONS = ("top_n", "rank_fields", "api_base", "timeout", "max_retries", "deadline")
# Everything else that `Reranker` and a call take must not come in by --param: keys least of all.
_NO_PARAMS = {*inspect.signature(Reranker).parameters, *CALL_PARAMS} - {
    "max_chunks_per_doc",
    "max_tokens_per_doc",
}
_NETWORK = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)


class _Commands(click.Group):
    """Ends with an exit code and one line on standard error where something fails."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RerankError as error:
            for text in (str(error), *getattr(error, "__notes__", ())):
                _say("error", text)
            ctx.exit(CONFIGURATION if isinstance(error, (ConfigurationError, PluginError)) else 4)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
