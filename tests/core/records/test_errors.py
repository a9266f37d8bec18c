"""The exception tree."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

import rerank_core
from rerank_core import (
    HTTPResponse,
    PluginError,
    RerankError,
    ResponseParseError,
    UnsupportedParamError,
    errors,
)

CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, RerankError)
]


def drawn_tree() -> dict[str, str]:
    """Each class in the drawing of the module's docstring, with the one it stands under."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = [(-1, "Exception")]
    for line in inspect.cleandoc(errors.__doc__ or "").splitlines():
        found = re.match(r"( *)([A-Z]\w+Error)\b", line)
        if found is None:
            continue
        depth, name = len(found[1]), found[2]
        while path[-1][0] >= depth:
            path.pop()
        parents[name] = path[-1][1]
        path.append((depth, name))
    return parents


def test_the_tree_is_as_it_is_drawn() -> None:
    """Every class under the one it is drawn under, none missing."""
    actual = {kind.__name__: kind.__mro__[1].__name__ for kind in CLASSES}

    assert len(actual) == 17
    assert drawn_tree() == actual


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_public(kind: type[RerankError]) -> None:
    """At the top of the package."""
    assert getattr(rerank_core, kind.__name__) is kind
    assert kind.__name__ in rerank_core.__all__
    assert kind.__name__.endswith("Error")


@pytest.mark.parametrize("restore", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy])  # noqa: S301 - our own bytes
@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_a_pickle_whole(kind: type[RerankError], restore: Any) -> None:
    """As it crosses from one process to another."""
    special: dict[type[RerankError], dict[str, Any]] = {
        UnsupportedParamError: {"param": "p"},
        ResponseParseError: {"path": "results[0]"},
    }
    response = HTTPResponse(429, {"retry-after": "5"}, b"body")
    context: dict[str, Any] = {"provider": "test", "model": "m", "retry_after": 5.0}
    error = kind("what failed", response=response, **context, **special.get(kind, {}))
    if isinstance(error, PluginError):
        error.distribution, error.version = "rerank-test", "1.0"
    error.add_note("a note")

    restored = restore(error)

    assert type(restored) is kind
    assert vars(restored) == vars(error)
    assert restored.args == ("what failed",)
    assert restored.status_code == 429
    assert restored.response == response
    assert str(restored) == "test/m: what failed"
    assert restored.__notes__ == ["a note"]


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ({}, "what failed"),
        ({"provider": "test"}, "test: what failed"),
        ({"provider": "test", "model": "org/m"}, "test/org/m: what failed"),
    ],
)
def test_an_error_says_where_it_happened(context: dict[str, Any], text: str) -> None:
    """As far as that is known; `message` is what failed alone."""
    error = RerankError("what failed", **context)

    assert str(error) == text
    assert error.message == "what failed"


def test_an_error_without_a_reply_has_no_status() -> None:
    """Nor anything else that a reply brings."""
    error = RerankError("what failed")

    assert (error.response, error.status_code, error.retry_after) == (None, None, None)
    assert (error.provider, error.model) == (None, None)


@pytest.mark.parametrize(
    ("error", "attribute", "default"),
    [
        (UnsupportedParamError("x"), "param", ""),
        (ResponseParseError("x"), "path", ""),
        (PluginError("x"), "distribution", None),
        (PluginError("x"), "version", None),
    ],
)
def test_what_an_error_does_not_know_is_empty(
    error: RerankError, attribute: str, default: str | None
) -> None:
    """Every attribute is there."""
    assert getattr(error, attribute) == default
