"""The commands for authors of plugins: a new one from the template, and the checks on one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from rerank_core._cli.commands import cli
from rerank_core._cli.new_plugin import SHAPES, check_name, write_plugin
from rerank_core._resolve.discovery import provider_names
from rerank_core.errors import ConfigurationError

__all__ = ["cli"]

_FOUND_SOMETHING = 1
_EXTRA = ("hypothesis", "pytest")


def _check_name(_: click.Context, __: click.Parameter, name: str) -> str:
    try:
        check_name(name)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return name


@cli.command("new-plugin")
@click.argument("name", callback=_check_name)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where the folder goes; here by default.",
)
@click.option(
    "--like",
    type=click.Choice([*SHAPES]),
    default=next(iter(SHAPES)),
    show_default=True,
    help="What the service answers: " + "; ".join(f"{k}: {v}" for k, v in SHAPES.items()) + ".",
)
def new_plugin(name: str, directory: Path, like: str) -> None:
    """Write the folder rerank-NAME: a plugin whose tests pass.

    Change it to fit your API. NAME is the provider's name, which users will write
    before the slash of a model.
    """
    folder = write_plugin(name, directory, shape=like, taken=provider_names())
    module = f"rerank_{check_name(name)}"
    click.echo(f"{folder}: a working plugin for an invented API")
    click.echo(f"  {module}.py is the plugin; tests/ has the example of its documentation")
    click.echo(f"  next: cd {folder} && pip install -e '.[test]' && pytest")


@cli.command("check-plugin")
@click.argument("module")
@click.option(
    "--case",
    "file",
    metavar="FILE",
    help="The file that states the Case; by default the test of the plugin, looked for beside it"
    " and here.",
)
@click.pass_context
def check_plugin(ctx: click.Context, module: str, file: str | None) -> None:
    """Run the conformance checks on an installed plugin.

    MODULE is for example rerank_acme. Exits with 1 where a check finds something.
    """
    if missing := [name for name in _EXTRA if importlib.util.find_spec(name) is None]:
        message = f"{missing[0]} is not installed: pip install 'rerank-core[testing]'"
        raise ConfigurationError(message)
    from rerank_core.testing._report import find_cases, write_report  # noqa: PLC0415 - an extra

    lines, failed = write_report(find_cases(module.replace("-", "_"), file))
    for line in lines:
        click.echo(line)
    click.echo(f"{failed} checks found something" if failed else "all checks passed")
    ctx.exit(_FOUND_SOMETHING if failed else 0)
