"""Checks of the request: what the service is asked, and what it is not told."""

from __future__ import annotations

import copy
import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock
from urllib.parse import unquote

from rerank_core._prepare.call import make_call
from rerank_core._prepare.requests import prepare
from rerank_core.errors import RerankError
from rerank_core.records import JSON
from rerank_core.testing._case import CANARY, Case
from rerank_core.testing._checks_facts import facts_of
from rerank_core.testing._failure import require
from rerank_core.testing._service import (
    MANY,
    QUERY,
    Service,
    body_of,
    build,
    computes,
    field_names,
    replying,
    sent_request,
    target_of,
    texts,
)
from rerank_core.wire import encode_json

# Tests of what travels unchanged: several scripts, an emoji, quotes, a line break, a NUL.
TEXTS = [
    "Zürich ist schön",
    "東京は日本の首都",
    'a "quoted" line\nand another',
    "😀 \U0001d54f",
    "nul \0 end",
]
_BUILD = "build_request"


def _leaves(value: JSON, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], JSON]]:
    """Every value that is no container, with the names on the way to it, in order."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    else:
        yield path, value


def check_example_request(case: Case) -> None:
    """The documented call makes the documented request."""
    if computes(case):
        return
    example = case.example
    call = dict(example.call)
    request = sent_request(case, call.pop("query"), call.pop("documents"), **call)
    why = "the documentation of the service is the specification"
    for what, found, wanted in (
        ("method", request.method, example.method),
        ("URL", str(request.url), example.url),
        ("JSON", body_of(request), example.json),
        *(
            (f"header {name}", request.headers.get(name), value)
            for name, value in example.headers.items()
        ),
    ):
        require(
            found == wanted,
            f"the {what} is {found!r}, documented is {wanted!r}",
            why=why,
            where=f"{_BUILD}, map_params, the facts from resolve_provider; or the case's example",
        )


class _NoEnvironment(dict[str, str]):
    """Stands for `os.environ` where it may not be read."""

    def __getitem__(self, name: str) -> str:
        message = f"reads the variable {name}"
        raise AssertionError(message)

    def get(self, name: str, _: Any = None) -> Any:
        return self[name]


def _forbidden(*_: Any, **__: Any) -> Any:
    message = "opens a file or a connection"
    raise AssertionError(message)


def check_hooks_are_pure(case: Case) -> None:
    """Building twice gives the same, changes nothing that was given, and reads nothing else."""
    target = target_of(Service(case, replying({})).reranker())
    hooks, provider = target.hooks, target.provider
    documents: list[Any] = [*TEXTS, {"title": "a title", "text": "a text"}]
    before = copy.deepcopy(documents)
    build(case, QUERY, documents)  # late imports are done, and may read what they like
    call = make_call(QUERY, list(documents), extra={})
    why = "a retry, a split and a test build again, and rely on the same coming out"
    with (
        mock.patch.object(os, "environ", _NoEnvironment()),
        mock.patch("builtins.open", _forbidden),
        mock.patch.object(socket, "socket", _forbidden),
    ):
        try:
            resolved = hooks.resolve_provider(case.model, dict(target.provider_options))
            mapped = [hooks.map_params(provider, {}) for _ in range(2)]
            works = [prepare(call, target, {}).parts[0].work for _ in range(2)]
        except (AssertionError, RerankError) as error:
            cause = error.__cause__ or error
            where = f"resolve_provider, map_params, {_BUILD}"
            require(False, f"a hook {cause}", why=why, where=where)  # noqa: FBT003 - a failure
    require(
        mapped[0] == mapped[1], "map_params differs from call to call", why=why, where="map_params"
    )
    require(resolved.name == provider.name, "the name changes", why=why, where="resolve_provider")
    if not computes(case):
        require(
            works[0] == works[1], "the request differs from call to call", why=why, where=_BUILD
        )
    require(
        documents == before,
        "a hook changed the caller's documents",
        why="they are the caller's own objects",
        where=_BUILD,
    )


def check_query_and_documents_are_carried(case: Case) -> None:
    """Query and documents travel whole, unchanged and in order, however long and many they are."""
    if computes(case):
        return
    facts = facts_of(case)
    long = ("long " * 2000 + "end")[-(facts.max_document_chars or 0) :]
    odd = [*TEXTS, "  blanks around \n", TEXTS[0], long]
    query = f" {' '.join(odd)} \n"[-(facts.max_query_chars or 0) :]
    many = texts(min(MANY, facts.max_documents or MANY))
    for asked, documents in ((query, odd[: facts.max_documents]), (QUERY, many)):
        values = [value for _, value in _leaves(body_of(sent_request(case, asked, documents)))]
        require(
            any(isinstance(value, str) and asked in value for value in values),
            f"the query is not in the body as it was given, {asked[:40]!r}",
            why="the service would rank by something else",
            where=_BUILD,
        )
        known = set(documents)
        found = [value for value in values if isinstance(value, str) and value in known]
        wrong = next((at for at, text in enumerate(documents) if found[at : at + 1] != [text]), 0)
        require(
            found == documents,
            f"the documents in the body are {len(found)} of {len(documents)} as they were given,"
            f" and not documents[{wrong}] at its place, {documents[wrong][:40]!r}",
            why="indices in the reply count the documents as they were sent",
            where=_BUILD,
        )


def check_mappings_are_carried(case: Case) -> None:
    """A mapping's fields reach the service; with `rank_fields`, core or the service leaves out."""
    if computes(case):
        return
    documents = [{"title": "first title", "text": "first text", "note": "first note"}]
    whole = encode_json(body_of(sent_request(case, QUERY, documents))).decode()
    why = "a field that the user wrote would have no influence"
    for value in ("first title", "first text"):
        require(value in whole, f"{value!r} of a mapping is not sent", why=why, where=_BUILD)
    body = body_of(sent_request(case, QUERY, documents, rank_fields=["title"]))
    told = "rank_fields" in field_names(body)
    require(
        told or "first note" not in encode_json(body).decode(),
        "a field that rank_fields leaves out is sent, and the service is not told",
        why="it would count although the user said that it must not",
        where=f"{_BUILD}: render with request.rank_fields, or name them to the service",
    )


def check_no_key_in_the_request(case: Case) -> None:
    """The key stands in what authentication adds, and nowhere else."""
    if computes(case):
        return
    work = build(case, QUERY, TEXTS)
    require(
        CANARY not in f"{work!r}{encode_json(work.body)!r}{dict(work.headers)}",  # type: ignore[union-attr]
        "the key is in the request that build_request makes",
        why="requests are shown, logged and kept; authentication is not",
        where=_BUILD,
    )
    sent = sent_request(case, QUERY, TEXTS)
    require(
        CANARY not in unquote(str(sent.url)) and CANARY.encode() not in sent.read(),
        "the key is in the URL or the body",
        why="URLs end up in the logs of every proxy",
        where="auth",
    )


def check_nothing_else_is_sent(case: Case) -> None:
    """A plain call sends no null, asks for no documents, and restates no parameter."""
    if computes(case):
        return
    facts, body = facts_of(case), body_of(sent_request(case, QUERY, texts(2)))
    nulls = [".".join(path) for path, value in _leaves(body) if value is None]
    require(
        not nulls, f"null is sent for {nulls}", why="many services refuse it", where="map_params"
    )
    asked = [
        path
        for path, value in _leaves(body)
        if path and path[-1].startswith("return_") and value is True
    ]
    require(
        not asked,
        f"the service is asked to send back {asked}",
        why="it would send the caller's own documents: paid for twice, and slow",
        where=_BUILD,
    )
    carried = {path[-1] for path, value in _leaves(body) if path and value == QUERY}
    own = set(facts.extra_params.values()) - carried  # a parameter may become part of the query
    restated = sorted(own & field_names(body))
    require(
        not restated,
        f"{restated} are sent though the caller did not give them",
        why="the service's own default may change, and would be overruled",
        where=_BUILD,
    )
