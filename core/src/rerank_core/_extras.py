"""What the caller adds to every request, and where a request may go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import evolve

from rerank_core._messages import without_userinfo
from rerank_core._options import check_headers
from rerank_core.errors import InvalidRequestError, ResponseParseError

_SCHEMES = ("https://", "http://")

if TYPE_CHECKING:
    from rerank_core._models import HTTPRequest
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
    extra_body, extra_headers = target.options.extra_body, target.options.extra_headers
    if not (extra_body or extra_headers or work.headers):
        return work
    body = work.body
    if extra_body and body is not None:
        if not isinstance(body, Mapping):
            message = "extra_body cannot be added: this request's body is not an object"
            raise InvalidRequestError(message)
        if clash := sorted(extra_body.keys() & body.keys()):
            message = f"extra_body repeats {', '.join(clash)}: give it as a parameter instead"
            raise InvalidRequestError(message)
        body = {**body, **extra_body}
    check_headers("the request's headers", work.headers)
    return evolve(work, body=body, headers={**work.headers, **extra_headers})


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
