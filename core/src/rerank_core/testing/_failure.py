"""What a failed check says: what is wrong, why it matters, where to look."""

from __future__ import annotations

from collections.abc import Mapping

from rerank_core.errors import (
    PluginError,
    RerankError,
    ResponseParseError,
    UnsupportedParamError,
)

# Where an error comes from that no check expects, by its kind; the first that fits.
_ORIGINS: Mapping[type[RerankError], str] = {
    PluginError: "the hook that is named above",
    ResponseParseError: "parse_response; or the case's encode and example",
    UnsupportedParamError: "params and extra_params of the facts from resolve_provider; map_params",
    RerankError: "build_request, and the facts from resolve_provider",
}


class NonconformityError(AssertionError):
    """A plugin does not keep its side of the contract."""


def require(condition: object, what: str, *, why: str, where: str) -> None:
    """Fail the check unless the condition holds.

    Raises:
        NonconformityError: It does not.
    """
    if not condition:
        raise NonconformityError(_worded(what, why, where))


def explain(error: RerankError) -> NonconformityError:
    """What an error says of a plugin, where a call should succeed."""
    where = next(where for kind, where in _ORIGINS.items() if isinstance(error, kind))
    why = "a call that should succeed fails"
    return NonconformityError(_worded(str(error), why, where))


def _worded(what: str, why: str, where: str) -> str:
    return f"{what}\n  Why it matters: {why}\n  Where to look: {where}"
