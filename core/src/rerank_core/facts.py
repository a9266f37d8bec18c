"""The facts that a plugin states about its provider, as data.

They grow by new fields; no field changes its meaning before a major version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from math import isfinite
from typing import Any, Literal

from attrs import field, frozen
from attrs.validators import deep_iterable, in_, instance_of, is_callable, optional

from rerank_core.errors import APIStatusError
from rerank_core.records._text import HEADER_NAME, is_url, mapping_of, must_be, shown_url

_must_be = partial(must_be, ValueError)
_name = _must_be("a name", lambda value: value and value.isprintable())
_url = _must_be("an absolute URL", is_url)
_header = _must_be("a header's name", HEADER_NAME.fullmatch)
_scheme = _must_be("a word in ASCII", lambda value: value.isascii() and value.isprintable())
_count = optional(_must_be("an integer from 1", lambda value: type(value) is int and value > 0))
_day = _must_be("a date such as '2026-11-28'", date.fromisoformat)
_dollars = _must_be(
    "US dollars, 0 or more",
    lambda value: type(value) in {int, float} and value >= 0 and isfinite(value),
)
_pattern = _must_be("a pattern with a group", lambda value: re.compile(value, re.UNICODE).groups)
_kind = _must_be("kinds of APIStatusError", lambda value: issubclass(value, APIStatusError))
_auth = _must_be("a header or callable", lambda v: isinstance(v, APIKeyHeader | Callable | None))
_unit = in_(("search_units", "total_tokens"))
_score_kind = in_(("probability", "logit", "opaque"))
_strings = deep_iterable(instance_of(str), instance_of(tuple))
_statuses = deep_iterable(instance_of(int), instance_of(frozenset))

_names, _variables = mapping_of(instance_of(str)), mapping_of(_strings)
_sources, _kinds = mapping_of(is_callable()), mapping_of(_kind, (int, str))
_texts = mapping_of(instance_of(str), (int, str))


@frozen
class APIKeyHeader:
    """A key sent in a header: `Authorization: Bearer <key>` unless told otherwise.

    Attributes:
        header: The header's name.
        scheme: The word before the key; empty for the bare key.
    """

    header: str = field(default="Authorization", validator=_header)
    scheme: str = field(default="Bearer", validator=_scheme)


@frozen
class Price:
    """A list price.

    Attributes:
        usd: US dollars for one `unit`.
        unit: The field of `response.meta.billed_units` it is multiplied with.
        as_of: The date of the price list, ISO 8601.
    """

    usd: float = field(validator=_dollars)
    unit: Literal["search_units", "total_tokens"] = field(validator=_unit)
    as_of: str = field(validator=_day)


@frozen(kw_only=True)
class Provider:
    """The facts about a provider and, where they differ, about the model asked for.

    Core reads every promise it must keep from here; it knows no provider by name.

    Attributes:
        name: As users write it before the `/`: lower case, digits, underscores.
        docs_url: The documentation of the API.
        base_url: Where requests go unless caller or environment say otherwise. Hooks called after
            `resolve_provider` find the one in use here.
        base_url_env: Variables that name a base URL, first found wins.
        base_url_required: Whether a call without a base URL is refused before it is sent.
        base_urls_by_key: Base URLs that replace `base_url` for a key that begins so.
        api_key_env: Variables that hold a key, first found wins.
        api_key_required: Whether a call without a key is refused before it is sent.
        api_key_required_hosts: Hosts that refuse a call without a key, where others do not; `*.`
            stands for any sub-domain.
        api_key_hosts: For a variable, the hosts that its key may go to, over https alone; a key of
            a variable that is not listed may go to any.
        further_hosts: Further hosts that the key may go to, where the service's replies may point.
        auth: How the key is sent; for what a header cannot do, a function from key, provider and
            options (`auth.AuthOptions`, secret ones among them) to an `httpx.Auth` or a
            `tokens.TokenAuth`; `None` where there is no key. Core calls it off the event loop.
        params: The call's parameters that the service takes, each with its name on the wire.
        extra_params: Parameters that only this provider knows, each with its name on the wire.
        options: Options of the connection that only this provider knows, each with its variables.
        shaping_options: Names in `options` that `resolve_provider` gets from their variables, too,
            because facts follow from them. The same names for every model.
        secret_options: Options that are secrets, each with its variables: only `auth` and
            `option_sources` get their values. The same names for every model.
        option_sources: For an option that nobody gives, a function from the secret options to its
            value: a profile's region, for example. Called before the first request, off the event
            loop; it may read files and ask services.
        watched_env: Variables that `auth` and `option_sources` read; `rerank` notices their change.
        takes_mappings: Whether mapping documents travel as they are; if not, as text.
        takes_blank_documents: Whether a document may be blank; if not, core holds blank ones back.
        max_documents: The most documents in one request, from 1; a longer list is split.
        max_request_bytes: The most bytes of document text in one request; a longer list is split.
        max_document_chars: The longest document, in characters.
        max_query_chars: The longest query, in characters.
        max_tokens: The model's context in tokens, for query and document; for documentation.
        score_kind: What a score is: in 0..1 (`probability`), any real number from the model's
            last layer (`logit`), or something else (`opaque`).
        listwise: Whether a document's score depends on the others, so that a split changes it.
        error_types: Statuses, codes in the body of an error, or phrases of its message (lower
            case, with a space), that mean another error than usual. An error that blames the
            request is retried only under 408, 425 and 429; one that may pass, under any status.
        retry_statuses: Statuses that are worth a retry beyond 408, 425, 429 and 5xx.
        final_statuses: 5xx statuses that are not retried.
        retry_after_pattern: A regular expression whose first group is the seconds to wait, where
            the error's message says them, or else the body around it, on one line.
        reset_headers: Headers that say when a rate limit ends: seconds, or Unix time.
        hints: What a person should try, by status, code or phrase; added to the error's message.
        price: The list price of the model, where one is known.
        retires: The day the model is switched off, ISO 8601, where it is known.
        models: Model names that the documentation lists; others are passed on all the same.
    """

    name: str = field(validator=_name)
    docs_url: str = field(default="", validator=instance_of(str))
    base_url: str | None = field(default=None, repr=shown_url, validator=optional(_url))
    base_url_env: tuple[str, ...] = field(default=(), validator=_strings)
    base_url_required: bool = field(default=False, validator=instance_of(bool))
    base_urls_by_key: Mapping[str, str] = field(factory=dict, validator=mapping_of(_url))
    api_key_env: tuple[str, ...] = field(default=(), validator=_strings)
    api_key_required: bool = field(default=True, validator=instance_of(bool))
    api_key_required_hosts: tuple[str, ...] = field(default=(), validator=_strings)
    api_key_hosts: Mapping[str, tuple[str, ...]] = field(factory=dict, validator=_variables)
    further_hosts: tuple[str, ...] = field(default=(), validator=_strings)
    auth: APIKeyHeader | Callable[[str | None, Any, Any], Any] | None = field(
        default=APIKeyHeader(), validator=_auth
    )
    params: Mapping[str, str] = field(factory=dict, validator=_names)
    extra_params: Mapping[str, str] = field(factory=dict, validator=_names)
    options: Mapping[str, tuple[str, ...]] = field(factory=dict, validator=_variables)
    shaping_options: tuple[str, ...] = field(default=(), validator=_strings)
    secret_options: Mapping[str, tuple[str, ...]] = field(factory=dict, validator=_variables)
    option_sources: Mapping[str, Callable[[Mapping[str, Any]], Any]] = field(
        factory=dict, validator=_sources
    )
    watched_env: tuple[str, ...] = field(default=(), validator=_strings)
    takes_mappings: bool = field(default=False, validator=instance_of(bool))
    takes_blank_documents: bool = field(default=False, validator=instance_of(bool))
    max_documents: int | None = field(default=None, validator=_count)
    max_request_bytes: int | None = field(default=None, validator=_count)
    max_document_chars: int | None = field(default=None, validator=_count)
    max_query_chars: int | None = field(default=None, validator=_count)
    max_tokens: int | None = field(default=None, validator=_count)
    score_kind: Literal["probability", "logit", "opaque"] = field(
        default="opaque", validator=_score_kind
    )
    listwise: bool = field(default=False, validator=instance_of(bool))
    error_types: Mapping[int | str, type[APIStatusError]] = field(factory=dict, validator=_kinds)
    retry_statuses: frozenset[int] = field(default=frozenset(), validator=_statuses)
    final_statuses: frozenset[int] = field(default=frozenset({501}), validator=_statuses)
    retry_after_pattern: str | None = field(default=None, validator=optional(_pattern))
    reset_headers: tuple[str, ...] = field(default=(), validator=_strings)
    hints: Mapping[int | str, str] = field(factory=dict, validator=_texts)
    price: Price | None = field(default=None, validator=optional(instance_of(Price)))
    retires: str | None = field(default=None, validator=optional(_day))
    models: tuple[str, ...] = field(default=(), validator=_strings)
