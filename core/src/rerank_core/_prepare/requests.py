"""The requests of a call: what nobody can honour refused, the hooks asked, the caller's added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from attrs import define, evolve, field

from rerank_core._prepare.call import Call
from rerank_core._prepare.fitting import (
    check_encodable,
    fit_documents,
    say_held_back,
    split_documents,
)
from rerank_core._resolve.options import CALL_PARAMS, HONOURED, Options, check_headers, leave_out
from rerank_core._resolve.target import Target
from rerank_core.errors import (
    ConfigurationError,
    InvalidRequestError,
    ResponseParseError,
    UnsupportedParamError,
)
from rerank_core.records._text import without_userinfo
from rerank_core.records.exchange import JSON, Compute, HTTPRequest, RerankRequest
from rerank_core.wire import encode_json

_SCHEMES = ("https://", "http://")
_PORTS = {"http": 80, "https": 443}


@define(eq=False, repr=False)
class Part:
    """One request's share of a call."""

    request: RerankRequest
    indices: Sequence[int]
    expected: int
    work: HTTPRequest | Compute
    params: Mapping[str, Any] = field(factory=dict)


@define(eq=False, repr=False)
class Prepared:
    """A call made ready for one target."""

    call: Call
    target: Target
    parts: Sequence[Part]
    held_back: Sequence[int] = ()
    warnings: tuple[str, ...] = ()


def prepare(
    call: Call, target: Target, found: Mapping[str, Any], *, first: Target | None = None
) -> Prepared:
    """Refuse what cannot be honoured, and build the requests."""
    drop = first is not None or target.options.drop_params
    warnings = [*target.warnings, *call.warnings]
    params = choose_params(call, target, first or target, warnings, drop=drop)
    fitted = fit_documents(call, target.provider)
    if call.rank_fields and fitted.rank_fields is None and call.documents:
        warnings.append("rank_fields has no effect: no document is a mapping")
        params.pop("rank_fields", None)
    options = {**target.provider_options, **found}
    count, parts = len(fitted.sent), []
    for span in split_documents(call.query, fitted, target.provider, target.options):
        top_n = None if call.top_n is None else min(call.top_n, len(span))
        whole = len(span) == count
        request = RerankRequest(
            model=target.model,
            query=call.query,
            documents=fitted.sent if whole else fitted.sent[span.start : span.stop],
            top_n=top_n,
            rank_fields=fitted.rank_fields,
            options=options,
        )
        own = params if "top_n" not in params else {**params, "top_n": top_n}
        work = _translate(target, request, own, warnings, drop=drop)
        indices = fitted.indices if whole else fitted.indices[span.start : span.stop]
        expected = top_n if top_n and "top_n" in params else len(span)
        parts.append(Part(request, indices, expected, work, own))
    if fitted.held_back:
        warnings.append(say_held_back(call, fitted))
    return Prepared(call, target, parts, fitted.held_back, tuple(dict.fromkeys(warnings)))


def _translate(
    target: Target,
    request: RerankRequest,
    params: dict[str, Any],
    warnings: list[str],
    *,
    drop: bool,
) -> HTTPRequest | Compute:
    """Run the two hooks that build a request, again without each parameter that they refuse."""
    hooks, provider = target.hooks, target.provider
    while True:
        try:
            work = hooks.build_request(provider, request, hooks.map_params(provider, params))
        except UnsupportedParamError as error:
            if not drop or error.param not in params:
                raise
            warnings.append(f"{error.message}: left out")
            params = {name: value for name, value in params.items() if name != error.param}
        else:
            return add_extras(work, target) if isinstance(work, HTTPRequest) else work


def add_extras(work: HTTPRequest, target: Target) -> HTTPRequest:
    """The request with the caller's `extra_body` and `extra_headers`."""
    if not work.url.startswith(_SCHEMES):
        message = (
            f"build_request made no absolute URL, but {without_userinfo(work.url)!r}; it needs"
            " base_url from resolve_provider, or api_base= from the caller"
        )
        raise target.hooks.source.error(message)
    options = target.options
    if not (options.extra_body or options.extra_headers or work.headers):
        return work
    try:
        check_headers("the request's headers", work.headers)
    except ConfigurationError as error:
        chosen = target.provider_options.values()
        given = {name: text for name, text in work.headers.items() if text in chosen}
        check_headers("what an option says", given)  # which is the caller's to mend
        raise target.hooks.source.error(error.message) from error
    body = work.body
    if options.extra_body and body is not None:
        body = _with_extras(body, options)
    return evolve(work, body=body, headers={**work.headers, **options.extra_headers})


def _with_extras(body: JSON, options: Options) -> dict[str, Any]:
    if not isinstance(body, Mapping):
        message = "extra_body cannot be added: this request's body is not an object"
        raise InvalidRequestError(message)
    if clash := sorted(options.extra_body.keys() & body.keys()):
        message = f"extra_body repeats {', '.join(clash)}: give it as a parameter instead"
        raise InvalidRequestError(message)
    return {**body, **options.extra_body}


def follow(following: HTTPRequest, target: Target, before: HTTPRequest) -> HTTPRequest:
    """The next request of an exchange, fit to be sent like the first."""
    there, here = _split(following.url), _split(before.url)
    known = there.hostname in target.provider.further_hosts and there.scheme == "https"
    if _origin(there) != _origin(here) and not known:
        where = without_userinfo(following.url)
        raise ResponseParseError(f"the reply points to another place, {where}, which is not asked")
    return add_extras(following, target)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - read when it is asked for
    except ValueError as error:
        raise ResponseParseError(f"the reply points to what is no URL: {error}") from error
    return parts


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def encode(request: HTTPRequest, part: Part, target: Target) -> bytes:
    """The body; what cannot be encoded is named, or the plugin that put it there."""
    if request.body is None:
        return b""
    try:
        return encode_json(request.body)
    except InvalidRequestError as error:
        check_encodable(part.request.documents, part.indices)
        encode_json([part.params, target.options.extra_body])
        raise target.hooks.source.error(f"build_request made what is no JSON: {error}") from error


def choose_params(
    call: Call, target: Target, first: Target, warnings: list[str], *, drop: bool
) -> dict[str, Any]:
    """The parameters that a provider takes; what nobody can honour is refused or left out."""
    if target.provider.name == first.provider.name:
        given = {**first.params, **target.params, **call.params}
    else:
        # What only the first knows may mean something else to another, whatever its name.
        meant = {**first.params, **call.params}
        warnings += [
            f"{name!r} was meant for {first.provider.name}: left out"
            for name in meant
            if name not in CALL_PARAMS
        ]
        shared = {name: value for name, value in meant.items() if name in CALL_PARAMS}
        given = {**target.params, **shared}
    facts = target.provider
    params = {}
    for name, value in given.items():
        if name in facts.params or name in facts.extra_params:
            params[name] = value
        elif name not in HONOURED:
            warnings.append(leave_out(facts, name, drop=drop))
    return params
