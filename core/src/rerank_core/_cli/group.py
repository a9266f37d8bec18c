"""The group of all commands, those of other distributions among them, and how it fails."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from rerank_core._cli.progress import checked_output, printable
from rerank_core._resolve.discovery import entry_points
from rerank_core._resolve.options import OTHER_WORDS
from rerank_core.errors import ConfigurationError, PluginError, RerankError

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

GROUP = "rerank_core.commands"
CONFIGURATION, FAILED, INTERRUPTED = 3, 4, 130
# Commands that are known to come with another distribution.
_ELSEWHERE: Mapping[str, str] = {
    "calibrate": "rerank-eval",
    "compare": "rerank-eval",
    "eval": "rerank-eval",
    "job": "rerank-jobs",
}


class JoinedCommand(click.Command):
    """A command of another distribution, which is imported when it is called."""

    def __init__(self, name: str, entries: tuple[EntryPoint, ...]) -> None:
        self.entries = entries
        self.source = " and ".join(
            f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
            for entry in entries
        )
        super().__init__(name, short_help=f"From {self.source}.", add_help_option=False)

    def make_context(self, *args: Any, **named: Any) -> click.Context:
        """Import the command, and let it read its arguments."""
        return self.load().make_context(*args, **named)

    def load(self) -> click.Command:
        """The command itself.

        Raises:
            ConfigurationError: Several distributions bring a command of this name.
            PluginError: It cannot be imported, or is none.
        """
        if len(self.entries) > 1:
            message = f"{self.source} both bring the command {self.name!r}; uninstall one of them"
            raise ConfigurationError(message)
        try:
            command = self.entries[0].load()
        except (Exception, SystemExit) as error:
            raise self._error(f"import failed ({type(error).__name__}: {error})") from error
        if not isinstance(command, click.Command):
            raise self._error(f"{self.entries[0].value} is no click command")
        return command

    def _error(self, message: str) -> PluginError:
        error = PluginError(f"the command {self.name!r} of {self.source}: {message}")
        if dist := self.entries[0].dist:
            error.distribution, error.version = dist.name, dist.version
        return error


def joined_commands() -> dict[str, JoinedCommand]:
    """The commands of other distributions, by name; none is imported."""
    return {name: JoinedCommand(name, found) for name, found in entry_points(GROUP).items()}


class Commands(click.Group):
    """The commands; if one fails, it ends with an exit code and a line on standard error."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Our own in the order of their making, then those of other distributions."""
        return [*self.commands, *sorted(joined_commands().keys() - self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them; our own is never another's."""
        return super().get_command(ctx, cmd_name) or joined_commands().get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named, or what to write instead."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            near = get_close_matches(name, self.list_commands(ctx), 1)
            advice = f" Did you mean {near[0]!r}?" if near else ""
            if name in _ELSEWHERE:
                advice = f" It comes with another package: pip install {_ELSEWHERE[name]}"
            elif not near:
                advice = " To rank: rerank rank --model local/bm25 QUERY FILE"
            ctx.fail(f"there is no command {printable(name)!r}.{advice}")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **named: Any) -> Any:
        """Run a command where there is something to write to."""
        with checked_output():
            return super().main(*args, **named)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; say what failed in a line."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            name = error.option_name
            own = OTHER_WORDS.get(re.sub("[-_]", "", name).lower(), "").replace("_", "-")
            if "key" in name or "token" in name:
                advice = "keys come from the environment; rerank doctor names the variables"
            elif own and error.ctx and any(f"--{own}" in p.opts for p in error.ctx.command.params):
                advice = f"write --{own}"
            else:
                raise
            message = f"no such option: {name}: {advice}"
            raise click.NoSuchOption(name, message, ctx=error.ctx) from None
        except RerankError as error:
            for text in (str(error), *getattr(error, "__notes__", ())):
                click.echo(printable(f"error: {text}"), err=True)
            ours = isinstance(error, (ConfigurationError, PluginError))
            ctx.exit(CONFIGURATION if ours else FAILED)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
