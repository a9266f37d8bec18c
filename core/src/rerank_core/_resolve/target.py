"""Where a call goes: the provider's facts, with base URL, key and options filled in."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from attrs import evolve, frozen

from rerank_core._resolve.discovery import find_plugin, hooks_of, plugins
from rerank_core._resolve.hooks import ProviderHooks
from rerank_core._resolve.keys import Environment, choose_key, stated_base_url, warn_of_retirement
from rerank_core._resolve.options import CALL_PARAMS, Options, check_text, leave_out
from rerank_core._resolve.secrets import (
    Hide,
    Secret,
    clean,
    make_hider,
    named_secrets,
    secrets_in,
    url_secrets,
    without_secrets,
)
from rerank_core.errors import ConfigurationError, RerankError, UnsupportedParamError
from rerank_core.facts import Provider

_MAX_KEPT = 256
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@frozen(eq=False, repr=False)
class Target:
    """One model of one provider: where to, with whose key, by which facts."""

    hooks: ProviderHooks
    provider: Provider  # with the base URL in use
    model: str  # without its provider
    options: Options
    provider_options: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    params: Mapping[str, Any]  # of this provider alone; they hold for every call
    api_key: Secret | None
    given: frozenset[str]  # the names of the options that the caller gave, `api_key` among them
    environment: Mapping[str, str | None]  # the variables that were looked at
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The model as users write it."""
        return f"{self.provider.name}/{self.model}"

    @property
    def choices(self) -> Mapping[str, Any]:
        """What was given that can change a ranking, but for headers and fields with secrets."""
        names = ("drop_params", "split_listwise", "max_documents")
        given = {name: getattr(self.options, name) for name in names}
        for name in ("extra_body", "extra_headers"):
            given[name] = without_secrets(getattr(self.options, name))
        return {**self.provider_options, **self.params, **given}

    def is_current(self) -> bool:
        """Whether plugin and environment are still what they were when this was made."""
        same = all(os.environ.get(name) == value for name, value in self.environment.items())
        return same and plugins.get(self.hooks.name) is self.hooks

    def hider(self, more: Iterable[str] = ()) -> Hide:
        """What takes every secret out of a text that was handed over for this."""
        kept = filter(None, (self.api_key, *self.secrets.values()))
        own = chain.from_iterable(secrets_in(secret.value) for secret in kept)
        return make_hider((*own, *_given_secrets(self.options, self.provider), *more))


def _given_secrets(options: Options, facts: Provider) -> Iterator[str]:
    """What the caller and the environment hand over that is secret."""
    get, extra = os.environ.get, options.extra
    variables = (*facts.api_key_env, *chain.from_iterable(facts.secret_options.values()))
    for secret in (options.api_key, *map(extra.get, facts.secret_options), *map(get, variables)):
        yield from secrets_in(secret)
    yield from named_secrets([options.extra_headers, options.extra_body])
    for url in (options.api_base, facts.base_url, *map(get, (*facts.base_url_env, *_PROXIES))):
        yield from url_secrets(url)
    for text in (*extra.values(), *map(get, chain.from_iterable(facts.options.values()))):
        if isinstance(text, str) and "@" in text:  # the URL of a token service, for example
            yield from url_secrets(text if "://" in text else f"https://{text}")


def split_model(model: Any, custom_llm_provider: Any) -> tuple[str, str]:
    """The provider's name and the model's, from `provider/model` or from both."""
    if not isinstance(model, str) or not model.strip():
        raise ConfigurationError("model must be a string such as 'local/bm25'")
    check_text(model, "model")
    if custom_llm_provider is not None:
        if not isinstance(custom_llm_provider, str):
            kind = type(custom_llm_provider).__name__
            raise ConfigurationError(f"custom_llm_provider must be a string, not {kind}")
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
    facts, environment = Provider(name=hooks.name), Environment()
    try:
        # Which options are secret, and which variable names the base URL, are facts too.
        facts = hooks.facts
        given = {k: v for k, v in options.extra.items() if k not in facts.secret_options}
        api_base = stated_base_url(facts, options, environment)
        if api_base is not None:
            given["api_base"] = api_base
        shaping = {name: facts.options.get(name, ()) for name in facts.shaping_options}
        given |= _choose(given, shaping, environment)
        facts = hooks.resolve_provider(model, given)
        return _make_target(hooks, facts, model, options, environment)
    except RerankError as error:
        error.provider, error.model = facts.name, model
        clean(error, make_hider(_given_secrets(options, facts)))
        raise


def _choose(
    given: Mapping[str, Any], wanted: Mapping[str, Sequence[str]], environment: Environment
) -> dict[str, Any]:
    """The options as they were given, else from the environment."""
    found = {
        name: environment.first(variables) if given.get(name) is None else given[name]
        for name, variables in wanted.items()
    }
    return {name: value for name, value in found.items() if value is not None}


def _make_target(
    hooks: ProviderHooks, facts: Provider, model: str, options: Options, environment: Environment
) -> Target:
    for variable in facts.watched_env:
        environment.first((variable,))
    # Hidden at once: tools that collect errors write down the local variables of a frame.
    wanted = facts.secret_options
    hidden = {k: Secret(v) for k, v in _choose(options.extra, wanted, environment).items()}
    named = [name for name, value in options.extra.items() if value is not None]
    given = {name: options.extra[name] for name in named if name not in facts.secret_options}
    provider_options = _choose(given, facts.options, environment)
    unknown = [n for n in given if n not in facts.options and n not in facts.extra_params]
    drop, of_call = options.drop_params, [name for name in unknown if name in CALL_PARAMS]
    if of_call and not drop:
        message = f"{of_call[0]!r} belongs to the call: give it to .rerank(...)"
        raise UnsupportedParamError(message, param=of_call[0])
    warnings = [leave_out(facts, name, drop=drop) for name in unknown]
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
        params={name: given[name] for name in facts.extra_params if name in given},
        api_key=api_key,
        given=frozenset(named if options.api_key is None else (*named, "api_key")),
        environment=environment,
        warnings=tuple(warnings),
    )


def resolve_fallback(model: str, first: Target) -> Target:
    """A model that is asked where the first one fails, with what was given that holds for it."""
    name, _ = split_model(model, None)
    if find_plugin(name).facts.name != first.provider.name:
        # A key, a base URL and a client belong to the provider they were given for.
        return resolve_target(model, first.options.for_another_provider())
    # Another model may not know what the first does: left out, as in a call.
    return resolve_target(model, evolve(first.options, drop_params=True))


class Kept(dict[Hashable, Any]):
    """A table of at most 256 entries, for several threads; the oldest makes room."""

    def put(self, key: Hashable, value: Any) -> Any:
        """Keep the value; return what stands under the key, another thread's if it was first."""
        kept = self.setdefault(key, value)
        while len(self) > _MAX_KEPT:  # a list: other threads may change the table meanwhile
            self.pop(next(iter(list(self)), None), None)
        return kept
