"""What the first request of a target makes, and the others use again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from rerank_core._auth import RecordingAuth
    from rerank_core._http.direct import DirectParts
    from rerank_core.auth import HeaderAuth


@define(eq=False)
class Made:
    """Made once per target, on first use. Threads share it: each part is put here when it is whole.

    Attributes:
        auth: What an httpx client signs with: the provider's authentication, or the caller's.
        auth_is_made: Whether `auth` was looked for; there may be none.
        direct: What requests over a connection of our own have in common.
    """

    auth: HeaderAuth | RecordingAuth | None = None
    auth_is_made: bool = False
    direct: DirectParts | None = field(default=None, repr=False)
