"""What must not be shown: where it stands, and how it is taken out of a text."""

from __future__ import annotations

import binascii
import contextlib
import json
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import orjson
from attrs import field, frozen

from rerank_core.records._text import shorten

Hide = Callable[..., str]
_HIDDEN = "[redacted]"
_MIN_HIDDEN = 6  # what is shorter stands in too many harmless words
_MAX_CHARS = 100_000  # of a text that nobody cuts otherwise
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
# Behind one of these words a key is a secret; a sort key is none.
_OF_A_KEY = "access|account|admin|api|app|application|client|encryption|functions|licen[cs]e|master"
_OF_A_KEY += "|private|secret|security|service|shared|signing|ssh|subscription|user|virtual|x"
_SECRET = re.compile(
    r"\b(auth(entication|orization)?|bearer|cookies?|credentials?|jwt|pass ?(phrase|wd|word)|pwd"
    rf"|secrets?|signature|(access|api|auth|user)?token|({_OF_A_KEY}) ?keys?)\b|^key$"
)
# What says where a request goes, or how, beside what is secret.
_ROUTING = re.compile(
    r"\b(access|api|auth|base|bearer|client|endpoint|host|secret|server|service)*"
    r"(account|address|auth|base|clients?|domain|endpoints?|gateway|headers?|hosts?|hostname"
    r"|key(file|s)?|oauth|origin|port|prox(y|ies)|root|secret|server|token|transport|ur[il]s?)\b"
)
_ESCAPED = {"<>&": "04x", "<>&='": "04x", "<>&'+`": "04X"}  # in JSON by Go, Gson and .NET
_VERSION_NAME = re.compile("(api)?[-_.]?version", re.IGNORECASE)


@frozen
class Secret:
    """A value that is never shown, neither among a frame's local variables."""

    value: Any = field(repr=lambda _: "'...'")


def values_of(secrets: Mapping[str, Secret]) -> dict[str, Any]:
    """The values themselves, for whoever is to use them."""
    return {name: secret.value for name, secret in secrets.items()}


def make_hider(secrets: Iterable[str]) -> Hide:
    """A function that takes secrets out of a text: as given, and as URLs, JSON and base64 write it.

    It cuts the text to `most` characters, and searches no more than what is left: how long it
    takes does not depend on the text's length.
    """
    wanted = {secret for secret in secrets if len(secret) >= _MIN_HIDDEN}
    forms = {form for secret in wanted for form in _forms(secret) if len(form) >= _MIN_HIDDEN}
    longest = max(map(len, forms), default=0)

    def hide(text: str, most: int = _MAX_CHARS) -> str:
        looked_at, kept, at = text[: most + longest], [], 0
        for start, end in sorted(_places(looked_at, forms)):
            if start >= most:
                break
            if start >= at:
                kept += [text[at:start], _HIDDEN]
            at = max(at, end)
        whole = "".join((*kept, text[at:most]))
        return shorten(f"{whole}  ", len(whole)) if len(text) > most and whole else whole

    return hide


def _places(text: str, forms: Iterable[str]) -> Iterator[tuple[int, int]]:
    for form in forms:
        at = text.find(form)
        while at >= 0:
            yield at, at + len(form)
            at = text.find(form, at + 1)


def _forms(secret: str) -> Iterator[str]:
    """How a secret may stand in a text."""
    yield secret
    for safe in ("/", "", "!'()*"):  # in a path, in a query, as browsers write that
        text = quote(secret, safe, errors="replace")
        for form in (text, re.sub("%..", lambda found: found[0].lower(), text)):
            yield from (form, form.replace("%20", "+"))
    for text in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield from (text, text.replace("/", "\\/"))  # as PHP writes it
        for escaped, digits in _ESCAPED.items():
            codes = {ord(each): f"\\u{ord(each):{digits}}" for each in escaped}
            yield from (text.translate(codes), text.replace('\\"', "\\u0022").translate(codes))
    raw = secret.encode(errors="surrogatepass")
    for before in range(3):  # at each of the places that it may have in what was encoded with it
        text = binascii.b2a_base64(bytes(before) + raw, newline=False).decode()
        inside = text[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield from (inside, inside.replace("+", "-").replace("/", "_"))


def is_secret_name(name: str) -> bool:
    """Whether a header's or field's name says that its value is secret: by whole words."""
    return _SECRET.search(words_of(name)) is not None


def is_routing_name(name: str) -> bool:
    """Whether a keyword's name speaks of where to, or with whose key: by whole words, too."""
    return is_secret_name(name) or _ROUTING.search(words_of(name)) is not None


def words_of(name: str) -> str:
    return " ".join(_WORD.findall(name)).lower()


def header_secrets(value: str) -> list[str]:
    """What of a header's value is secret: all of it, and its words but for a scheme and names."""
    words = re.split(r"[\s,;]+", value)
    parts = [*(words[1:] or words), *(word.partition("=")[2] for word in words)]
    found = [value, *parts, *(part.strip('"') for part in parts)]
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
    whole = parts.netloc.rpartition("@")[0]
    user = (whole, *whole.split(":"))
    values = [text for name, text in parse_qsl(parts.query) if not _VERSION_NAME.fullmatch(name)]
    return [*user, *map(unquote, user), *values]


def named_secrets(value: Any, *, secret: bool = False) -> Iterator[str]:
    """The strings in mappings and lists whose names, or a name around them, say they are secret."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from named_secrets(item, secret=secret)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from named_secrets(item, secret=secret or is_secret_name(str(name)))
    elif secret and isinstance(value, str):
        if value.startswith(("https://", "http://")):  # a `token_uri`: what is secret in it
            yield from url_secrets(value)
        else:
            yield from (*header_secrets(value), *value.split("\n"))


def without_secrets(value: Any) -> Any:
    """What is left of mappings and lists without the fields that hold a secret themselves."""
    if isinstance(value, (list, tuple)):
        return [*map(without_secrets, value)]
    if not isinstance(value, Mapping):
        return value
    shown = [k for k, v in value.items() if not (is_secret_name(k) and any(named_secrets({k: v})))]
    return {name: without_secrets(value[name]) for name in shown}


def secrets_in(value: Any) -> Iterator[str]:
    """The strings of a secret: itself, or those in a mapping or its JSON that are secret."""
    if isinstance(value, str):
        yield from (value, *value.split("\n"))
        with contextlib.suppress(ValueError):
            value = orjson.loads(value)
    yield from named_secrets(value)


def client_secrets(http_client: Any) -> Iterator[str]:
    """What the caller's own client brings that is secret: headers, cookies and query values."""
    yield from named_secrets(getattr(http_client, "headers", {}))
    jar = getattr(getattr(http_client, "cookies", None), "jar", ())
    yield from (cookie.value or "" for cookie in jar)
    yield from url_secrets(f"?{getattr(http_client, 'params', '')}")


def clean(error: BaseException, hide: Hide) -> None:
    """Take the secrets out of an error of ours, and drop what led to it where that shows one."""
    most = 1000  # characters
    error.args = tuple(hide(arg, most) if isinstance(arg, str) else arg for arg in error.args)
    if notes := getattr(error, "__notes__", None):
        notes[:] = [hide(note, most) for note in notes]
    _drop_causes(error, hide, set())


def _drop_causes(error: BaseException, hide: Hide, seen: set[int]) -> None:
    """Drop whatever shows a secret from what led to an error: tracebacks show its text."""
    seen.add(id(error))
    for name in ("__cause__", "__context__"):
        cause = getattr(error, name)
        if cause is None or id(cause) in seen:
            continue
        is_group = isinstance(cause, BaseExceptionGroup)  # whose members have causes, too
        told = traceback.format_exception if is_group else traceback.format_exception_only
        said = "\n".join((repr(cause), *told(cause)))
        if hide(said) == said:
            _drop_causes(cause, hide, seen)
        else:
            setattr(error, name, None)
