"""Every check catches its fault, and leaves a healthy plugin alone."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from rerank_core.testing import CHECKS, Case, Check, conformance
from rerank_core.wire import encode_json
from testing.planted import (
    CALLED_AS_ITS_PATH,
    CASE,
    FAULTS,
    FROM_ONE,
    IN_PROCESS,
    KNOWS_ITS_HOSTS,
    KNOWS_ITS_MODELS,
    REFUSED_HERE,
    SAYS_WHAT_IS_MISSING,
    WAITS_FOR_EVER,
    WITHOUT_A_TOKEN,
)

BY_NAME: dict[str, Callable[[Case], None]] = {check.__name__: check for check in CHECKS}
PLANTED = [
    pytest.param(BY_NAME[name], case, id=f"{name}-{fault}")
    for name, faults in FAULTS.items()
    for fault, case in faults.items()
]


@conformance(CASE)
def test_a_healthy_plugin_trips_no_check(check: Check) -> None:
    """The plugin that all others are changed from is in order."""
    check()


@conformance(IN_PROCESS)
def test_a_healthy_plugin_in_this_process_trips_no_check(check: Check) -> None:
    """Nor does the one that sends nothing."""
    check()


@conformance(FROM_ONE)
def test_a_healthy_plugin_for_a_service_that_counts_from_one_trips_no_check(check: Check) -> None:
    """Its encode computes with the indices that it is given."""
    check()


def test_an_auth_that_says_what_is_missing_is_right() -> None:
    """That is what the check asks for."""
    BY_NAME["check_missing_secret_is_said"](SAYS_WHAT_IS_MISSING)


@pytest.mark.parametrize(("check", "case"), PLANTED)
def test_a_check_catches_its_fault(check: Callable[[Case], None], case: Case) -> None:
    """A plugin with one fault trips the check that is there for it, which says what and why."""
    with pytest.raises(AssertionError) as caught:
        check(case)

    assert "Why it matters: " in str(caught.value)
    assert "Where to look: " in str(caught.value)


def test_what_keeps_a_call_from_the_service_is_said_at_once() -> None:
    """It is not waited for, and not "TimeoutError" without a word."""
    began = time.monotonic()
    with pytest.raises(AssertionError, match="the exchange returned str, not a Token"):
        Check("", WITHOUT_A_TOKEN, BY_NAME["check_cancelling_works"])()

    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_call_that_never_reaches_the_service_does_not_hold_up_the_kit() -> None:
    """It would wait for the next call without an end."""
    with pytest.raises(AssertionError, match="a call does not reach the service"):
        Check("", WAITS_FOR_EVER, BY_NAME["check_cancelling_works"])()


def test_a_parameter_may_be_refused_at_the_base_url_of_the_case() -> None:
    """The plugin says that only another server takes it, and nothing is dropped silently."""
    BY_NAME["check_supported_params_reach_the_wire"](REFUSED_HERE)


def test_a_base_url_or_a_model_may_be_refused() -> None:
    """The plugin says what it does not know, and nothing goes elsewhere."""
    BY_NAME["check_base_url_is_used"](KNOWS_ITS_HOSTS)
    BY_NAME["check_model_is_the_one_asked_for"](KNOWS_ITS_MODELS)


@pytest.mark.parametrize(
    "written",
    [encode_json, lambda reply: {**reply, "results": (*reply["results"],)}],
    ids=["bytes", "a tuple"],
)
def test_a_reply_may_be_written_in_other_ways(written: Callable[[Any], Any]) -> None:
    """As the bytes that it is, or with tuples for lists."""
    example = evolve(CASE.example, reply=written(CASE.example.reply))
    BY_NAME["check_example_reply"](evolve(CASE, example=example))


def test_a_model_may_be_called_as_what_stands_in_every_url() -> None:
    """A service of one model is not told which."""
    BY_NAME["check_model_is_the_one_asked_for"](CALLED_AS_ITS_PATH)


def test_every_check_has_a_planted_fault() -> None:
    """A check that nothing trips is a defect."""
    elsewhere = {"check_names_agree", "check_import_is_light"}  # modules, in test_modules.py

    assert BY_NAME.keys() == FAULTS.keys() | elsewhere
