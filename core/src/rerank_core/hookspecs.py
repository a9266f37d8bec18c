"""The four hooks that a provider implements, and one for whoever wants to know what happens.

The four are called in this order, the first when a `Reranker` is made, the others once per
request::

    resolve_provider -> map_params -> build_request -> (core sends) -> parse_response

All four are needed. They describe and translate: no I/O, no environment, no secrets, no state, and
they change nothing that they are given. An implementation names only the arguments it uses and
never gives one a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pluggy

from rerank_core.events import Event
from rerank_core.facts import Provider
from rerank_core.records import JSON, Compute, HTTPRequest, NextRequest, RerankRequest
from rerank_core.records.response import RerankResponse

hookspec = pluggy.HookspecMarker("rerank_core")
hookimpl = pluggy.HookimplMarker("rerank_core")
"""Marks a function of a plugin as the implementation of the hook of the same name."""

HOOKSPEC_VERSION = 1
"""Goes up when a hook gets a new argument; a plugin written to an earlier one goes on working."""


@hookspec(firstresult=True)
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider | None:
    """State the facts about this provider and model.

    Called when a `Reranker` is made; and once for the plugin as a whole, with an empty `model` and
    no options, to learn its name and its secret options. So it cannot insist on an option: where
    one is missing, `build_request` or `auth` says so.

    Args:
        model: The model's name without its provider; do not check it, for private models exist.
        options: The caller's keywords that core does not know, without secrets; also `api_base`
            and the facts' `shaping_options`, from the caller or the environment.

    Returns:
        The facts. Core takes key and base URL from argument, environment and these facts.
    """


@hookspec(firstresult=True)
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any] | None:
    """Turn the caller's parameters into the service's own.

    Called once per request, before `build_request`.

    Args:
        provider: The facts, with the base URL in use.
        params: Those of the facts' `params` and `extra_params` that the caller set, by the caller's
            names; `top_n` is at most the number of documents. Never `return_documents`.

    Returns:
        The parameters by the service's names; only what the caller or the service asks for.

    Raises:
        UnsupportedParamError: For a parameter that does not go with the others or with the base
            URL. With `drop_params=True` core calls again without it.
    """


@hookspec(firstresult=True)
def build_request(
    provider: Provider, request: RerankRequest, params: Mapping[str, Any]
) -> HTTPRequest | Compute | None:
    """Build the one request that asks for this ranking.

    Called once per request; a retry sends the same again.

    Args:
        provider: The facts, with the base URL in use.
        request: Model, query and documents.
        params: What `map_params` returned.

    Returns:
        The request, to which core adds authentication; or work for a provider in this process.

    Raises:
        InvalidRequestError: For what the service is known to refuse.
        UnsupportedParamError: For a parameter that this request cannot carry.
    """


@hookspec(firstresult=True)
def parse_response(
    provider: Provider,
    request: RerankRequest,
    payload: JSON,
    headers: Mapping[str, str],
    status_code: int,
) -> RerankResponse | NextRequest | None:
    """Read the ranking from a reply with a good status.

    Called once per reply. Core then checks every index and score, sorts, cuts and attaches the
    caller's documents; this hook does none of that.

    Args:
        provider: The facts, with the base URL in use.
        request: What was asked.
        payload: The decoded JSON, or what `Compute.function` returned; `None` for an empty body.
        headers: The reply's headers, names in lower case.
        status_code: From 200 to 299; 200 for `Compute`.

    Returns:
        Results, usage, warnings; or `NextRequest` where the service pages or says "not yet".

    Raises:
        ResponseParseError: Where the reply is not what the service documents. Core takes a
            `KeyError`, `IndexError`, `TypeError` or `ValueError` for one, and an `AttributeError`
            of a piece of the payload.
        APIStatusError: Where a good status carries an error that core cannot find by itself. A
            `ServerError` or `RateLimitError` is tried again.
    """


@hookspec
def observe(event: Event) -> None:
    """Be told what happens to a call.

    Called for each event, in the thread or task that does the work, which waits: so be quick.
    Every observer is told: those given to `register`, for all calls, and `observe` in a
    provider's own module, for the calls to that provider. What it raises is reported once in the
    log and harms no call.

    Args:
        event: One of the records of `rerank_core.events`.
    """
