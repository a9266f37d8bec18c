"""What goes wrong on the way to a service, in our words."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, NoReturn

from rerank_core._messages import shorten, without_userinfo
from rerank_core.errors import ConfigurationError, RequestTimeoutError, RerankError, TransportError

if TYPE_CHECKING:
    from rerank_core._effects import Send

_URL_CHARS = 200
_DETAIL_CHARS = 300


def translate_error(error: Exception, effect: Send, client: Any = None) -> NoReturn:
    """Raise our error for what went wrong.

    Args:
        error: Of httpx or httpcore, whose kinds have the same names; or of a stranger's code.
        effect: The attempt.
        client: The httpx client, where one was sent by.

    Raises:
        TransportError: There was no reply.
        RequestTimeoutError: There was none in time.
        ConfigurationError: The request cannot be sent at all.
        PluginError: The plugin's own authentication failed.
    """
    kinds = {
        kind.__name__
        for kind in type(error).__mro__
        if kind.__module__.partition(".")[0] in {"httpx", "httpcore"}
    }
    if not kinds and not isinstance(error, ssl.SSLError):  # httpcore lets it out under async
        own_hooks = client is not None and any(client.event_hooks.values())
        if isinstance(error, RerankError) or own_hooks or not callable(effect.target.provider.auth):
            raise error
        message = f"authentication raised {type(error).__name__}: {error}"
        raise effect.target.hooks.source.error(message) from error
    where = f"{effect.request.method} {shorten(without_userinfo(effect.request.url), _URL_CHARS)}"
    name = type(error).__name__
    if "LocalProtocolError" in kinds:
        # Its text may hold a header's value, so that it is not even chained.
        message = f"{where}: a header or the URL holds what HTTP does not allow"
        raise ConfigurationError(message) from None
    if kinds & {"InvalidURL", "UnsupportedProtocol"}:
        message = f"{where} is not a URL that can be sent to: correct api_base"
        raise ConfigurationError(message) from error
    if "TimeoutException" in kinds:
        message = f"{where}: no reply in time ({name}); raise timeout= if the service is slow"
        raise RequestTimeoutError(message) from error
    said = shorten(effect.target.redact(str(error)), _DETAIL_CHARS)  # it may quote the reply
    detail = f"{name}: {said}" if said else name
    raise TransportError(f"{where}: {detail}") from error
