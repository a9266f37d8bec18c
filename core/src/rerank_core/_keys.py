"""Which key is sent: found in the argument or the environment, and never shown."""

from __future__ import annotations

import fnmatch
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import field, frozen

from rerank_core.errors import ConfigurationError, MissingAPIKeyError

if TYPE_CHECKING:
    from rerank_core._facts import Provider
    from rerank_core._options import Options


@frozen
class Secret:
    """A value that is never shown."""

    value: str = field(repr=lambda _: "'...'")


class Environment:
    """Reads variables, and remembers which."""

    def __init__(self) -> None:
        self.seen: dict[str, str | None] = {}

    def first(self, names: tuple[str, ...]) -> str | None:
        """The first of the variables that is set and not empty."""
        for name in names:
            self.seen[name] = os.environ.get(name)
            if self.seen[name]:
                return self.seen[name]
        return None


def choose_key(
    facts: Provider, options: Options, base_url: str | None, environment: Environment
) -> Secret | None:
    """The key to send: the argument, else the environment's where it may go to this host.

    Raises:
        MissingAPIKeyError: There is none, and the provider needs one.
        ConfigurationError: It cannot stand in a header.
    """
    key, withheld = options.api_key, ""
    if key is None:
        key = environment.first(facts.api_key_env)
        host = urlsplit(base_url or "").hostname or ""
        if key and not _may_go_to(host, facts.api_key_hosts):
            withheld = f" (the one in the environment is not sent to {host}; give api_key=)"
            key = None
    elif not key and (base_url != facts.base_url or not facts.api_key_required):
        return None  # an empty key means "send none": never to the service's own host
    if key:
        return Secret(_checked_key(key))
    if facts.api_key_required and not options.authorizes:
        looked_at = ", ".join(facts.api_key_env) or "no variable"
        message = f"no API key: give api_key=, or set one of: {looked_at}{withheld}"
        raise MissingAPIKeyError(message)
    return None


def _may_go_to(host: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(host, pattern) for pattern in patterns)


def _checked_key(key: str) -> str:
    if key.isascii() and key.isprintable() and key == key.strip():
        return key
    message = (
        "the API key has a space or line break at an end, or a character that cannot stand in a"
        " header; copy it again"
    )
    raise ConfigurationError(message)
