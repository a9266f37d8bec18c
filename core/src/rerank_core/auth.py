"""A key in a header, for plugins whose `auth` sends one that it had to choose or make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from rerank_core._secrets import header_secrets

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["HeaderAuth"]


class HeaderAuth(httpx.Auth):
    """Sends a key in one header."""

    def __init__(self, header: str, value: str) -> None:
        self.header, self.value = header, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Set the header."""
        request.headers[self.header] = self.value
        yield request

    def __repr__(self) -> str:
        """The header's name, never its value."""
        return f"HeaderAuth({self.header!r})"

    def secrets(self) -> list[str]:
        """What errors must not show."""
        return header_secrets(self.value)
