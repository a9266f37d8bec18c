"""Where a call goes: the provider's facts, with base URL, key and options filled in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from rerank_core._call import CALL_PARAMS, check_text
from rerank_core._facts import Provider
from rerank_core._http.made import Made
from rerank_core._keys import Environment, Secret, choose_key, values_of
from rerank_core._params import unknown_param
from rerank_core._plugins import find_plugin, hooks_of, still_answers
from rerank_core._prices import warn_of_retirement
from rerank_core._redaction import hide, hider
from rerank_core._secrets import clean, client_secrets, given_secrets, secrets_in
from rerank_core.errors import ConfigurationError, RerankError, UnsupportedParamError

if TYPE_CHECKING:
    from rerank_core._hooks import ProviderHooks
    from rerank_core._http.lifetime import Connections
    from rerank_core._options import Options


@frozen
class Target:
    """One model of one provider, with everything that sending to it takes.

    Attributes:
        hooks: The plugin.
        provider: Its facts, with the base URL in use.
        model: The model's name without its provider.
        options: The connection, as the caller gave it.
        provider_options: The provider's own options: argument, else environment.
        secrets: Its secret options.
        params: The provider's own parameters that hold for every call.
        api_key: The key, where there is one to send.
        environment: The variables that were looked at, with what they held.
        connections: The HTTP clients to send with.
        warnings: What was left out.
        made: What is made once per target, on first use.
    """

    hooks: ProviderHooks = field(repr=False)
    provider: Provider
    model: str
    options: Options
    provider_options: Mapping[str, Any] = field(repr=False)
    secrets: Mapping[str, Secret]
    params: Mapping[str, Any]
    api_key: Secret | None
    environment: Mapping[str, str | None] = field(repr=False)
    connections: Connections = field(repr=False)
    warnings: tuple[str, ...] = ()
    made: Made = field(factory=Made, repr=False, eq=False)

    @property
    def name(self) -> str:
        """The model as users write it."""
        return f"{self.provider.name}/{self.model}"

    def is_current(self) -> bool:
        """Whether plugin and environment are still what they were when this was made."""
        environ = os.environ
        for name, value in self.environment.items():
            # Asked first, since most are not set, and a look-up that fails costs an exception.
            if (environ[name] if name in environ else None) != value:  # noqa: SIM401
                return False
        return still_answers(self.hooks)

    def redact(self, text: str) -> str:
        """The text without any secret that was handed over, or had in exchange, for this."""
        return hide(text, self.find_secrets())

    def find_secrets(self) -> set[str]:
        """What must not be shown: what was handed over, and what was had in exchange for it."""
        kept = filter(None, (self.api_key, *self.secrets.values()))
        return {
            *chain.from_iterable(secrets_in(secret.value) for secret in kept),
            *given_secrets(self.options, self.provider),
            # The caller's own client may bring a key of its own.
            *client_secrets(self.connections.http_client),
            *(self.made.auth.secrets() if self.made.auth else ()),
        }


def split_model(model: Any, custom_llm_provider: Any) -> tuple[str, str]:
    """The provider's name and the model's, from `provider/model` or from both.

    Raises:
        ConfigurationError: One of the two is missing, or is no text.
    """
    if not isinstance(model, str) or not model.strip():
        message = "model must be a string such as 'local/bm25'"
        raise ConfigurationError(message)
    check_text(model, "model")
    if custom_llm_provider is not None:
        if not isinstance(custom_llm_provider, str):
            message = f"custom_llm_provider must be a string, not {custom_llm_provider!r}"
            raise ConfigurationError(message)
        check_text(custom_llm_provider, "custom_llm_provider")
        return custom_llm_provider, model
    provider, slash, name = model.partition("/")
    if not (provider and slash and name):
        lacks = "model" if provider and slash else "provider"
        whole = f"{provider}/model" if lacks == "model" else f"provider/{name or provider}"
        message = (
            f"{model!r} names no {lacks}: write model={whole!r}, as in 'local/bm25', or give"
            " custom_llm_provider="
        )
        raise ConfigurationError(message)
    return provider, name


def resolve_target(
    model: str,
    options: Options,
    connections: Connections,
    custom_llm_provider: str | None = None,
    plugin: object = None,
) -> Target:
    """Ask the plugin for its facts and fill in what the caller and the environment give.

    Args:
        model: `provider/model`; the model alone where the provider is given otherwise.
        options: The connection.
        connections: The HTTP clients to send with.
        custom_llm_provider: The provider's name.
        plugin: A plugin that is not installed.

    Raises:
        ConfigurationError: And its kinds, for whatever cannot work.
        PluginError: The plugin is broken.
    """
    if plugin is None:
        name, model = split_model(model, custom_llm_provider)
        hooks = find_plugin(name)
    else:
        if isinstance(model, str):
            check_text(model, "model")
        hooks = hooks_of(plugin)
    name = hooks.source.name
    first = Provider(name=name)
    try:
        # Which options are secret, and which variable names the base URL, are facts too.
        first = hooks.resolve_provider(model, {})
        secret = first.secret_options
        given = {key: value for key, value in options.extra.items() if key not in secret}
        api_base = options.api_base or Environment().first(first.base_url_env)
        if api_base is not None:
            given["api_base"] = api_base
        facts = hooks.resolve_provider(model, given)
        name = facts.name
        return _make_target(hooks, facts, model, options, connections)
    except RerankError as error:
        error.provider, error.model = name, model
        clean(error, hider(given_secrets(options, first)))
        raise


def _make_target(
    hooks: ProviderHooks,
    facts: Provider,
    model: str,
    options: Options,
    connections: Connections,
) -> Target:
    environment = Environment()
    environment.watch(facts.watched_env)
    extra = {name: value for name, value in options.extra.items() if value is not None}
    # Hidden at once: tools that collect errors write down the local variables of a frame.
    hidden = {k: Secret(v) for k, v in _take(extra, facts.secret_options, environment).items()}
    provider_options = _take(extra, facts.options, environment)
    for name in facts.option_sources.keys() - provider_options.keys():
        if (value := facts.option_sources[name](values_of(hidden))) is not None:
            provider_options[name] = value
    params = {name: extra.pop(name) for name in facts.extra_params if name in extra}
    warnings = _refuse_unknown(extra, facts, drop=options.drop_params)
    api_key, base_url = choose_key(facts, options, environment)
    _check_base_url(facts, base_url)
    provider = evolve(facts, base_url=base_url)
    warn_of_retirement(provider, model)
    return Target(
        hooks=hooks,
        provider=provider,
        model=model,
        options=options,
        provider_options=provider_options,
        secrets=hidden,
        params=params,
        api_key=api_key,
        environment=environment.seen,
        connections=connections,
        warnings=warnings,
    )


def _take(
    extra: dict[str, Any], wanted: Mapping[str, Sequence[str]], environment: Environment
) -> dict[str, Any]:
    """Take options out of the keywords that core does not know, else from the environment."""
    found = {
        name: extra.pop(name) if name in extra else environment.first(variables)
        for name, variables in wanted.items()
    }
    return {name: value for name, value in found.items() if value is not None}


def _refuse_unknown(extra: Mapping[str, Any], facts: Provider, *, drop: bool) -> tuple[str, ...]:
    """Refuse the keywords that nobody knows, or say that they are left out."""
    messages = [
        f"{name!r} belongs to the call: give it to .rerank(...)"
        if name in CALL_PARAMS
        else unknown_param(facts, name)
        for name in extra
    ]
    if messages and not drop:
        raise UnsupportedParamError(messages[0], param=next(iter(extra)))
    return tuple(f"{message}: left out" for message in messages)


def _check_base_url(facts: Provider, base_url: str | None) -> None:
    if base_url is None:
        if facts.base_url_required:
            variables = " or ".join(facts.base_url_env)
            message = f"no base URL: give api_base=, or set {variables}"
            raise ConfigurationError(message)
        return
    try:
        parts = urlsplit(base_url)
        usable = bool(parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0)
        usable = usable and base_url.isprintable() and " " not in base_url
    except ValueError:  # a port that is none, a bracket that is not closed
        usable = False
    if not usable:
        message = "api_base must be an absolute URL such as 'https://api.example.com'"
        raise ConfigurationError(message)
