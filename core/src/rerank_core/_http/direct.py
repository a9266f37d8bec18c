"""Requests as httpcore takes them: what is alike in all calls of a target is made once."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import httpcore
from attrs import asdict, define, field

from rerank_core._facts import APIKeyHeader
from rerank_core._http.bodies import ACCEPT_ENCODING, RequestContent
from rerank_core._version import __version__

if TYPE_CHECKING:
    from rerank_core._effects import Send
    from rerank_core._options import Timeout

DEFAULT_HEADERS = {"accept-encoding": ACCEPT_ENCODING, "user-agent": f"rerank-core/{__version__}"}
"""What every request has, unless plugin or caller say otherwise."""

# URLs that go over the wire as they are written. Whatever else there is (a password, a space, a
# name that is not ASCII, dots to be resolved) is for httpx to read.
_PLAIN_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(:(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>(/(?!\.)([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*"
    r"(\?([A-Za-z0-9._~!$&()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?)"
)
_PORTS = {"http": 80, "https": 443}
# Of these, httpx knows what they mean for the rest of the request.
_SPECIAL = frozenset({"connection", "content-length", "host", "transfer-encoding"})


@define
class DirectParts:
    """What requests to one URL with the same headers have in common.

    Attributes:
        given_url: As the plugin gave it.
        given_headers: Likewise.
        url: `None` where httpx is to send it.
        head: All headers but `content-length`.
    """

    given_url: str
    given_headers: Mapping[str, str]
    url: httpcore.URL | None = None
    head: list[tuple[bytes, bytes]] = field(factory=list)


def build_direct_request(effect: Send) -> httpcore.Request | None:
    """The attempt for a connection of our own, or `None` where it takes httpx."""
    made, url = effect.target.made, effect.request.url
    # Threads share what is made: it is kept only when it is whole, and read once.
    direct = made.direct
    if direct is None or direct.given_url != url or direct.given_headers != effect.headers:
        made.direct = direct = _make_parts(effect)
    if direct.url is None:
        return None
    head, content, method = direct.head, effect.content, effect.request.method
    if content or method != "GET":
        head = [*head, (b"content-length", b"%d" % len(content))]
    return _TrustedRequest(
        method.encode(), direct.url, head, RequestContent(content), timeouts_of(effect)
    )


class _URL(httpcore.URL):
    """One whose origin is made once, not in every call."""

    @functools.cached_property
    def origin(self) -> httpcore.Origin:
        return super().origin


class _TrustedRequest(httpcore.Request):
    """One whose parts are known to be what httpcore wants: it does not look at each again.

    h11 still checks what goes over the wire.
    """

    def __init__(
        self,
        method: bytes,
        url: httpcore.URL,
        headers: list[tuple[bytes, bytes]],
        stream: RequestContent,
        timeout: dict[str, float | None],
    ) -> None:
        self.method, self.url, self.headers, self.stream = method, url, headers, stream
        self.extensions = {"timeout": timeout}


def _make_parts(effect: Send) -> DirectParts:
    url, headers, target = effect.request.url, effect.headers, effect.target
    found = _PLAIN_URL.fullmatch(url)
    if found is None or callable(target.provider.auth) or not _SPECIAL.isdisjoint(headers):
        return DirectParts(url, headers)
    scheme, host, port = found["scheme"], found["host"], int(found["port"] or 0)
    port = 0 if port == _PORTS[scheme] else port
    parsed = _URL(
        scheme=scheme,
        host=host.strip("[]"),
        port=port or None,
        target=found["path"] if found["path"].startswith("/") else f"/{found['path']}",
    )
    whole = {"host": f"{host}:{port}" if port else host, **DEFAULT_HEADERS, **headers}
    how, key = target.provider.auth, target.api_key
    if isinstance(how, APIKeyHeader) and key and not target.options.authorizes:
        whole.pop(how.header.lower(), None)
        whole[how.header] = f"{how.scheme} {key.value}".strip()
    try:
        head = [(name.encode("ascii"), value.encode("ascii")) for name, value in whole.items()]
    except UnicodeEncodeError:
        return DirectParts(url, headers)
    return DirectParts(url, headers, parsed, head)


def timeouts_of(effect: Send) -> dict[str, float | None]:
    """The attempt's bounds as httpx and httpcore take them."""
    given = effect.timeout
    if effect.deadline is None:
        return _as_dict(given)
    remaining = max(effect.deadline - time.monotonic(), 0.001)
    return {
        name: remaining if bound is None else min(bound, remaining)
        for name, bound in asdict(given).items()
    }


@functools.lru_cache
def _as_dict(timeout: Timeout) -> dict[str, float | None]:
    return asdict(timeout)
