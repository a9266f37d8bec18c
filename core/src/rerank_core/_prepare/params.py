"""Which of the parameters a provider is given, and what becomes of the others."""

from __future__ import annotations

from typing import Any

from rerank_core._prepare.call import Call
from rerank_core._resolve.hints import CALL_PARAMS, is_routing, unknown_param
from rerank_core._resolve.target import Target
from rerank_core.errors import UnsupportedParamError

# Core honours these itself where the provider does not.
_HONOURED_BY_CORE = frozenset({"top_n", "rank_fields"})


def choose_params(
    call: Call, target: Target, first: Target | None, warnings: list[str], *, drop: bool
) -> dict[str, Any]:
    """The parameters that a provider takes; what nobody can honour is refused or left out.

    Args:
        call: What the caller asks.
        target: Where it goes.
        first: Whom the call was meant for, where the target is a fallback.
        warnings: Gets what is left out.
        drop: Leave out what nobody can honour.

    Raises:
        UnsupportedParamError: Neither the provider nor core can honour one.
    """
    if first is None:
        given = {**target.params, **call.params}
    else:
        given = _adopt(call, target, first, warnings)
    facts = target.provider
    params = {}
    for name, value in given.items():
        if name in facts.params or name in facts.extra_params:
            params[name] = value
        elif name not in _HONOURED_BY_CORE:
            error = UnsupportedParamError(unknown_param(facts, name), param=name)
            # What may say where to or with whose key is never left out.
            refused = name not in CALL_PARAMS and is_routing(name, facts)
            refuse_or_warn(error, warnings, drop=drop and not refused)
    return params


def _adopt(call: Call, target: Target, first: Target, warnings: list[str]) -> dict[str, Any]:
    """What a fallback is given: its own, and what was given for the first provider.

    A parameter that only the first knows may mean something else to another, whatever its name.
    """
    if target.provider.name == first.provider.name:
        return {**first.params, **target.params, **call.params}
    given = {**first.params, **call.params}
    warnings += [
        f"{name!r} was meant for {first.provider.name}: left out"
        for name in given
        if name not in CALL_PARAMS
    ]
    shared = {name: value for name, value in given.items() if name in CALL_PARAMS}
    return {**target.params, **shared}


def refuse_or_warn(error: UnsupportedParamError, warnings: list[str], *, drop: bool) -> None:
    """Refuse a parameter, or say that it is left out."""
    if not drop:
        raise error
    warnings.append(f"{error.message.removesuffix('; drop_params=True leaves it out')}: left out")
