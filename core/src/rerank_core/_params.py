"""Which of the parameters a provider is given, and what becomes of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rerank_core._call import CALL_PARAMS, HONOURED
from rerank_core._options import OPTION_NAMES
from rerank_core._suggest import suggestion_for_param
from rerank_core.errors import UnsupportedParamError

if TYPE_CHECKING:
    from rerank_core._call import Call
    from rerank_core._facts import Provider
    from rerank_core._target import Target

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
            message = unknown_param(facts, name)
            refuse_or_warn(UnsupportedParamError(message, param=name), warnings, drop=drop)
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
    warnings.append(f"{error.message}: left out")


def unknown_param(facts: Provider, name: str) -> str:
    """What to say of a parameter that a call cannot carry, with the nearest that it can."""
    if name in (*facts.options, *facts.secret_options, *OPTION_NAMES):
        return f"{name!r} belongs to the connection: give it to Reranker(...)"
    own = (*facts.extra_params, *facts.options, *facts.secret_options)
    known = [*HONOURED, *facts.params, *own, *OPTION_NAMES]
    return f"{facts.name} does not take {name!r}{suggestion_for_param(name, known)}"
