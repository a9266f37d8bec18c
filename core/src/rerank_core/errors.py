"""The exceptions of rerank-core.

Every one is a `RerankError`, and says what failed, for which provider, and what to do::

    RerankError                  provider, model, response, status_code, retry_after
      ConfigurationError           before anything is sent
        ProviderNotFoundError        no installed plugin answers to that name
        MissingAPIKeyError           no key in the argument or the variables looked at
        UnsupportedParamError        neither the provider nor core can honour a parameter
        InvalidRequestError          query, documents or a parameter make no sense
      PluginError                  the plugin's fault: its distribution and version are named
      TransportError               no reply
        RequestTimeoutError          a step of an attempt, or the deadline
      APIStatusError               a reply that is an error
        BadRequestError              400, 413, 422
        AuthenticationError          401
        PermissionDeniedError        403
        NotFoundError                404
        RateLimitError               429
        ServerError                  5xx
      ResponseParseError           a good status, an unreadable body: `path` says where

All of them pickle, so they cross process boundaries whole.
"""

from __future__ import annotations

from typing import TypedDict, Unpack

from rerank_core.records import HTTPResponse
from rerank_core.records._text import shown
from rerank_core.records.results import to_number


class _Context(TypedDict, total=False):
    """The keywords of every error."""

    provider: str | None
    model: str | None
    response: HTTPResponse | None
    retry_after: float | None


class RerankError(Exception):
    """The root of everything that rerank-core raises on purpose.

    Attributes:
        provider: The provider's name, or `None` where none was found yet.
        model: The model's name without its provider, or `None`.
        response: The reply, where there was one: status, headers and body.
        retry_after: Seconds that the service asked to wait, or `None`.
        attempts: Requests that the call sent to the ranking service before it failed.
        seconds: How long the call took.
    """

    attempts: int = 0
    seconds: float = 0.0
    _described: bool = False
    _secrets: tuple[object, ...] = ()

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        response: HTTPResponse | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(str(message))  # a plugin may hand over a piece of the reply
        if response is not None and not isinstance(response, HTTPResponse):
            raise TypeError(f"response must be an HTTPResponse, not {shown(response)}")
        self.provider = provider
        self.model = model
        self.response = response
        self.retry_after = to_number(retry_after)

    @property
    def message(self) -> str:
        """What failed and what to do, without the provider's name in front."""
        return str(self.args[0])

    @property
    def status_code(self) -> int | None:
        """The HTTP status of the reply, or `None` where there was no reply."""
        return None if self.response is None else self.response.status_code

    def __str__(self) -> str:
        """The message behind `provider/model`, as far as these are known."""
        where = "/".join(map(str, filter(None, (self.provider, self.model))))
        return f"{where}: {self.message}" if where else self.message


class ConfigurationError(RerankError):
    """The call cannot be made as it stands; nothing was sent."""


class ProviderNotFoundError(ConfigurationError):
    """No installed plugin answers to the provider's name."""


class MissingAPIKeyError(ConfigurationError):
    """The provider needs a key, and neither the argument nor a variable has one."""


class UnsupportedParamError(ConfigurationError):
    """Neither the provider nor core can honour a parameter.

    A hook raises it for a parameter that this request cannot carry. With `drop_params=True`
    core leaves the parameter out, says so in `response.warnings`, and goes on.

    Attributes:
        param: The parameter's name, as the caller wrote it.
    """

    def __init__(self, message: str, *, param: str = "", **context: Unpack[_Context]) -> None:
        super().__init__(message, **context)
        self.param = param


class InvalidRequestError(ConfigurationError):
    """The query, the documents or a parameter make no sense."""


class PluginError(RerankError):
    """A plugin broke its side of the contract.

    Attributes:
        distribution: The installed package that the plugin came from, or `None`.
        version: That package's version, or `None`.
    """

    distribution: str | None = None
    version: str | None = None


class TransportError(RerankError):
    """There was no reply: refused, reset, unreachable or unreadable."""


class RequestTimeoutError(TransportError):
    """A step of an attempt took longer than `timeout`, or everything longer than `deadline`."""


class APIStatusError(RerankError):
    """The service replied with an error; `status_code` is the status of the reply.

    Attributes:
        code: The HTTP status that the error stands for: the reply's own, or the one that the body
            of a reply with a good status names; `None` where it names none.
    """

    code: int | None = None


class BadRequestError(APIStatusError):
    """The service found the request wrong: 400, 413 or 422."""


class AuthenticationError(APIStatusError):
    """The service did not accept the key: 401."""


class PermissionDeniedError(APIStatusError):
    """The key may not do this: 403."""


class NotFoundError(APIStatusError):
    """The service knows no such model or address: 404."""


class RateLimitError(APIStatusError):
    """The service limits the rate: 429."""


class ServerError(APIStatusError):
    """The service failed: 5xx."""


class ResponseParseError(RerankError):
    """The reply cannot be read as a ranking, so nothing of it is used.

    Attributes:
        path: Where in the reply, for example `results[3].index`; empty for the whole.
    """

    def __init__(self, message: str, *, path: str = "", **context: Unpack[_Context]) -> None:
        super().__init__(message, **context)
        self.path = path
