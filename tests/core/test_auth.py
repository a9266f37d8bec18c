"""How a key is sent, and which of several things sign."""

from __future__ import annotations

from typing import Any

import pytest

from rerank_core.auth import keep_given

VARIABLES = {"token": ("NEW_TOKEN", "OLD_TOKEN"), "key": ("KEY",), "credential": ()}


@pytest.mark.parametrize(
    ("values", "given"),
    [
        ({}, {}),
        ({"token": "a", "key": "b"}, {"token": "a", "key": "b"}),
        ({"token": "of-new", "key": "b"}, {"key": "b"}),
        ({"token": "of-old", "key": "of-key"}, {}),
        ({"token": "of-key"}, {"token": "of-key"}),
        ({"token": None, "key": ""}, {"key": ""}),
        ({"credential": ["any"]}, {"credential": ["any"]}),
    ],
)
def test_what_the_caller_gave_is_kept(values: dict[str, Any], given: dict[str, Any]) -> None:
    """What stands in a variable of its own is the environment's; an empty text is the caller's."""
    environ = {"NEW_TOKEN": "of-new", "OLD_TOKEN": "of-old", "KEY": "of-key"}

    assert keep_given(values, VARIABLES, environ=environ) == given
