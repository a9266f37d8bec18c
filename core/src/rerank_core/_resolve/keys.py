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

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Environment:
    """Reads variables, and remembers which."""

    def __init__(self) -> None:
        self.seen: dict[str, str | None] = {}

    def first(self, names: Sequence[str]) -> str | None:
        """The value of the first of the variables that is set and not empty."""
        for name in names:
            self.seen[name] = value = os.environ.get(name)
            if value:
                return value
        return None

    def watch(self, names: Sequence[str]) -> None:
        """Remember the variables, which somebody else will read."""
        self.seen |= {name: os.environ.get(name) for name in names}


def choose_key(
    facts: Provider, options: Options, environment: Environment
) -> tuple[Secret | None, str | None]:
    """The key to send and the base URL to send it to: the argument, else the environment."""
    if options.api_key is not None:
        return _given_key(facts, options, environment)
    withheld = ""
    for variable in () if options.authorizes(facts) else facts.api_key_env:
        key = Secret(environment.first((variable,)))
        if key.value is None:
            continue
        base_url = base_url_for(facts, options, environment, key.value)
        if _may_go_to(base_url, facts.api_key_hosts.get(variable, ()), pinned=True):
            return _checked_key(key), base_url
        where = base_url and base_url.partition("://")[0] + "://" + _host(base_url)
        withheld += f" ({variable} is not sent to {where}: give api_key=)"
    base_url = base_url_for(facts, options, environment)
    _check_optional(facts, options, base_url, withheld)
    return None, base_url


def base_url_for(
    facts: Provider, options: Options, environment: Environment, key: str = ""
) -> str | None:
    """The base URL in use: argument, environment, what the key's beginning says, the fact."""
    by_key = (url for prefix, url in facts.base_urls_by_key.items() if key.startswith(prefix))
    stated = options.api_base or environment.first(facts.base_url_env)
    return stated or next(by_key, facts.base_url)


def check_base_url(facts: Provider, base_url: str | None) -> None:
    """Refuse a base URL that is missing or no absolute URL."""
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


def _given_key(
    facts: Provider, options: Options, environment: Environment
) -> tuple[Secret | None, str | None]:
    """The caller's own key; an empty one means "send none", never to a host that needs one."""
    key = Secret(options.api_key or "")
    base_url = base_url_for(facts, options, environment, key.value)
    if key.value:
        return _checked_key(key), base_url
    if facts.api_key_required_hosts or _host(base_url) == _host(facts.base_url):
        _check_optional(facts, options, base_url)
    return None, base_url


def _check_optional(
    facts: Provider, options: Options, base_url: str | None, withheld: str = ""
) -> None:
    """Refuse to go on without a key where one is needed."""
    asked = _may_go_to(base_url, facts.api_key_required_hosts)
    brings_user = "@" in urlsplit(base_url or "").netloc
    if facts.api_key_required and asked and not (brings_user or options.authorizes(facts)):
        looked_at = ", ".join(facts.api_key_env) or "no variable"
        message = f"no API key: give api_key=, or set one of: {looked_at}{withheld}"
        raise MissingAPIKeyError(message)


def _host(url: str | None) -> str:
    try:
        return urlsplit(url or "").hostname or ""
    except ValueError:  # refused where the base URL is checked
        return ""


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
    message = (
        "the API key has a space or line break at an end, or a character that cannot stand in a"
        " header; copy it again"
    )
    raise ConfigurationError(message)


def warn_of_retirement(provider: Provider, model: str) -> None:
    """Warn, once per process and model, of the day on which a model is switched off."""
    if provider.retires is not None:
        _warn_once(provider.name, model, provider.retires)


@functools.cache
def _warn_once(provider: str, model: str, retires: str) -> None:
    gone = date.fromisoformat(retires) <= datetime.now(UTC).date()
    what = "was switched off on" if gone else "will be switched off on"
    message = f"{provider}/{model} {what} {retires}, by its documentation; choose another model"
    LOGGER.warning(message, extra={"rerank_provider": provider, "rerank_model": model})
    warnings.warn(message, FutureWarning, stacklevel=_level_of_caller())


def _level_of_caller() -> int:
    """How many frames above the one that warns the first stands that is not this package's."""
    level, frame = 1, inspect.currentframe()
    while frame := frame and frame.f_back:
        if frame.f_globals.get("__name__", "").partition(".")[0] != "rerank_core":
            break
        level += 1
    return level
