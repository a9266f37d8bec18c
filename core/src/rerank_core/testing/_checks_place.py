"""Checks of where the work is done: at a service that can be found, or in this process."""

from __future__ import annotations

import math

from rerank_core.errors import PluginError
from rerank_core.records import HTTPRequest
from rerank_core.testing._case import Case
from rerank_core.testing._checks_facts import facts_of
from rerank_core.testing._failure import require
from rerank_core.testing._service import QUERY, Service, build, computes, replying, texts

_FACTS = "the Provider that resolve_provider returns"


def check_place_is_stated(case: Case) -> None:
    """A service can be looked for elsewhere; a provider in this process asks for no key."""
    facts = facts_of(case)
    try:
        work = build(case, QUERY, texts(2))
    except PluginError as error:
        require(
            False,  # noqa: FBT003 - a failure
            error.message,
            why="it cannot be sent",
            where=f"build_request; or base_url of {_FACTS}",
        )
        raise
    if isinstance(work, HTTPRequest):
        require(
            facts.base_url_env,
            "base_url_env names no variable",
            why="who goes through a gateway or has a server of their own sets one",
            where=_FACTS,
        )
        return
    require(
        facts.auth is None and not facts.api_key_required and not facts.api_key_env,
        "a provider in this process asks for a key",
        why="users would be told to set what nothing needs",
        where=f"{_FACTS}: auth=None, api_key_required=False",
    )


def check_example_is_computed(case: Case) -> None:
    """A provider in this process computes the documented ranking."""
    if not computes(case):
        return
    response = Service(case, replying({})).reranker().rerank(**case.example.call)
    found = [(result.index, result.relevance_score) for result in response.results]
    wanted = [*map(tuple, case.example.ranking)]
    require(
        [at for at, _ in found] == [at for at, _ in wanted]
        and all(
            score is not None and math.isclose(score, meant, rel_tol=1e-3, abs_tol=1e-6)
            for (_, score), (_, meant) in zip(found, wanted, strict=True)
        ),
        f"the documented call is computed as {found}, documented is {wanted}",
        why="the example's reply is written by hand, and users get what is computed",
        where="what build_request hands to Compute; or the case's example",
    )
