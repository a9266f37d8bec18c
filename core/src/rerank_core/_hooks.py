"""The hooks of one plugin, behind typed methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NoReturn

import pluggy
from attrs import frozen

from rerank_core import hookspecs
from rerank_core._facts import Provider
from rerank_core._messages import shorten
from rerank_core._models import Compute, HTTPRequest, NextRequest, RerankResponse, holds_results
from rerank_core.errors import PluginError, RerankError, ResponseParseError

if TYPE_CHECKING:
    from rerank_core._models import JSON, RerankRequest

# Each hook with its arguments, in the order in which they are handed over here.
HOOKS = {
    "resolve_provider": ("model", "options"),
    "map_params": ("provider", "params"),
    "build_request": ("provider", "request", "params"),
    "parse_response": ("provider", "request", "payload", "headers", "status_code"),
}
# What indexing and converting an unexpected payload raises: the reply's fault, not the plugin's.
_UNEXPECTED_PAYLOAD = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


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


class ProviderHooks:
    """The hooks of one plugin, typed; whatever else a hook raises becomes a `PluginError`."""

    def __init__(self, plugin: object, source: PluginSource) -> None:
        self.source = source
        manager = pluggy.PluginManager("rerank_core")
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(plugin)
        except Exception as error:
            raise source.error(f"a hook does not fit its specification ({error})") from error
        missing = [name for name in HOOKS if not getattr(manager.hook, name).get_hookimpls()]
        if missing:
            raise source.error(f"{', '.join(missing)}: no @hookimpl function of that name")
        self._functions = {
            name: _function_of(getattr(manager.hook, name), names) for name, names in HOOKS.items()
        }

    def resolve_provider(self, model: str, options: Mapping[str, Any]) -> Provider:
        """The facts; see `hookspecs.resolve_provider`."""
        facts: Provider = self._call("resolve_provider", Provider, model, options)
        return facts

    def map_params(self, provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
        """The service's own parameters; see `hookspecs.map_params`."""
        mapped: dict[str, Any] = self._call("map_params", dict, provider, params)
        return mapped

    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest | Compute:
        """The request; see `hookspecs.build_request`."""
        work: HTTPRequest | Compute = self._call(
            "build_request", (HTTPRequest, Compute), provider, request, params
        )
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
        try:
            answer = self._functions["parse_response"](
                provider, request, payload, headers, status_code
            )
        except RerankError:
            raise
        except _UNEXPECTED_PAYLOAD as error:
            fault = f"{type(error).__name__}: {shorten(str(error), 80)}"
            message = f"the reply is not what the service documents ({fault})"
            raise ResponseParseError(message) from error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's code raises
            self._fail("parse_response", error)
        if not isinstance(answer, (RerankResponse, NextRequest)):
            raise self._wrong("parse_response", answer)
        response = answer if isinstance(answer, RerankResponse) else answer.response
        if response is not None and not holds_results(response):
            raise self.source.error("parse_response returned results that are no RerankResult")
        return answer

    def _call(self, name: str, kind: Any, *arguments: Any) -> Any:
        try:
            answer = self._functions[name](*arguments)
        except RerankError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's code raises
            self._fail(name, error)
        if not isinstance(answer, kind):
            raise self._wrong(name, answer)
        return answer

    def _wrong(self, name: str, answer: object) -> PluginError:
        return self.source.error(f"{name} returned {type(answer).__name__}")

    def _fail(self, name: str, error: BaseException) -> NoReturn:
        # The validators of attrs hand over more beside their message: the field, the value.
        said = error.args[0] if isinstance(error, TypeError) and error.args[1:] else error
        raise self.source.error(f"{name} raised {type(error).__name__}: {said}") from error


def _function_of(hook: pluggy.HookCaller, names: tuple[str, ...]) -> Callable[..., Any]:
    """What calls a hook: its one implementation, with those of the arguments that it names.

    One plugin to a manager leaves pluggy nothing to arrange between plugins, and its own call takes
    longer than most hooks; where a plugin has wrappers, pluggy calls them.
    """
    implementations = hook.get_hookimpls()
    if len(implementations) > 1:
        return lambda *arguments: hook(**dict(zip(names, arguments, strict=True)))
    function, wanted = implementations[0].function, implementations[0].argnames
    if wanted == names:
        return function
    if not wanted:
        return lambda *_: function()
    if len(wanted) == 1:
        at = names.index(wanted[0])
        return lambda *arguments: function(arguments[at])
    pick = itemgetter(*map(names.index, wanted))
    return lambda *arguments: function(*pick(arguments))
