"""What plugins share whose `auth` chooses between several things that can sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from rerank_core._secrets import header_secrets

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

__all__ = ["HeaderAuth", "keep_given"]


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


def keep_given(
    values: Mapping[str, Any],
    variables: Mapping[str, Sequence[str]],
    *,
    environ: Mapping[str, str],
) -> dict[str, Any]:
    """The values that the caller gave, without those of the environment.

    For a plugin's `auth`, which gets both in one mapping, where several things can sign: one that
    the caller gives comes before all that the environment has. What equals one of its variables
    was not given, or might as well not have been.

    Args:
        values: By the names of options; `None` for what there is not.
        variables: The names of the variables of each, as the facts state them.
        environ: The environment.
    """
    return {
        name: value
        for name, value in values.items()
        if value is not None and value not in map(environ.get, variables[name])
    }
