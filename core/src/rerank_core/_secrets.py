"""What must not be shown: where it stands, and which errors show it."""

from __future__ import annotations

import binascii
import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

if TYPE_CHECKING:
    from rerank_core._facts import Provider
    from rerank_core._options import Options

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_MIN_LINE = 24  # of a key that takes several lines
_SECRET_NAME = re.compile(
    "auth|key|token|secret|passw|pwd|credential|cookie|signature", re.IGNORECASE
)
_VERSION_NAME = re.compile("(api)?[-_.]?version", re.IGNORECASE)


def header_secrets(value: str) -> list[str]:
    """What of a header's value is secret: all of it, and its words but for a scheme and names."""
    words = re.split(r"[\s,;]+", value)
    behind = words[len(words) > 1 :]
    named = [word.partition("=")[2] for word in (words[0], *behind)]
    found = [value, *behind, *named, *(text.strip('"') for text in (*behind, *named))]
    if words[0].lower() == "basic":
        with contextlib.suppress(ValueError):  # what is no base64, or no text
            user = binascii.a2b_base64(words[-1]).decode()
            found += [user, *user.split(":", 1)]
    return found


def url_secrets(url: str | None) -> list[str]:
    """User name, password and query values of a URL, but for an API's version."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return []
    user = parts.netloc.rpartition("@")[0]
    values = [text for name, text in parse_qsl(parts.query) if not _VERSION_NAME.fullmatch(name)]
    return [user, *user.split(":"), unquote(user), *map(unquote, user.split(":")), *values]


def named_secrets(value: Any, *, secret: bool = False) -> Iterator[str]:
    """The strings in mappings and lists whose names, or a name around them, say they are secret."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from named_secrets(item, secret=secret)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from named_secrets(item, secret=secret or bool(_SECRET_NAME.search(str(name))))
    elif secret and isinstance(value, str) and not value.startswith(("https://", "http://")):
        # What is a URL is a `token_uri`.
        lines = value.splitlines() if "\n" in value else ()
        yield from (*header_secrets(value), *(line for line in lines if len(line) >= _MIN_LINE))


def secrets_in(value: Any) -> Iterator[str]:
    """The strings of a secret: itself, or those in a mapping or its JSON that are secret."""
    if isinstance(value, str):
        yield from (value, *value.split("\n"))
        try:
            value = orjson.loads(value)
        except ValueError:
            return
    yield from named_secrets(value)


def given_secrets(options: Options, facts: Provider) -> Iterator[str]:
    """What the caller and the environment hand over that is secret."""
    get, extra = os.environ.get, options.extra
    variables = (*facts.api_key_env, *chain.from_iterable(facts.secret_options.values()))
    for secret in (options.api_key, *map(extra.get, facts.secret_options), *map(get, variables)):
        yield from secrets_in(secret)
    for value in options.extra_headers.values():
        yield from header_secrets(value)
    yield from named_secrets(options.extra_body)
    for url in (options.api_base, facts.base_url, *map(get, (*facts.base_url_env, *_PROXIES))):
        yield from url_secrets(url)
    for text in (*extra.values(), *map(get, chain.from_iterable(facts.options.values()))):
        if isinstance(text, str) and "@" in text:  # the URL of a token service, for example
            yield from url_secrets(text if "://" in text else f"https://{text}")


def client_secrets(http_client: Any) -> Iterator[str]:
    """What the caller's own client brings that is secret: headers, cookies and query values."""
    yield from named_secrets(getattr(http_client, "headers", {}))
    jar = getattr(getattr(http_client, "cookies", None), "jar", ())
    yield from (cookie.value or "" for cookie in jar)
    yield from url_secrets(f"?{getattr(http_client, 'params', '')}")


def clean(error: BaseException, redact: Callable[[str], str]) -> None:
    """Take the secrets out of an error of ours, and drop what led to it where that shows one."""
    error.args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in error.args)
    if notes := getattr(error, "__notes__", None):
        notes[:] = map(redact, notes)
    _drop_causes(error, redact, set())


def _drop_causes(error: BaseException, redact: Callable[[str], str], seen: set[int]) -> None:
    """Drop whatever shows a secret from what led to an error: tracebacks show its text."""
    seen.add(id(error))
    for name in ("__cause__", "__context__"):
        cause = getattr(error, name)
        if cause is None or id(cause) in seen:
            continue
        said = "\n".join((str(cause), repr(cause), *getattr(cause, "__notes__", ())))
        if redact(said) == said:
            _drop_causes(cause, redact, seen)
        else:
            suppressed = error.__suppress_context__
            setattr(error, name, None)
            error.__suppress_context__ = suppressed or name == "__cause__"
