"""Where a call goes: the provider's facts, with base URL, key and options filled in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from attrs import evolve, frozen

from rerank_core._resolve.discovery import find_plugin, hooks_of, still_answers
from rerank_core._resolve.hints import CALL_PARAMS, leave_out
from rerank_core._resolve.hooks import ProviderHooks
from rerank_core._resolve.keys import Environment, check_base_url, choose_key, warn_of_retirement
from rerank_core._resolve.options import Options, check_text
from rerank_core._resolve.secrets import (
    Hide,
    Secret,
    clean,
    given_secrets,
    make_hider,
    secrets_in,
)
from rerank_core.errors import ConfigurationError, RerankError, UnsupportedParamError
from rerank_core.facts import Provider


@frozen(eq=False, repr=False)
class Target:
    """One model of one provider: where to, with whose key, by which facts.

    Attributes:
        hooks: The plugin.
        provider: Its facts, with the base URL in use.
        model: The model's name without its provider.
        options: The connection, as the caller gave it.
        provider_options: The provider's own options: argument, else environment.
        secrets: Its secret options.
        params: The provider's own parameters that hold for every call.
        api_key: The key, where there is one to send.
        given: The names of the options that the caller gave, `api_key` among them.
        environment: The variables that were looked at, with what they held.
        warnings: What was left out.
    """

    hooks: ProviderHooks
    provider: Provider
    model: str
    options: Options
    provider_options: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    params: Mapping[str, Any]
    api_key: Secret | None
    given: frozenset[str]
    environment: Mapping[str, str | None]
    warnings: tuple[str, ...] = ()

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

    def hider(self, more: Iterable[str] = ()) -> Hide:
        """What takes every secret out of a text that was handed over for this."""
        kept = filter(None, (self.api_key, *self.secrets.values()))
        own = chain.from_iterable(secrets_in(secret.value) for secret in kept)
        return make_hider((*own, *given_secrets(self.options, self.provider), *more))


def split_model(model: Any, custom_llm_provider: Any) -> tuple[str, str]:
    """The provider's name and the model's, from `provider/model` or from both."""
    if not isinstance(model, str) or not model.strip():
        raise ConfigurationError("model must be a string such as 'local/bm25'")
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
            f"{model!r} names no {lacks}: a model is provider/model, as in 'local/bm25'; write"
            f" model={whole!r}, or give custom_llm_provider="
        )
        raise ConfigurationError(message)
    return provider, name


def resolve_target(
    model: Any, options: Options, custom_llm_provider: Any = None, plugin: object = None
) -> Target:
    """Ask the plugin for its facts and fill in what the caller and the environment give."""
    if plugin is None:
        name, model = split_model(model, custom_llm_provider)
        hooks = find_plugin(name)
    else:
        if isinstance(model, str):
            check_text(model, "model")
        hooks = hooks_of(plugin)
    facts = Provider(name=hooks.source.name)
    try:
        # Which options are secret, and which variable names the base URL, are facts too.
        facts = hooks.facts
        secret = facts.secret_options
        given = {key: value for key, value in options.extra.items() if key not in secret}
        api_base = options.api_base or Environment().first(facts.base_url_env)
        if api_base is not None:
            check_base_url(api_base)
            given["api_base"] = api_base
        for name in facts.shaping_options:
            value = Environment().first(facts.options.get(name, ()))
            if value and given.get(name) is None:
                given[name] = value
        facts = hooks.resolve_provider(model, given)
        return _make_target(hooks, facts, model, options)
    except RerankError as error:
        error.provider, error.model = facts.name, model
        clean(error, make_hider(given_secrets(options, facts)))
        raise


def _make_target(hooks: ProviderHooks, facts: Provider, model: str, options: Options) -> Target:
    environment = Environment()
    environment.watch(facts.watched_env)
    extra = {name: value for name, value in options.extra.items() if value is not None}
    given = {*extra, *(() if options.api_key is None else ("api_key",))}
    # Hidden at once: tools that collect errors write down the local variables of a frame.
    hidden = {k: Secret(v) for k, v in _take(extra, facts.secret_options, environment).items()}
    provider_options = _take(extra, facts.options, environment)
    params = {name: extra.pop(name) for name in facts.extra_params if name in extra}
    warnings = _refuse_unknown(extra, facts, drop=options.drop_params)
    api_key, base_url = choose_key(facts, options, environment)
    if facts.retires is not None:
        warn_of_retirement(facts.name, model, facts.retires)
    return Target(
        hooks=hooks,
        provider=evolve(facts, base_url=base_url),
        model=model,
        options=options,
        provider_options=provider_options,
        secrets=hidden,
        params=params,
        api_key=api_key,
        given=frozenset(given),
        environment=environment.seen,
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
    if not drop and (of_call := next(filter(CALL_PARAMS.__contains__, extra), None)):
        message = f"{of_call!r} belongs to the call: give it to .rerank(...)"
        raise UnsupportedParamError(message, param=of_call)
    return tuple(leave_out(facts, name, drop=drop) for name in extra)


def resolve_fallbacks(fallbacks: Any, first: Target) -> Iterator[tuple[Any, Target | None]]:
    """Who is asked where the first one fails, now: a mistake must not wait for the day of need."""
    if isinstance(fallbacks, str) or not isinstance(fallbacks or (), Iterable):
        message = f"fallbacks must be a list of models or Rerankers, not {fallbacks!r}"
        raise ConfigurationError(message)
    for fallback in fallbacks or ():
        if not isinstance(fallback, str):
            yield fallback, None
            continue
        name, _ = split_model(fallback, None)
        if find_plugin(name).facts.name == first.provider.name:
            # Another model may not know what the first does: left out, as in a call.
            options = evolve(first.options, drop_params=True)
        else:
            # A key, a base URL and a client belong to the provider they were given for.
            options = first.options.for_another_provider()
        yield fallback, resolve_target(fallback, options)
