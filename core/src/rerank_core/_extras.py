"""What the caller adds to every request, and where a request may go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import evolve

from rerank_core._messages import without_userinfo
from rerank_core._options import check_headers
from rerank_core.errors import InvalidRequestError, ResponseParseError

_SCHEMES = ("https://", "http://")

if TYPE_CHECKING:
    from rerank_core._models import JSON, HTTPRequest
    from rerank_core._options import Options
    from rerank_core._target import Target


def add_extras(work: HTTPRequest, target: Target) -> HTTPRequest:
    """The request with the caller's `extra_body` and `extra_headers`.

    Raises:
        InvalidRequestError: `extra_body` repeats what the request has, or has no place in it.
        ConfigurationError: A header of the plugin's cannot be sent.
        PluginError: The plugin built no absolute URL.
    """
    if not work.url.startswith(_SCHEMES):
        message = (
            f"build_request made no absolute URL, but {without_userinfo(work.url)!r}; it needs"
            " base_url from resolve_provider, or api_base= from the caller"
        )
        raise target.hooks.source.error(message)
    options = target.options
    if not (options.extra_body or options.extra_headers or work.headers):
        return work
    check_headers("the request's headers", work.headers)
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
    """The next request of an exchange, fit to be sent like the first.

    Raises:
        ResponseParseError: It goes to a host that the key was not given for.
    """
    host = urlsplit(following.url).hostname
    if host != urlsplit(before.url).hostname and host not in target.provider.further_hosts:
        message = f"the reply points to another host, {host}, which is not asked"
        raise ResponseParseError(message)
    return add_extras(following, target)
