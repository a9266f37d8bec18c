"""For plugins whose `auth` chooses between several kinds of credentials."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any

import httpx

__all__ = ["AuthOptions", "HeaderAuth"]


class AuthOptions(dict[str, Any]):
    """The provider's options, secret ones among them, as `auth` gets them.

    Attributes:
        given: The names of the options that the caller gave, `api_key` included: they take
            precedence over everything from the environment.
    """

    def __init__(self, options: Mapping[str, Any], given: Iterable[str] = ()) -> None:
        super().__init__(options)
        self.given = frozenset(given)

    def __repr__(self) -> str:
        """The names, never the values."""
        return f"AuthOptions({sorted(self)}, given={sorted(self.given)})"


class HeaderAuth(httpx.Auth):
    """Sends a key as the whole value of one header."""

    def __init__(self, header: str, value: str) -> None:
        self.header, self.value = header, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Set the header."""
        request.headers[self.header] = self.value
        yield request
