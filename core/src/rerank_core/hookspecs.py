"""The four hooks that a provider implements.

They are called in this order, the first when a `Reranker` is made, the others once per request::

    resolve_provider -> map_params -> build_request -> (core sends) -> parse_response

Hooks describe and translate. They are pure: no I/O, no environment, no secrets, no state, and
nothing of what they are given is changed. An implementation names only the arguments it uses and
never gives one a default. All four are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rerank_core._facts import Provider
    from rerank_core._models import (
        JSON,
        Compute,
        HTTPRequest,
        NextRequest,
        RerankRequest,
        RerankResponse,
    )

hookspec = pluggy.HookspecMarker("rerank_core")
hookimpl = pluggy.HookimplMarker("rerank_core")
"""Marks a function of a plugin as the implementation of the hook of the same name."""

HOOKSPEC_VERSION = 1
"""Goes up when a hook gets a new argument; a plugin written to an earlier one goes on working."""


@hookspec(firstresult=True)
def resolve_provider(model: str, options: Mapping[str, Any]) -> Provider | None:
    """State the facts about this provider and model.

    Called when a `Reranker` is made: first without options, to learn which of them are secret,
    then with them. And by listings, with an empty `model`. So it can ask for no option: where one
    is missing, `build_request` or `auth` says so.

    Args:
        model: The model's name without its provider; never checked against a list, because
            private models exist.
        options: What the caller gave for the connection: every keyword that core does not know,
            without secrets, and `api_base` where caller or environment state one.

    Returns:
        The facts. Core takes key and base URL from argument, environment and these facts.
    """


@hookspec(firstresult=True)
def map_params(provider: Provider, params: Mapping[str, Any]) -> dict[str, Any] | None:
    """Turn the caller's parameters into the service's own.

    Called once per request, before `build_request`.

    Args:
        provider: The facts, with the base URL in use.
        params: Only what the caller set and the facts list in `params` or `extra_params`, by the
            caller's names. `top_n` is at most the number of documents. Never
            `return_documents`: core attaches the caller's own documents.

    Returns:
        The same by the names that the service knows; nothing that was not asked for.

    Raises:
        UnsupportedParamError: For a parameter that cannot go together with the others or with
            the base URL. With `drop_params=True` core calls again without it.
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
        The request without authentication, which core adds; or `Compute` for a provider that
        runs in this process.

    Raises:
        InvalidRequestError: For what the service is known to refuse.
        UnsupportedParamError: As in `map_params`.
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

    Called once per reply. Core then checks every index and score, sorts, cuts to `top_n` and
    attaches the caller's documents; this hook does none of that.

    Args:
        provider: The facts, with the base URL in use.
        request: What was asked.
        payload: The decoded JSON, or what `Compute.function` returned; `None` for an empty body.
        headers: The reply's headers, names in lower case.
        status_code: From 200 to 299; 200 for `Compute`.

    Returns:
        Results with index and score, usage, warnings; or `NextRequest` where the service pages
        or says "come back later".

    Raises:
        ResponseParseError: Where the reply is not what the service documents. A `KeyError`,
            `IndexError`, `TypeError`, `ValueError`, `AttributeError`, `ArithmeticError` or
            `RecursionError` is taken for the same.
        APIStatusError: Where a good status carries an error.
    """
