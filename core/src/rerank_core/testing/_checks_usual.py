"""Checks of what is easily got wrong: counts, secrets, busy services, indices."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

import httpx
from attrs import evolve

from rerank_core.auth import AuthOptions
from rerank_core.errors import (
    APIStatusError,
    ConfigurationError,
    MissingAPIKeyError,
    RateLimitError,
    RerankError,
    ResponseParseError,
    ServerError,
)
from rerank_core.facts import APIKeyHeader
from rerank_core.records import JSON
from rerank_core.testing._case import CANARY, Case
from rerank_core.testing._checks_facts import facts_of
from rerank_core.testing._failure import require
from rerank_core.testing._service import (
    MANY,
    QUERY,
    ask,
    body_of,
    computes,
    encoded,
    field_names,
    sent_request,
    texts,
)
from rerank_core.wire import encode_json

_COUNT = re.compile(
    r"k|n|limit|count|size|(top|num|max|page|return|number)_?(of_?)?(top_?)?"
    r"(k|n|size|results|documents|count)",
    re.IGNORECASE,
)
_BUSY = re.compile(r"busy|overload|capacity|unavailable|try again|rate.?limit|too many requests")


def _numbers(value: JSON) -> Iterator[tuple[str, int]]:
    """Every integer that stands in an object, at any depth, with its name."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if type(inner) is int:
                yield name, inner
            yield from _numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner)


def check_no_count_is_made_up(case: Case) -> None:
    """A call without `top_n` asks for all documents, however many, not for a number of them."""
    if computes(case):
        return
    facts = facts_of(case)
    many = min(MANY, facts.max_documents or MANY)
    request = sent_request(case, QUERY, texts(many))
    in_url = {name: int(text) for name, text in request.url.params.items() if text.isdecimal()}
    for name, number in (*_numbers(body_of(request)), *in_url.items()):
        counts = name == facts.params.get("top_n") or _COUNT.fullmatch(name)
        require(
            not counts or number >= many,
            f"{name!r} is {number} in a call of {many} documents without top_n",
            why="the user asks for all, and would get some, or an error for the rest",
            where="build_request, map_params: send no count, or the number of documents",
        )


def check_example_without_options(case: Case) -> None:
    """The documented call works with query and documents alone."""
    plain = {name: case.example.call[name] for name in ("query", "documents")}
    count = len(plain["documents"])
    why = "every other argument is optional"
    if not computes(case):
        lacking = {*case.required} - field_names(body_of(sent_request(case, **plain)))
        require(
            not lacking,
            f"the service demands {sorted(lacking)}, which a plain call does not send",
            why=f"{why}, and the service would refuse the call",
            where="build_request: a count that it demands is the number of documents",
        )
    ranking = [(at, 0.9 - at / 1000) for at in range(count)]
    response = ask(case, plain, encoded(case, ranking, texts(count), None))
    require(
        len(response.results) == count,
        f"a plain call with {count} documents gives {len(response.results)} results",
        why=why,
        where="parse_response",
    )


def check_missing_secret_is_said(case: Case) -> None:
    """Where `auth` finds no secret, the error says so: it is the user's to mend."""
    facts = facts_of(case)
    if facts.auth is None or isinstance(facts.auth, APIKeyHeader):
        return  # core looks for the key
    own = {name: value for name, value in case.options.items() if name in facts.options}
    base_url = case.options.get("api_base") or facts.base_url
    provider = evolve(facts, base_url=base_url)
    where = "auth: raise MissingAPIKeyError, and name the options and variables that were looked at"
    with tempfile.TemporaryDirectory() as empty:
        home = {"HOME": empty, "USERPROFILE": empty, "PATH": os.environ.get("PATH", "")}
        with mock.patch.dict(os.environ, home, clear=True):
            for key in (None, CANARY) if not facts.api_key_required else (CANARY,):
                allowed = MissingAPIKeyError if key is None else ConfigurationError
                try:
                    auth: Any = facts.auth(key, provider, AuthOptions(own))
                    if isinstance(auth, httpx.Auth):
                        next(
                            auth.sync_auth_flow(httpx.Request("POST", base_url or "https://x.test"))
                        )
                except allowed:
                    continue  # with a key that it has no use for, it may say that
                except Exception as error:  # noqa: BLE001 - whatever else it is, it is the finding
                    require(
                        False,  # noqa: FBT003 - a failure
                        f"auth without a secret raises {type(error).__name__}: {error}",
                        why="the user would read that the plugin is broken, not what to set",
                        where=where,
                    )


def check_busy_is_tried_again(case: Case) -> None:
    """An error under a good status that says "busy" is one that core tries again."""
    said = encode_json(case.error_in_200).decode().lower()
    if case.error_in_200 is None or computes(case) or not _BUSY.search(said):
        return
    try:
        ask(case, {"query": QUERY, "documents": texts(2)}, case.error_in_200)
    except (ServerError, RateLimitError):
        return
    except APIStatusError as error:
        require(
            False,  # noqa: FBT003 - a failure
            f"{said} is {type(error).__name__}",
            why="it may pass, but is neither tried again nor left to a fallback",
            where="parse_response: raise ServerError or RateLimitError; or error_types",
        )


def check_indices_count_from_zero(case: Case) -> None:
    """An index is the caller's, from 0, wherever the service begins to count."""
    if case.positional:
        return
    ranking = [(0, 0.75), (1, 0.25)]
    call = {"query": QUERY, "documents": texts(2)}
    try:
        found: Any = [
            (result.index, result.relevance_score)
            for result in ask(case, call, encoded(case, ranking, texts(2), None))
        ]
    except ResponseParseError as error:
        found = str(error)
    except RerankError:
        return  # another check's finding
    require(
        found == ranking,
        f"the first and the second document, of two, are read as {found}",
        why="the user would get a document's neighbour, or an error",
        where="parse_response: for a service that counts from 1, subtract 1 from each index; and"
        " Case.encode, which is given positions from 0 and writes what the service would",
    )
