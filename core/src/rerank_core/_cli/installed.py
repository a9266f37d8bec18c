"""What is installed, and how to mend what is broken."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rerank_core._cli.group import joined_commands
from rerank_core._cli.progress import printable
from rerank_core._resolve.discovery import InstalledProvider
from rerank_core._version import __version__
from rerank_core.errors import ConfigurationError, RerankError
from rerank_core.facts import Provider

_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
NOTHING = (
    "no provider is installed; one that needs neither key nor network: pip install rerank-local"
)


def describe(listed: Iterable[InstalledProvider]) -> list[dict[str, Any]]:
    """One row for each provider, with the other names it answers to."""
    rows: dict[Any, dict[str, Any]] = {}
    # The provider's own name first, so that others stand beside it.
    for provider in sorted(listed, key=lambda one: one.facts is None or one.name != one.facts.name):
        facts = provider.facts
        place = (facts.name, provider.source.distribution) if facts else provider.name
        if place in rows:
            rows[place]["aliases"].append(provider.name)
            continue
        key, variables = _find_key(facts) if facts else (None, ())
        rows[place] = {
            "name": provider.name,
            "aliases": [],
            "distribution": provider.source.distribution,
            "version": provider.source.version,
            "models": facts.models if facts else (),
            "key": key,
            "key_variables": variables,
            "error": provider.error,
        }
    return sorted(rows.values(), key=lambda row: str(row["name"]))


def show_providers(rows: Sequence[dict[str, Any]]) -> None:
    """Print a table with a line for each."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    table.add_column("provider", no_wrap=True)
    table.add_column("also", ratio=1, no_wrap=True)
    table.add_column("package", ratio=2, no_wrap=True)
    table.add_column("key", ratio=2, no_wrap=True)
    table.add_column("models", ratio=3, no_wrap=True)
    for row in rows:
        key = " ".join(filter(None, (row["key"], *row["key_variables"][:1])))
        models = f"broken: {row['error']}" if row["error"] else ", ".join(row["models"])
        cells = (row["name"], ", ".join(row["aliases"]), row["distribution"] or "", key, models)
        table.add_row(*(Text(printable(cell), overflow="ellipsis") for cell in cells))
    Console().print(table)
    if not rows:
        click.echo(NOTHING, err=True)


def _find_key(facts: Provider) -> tuple[str, tuple[str, ...]]:
    """Whether there is a key in the environment, and the variables that this is about."""
    if found := tuple(filter(os.environ.get, facts.api_key_env)):
        return "found", found[:1]
    if facts.api_key_env or facts.api_key_required:
        return ("missing" if facts.api_key_required else "optional"), facts.api_key_env
    return ("its own sign-in" if callable(facts.auth) else "not needed"), ()


def examine(listed: Sequence[InstalledProvider]) -> int:
    """Print what is installed, broken and set, and what to do; the number of faults."""
    python = f"Python {platform.python_version()}, {platform.system()}"
    _show(f"rerank-core {__version__}, {python}", _read_extras("rerank-core"))
    faults = 0
    for provider in listed:
        lines = [f"broken: {provider.error}"] if provider.error else []
        lines += _mend_plugin(provider) if provider.error else []
        if facts := provider.facts:
            options = (*facts.options.values(), *facts.secret_options.values())
            names = chain(facts.api_key_env, facts.base_url_env, *options, facts.watched_env)
            key, variables = _find_key(facts)
            lines += [f"key: {key}", *_read_variables(names)]
            if key == "missing" and variables:
                lines.append(f"to use it: export {variables[0]}=...")
        faults += not facts
        source = provider.source
        _show(f"{provider.name}: {source}", [*lines, *_read_extras(source.distribution)])
    if not listed:
        _show("providers", [NOTHING])
    faults += _examine_commands() + _examine_network()
    click.echo(f"{faults} broken, see above" if faults else "nothing is broken")
    return faults


def _mend_plugin(provider: InstalledProvider) -> list[str]:
    distribution = provider.source.distribution
    if distribution is None:  # claimed twice, or registered by the program itself: its text says it
        return []
    return [
        f"to mend it: pip install --upgrade --force-reinstall {distribution}",
        f"or without it: pip uninstall {distribution}",
    ]


def _examine_commands() -> int:
    """Print each command of another distribution; the number of those that are broken."""
    faults = 0
    for name, command in sorted(joined_commands().items()):
        lines = []
        try:
            command.load()
        except RerankError as error:
            faults += 1
            lines.append(f"broken: {error.message}")
            if not isinstance(error, ConfigurationError) and (dist := command.entries[0].dist):
                lines.append(f"to mend it: pip install --upgrade --force-reinstall {dist.name}")
        _show(f"the command {name}: {command.source}", lines)
    return faults


def _examine_network() -> int:
    lines = _read_variables(_NETWORK)
    gone = (file := os.environ.get("SSL_CERT_FILE")) and not Path(file).is_file()
    if gone:
        lines.append("broken: SSL_CERT_FILE names no file, so that no connection can be made")
        lines.append("to mend it: unset SSL_CERT_FILE, or let it name a file of certificates (PEM)")
    _show("network", lines)
    return int(bool(gone))


def _read_variables(names: Iterable[str]) -> list[str]:
    # Proxies are read from the lower-case names as well.
    found = {upper for name, value in os.environ.items() if value for upper in (name, name.upper())}
    return [f"{name}: {'set' if name in found else 'not set'}" for name in names]


def _read_extras(distribution: str | None) -> Iterator[str]:
    """What each extra of a distribution brings, whether it is installed, and how to get it."""
    try:
        requirements = metadata.requires(distribution or "") or ()
    except (metadata.PackageNotFoundError, ValueError):  # registered, or gone meanwhile
        return
    for requirement in requirements:
        if found := re.match(r"([\w.-]+).*\bextra == ['\"]([^'\"]+)", requirement):
            version = next((dist.version for dist in metadata.distributions(name=found[1])), None)
            how = f"not installed: pip install '{distribution}[{found[2]}]'"
            yield f"extra {found[2]}: {found[1]} {version or how}"


def _show(title: str, lines: Iterable[str]) -> None:
    for line in (title, *(f"  {printable(line)}" for line in lines), ""):
        click.echo(line)
