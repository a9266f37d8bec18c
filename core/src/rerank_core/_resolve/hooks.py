"""The hooks of one plugin, behind typed methods."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pluggy
from attrs import Attribute, frozen

from rerank_core import hookspecs
from rerank_core.errors import PluginError, RerankError, ResponseParseError
from rerank_core.facts import Provider
from rerank_core.records import JSON, Compute, HTTPRequest, NextRequest, RerankRequest
from rerank_core.records.response import RerankResponse
from rerank_core.records.results import RerankResult

HOOKS = ("resolve_provider", "map_params", "build_request", "parse_response")
# What indexing and converting an unexpected payload raises: the reply's fault, not the plugin's.
_UNEXPECTED_PAYLOAD = (KeyError, IndexError, TypeError, ValueError)
_MAX_SAID = 80  # characters
_PAYLOAD_TYPES = (dict, list, str, int, float, bool, type(None))


@frozen
class PluginSource:
    """Where a plugin came from, for messages.

    Attributes:
        name: The provider's name that was asked for.
        distribution: The installed package, or `None` for a module that was handed over.
        version: Its version, or `None`.
    """

    name: str
    distribution: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        """The package and version, or the provider's name."""
        if self.distribution is None:
            return f"the plugin for {self.name!r}"
        return f"the plugin {self.distribution} {self.version}"

    def error(self, message: str) -> PluginError:
        """A `PluginError` that names this plugin."""
        error = PluginError(f"{self}: {message}", provider=self.name)
        error.distribution, error.version = self.distribution, self.version
        return error


def make_manager(plugin: object, source: Callable[[], PluginSource]) -> pluggy.PluginManager:
    """A manager with this one plugin."""
    manager = pluggy.PluginManager("rerank_core")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin)
    except Exception as error:
        raise source().error(f"a hook does not fit its specification ({error})") from error
    for hook in manager.get_hookcallers(plugin) or ():
        if any(inspect.iscoroutinefunction(each.function) for each in hook.get_hookimpls()):
            raise source().error(f"{hook.name} is async, and nobody awaits it: write a plain def")
    return manager


class ProviderHooks:
    """The hooks of one plugin, typed; whatever else a hook raises becomes a `PluginError`."""

    def __init__(self, plugin: object, name: str, source: Callable[[], PluginSource]) -> None:
        # No `cached_property`: that of Python 3.11 has one lock for all, held while a plugin works.
        self.name, self._find_source = name, functools.cache(source)
        self._state_facts = functools.cache(functools.partial(self.resolve_provider, "", {}))
        self._hook = make_manager(plugin, source).hook
        if missing := [name for name in HOOKS if not self._implements(name)]:
            raise self.source.error(f"{', '.join(missing)}: no @hookimpl function of that name")
        observes = self._implements("observe")
        self.observe: Callable[..., Any] | None = self._hook.observe if observes else None

    def _implements(self, name: str) -> bool:
        """Whether there is more than wrappers, which have nothing to wrap."""
        found = getattr(self._hook, name).get_hookimpls()
        return any(not (each.wrapper or each.hookwrapper) for each in found)

    @property
    def source(self) -> PluginSource:
        """Where the plugin came from; looked up for an error or a listing, since it takes long."""
        return self._find_source()

    @property
    def facts(self) -> Provider:
        """What the plugin states without a model: its name, and which options are secret."""
        return self._state_facts()

    def resolve_provider(self, model: str, options: Mapping[str, Any]) -> Provider:
        """The facts; see `hookspecs.resolve_provider`."""
        facts: Provider = self._call("resolve_provider", Provider, model=model, options=options)
        return facts

    def map_params(self, provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
        """The service's own parameters; see `hookspecs.map_params`."""
        mapped: dict[str, Any] = self._call("map_params", dict, provider=provider, params=params)
        return mapped

    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest | Compute:
        """The request; see `hookspecs.build_request`."""
        given = {"provider": provider, "request": request, "params": params}
        work: HTTPRequest | Compute = self._call("build_request", (HTTPRequest, Compute), **given)
        return work

    def parse_response(
        self,
        provider: Provider,
        request: RerankRequest,
        payload: JSON,
        headers: Mapping[str, str],
        status_code: int,
    ) -> RerankResponse | NextRequest:
        """The ranking; see `hookspecs.parse_response`."""
        given = {"provider": provider, "request": request, "payload": payload}
        given |= {"headers": headers, "status_code": status_code}
        kinds = (RerankResponse, NextRequest)
        answer: RerankResponse | NextRequest = self._call("parse_response", kinds, **given)
        response = answer if isinstance(answer, RerankResponse) else answer.response
        if response is not None and not set(map(type, response.results)) <= {RerankResult}:
            raise self.source.error("parse_response returned results that are no RerankResult")
        return answer

    def _call(self, name: str, kind: Any, **arguments: Any) -> Any:
        try:
            answer = getattr(self._hook, name)(**arguments)
        except RerankError:
            raise
        except (Exception, SystemExit) as error:
            if name == "parse_response" and _is_of_reply(error):
                raise _unreadable(error) from error
            # The validators of attrs hand over more beside their message: the field, the value.
            said = error.args[0] if any(isinstance(a, Attribute) for a in error.args) else error
            raise self.source.error(f"{name} raised {type(error).__name__}: {said}") from error
        if not isinstance(answer, kind):
            raise self.source.error(f"{name} returned {type(answer).__name__}")
        return answer


def _is_of_reply(error: BaseException) -> bool:
    """Whether the reply is at fault: a missing attribute of a module is the plugin's typo."""
    if isinstance(error, AttributeError):
        return type(error.obj) in _PAYLOAD_TYPES
    of_record = any(isinstance(each, Attribute) for each in error.args)  # attrs' validators say so
    return isinstance(error, _UNEXPECTED_PAYLOAD) and not of_record


def _unreadable(error: BaseException) -> ResponseParseError:
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        name = error.args[0]
        return ResponseParseError(f"the reply has no {name!r}", path=name)
    # Left out whole where it is long: a piece of a secret would not be found again.
    said = f": {error}" if len(str(error)) <= _MAX_SAID else ""
    fault = f"{type(error).__name__}{said}"
    return ResponseParseError(f"the reply is not what the service documents ({fault})")
