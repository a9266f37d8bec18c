"""Checks of the parameters: sent under their names, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rerank_core.errors import RerankError, UnsupportedParamError
from rerank_core.records import JSON
from rerank_core.testing._case import Case
from rerank_core.testing._checks_facts import facts_of
from rerank_core.testing._failure import require
from rerank_core.testing._service import (
    QUERY,
    ask,
    body_of,
    build,
    computes,
    encoded,
    field_names,
    sent_request,
    texts,
)

if TYPE_CHECKING:
    import httpx

_DROPPED = "the user's wish would be dropped without a word"


def check_supported_params_reach_the_wire(case: Case) -> None:
    """Every parameter that the facts list is sent, under the name that they give.

    One that cannot go together with the base URL that the case states may be refused.
    """
    facts = facts_of(case)
    documents = [{"title": "a title", "text": "a text"}, {"title": "b title", "text": "b text"}]
    samples: dict[str, Any] = {
        "top_n": 1,
        "rank_fields": ["title"],
        "max_chunks_per_doc": 7,
        "max_tokens_per_doc": 77,
        **case.params,
    }
    for name, wire_name in {**facts.params, **facts.extra_params}.items():
        require(
            name in samples,
            f"the case has no example value for {name!r}",
            why="it could not be tried",
            where="Case.params",
        )
        if computes(case):
            ask(
                case, {"query": QUERY, "documents": texts(2), name: samples[name]}, _ranked(case, 2)
            )
            continue
        if _is_refused(case, name, samples[name]):
            require(
                "api_base" in case.options,
                f"{name!r} is listed, but refused",
                why="the listing promises what nobody can use",
                where="params and extra_params of the facts; map_params",
            )
            continue
        plain = sent_request(case, QUERY, documents)
        sent = sent_request(case, QUERY, documents, **{name: samples[name]})
        require(
            name == "rank_fields" or _has(sent, wire_name),
            f"{name!r} is listed as {wire_name!r}, but the request has no such field",
            why=_DROPPED,
            where="map_params; or params and extra_params of the facts",
        )
        require(
            (sent.read(), sent.headers.get(wire_name)) != (plain.read(), None),
            f"the request with {name!r} is the same as without",
            why="a default would be restated, or the value lost",
            where="map_params",
        )


def check_false_and_zero_are_sent(case: Case) -> None:
    """A parameter of the provider's own that is `False` or 0 is sent, too, or refused."""
    if computes(case):
        return
    for name, wire_name in facts_of(case).extra_params.items():
        sample = case.params.get(name)
        if not isinstance(sample, (bool, int, float)):
            continue
        value = type(sample)(0)
        try:
            build(case, QUERY, texts(2), **{name: value})
        except RerankError:
            continue  # it says so
        require(
            _has(sent_request(case, QUERY, texts(2), **{name: value}), wire_name),
            f"{name}={value!r} is left out of the request",
            why=_DROPPED,
            where="map_params: only None is not set; False, 0 and 0.0 are values",
        )


def _has(request: httpx.Request, wire_name: str) -> bool:
    """Whether a request carries a parameter, by the service's name for it."""
    return wire_name in field_names(body_of(request)) or wire_name in request.headers


def _is_refused(case: Case, name: str, value: Any) -> bool:
    """Whether the plugin says of a parameter that it cannot be sent."""
    try:
        build(case, QUERY, texts(2), **{name: value})
    except UnsupportedParamError as error:
        return error.param == name
    return False


def _ranked(case: Case, count: int) -> JSON:
    ranking = [(at, 0.9 - at / 1000) for at in range(count)]
    return encoded(case, ranking, texts(count), None)


def check_other_params_are_refused(case: Case) -> None:
    """A parameter that the facts do not list is refused, and left out only on request."""
    facts = facts_of(case)
    call: dict[str, Any] = {"query": QUERY, "documents": texts(2)}
    names = {"max_chunks_per_doc", "max_tokens_per_doc"} - facts.params.keys()
    for name in sorted({*names, "no_such_parameter"}):
        # `rerank` hands what it does not know to the resolution, so that is tried as well.
        asked = {**call, name: 3} if name in names else call
        options: dict[str, Any] = {} if name in names else {name: 3}
        try:
            ask(case, asked, _ranked(case, 2), **options)
        except UnsupportedParamError as error:
            refused = error.param == name
        else:
            refused = False
        require(
            refused,
            f"{name!r} is not refused although nobody honours it",
            why="the user would believe that it has an effect",
            where="params, extra_params and options of the facts: list what the service documents",
        )
        response = ask(case, asked, _ranked(case, 2), drop_params=True, **options)
        require(
            any(name in warning for warning in response.warnings),
            f"drop_params=True leaves {name!r} out without a warning",
            why="nothing is dropped silently",
            where="map_params",
        )
