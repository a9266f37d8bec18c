"""Discovery, loading and listing of plugins.

A plugin is imported when it is named, not before, and lives in a `pluggy.PluginManager` of its
own: whatever it breaks, it breaks for whoever named it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from rerank_core._facts import Provider
from rerank_core._hooks import PluginSource, ProviderHooks
from rerank_core._requirement import find_refusal
from rerank_core._suggest import suggestion
from rerank_core._version import __version__
from rerank_core.errors import ConfigurationError, ProviderNotFoundError, RerankError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "rerank_core.providers"

_registered: dict[str, ProviderHooks] = {}
_loaded: dict[str, ProviderHooks] = {}
_locks: dict[str, threading.Lock] = {}


@functools.cache
def _entry_points() -> Mapping[str, tuple[EntryPoint, ...]]:
    """Every provider's name with what claims it; metadata is scanned once per process."""
    from importlib import metadata  # noqa: PLC0415 - slow to import, and only needed here

    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in metadata.entry_points(group=GROUP):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def provider_names() -> list[str]:
    """Every name that a provider answers to, installed or registered, sorted."""
    return sorted({*_entry_points(), *_registered})


def source_of(name: str) -> PluginSource:
    """Where the plugin for `name` comes from, without importing it."""
    entries = _entry_points().get(name, ())
    if name in _registered or not entries:
        return PluginSource(name)
    if len(entries) > 1:
        claims = " and ".join(sorted(_describe(entry) for entry in entries))
        message = f"{claims} both claim the provider {name!r}; uninstall one of them"
        raise ConfigurationError(message, provider=name)
    dist = entries[0].dist
    return PluginSource(name, *((dist.name, dist.version) if dist else ()))


def find_plugin(name: str) -> ProviderHooks:
    """The hooks of the plugin that answers to `name`, imported now if it was not before.

    Raises:
        ProviderNotFoundError: Nothing that is installed or registered answers to it.
        ConfigurationError: Two distributions claim it.
        PluginError: The plugin is for another version of core, cannot be imported, or lacks a
            hook.
    """
    hooks = _registered.get(name) or _loaded.get(name)
    if hooks is not None:
        return hooks
    source = source_of(name)
    if name not in _entry_points():
        raise ProviderNotFoundError(_not_found(name))
    # One lock per name: a plugin that hangs on import holds up nobody who names another.
    with _locks.setdefault(name, threading.Lock()):
        if name not in _loaded:
            entry = _entry_points()[name][0]
            requirements = entry.dist.requires if entry.dist else None
            if refusal := find_refusal(requirements or (), __version__):
                message = f"it needs rerank-core {refusal}, and this is rerank-core {__version__}"
                raise source.error(f"{message}: install versions that fit")
            try:
                plugin = entry.load()
            except (Exception, SystemExit) as error:
                message = f"import failed ({type(error).__name__}: {error})"
                raise source.error(message) from error
            _loaded[name] = ProviderHooks(plugin, source)
        return _loaded[name]


def still_answers(hooks: ProviderHooks) -> bool:
    """Whether a plugin that was found is still the one: a registered one may be taken back."""
    name = hooks.source.name
    return (_registered.get(name) or _loaded.get(name)) is hooks


def hooks_of(plugin: object) -> ProviderHooks:
    """The hooks of a plugin that was handed over, not installed.

    Raises:
        ConfigurationError: It is a name.
        PluginError: It lacks a hook.
    """
    if isinstance(plugin, str):
        message = (
            f"provider= takes the module of a plugin that is not installed; one that is goes by"
            f" its name: model='{plugin}/...', or custom_llm_provider={plugin!r}"
        )
        raise ConfigurationError(message)
    label = getattr(plugin, "__name__", type(plugin).__name__)
    return ProviderHooks(plugin, PluginSource(str(label)))


def register(plugin: object) -> str:
    """Make a plugin available that is not installed, for tests and notebooks.

    Args:
        plugin: A module, or any object, with the four hooks.

    Returns:
        The provider's name, by which `model="name/..."` now finds it.

    Raises:
        ConfigurationError: The name is taken, by an installed plugin or a registered one.
        PluginError: A hook is missing or does not fit.
    """
    hooks = hooks_of(plugin)
    name = hooks.resolve_provider("", {}).name
    if name in provider_names():
        message = f"the name {name!r} is taken; uninstall or unregister the other plugin first"
        raise ConfigurationError(message, provider=name)
    hooks.source = PluginSource(name)
    _registered[name] = hooks
    return name


def unregister(name: str) -> None:
    """Take back `register`; a name that is not registered is left alone."""
    _registered.pop(name, None)


@frozen
class InstalledProvider:
    """One line of the listing.

    Attributes:
        name: The name that the provider answers to.
        source: The distribution and version.
        facts: What the plugin states; `None` where it is broken.
        error: What is wrong with it, as text; `None` where nothing is.
    """

    name: str
    source: PluginSource
    facts: Provider | None = None
    error: str | None = None


def list_providers() -> list[InstalledProvider]:
    """Every provider that is installed or registered; a broken one is listed with its error.

    Imports every plugin, and so waits for one that hangs on import. Each name stands for itself,
    so an alias is a line of its own whose `facts.name` is the provider's own name.
    """
    return [_inspect(name) for name in provider_names()]


def _inspect(name: str) -> InstalledProvider:
    try:
        hooks = find_plugin(name)
        return InstalledProvider(name, hooks.source, hooks.resolve_provider("", {}))
    except RerankError as error:
        claimed_twice = len(_entry_points().get(name, ())) > 1
        source = PluginSource(name) if claimed_twice else source_of(name)
        return InstalledProvider(name, source, error=error.message)


def _describe(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _not_found(name: str) -> str:
    installed = provider_names()
    # Not the package by the name that was asked for, which whoever likes may have published.
    advice = suggestion(name, installed) or (
        ": each comes with a package of its own, by convention `rerank-<provider>`."
    )
    return (
        f"no installed plugin answers to the provider {name!r}{advice}"
        f" Installed: {', '.join(installed) or 'none'}."
    )
