"""The requests of a call: what nobody can honour refused, the hooks asked, the caller's added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import define, evolve, field

from rerank_core import errors
from rerank_core._prepare.call import Call, check_encodable, fit_documents, split_documents
from rerank_core._resolve.options import CALL_PARAMS, HONOURED, check_headers, leave_out
from rerank_core._resolve.target import Target
from rerank_core.records import Compute, HTTPRequest, RerankRequest
from rerank_core.records._text import without_userinfo
from rerank_core.wire import encode_json

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
    first = first or target
    drop = first is not target or target.options.drop_params
    warnings = [*target.warnings, *call.warnings]
    params = choose_params(call, target, first, warnings, drop=drop)
    documents, indices = fit_documents(call, target.provider)
    options, parts = {**target.provider_options, **found}, []
    for span in split_documents(call.query, documents, indices, target):
        sent = documents[span]
        top_n = None if call.top_n is None else min(call.top_n, len(sent))
        request = RerankRequest(
            target.model, call.query, sent, top_n, call.rank_fields, {**options}
        )
        own = {**params, "top_n": top_n} if "top_n" in params else params
        work = _translate(target, request, own, warnings, drop=drop)
        parts.append(Part(request, indices[span], own.get("top_n") or len(sent), work, own))
    places = range(len(call.documents))
    held_back = sorted({*places}.difference(indices)) if len(indices) < len(places) else []
    if blank := len(held_back) or (call.rank_fields and documents.count("")):
        names = ", ".join(map(repr, call.rank_fields or ()))
        why = f"are blank, or have no text under {names}" if names else "are blank"
        fate = "not sent, they come last without a score" if held_back else "ranked as blank"
        warnings.append(f"{blank} of {len(places)} documents {why}: {fate}")
    return Prepared(call, target, parts, held_back, tuple(dict.fromkeys(warnings)))


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
            work = hooks.build_request(provider, request, hooks.map_params(provider, {**params}))
        except errors.UnsupportedParamError as error:
            if not drop or error.param not in params:
                raise
            warnings.append(f"{error.message}: left out")
            params = {name: value for name, value in params.items() if name != error.param}
        else:
            return add_extras(work, target) if isinstance(work, HTTPRequest) else work


def add_extras(work: HTTPRequest, target: Target) -> HTTPRequest:
    """The request with the caller's `extra_body` and `extra_headers`."""
    if not work.url.startswith(("https://", "http://")):
        message = (
            f"build_request made no absolute URL, but {without_userinfo(work.url)!r}; it needs"
            " base_url from resolve_provider, or api_base= from the caller"
        )
        raise target.hooks.source.error(message)
    options = target.options  # no local name for what is in it: frames are shown
    if not (options.extra_body or options.extra_headers or work.headers):
        return work
    try:
        check_headers("the request's headers", work.headers)
    except errors.ConfigurationError as error:
        chosen = target.provider_options.values()
        given = {name: text for name, text in work.headers.items() if text in chosen}
        check_headers("what an option says", given)  # which is the caller's to mend
        raise target.hooks.source.error(error.message) from error
    body = work.body
    if options.extra_body and body is not None:
        if not isinstance(body, Mapping):
            message = "extra_body cannot be added: this request's body is not an object"
            raise errors.InvalidRequestError(message)
        if clash := sorted(options.extra_body.keys() & body.keys()):
            message = f"extra_body repeats {', '.join(clash)}: give it as a parameter instead"
            raise errors.InvalidRequestError(message)
        body = {**body, **options.extra_body}
    return evolve(work, body=body, headers={**work.headers, **options.extra_headers})


def follow(following: HTTPRequest, target: Target, before: HTTPRequest) -> HTTPRequest:
    """The next request of an exchange, fit to be sent like the first."""
    known = {("https", host, 443) for host in target.provider.further_hosts}
    if _origin(following.url) not in {_origin(before.url), *known}:
        message = f"the reply points to another place, {without_userinfo(following.url)}"
        raise errors.ResponseParseError(f"{message}, which is not asked")
    return add_extras(following, target)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError as error:
        raise errors.ResponseParseError(f"the reply points to what is no URL: {error}") from error


def encode(request: HTTPRequest, part: Part, target: Target) -> bytes:
    """The body; what cannot be encoded is named, or the plugin that put it there."""
    if request.body is None:
        return b""
    try:
        return encode_json(request.body)
    except errors.InvalidRequestError as error:
        check_encodable(part.request.documents, part.indices)
        encode_json([part.params, target.options.extra_body])
        raise target.hooks.source.error(f"build_request made what is no JSON: {error}") from error


def choose_params(
    call: Call, target: Target, first: Target, warnings: list[str], *, drop: bool
) -> dict[str, Any]:
    """The parameters that a provider takes; what nobody can honour is refused or left out."""
    facts = target.provider
    given = {**first.params, **target.params, **call.params}
    if facts.name != first.provider.name:
        # What only the first knows may mean something else to another, whatever its name.
        foreign = [name for name in (*first.params, *call.params) if name not in CALL_PARAMS]
        warnings += [f"{name!r} was meant for {first.provider.name}: left out" for name in foreign]
        shared = {name: value for name, value in call.params.items() if name in CALL_PARAMS}
        given = {**target.params, **shared}
    params = {}
    for name, value in given.items():
        if name in facts.params or name in facts.extra_params:
            params[name] = value
        elif name not in HONOURED:
            warnings.append(leave_out(facts, name, drop=drop))
    return params
