"""Which key is sent and where to, and how long the model will be there."""

from __future__ import annotations

import fnmatch
import functools
import inspect
import os
import warnings
from collections.abc import Sequence
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from rerank_core._resolve.observers import LOGGER
from rerank_core._resolve.options import Options
from rerank_core._resolve.secrets import Secret
from rerank_core.errors import ConfigurationError, MissingAPIKeyError
from rerank_core.facts import Provider
from rerank_core.records._text import is_url, without_userinfo

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Environment(dict[str, str | None]):
    """The variables that were read, with their values, which no frame's locals show."""

    __repr__ = object.__repr__

    def first(self, names: Sequence[str]) -> str | None:
        """The value of the first of the variables that is set and not empty."""
        for name in names:
            self[name] = value = os.environ.get(name)
            if value:
                return value
        return None


def choose_key(
    facts: Provider, options: Options, environment: Environment
) -> tuple[Secret | None, str | None]:
    """The key to send and the base URL to send it to: the argument, else the environment."""
    if options.api_key:
        key = Secret(options.api_key)
        return _checked_key(key), base_url_for(facts, options, environment, key.value)
    given, own = options.api_key is not None, options.authorizes(facts)
    withheld = ""
    for variable in () if given or own else facts.api_key_env:
        key = Secret(environment.first((variable,)))
        if key.value is None:
            continue
        base_url = base_url_for(facts, options, environment, key.value)
        if _may_go_to(base_url, facts.api_key_hosts.get(variable, ()), pinned=True):
            return _checked_key(key), base_url
        where = without_userinfo(base_url or "")
        withheld += f" ({variable} is not sent to {where}: give api_key=)"
    base_url = base_url_for(facts, options, environment)
    # An empty key means "send none", never to a host that needs one.
    elsewhere = not facts.api_key_required_hosts and _host(base_url) != _host(facts.base_url)
    brings = own or (given and elsewhere) or "@" in urlsplit(base_url or "").netloc
    needed = facts.api_key_required and _may_go_to(base_url, facts.api_key_required_hosts)
    if needed and not brings:
        looked_at = ", ".join(facts.api_key_env) or "no variable"
        raise MissingAPIKeyError(f"no API key: give api_key=, or set one of: {looked_at}{withheld}")
    return None, base_url


def base_url_for(
    facts: Provider, options: Options, environment: Environment, key: str = ""
) -> str | None:
    """The base URL in use: argument, environment, what the key's beginning says, the fact."""
    by_key = (url for prefix, url in facts.base_urls_by_key.items() if key.startswith(prefix))
    base_url = stated_base_url(facts, options, environment) or next(by_key, facts.base_url)
    if base_url is None and facts.base_url_required:
        variables = " or ".join(facts.base_url_env)
        raise ConfigurationError(f"no base URL: give api_base=, or set {variables}")
    return base_url


def stated_base_url(facts: Provider, options: Options, environment: Environment) -> str | None:
    """The base URL of the argument, else of the environment; it may hold a password."""
    given = options.api_base
    stated = environment.first(facts.base_url_env) if given is None else given
    if stated is not None and not is_url(stated):
        raise ConfigurationError("api_base must be an absolute URL such as 'https://example.com'")
    return stated


def _host(url: str | None) -> str:
    return urlsplit(url or "").hostname or ""


def _may_go_to(url: str | None, patterns: Sequence[str], *, pinned: bool = False) -> bool:
    """Whether a URL's host is among those listed; where none is listed, all are.

    A key that is pinned to hosts goes to them by https alone, but for this machine.
    """
    if not patterns:
        return True
    host = _host(url)
    safe = not pinned or (url or "").startswith("https://") or host in _LOOPBACK
    return safe and any(fnmatch.fnmatchcase(host, pattern) for pattern in patterns)


def _checked_key(key: Secret) -> Secret:
    if key.value.isascii() and key.value.isprintable() and key.value == key.value.strip():
        return key
    message = "the API key has a space at an end, or a character that no header can hold"
    raise ConfigurationError(f"{message}; copy it again")


@functools.cache
def warn_of_retirement(provider: str, model: str, retires: str) -> None:
    """Warn, once per process and model, of the day on which a model is switched off."""
    gone = date.fromisoformat(retires) <= datetime.now(UTC).date()
    what = "was switched off on" if gone else "will be switched off on"
    message = f"{provider}/{model} {what} {retires}, by its documentation; choose another model"
    LOGGER.warning(message, extra={"rerank_provider": provider, "rerank_model": model})
    level, frame = 1, inspect.currentframe()
    while frame and frame.f_globals.get("__name__", "").startswith("rerank_core."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, FutureWarning, stacklevel=level)  # at the line that names the model
