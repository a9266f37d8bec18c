"""Discovery, loading and listing of plugins.

A plugin is imported when it is named, not before, and lives in a `pluggy.PluginManager` of its
own: whatever it breaks, it breaks for whoever named it.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from rerank_core._resolve import observers
from rerank_core._resolve.hooks import PluginSource, ProviderHooks, make_manager
from rerank_core._resolve.options import nearest
from rerank_core.errors import ConfigurationError, ProviderNotFoundError, RerankError
from rerank_core.facts import Provider

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

GROUP = "rerank_core.providers"
_FORK_SECONDS = 10.0  # a fork waits so long for an import that is under way

plugins: dict[str, ProviderHooks] = {}
"""What was loaded or registered, by the names it answers to."""
_importing: dict[object, int] = {}  # what is under way, by its thread
_may_begin = threading.RLock()


def _wait_for_imports() -> None:
    """Let imports of plugins end before a fork: its child could never end them, nor begin anew."""
    _may_begin.acquire()
    until, own = time.monotonic() + _FORK_SECONDS, {threading.get_ident()}
    while not own.issuperset([*_importing.values()]) and time.monotonic() < until:
        time.sleep(0.01)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_imports, after_in_parent=_may_begin.release)
    os.register_at_fork(after_in_child=_importing.clear)
    os.register_at_fork(after_in_child=_may_begin.release)


@functools.cache
def import_late(name: str) -> Any:
    """A module that is not imported before it is needed; a fork waits for its import to end."""
    own = object()
    with _may_begin:
        _importing[own] = threading.get_ident()
    try:
        return importlib.import_module(name)
    finally:
        _importing.pop(own, None)


def entry_points(group: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Every name in a group of entry points with what claims it."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in import_late("importlib_metadata").entry_points(group=group):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


@functools.cache
def _installed() -> Mapping[str, tuple[EntryPoint, ...]]:
    return entry_points(GROUP)


def provider_names() -> list[str]:
    """Every name that a provider answers to, installed or registered, sorted."""
    return sorted({*_installed(), *plugins})


def _source_of(entry: Any) -> PluginSource:
    try:
        return PluginSource(entry.name, entry.dist.name, entry.dist.version)
    except (LookupError, OSError, AttributeError):  # a distribution may have no metadata
        return PluginSource(entry.name)


def _find_entry(name: str) -> EntryPoint:
    """The one entry point of that name, without importing it."""
    if name not in _installed():
        _installed.cache_clear()  # it may have been installed meanwhile
    entries = _installed().get(name)
    if entries is None:
        raise ProviderNotFoundError(_not_found(name))
    if len(entries) > 1:
        claims = " and ".join(sorted(str(_source_of(entry)) for entry in entries))
        message = f"{claims} both claim the provider {name!r}; uninstall one of them"
        raise ConfigurationError(message, provider=name)
    return entries[0]


def _not_found(name: str) -> str:
    names = provider_names()
    near = nearest(name.lower(), names)
    advice = f"; did you mean {near!r}?" if near else "."
    package = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "<provider>"
    return (
        f"no installed plugin answers to the provider {name!r}{advice} Each provider comes with a"
        f" package of its own, by convention: pip install rerank-{package}. docs/providers.md has"
        " the packages, and the other names that each answers to. Installed:"
        f" {', '.join(names) or 'none'}."
    )


def find_plugin(name: str) -> ProviderHooks:
    """The hooks of the plugin that answers to `name`, imported now if it was not before."""
    if (hooks := plugins.get(name)) is not None:
        return hooks
    entry = _find_entry(name)
    source = functools.partial(_source_of, entry)
    try:
        import_late(entry.module)
        plugin = entry.load()
    except (Exception, SystemExit) as error:
        raise source().error(f"import failed ({type(error).__name__}: {error})") from error
    plugins[name] = hooks = ProviderHooks(plugin, name, source)  # one that was half loaded goes
    return hooks


def hooks_of(plugin: object) -> ProviderHooks:
    """The hooks of a plugin that was handed over, not installed."""
    if isinstance(plugin, str):
        message = (
            "provider= takes the module of a plugin that is not installed; write an installed"
            f" one's name instead: model='{plugin}/...', or custom_llm_provider={plugin!r}"
        )
        raise ConfigurationError(message)
    name = _label(plugin)
    return ProviderHooks(plugin, name, functools.partial(PluginSource, name))


def _label(plugin: object) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def register(plugin: object) -> str:
    """Make a plugin available that is not installed, or an observer of all calls."""
    label = _label(plugin)
    manager = make_manager(plugin, functools.partial(PluginSource, label))
    if {hook.name for hook in manager.get_hookcallers(plugin) or ()} == {"observe"}:
        if isinstance(plugin, type):  # its functions would lack `self`, in silence
            raise ConfigurationError(f"register is given a class: write register({label}())")
        name = f"{label}-{id(plugin):x}"
        observers.registered[name] = manager.hook.observe
        return name
    name = hooks_of(plugin).facts.name
    if name in provider_names():
        message = f"the name {name!r} is taken; uninstall or unregister the other plugin first"
        raise ConfigurationError(message, provider=name)
    plugins[name] = ProviderHooks(plugin, name, functools.partial(PluginSource, name))
    return name


def _is_registered(name: str) -> bool:
    return name in plugins and plugins[name].source.distribution is None


def unregister(name: str) -> None:
    """Take back `register`; a name that is not registered is left alone."""
    if _is_registered(name):
        plugins.pop(name, None)
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
    _installed.cache_clear()
    return [_inspect(name) for name in provider_names()]


def _inspect(name: str) -> InstalledProvider:
    source = PluginSource(name)
    try:
        source = plugins[name].source if _is_registered(name) else _source_of(_find_entry(name))
        return InstalledProvider(name, source, find_plugin(name).facts)
    except Exception as error:  # noqa: BLE001 - of a plugin that is broken in whatever way
        said = error.message if isinstance(error, RerankError) else repr(error)
        return InstalledProvider(name, source, error=said)
