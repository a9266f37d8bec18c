"""The options of a connection, checked once, and what is said of a keyword that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson
from attrs import field, fields, frozen
from attrs.validators import optional

from rerank_core._resolve.secrets import is_routing_name, words_of
from rerank_core.errors import ConfigurationError, InvalidRequestError, UnsupportedParamError
from rerank_core.facts import APIKeyHeader, Provider
from rerank_core.records._text import HEADER_NAME, must_be, shown
from rerank_core.wire import encode_json

_USUAL_TIMEOUT = {"connect": 10.0, "read": 60.0, "write": 60.0, "pool": 60.0}
DEFAULT_MAX_RESPONSE_BYTES: int | None = 64 * 2**20
MAX_SECONDS = 1_000_000_000  # about what clocks and sockets can count to
_OF_THE_BODY = frozenset({"content-length", "transfer-encoding"})
_KEY_HEADERS = frozenset({"api-key", "x-api-key", "x-goog-api-key"})
# Core honours these itself where the provider does not.
HONOURED = ("top_n", "rank_fields", "return_documents")
CALL_PARAMS = (*HONOURED, "max_chunks_per_doc", "max_tokens_per_doc")
# Less alike than this, a known name is another thing: a guess would mislead.
_ALIKE = 0.7
# For a keyword that says where to or with whose key, a false refusal is better than a leak.
_ALIKE_OPTION = 0.8
# What a keyword of litellm's and of other clients is called here, whatever its case and `_`.
OTHER_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("apiurl", "base", "baseurl", "endpoint", "host", "url"), "api_base"),
    **dict.fromkeys(("key", "token"), "api_key"),
    **dict.fromkeys(("k", "limit", "maxresults", "n", "nresults", "numresults", "topk"), "top_n"),
    "requesttimeout": "timeout",
    "topn": "top_n",
}


def to_timeout(value: Any) -> Mapping[str, float | None]:
    """Seconds for each step of an attempt, by httpx's names; `None` is no bound."""
    if value is ...:
        return _USUAL_TIMEOUT
    if value is None or isinstance(value, (int, float)):
        return dict.fromkeys(_USUAL_TIMEOUT, value)
    if isinstance(value, dict) and value.keys() == _USUAL_TIMEOUT.keys():
        return {**value}
    try:
        return {step: getattr(value, step) for step in _USUAL_TIMEOUT}
    except AttributeError:
        message = f"timeout must be seconds, None or an httpx.Timeout, not {shown(value)}"
        raise ConfigurationError(message) from None


def _positive(_: object, attribute: Any, value: Any) -> None:
    for seconds in value.values() if attribute.name == "timeout" else (value,):
        usable = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if seconds is not None and not (usable and 0 < seconds <= MAX_SECONDS):
            message = f"{attribute.name} must be more than 0 seconds, not {shown(seconds)}"
            raise ConfigurationError(f"{message}; at most {MAX_SECONDS:,} seconds, or None")


_must_be = partial(must_be, ConfigurationError)


def _of_kind(kind: type, wanted: str) -> Any:
    return optional(_must_be(wanted, lambda value: isinstance(value, kind)))


def _at_least(least: int) -> Any:
    return _must_be(f"an integer from {least}", lambda value: type(value) is int and value >= least)


def check_text(text: str, where: str) -> None:
    """Refuse text that has no UTF-8 form."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = (
            f"{where} has a lone surrogate at position {error.start}; it was decoded wrongly:"
            " decode it with errors='replace'"
        )
        raise InvalidRequestError(message) from None


def check_headers(where: str, headers: Mapping[Any, Any]) -> None:
    """Refuse headers that cannot be sent, without showing a value."""
    for name, text in headers.items():
        if not (isinstance(name, str) and isinstance(text, str)):
            raise ConfigurationError(f"{where} must map strings to strings; {name!r} does not")
        if not (text.isascii() and text.isprintable() and HEADER_NAME.fullmatch(name)):
            raise ConfigurationError(f"{where}: no header can hold {name!r} or its value")
        if name.lower() in _OF_THE_BODY:
            raise ConfigurationError(f"{where}: {name!r} follows from the body; leave it out")


def either(name: str, value: Any, other_name: str, other: Any) -> Any:
    """The value of an option that has two names."""
    if value is not None and other is not None:
        raise ConfigurationError(f"{name} and {other_name} mean the same: give one of them")
    return other if value is None else value


def _copied(headers: Any) -> Any:
    """A copy: what the caller changes later was not checked."""
    given = {} if headers is None else headers
    return dict(given) if isinstance(given, Mapping) else given


def _as_json(body: Any) -> Any:
    """A copy down to the last list, of what has a JSON form."""
    if not isinstance(body, Mapping):
        return {} if body is None else body
    try:
        return orjson.loads(encode_json(body))
    except InvalidRequestError as error:
        raise InvalidRequestError(f"extra_body: {error.message}") from error


def _names_of_headers(http_client: Any) -> frozenset[str]:
    """The headers that the caller's client brings, that of its authentication among them."""
    own = () if getattr(http_client, "auth", None) is None else ("authorization",)
    headers = getattr(http_client, "headers", None)
    return frozenset((*(headers if isinstance(headers, Mapping) else ()), *own))


_policy = _must_be("'raise' or 'passthrough'", lambda value: value in {"raise", "passthrough"})
_flag = _of_kind(bool, "True or False")
_mapping = _of_kind(Mapping, "a mapping")


@frozen(kw_only=True, repr=False)
class Options:
    """How to reach a provider; see `Reranker` for what each means."""

    api_key: str | None = field(default=None, validator=_of_kind(str, "a string"))
    api_base: str | None = field(default=None, validator=_of_kind(str, "a URL as a string"))
    timeout: Mapping[str, float | None] = field(
        default=..., converter=to_timeout, validator=_positive
    )
    max_retries: int = field(default=2, validator=_at_least(0))
    deadline: float | None = field(default=None, validator=_positive)
    on_failure: Literal["raise", "passthrough"] = field(default="raise", validator=_policy)
    extra_headers: Mapping[str, str] = field(
        default=None,
        converter=_copied,
        validator=[_mapping, lambda _, option, value: check_headers(option.name, value)],
    )
    extra_body: Mapping[str, Any] = field(default=None, converter=_as_json, validator=_mapping)
    drop_params: bool = field(default=False, validator=_flag)
    split_listwise: bool = field(default=False, validator=_flag)
    max_concurrency: int = field(default=4, validator=_at_least(1))
    max_documents: int | None = field(default=None, validator=optional(_at_least(1)))
    max_response_bytes: int | None = field(
        default=DEFAULT_MAX_RESPONSE_BYTES, validator=optional(_at_least(1))
    )
    client_headers: frozenset[str] = field(default=None, converter=_names_of_headers)
    extra: Mapping[str, Any] = field(factory=dict)

    def authorizes(self, facts: Provider) -> bool:
        """Whether the caller takes care of authentication: a header, the client's, the URL's user.

        A provider whose `auth` is a function may send a key in one of several headers: one that
        the caller fills is taken for it, unless the key is given, too.
        """
        names = {name.lower() for name in (*self.extra_headers, *self.client_headers)}
        given = any(self.extra.get(name) is not None for name in facts.secret_options)
        if self.api_key is None and not given and "@" in urlsplit(self.api_base or "").netloc:
            names.add("authorization")
        how = facts.auth
        own = {how.header.lower()} if isinstance(how, APIKeyHeader) else set()
        if callable(how) and self.api_key is None:
            own |= _KEY_HEADERS
        return not names.isdisjoint({"authorization", *own})

    def for_another_provider(self) -> Options:
        """What of these holds for whatever provider is asked: bounds and policy, nothing else."""
        bounds = ("timeout", "max_retries", "max_concurrency", "max_response_bytes")
        policy = ("drop_params", "split_listwise")
        return Options(**{name: getattr(self, name) for name in (*bounds, *policy)})


# What `Reranker` takes, under its names there.
OPTION_NAMES = (
    *({option.name for option in fields(Options)} - {"extra", "client_headers"}),
    *("custom_llm_provider", "fallbacks", "headers", "http_client", "num_retries", "provider"),
)


def nearest(name: str, known: Iterable[str], cutoff: float = _ALIKE) -> str | None:
    """The known name that is most like this one; `None` where none is near."""
    import difflib  # noqa: PLC0415 - slow to import, and only needed for an error

    return next(iter(difflib.get_close_matches(name, known, cutoff=cutoff)), None)


def leave_out(facts: Provider, name: str, *, drop: bool) -> str:
    """Refuse a parameter that nobody can honour, or say that it is left out.

    What may say where a request goes, or with whose key, is never left out.
    """
    own = (*facts.options, *facts.secret_options)
    options = (*OPTION_NAMES, *own)
    words, *others = ({*words_of(each).split()} or {each} for each in (name, *own))
    short = next((o for o, w in zip(own, others, strict=True) if words <= w or w <= words), None)
    meant = nearest(name, options, _ALIKE_OPTION) or short
    routing = name not in CALL_PARAMS and (meant is not None or is_routing_name(name))
    if drop and not routing:
        return f"{facts.name} does not take {name!r}: left out"
    if name in options:
        message = f"{name!r} belongs to the connection: give it to Reranker(...)"
        raise UnsupportedParamError(message, param=name)
    known = (*HONOURED, *facts.params, *facts.extra_params, *options)
    near = OTHER_WORDS.get(name.replace("_", "").lower()) or nearest(name, known) or meant
    otherwise = "" if routing else "; drop_params=True leaves it out"
    hint = f"; did you mean {near!r}?" if near else otherwise
    raise UnsupportedParamError(f"{facts.name} does not take {name!r}{hint}", param=name)
