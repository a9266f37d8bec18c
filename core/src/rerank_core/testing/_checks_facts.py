"""Checks of what stands still: facts, names, hooks."""

from __future__ import annotations

import inspect
import re
from importlib import metadata
from typing import Any

from rerank_core._resolve.discovery import GROUP, hooks_of
from rerank_core._resolve.hooks import HOOKS
from rerank_core._resolve.options import CALL_PARAMS
from rerank_core.facts import APIKeyHeader, Provider
from rerank_core.testing._case import Case
from rerank_core.testing._failure import require

_FACTS = "the Provider that resolve_provider returns"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def facts_of(case: Case) -> Provider:
    """What the plugin states about the case's model."""
    return hooks_of(case.plugin).resolve_provider(case.model, {})


def check_facts_are_well_formed(case: Case) -> None:
    """Every fact has a form that core and readers can rely on."""
    facts = facts_of(case)

    def need(condition: object, what: str, why: str) -> None:
        require(condition, what, why=why, where=_FACTS)

    need(
        re.fullmatch(r"[a-z][a-z0-9_]*", facts.name),
        f"the name {facts.name!r} is not of lower-case letters, digits and underscores",
        "users write it before the slash of a model",
    )
    need(
        facts.docs_url.startswith("https://"),
        "docs_url is not a link to the API's documentation",
        "a reader must be able to check what the plugin does",
    )
    for url in (facts.base_url, *facts.base_urls_by_key.values()):
        need(
            url is None or re.match(r"https?://[^/\s]+", url),
            f"the base URL {url!r} is not absolute",
            "no request can be sent to it",
        )
    variables = [*facts.base_url_env, *facts.api_key_env]
    for names in (*facts.options.values(), *facts.secret_options.values()):
        variables += names
    for name in variables:
        need(
            isinstance(name, str) and _VARIABLE.fullmatch(name),
            f"{name!r} is no name of an environment variable",
            "it is what a user is told to set",
        )
    sends_key = isinstance(facts.auth, APIKeyHeader) and facts.api_key_required
    need(
        not sends_key or facts.api_key_env,
        "a key is required, but api_key_env names no variable",
        "the error for a missing key could name nothing to set",
    )
    known = set(CALL_PARAMS) - {"return_documents"}
    need(
        set(facts.params) <= known,
        f"params lists {sorted(set(facts.params) - known)}, which are no parameters of a call",
        "what only this provider knows belongs in extra_params",
    )
    own = [*facts.extra_params, *facts.options, *facts.secret_options]
    doubled = sorted({name for name in own if own.count(name) > 1 or name in CALL_PARAMS})
    need(not doubled, f"{doubled} stand in more than one table", "a value could not be placed")


def check_facts_are_the_same_each_time(case: Case) -> None:
    """The facts depend on model and options alone, and listings get them without a model."""
    hooks = hooks_of(case.plugin)
    first, second = (hooks.resolve_provider(case.model, {}) for _ in range(2))
    require(
        first == second,
        "resolve_provider returns other facts for the same model",
        why="a Reranker resolves once and relies on it for good",
        where="resolve_provider",
    )
    listed = hooks.resolve_provider("", {})
    require(
        listed.name == first.name,
        f"without a model the provider is called {listed.name!r}, with one {first.name!r}",
        why="`rerank providers` lists plugins without a model",
        where="resolve_provider",
    )


def check_names_agree(case: Case) -> None:
    """Provider, entry point, module and distribution carry one name."""
    name = facts_of(case).name
    module = getattr(case.plugin, "__name__", None)
    if not case.installed or module is None:
        return
    entries = [entry for entry in metadata.entry_points(group=GROUP) if entry.name == name]
    where = f'the name in resolve_provider; [project.entry-points."{GROUP}"] in pyproject.toml'
    require(
        entries,
        f"no installed distribution has an entry point {name!r} in the group {GROUP!r}",
        why=f"rerank('{name}/...') finds a plugin by nothing else",
        where=where,
    )
    require(
        [entry.value for entry in entries] == [module],
        f"the entry point {name!r} leads to {[entry.value for entry in entries]}, not {module!r}",
        why="users would get another plugin than the one that is tested",
        where=where,
    )
    require(
        module == f"rerank_{name}",
        f"the module is {module!r} where the provider is {name!r}",
        why=f"users expect rerank-{name.replace('_', '-')} and rerank_{name}",
        where="the module's file name",
    )
    dist = entries[0].dist
    require(
        dist is None or re.sub(r"[-_.]+", "_", dist.name).lower() == module,
        f"the distribution is {dist and dist.name!r}",
        why=f"users look for rerank-{name.replace('_', '-')}",
        where="name in pyproject.toml",
    )


def check_hooks_fit(case: Case) -> None:
    """All four hooks are there, with arguments that the specification has and no defaults."""
    hooks_of(case.plugin)  # raises a PluginError that names what is missing or does not fit
    for name in HOOKS:
        function: Any = getattr(case.plugin, name, None)
        require(
            function is not None,
            f"there is no function {name}",
            why="every provider implements all four hooks, so that its file tells the whole story",
            where=name,
        )
        defaults = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.default is not parameter.empty
        ]
        require(
            not defaults,
            f"{name} gives {defaults} a default",
            why="pluggy passes no argument that has a default, so the hook would never see it",
            where=f"the signature of {name}",
        )
