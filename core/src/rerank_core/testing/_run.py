"""The list of checks, and the ways to run them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from attrs import frozen

from rerank_core.errors import RerankError
from rerank_core.testing import (
    _checks_beside,
    _checks_facts,
    _checks_failure,
    _checks_import,
    _checks_params,
    _checks_place,
    _checks_reply,
    _checks_request,
    _checks_usual,
)
from rerank_core.testing._case import Case
from rerank_core.testing._failure import explain

F = TypeVar("F", bound=Callable[..., Any])

MODULES = (
    _checks_facts,
    _checks_import,
    _checks_place,
    _checks_request,
    _checks_params,
    _checks_reply,
    _checks_beside,
    _checks_failure,
    _checks_usual,
)
CHECKS: tuple[Callable[[Case], None], ...] = tuple(
    check for module in MODULES for name, check in vars(module).items() if name.startswith("check_")
)
"""Every check, in the order in which a plugin is best mended."""


@frozen
class Check:
    """One check of one case, ready to be called.

    Attributes:
        name: The function's name.
        case: What is checked.
        function: The check.
    """

    name: str
    case: Case
    function: Callable[[Case], None]

    def __call__(self) -> None:
        """Run the check.

        Raises:
            NonconformityError: The plugin does not keep its side: what, why and where to look.
        """
        _run(self.function, self.case)


@frozen
class Outcome:
    """What a check found.

    Attributes:
        name: The check's name.
        promise: What it is about, in one sentence.
        finding: What is wrong; empty where nothing is.
    """

    name: str
    promise: str
    finding: str = ""


def _run(check: Callable[[Case], None], case: Case) -> None:
    """Run a check; an error from the plugin's calls is a finding like any other."""
    try:
        check(case)
    except RerankError as error:
        raise explain(error) from error


def run_checks(case: Case) -> Iterator[Outcome]:
    """Run every check on a case, one outcome each; needs no pytest."""
    for check in CHECKS:
        promise = (check.__doc__ or "").strip().splitlines()[0]
        try:
            _run(check, case)
        except AssertionError as error:
            yield Outcome(check.__name__, promise, str(error) or type(error).__name__)
        except Exception as error:  # noqa: BLE001 - a report goes on
            yield Outcome(check.__name__, promise, f"{type(error).__name__}: {error}")
        else:
            yield Outcome(check.__name__, promise)


def conformance(case: Case, *, exceptions: Mapping[str, str] | None = None) -> Callable[[F], F]:
    """Make a test of every check: `check` is the test's one argument, to be called.

    Args:
        case: What is checked.
        exceptions: Checks that are known to fail, by name, each with its reason. One that does
            not fail is reported: an exception is no place to hide.

    Raises:
        ValueError: An exception names no check, or has no reason.
    """
    import pytest  # noqa: PLC0415 - the checks themselves run without it

    reasons = exceptions or {}
    if unknown := sorted(reasons.keys() - {check.__name__ for check in CHECKS}):
        message = f"exceptions names no check: {', '.join(unknown)}"
        raise ValueError(message)
    if bare := [name for name, reason in reasons.items() if not reason.strip()]:
        message = f"the exception of {bare[0]} has no reason"
        raise ValueError(message)
    parameters = []
    for check in CHECKS:
        name = check.__name__
        marks = [pytest.mark.xfail(reason=reasons[name], strict=True)] if name in reasons else []
        parameters.append(pytest.param(Check(name, case, check), id=name, marks=marks))
    decorate: Callable[[F], F] = pytest.mark.parametrize("check", parameters)
    return decorate
