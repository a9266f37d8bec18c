"""Checks of where the work is done: at the service that is meant, or in this process."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from attrs import evolve

from rerank_core.errors import ConfigurationError, PluginError, RerankError
from rerank_core.records import HTTPRequest
from rerank_core.testing._case import Case
from rerank_core.testing._checks_facts import facts_of
from rerank_core.testing._failure import NonconformityError, explain, require
from rerank_core.testing._service import (
    QUERY,
    Service,
    build,
    computes,
    replying,
    sent_request,
    texts,
)

if TYPE_CHECKING:
    import httpx

_FACTS = "the Provider that resolve_provider returns"
_GATEWAY = "https://gateway.test/prefix"


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


def check_base_url_is_used(case: Case) -> None:
    """Requests go to the base URL that the user gives; one that cannot be right may be refused."""
    if computes(case):
        return
    service = Service(case, replying({}))
    try:
        service.reranker(api_base=_GATEWAY).rerank(QUERY, texts(2))
    except ConfigurationError:
        return
    except RerankError as error:
        if not service.requests:
            raise explain(error) from error
    url = str(service.requests[0].url)
    require(
        url.startswith(_GATEWAY),
        f"with api_base={_GATEWAY!r} the request goes to {url!r}",
        why="documents and keys would go past a gateway, or a server of one's own",
        where="build_request: wire.join_endpoint(provider.base_url, ...)",
    )


def check_model_is_the_one_asked_for(case: Case) -> None:
    """A request that names its model names the user's; a model that is not known may be refused."""
    if computes(case) or _last_of(case.model).isalpha():
        return  # "rerank" stands in many a URL, whatever the model
    meant = f"{case.model}-7b"
    asked = [case, evolve(case, model=meant)]
    try:
        usual, other = (sent_request(each, QUERY, texts(2)) for each in asked)
    except NonconformityError:
        return  # it says so, or fails another check
    require(
        not _names(usual, case.model) or _names(other, meant),
        f"a call of the model {meant!r} does not name it",
        why="the user would be answered, and billed, by another model",
        where="build_request: request.model",
    )


def _last_of(model: str) -> str:
    return model.rpartition("/")[2]


def _names(request: httpx.Request, model: str) -> bool:
    """Whether a request has a model's name in it, in the URL or the body."""
    name = re.compile(rf"(?<![\w-]){re.escape(_last_of(model))}(?![\w-])")
    return bool(name.search(f"{unquote(str(request.url))} {request.read().decode()}"))


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
