"""Discovery, loading and listing of plugins.

A plugin is imported when it is named, not before, and lives in a `pluggy.PluginManager` of its
own: whatever it breaks, it breaks for whoever named it.
"""

from __future__ import annotations

import functools
import importlib
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from rerank_core._resolve import observers
from rerank_core._resolve.hints import not_found
from rerank_core._resolve.hooks import PluginSource, ProviderHooks, make_manager
from rerank_core.errors import ConfigurationError, ProviderNotFoundError, RerankError
from rerank_core.facts import Provider

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

GROUP = "rerank_core.providers"
_FORK_SECONDS = 10.0  # a fork waits so long for an import that is under way

_scanned: dict[str, tuple[EntryPoint, ...]] = {}
_registered: dict[str, ProviderHooks] = {}
_loaded: dict[str, ProviderHooks] = {}
_locks: dict[str, threading.Lock] = {}


def _wait_for_imports() -> None:
    """Let imports of plugins end before a fork: its child could never end them, nor begin anew."""
    for lock in list(_locks.values()):
        if lock.acquire(timeout=_FORK_SECONDS):
            lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_imports, after_in_child=_locks.clear)


@functools.cache
def import_late(name: str) -> Any:
    """A module that is not imported before it is needed; a fork waits for its import to end."""
    with _locks.setdefault(f"module {name}", threading.Lock()):
        return importlib.import_module(name)


def entry_points(group: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Every name in a group of entry points with what claims it."""
    importlib_metadata = import_late("importlib_metadata")
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in importlib_metadata.entry_points(group=group):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _providers(wanted: str = "") -> Mapping[str, tuple[EntryPoint, ...]]:
    """The providers' entry points: scanned once, and again where one is not found."""
    if not _scanned or (wanted and wanted not in _scanned):
        found = entry_points(GROUP)
        for name in _scanned.keys() - found:
            del _scanned[name]
        _scanned.update(found)
    return _scanned


def provider_names() -> list[str]:
    """Every name that a provider answers to, installed or registered, sorted."""
    return sorted({*_providers(), *_registered})


def source_of(name: str) -> PluginSource:
    """Where the plugin for `name` comes from, without importing it."""
    entries = () if name in _registered else _providers(name).get(name, ())
    if len(entries) > 1:
        claims = " and ".join(sorted(_describe(entry) for entry in entries))
        message = f"{claims} both claim the provider {name!r}; uninstall one of them"
        raise ConfigurationError(message, provider=name)
    if not entries or (dist := entries[0].dist) is None:
        return PluginSource(name)
    return PluginSource(name, dist.name, dist.version)


def find_plugin(name: str) -> ProviderHooks:
    """The hooks of the plugin that answers to `name`, imported now if it was not before."""
    if (hooks := _registered.get(name) or _loaded.get(name)) is not None:
        return hooks
    source = source_of(name)
    if name not in _providers():
        raise ProviderNotFoundError(not_found(name, provider_names()))
    # One lock per name: a plugin that hangs on import holds up nobody who names another.
    with _locks.setdefault(name, threading.Lock()):
        if name not in _loaded:
            try:
                plugin = _providers()[name][0].load()
            except (Exception, SystemExit) as error:
                raise source.error(f"import failed ({type(error).__name__}: {error})") from error
            _loaded[name] = ProviderHooks(plugin, source)
        return _loaded[name]


def still_answers(hooks: ProviderHooks) -> bool:
    """Whether a plugin that was found is still the one: a registered one may be taken back."""
    name = hooks.source.name
    return (_registered.get(name) or _loaded.get(name)) is hooks


def hooks_of(plugin: object) -> ProviderHooks:
    """The hooks of a plugin that was handed over, not installed."""
    if isinstance(plugin, str):
        message = (
            "provider= takes the module of a plugin that is not installed; one that is goes by"
            f" its name: model='{plugin}/...', or custom_llm_provider={plugin!r}"
        )
        raise ConfigurationError(message)
    return ProviderHooks(plugin, PluginSource(_label(plugin)))


def _label(plugin: object) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def register(plugin: object) -> str:
    """Make a plugin available that is not installed, or an observer of all calls."""
    if not isinstance(plugin, str) and (name := _register_observer(plugin)):
        return name
    hooks = hooks_of(plugin)
    name = hooks.facts.name
    if name in provider_names():
        message = f"the name {name!r} is taken; uninstall or unregister the other plugin first"
        raise ConfigurationError(message, provider=name)
    hooks.source = PluginSource(name)
    _registered[name] = hooks
    return name


def _register_observer(plugin: object) -> str:
    """Register a plugin that has no hook but `observe`; return its name, or nothing."""
    try:
        manager = make_manager(plugin)
    except Exception:  # noqa: BLE001 - it is told where it is taken for a provider
        return ""
    implemented = {hook.name for hook in manager.get_hookcallers(plugin) or ()}
    if implemented != {"observe"}:
        return ""
    name = f"{_label(plugin)}-{id(plugin):x}"
    observers.registered[name] = manager.hook.observe
    return name


def unregister(name: str) -> None:
    """Take back `register`; a name that is not registered is left alone."""
    _registered.pop(name, None)
    observers.forget(name)


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
    _scanned.clear()
    return [_inspect(name) for name in provider_names()]


def _inspect(name: str) -> InstalledProvider:
    source = PluginSource(name)
    try:
        source = source_of(name)
        hooks = find_plugin(name)
        return InstalledProvider(name, hooks.source, hooks.facts)
    except RerankError as error:
        return InstalledProvider(name, source, error=error.message)


def _describe(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
