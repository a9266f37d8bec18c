"""Plugins with one thing broken each, in one of the hooks."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from functools import partial

from attrs import frozen

from rerank_core._resolve.hooks import HOOKS

# What may be broken without harm, with the reason.
HARMLESS = {"'the reply' spoilt": "a word for error messages alone"}
_OTHER_FIELD = {"model": "query", "query": "model"}


@frozen
class Mutant:
    """A broken plugin.

    Attributes:
        hook: The hook that is broken.
        line: The line of the module.
        what: What was done to it.
        source: The whole module.
    """

    hook: str
    line: int
    what: str
    source: str

    def __str__(self) -> str:
        """Where and what, in one word for pytest."""
        return f"{self.hook}:{self.line}: {self.what}"


def make_mutants(source: str) -> Iterator[Mutant]:
    """Break each statement, argument, entry, word and field in each hook, one at a time."""
    tree = ast.parse(source)
    for at, hook in enumerate(tree.body):
        if not isinstance(hook, ast.FunctionDef) or hook.name not in HOOKS:
            continue
        for number in range(len(list(_sites(hook)))):
            broken = copy.deepcopy(tree)
            line, what, damage = list(_sites(broken.body[at]))[number]
            damage()
            if what not in HARMLESS:
                yield Mutant(hook.name, line, what, ast.unparse(broken))


def _sites(hook: ast.stmt) -> Iterator[tuple[int, str, Callable[[], object]]]:
    """The places where a hook can be broken: the line, what is done, and the doing."""
    assert isinstance(hook, ast.FunctionDef)
    yield hook.lineno, "@hookimpl lost", hook.decorator_list.clear
    for at, statement in enumerate(hook.body[1:], 1):  # the first is the docstring
        lost = partial(hook.body.__setitem__, at, ast.Pass())
        yield statement.lineno, f"{type(statement).__name__.lower()} lost", lost
        for node in ast.walk(statement):
            yield from _sites_in(node)


def _sites_in(node: ast.AST) -> Iterator[tuple[int, str, Callable[[], object]]]:
    if isinstance(node, ast.Call):
        for at, keyword in enumerate(node.keywords):
            yield keyword.lineno, f"{keyword.arg}= lost", partial(node.keywords.pop, at)
    elif isinstance(node, ast.Dict):
        for at, value in enumerate(node.values):
            yield value.lineno, f"entry {ast.unparse(value)} lost", partial(_drop, node, at)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        spoilt = partial(setattr, node, "value", f"x{node.value}")
        yield node.lineno, f"{node.value!r} spoilt", spoilt
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        turned = partial(setattr, node, "value", not node.value)
        yield node.lineno, f"{node.value} turned", turned
    elif isinstance(node, ast.Attribute) and node.attr in _OTHER_FIELD:
        other = _OTHER_FIELD[node.attr]
        yield node.lineno, f"{node.attr} for {other}", partial(setattr, node, "attr", other)


def _drop(node: ast.Dict, at: int) -> None:
    del node.keys[at], node.values[at]
