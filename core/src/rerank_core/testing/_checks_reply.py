"""Checks of the reply: any ranking survives, and nothing else passes for one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from rerank_core.errors import APIStatusError, RerankError, ResponseParseError
from rerank_core.records import JSON, RerankResponse
from rerank_core.testing._case import Case, Ranking
from rerank_core.testing._checks_facts import facts_of
from rerank_core.testing._failure import require
from rerank_core.testing._service import QUERY, ask, computes, encoded, texts
from rerank_core.wire import decode_json, encode_json

_PARSE = "parse_response"


def _pairs(response: RerankResponse) -> list[tuple[int, float | None]]:
    return [(result.index, result.relevance_score) for result in response.results]


def _expected(ranking: Ranking, top_n: int | None) -> list[tuple[int, float]]:
    return sorted(ranking, key=lambda pair: (-pair[1], pair[0]))[:top_n]


def check_example_reply(case: Case) -> None:
    """The documented reply means the documented ranking."""
    reply = case.example.reply
    if not computes(case):  # as it travels: a tuple is a list, and bytes are the text of it
        reply = decode_json(reply if isinstance(reply, bytes) else encode_json(reply))
    response = ask(case, case.example.call, case.example.reply)
    require(
        _pairs(response) == [*map(tuple, case.example.ranking)],
        f"the documented reply is read as {_pairs(response)}, it means {case.example.ranking}",
        why="the documentation of the service is the specification",
        where=f"{_PARSE}; or the case's example",
    )
    require(
        response.attempts != 1 or response.payload == reply,
        "the reply is changed where it is read",
        why="response.payload is the service's reply, whole, to users who need more of it",
        where=f"{_PARSE}: copy what is to be changed; no pop, no sort in place",
    )
    for name in ("id", "meta"):
        found, wanted = getattr(response, name), getattr(case.example, name)
        require(
            wanted is None or found == wanted,
            f"the {name} of the documented reply is read as {found!r}, it is {wanted!r}",
            why="users pay by it, and ask the service's support about it",
            where=f"{_PARSE}; or the case's example",
        )


def _try_ranking(case: Case, ranking: Ranking, documents: list[str], top_n: int | None) -> None:
    native = top_n if "top_n" in facts_of(case).params else None
    shown = ranking
    if native is not None:  # a service that knows top_n sends the best
        shown = sorted(ranking, key=lambda pair: -pair[1])[:native]
    if case.positional:
        shown = sorted(shown)
    call = {"query": QUERY, "documents": documents, "top_n": top_n}
    if len(documents) > (facts_of(case).max_documents or len(documents)):
        return
    response = ask(case, call, encoded(case, shown, documents, native))
    wanted = _expected(shown, top_n)
    require(
        _pairs(response) == wanted,
        f"the ranking {shown[:5]} with top_n={top_n} comes out as {_pairs(response)[:5]}",
        why="the user would get other documents or scores than the service meant",
        where=_PARSE,
    )
    require(
        [result.document and result.document.text for result in response.results]
        == [documents[at] for at, _ in wanted],
        "a result carries another document than its own",
        why="the user would read the wrong text",
        where=_PARSE,
    )


def check_any_ranking_survives(case: Case) -> None:
    """Any order, ties, negative scores, any `top_n`, one document or a thousand, any script."""
    from hypothesis import HealthCheck, Phase, given, settings  # noqa: PLC0415 - for this check alone
    from hypothesis import strategies as st  # noqa: PLC0415 - likewise

    floats = st.floats(allow_nan=False, allow_infinity=False, width=32)
    few = st.sampled_from([0.0, 0.5, 1.0, -1.0]) | st.integers(-3, 3).map(float)

    @settings(
        max_examples=30,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a failure is small already, and shrinking it takes long
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def law(data: st.DataObject) -> None:
        scores = data.draw(st.lists(floats | few, min_size=1, max_size=12))
        order = data.draw(st.permutations(range(len(scores))))
        documents = [
            data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=8)) + f"-{at}"
            for at in range(len(scores))
        ]
        top_n = data.draw(st.none() | st.integers(1, len(scores) + 2))
        _try_ranking(case, [(at, scores[at]) for at in order], documents, top_n)

    law()
    _try_ranking(case, [(at, 1 - at / 1000) for at in range(1000)], texts(1000), None)


def _broken(case: Case) -> Iterator[tuple[str, JSON]]:
    """Replies that no service should send, each with what is wrong about it."""
    documents = texts(3)
    good = [(0, 0.9), (1, 0.5), (2, 0.1)]
    write: Any = (lambda value: value) if computes(case) else _written
    usual = _written(encoded(case, good, documents, None))
    for what, ranking in {
        "a score that is text": [(0, "high"), (1, 0.5), (2, 0.1)],
        "a score that is null": [(0, None), (1, 0.5), (2, 0.1)],
        "a score that is a list": [(0, []), (1, 0.5), (2, 0.1)],
        "a score that is true": [(0, True), (1, 0.5), (2, 0.1)],
        "a score of 400 digits": [(0, 10**400), (1, 0.5), (2, 0.1)],
        "a missing result": good[:2],
        "no results": [],
        **(
            {}
            if case.positional
            else {
                "an index twice": [(0, 0.9), (0, 0.5), (2, 0.1)],
                "a negative index": [(0, 0.9), (-1, 0.5), (2, 0.1)],
                "an index beyond the list": [(0, 0.9), (3, 0.5), (2, 0.1)],
                "a far index": [(0, 0.9), (10**30, 0.5), (2, 0.1)],
                "an index that is text": [(0, 0.9), ("one", 0.5), (2, 0.1)],
                "an index that is a fraction": [(0, 0.9), (1.5, 0.5), (2, 0.1)],
                "an index that is null": [(0, 0.9), (None, 0.5), (2, 0.1)],
                "an index that is true": [(0, 0.9), (True, 0.5), (2, 0.1)],
            }
        ),
        "one result too many": [*good, (3, 0.05)],
    }.items():
        ranked: Any = ranking
        try:
            reply = encoded(case, ranked, documents, None)
        except (TypeError, ValueError):  # it computes with what it is given: counts from 1, say
            continue
        if _written(reply) != usual:
            yield what, write(reply)
    if computes(case):
        yield (
            "a score that is not a number",
            encoded(case, [(0, float("nan")), *good[1:]], documents, None),
        )
        return
    whole = _written(encoded(case, good, documents, None))
    yield "NaN", whole.replace(b"0.9", b"NaN")
    yield "an infinite number", whole.replace(b"0.9", b"1e999")
    yield "a page of HTML", b"<html><body>502 Bad Gateway</body></html>"
    yield "half of a reply", whole[: len(whole) // 2]
    yield "an empty body", b""
    yield "deep nesting", b"[" * 100_000
    odd: dict[str, JSON] = {"null": None, "a number": 7, "text": "ok", "true": True, "{}": {}}
    for what, value in odd.items():
        yield f"nothing but {what}", _written(value)
    yield "a list of numbers", [1, 2, "x"]
    if case.error_in_200 is not None:
        yield "an error under a good status", case.error_in_200


def _written(value: JSON) -> bytes:
    """JSON with numbers of any size, which orjson would refuse to write."""
    import json  # noqa: PLC0415 - for this alone

    return json.dumps(value).encode()


def check_malformed_replies_are_errors(case: Case) -> None:
    """What is not a ranking of the documents sent is an error, never a success."""
    call = {"query": QUERY, "documents": texts(3)}
    for what, content in _broken(case):
        try:
            response = ask(case, call, content)
        except (ResponseParseError, APIStatusError):
            continue
        except Exception as error:  # noqa: BLE001 - whatever else it is, it is the finding
            fault = f"a reply with {what} ends in {type(error).__name__}: {error}"
        else:
            fault = f"a reply with {what} passes for the ranking {_pairs(response)}"
        require(
            False,  # noqa: FBT003 - a failure
            fault,
            why="users catch ResponseParseError, and trust what comes without an error",
            where=_PARSE,
        )


def check_damaged_replies_do_no_harm(case: Case) -> None:
    """With any one value of a good reply lost or replaced, it is read rightly or not at all."""
    good = [(0, 0.9), (1, 0.5), (2, 0.1)]
    reply = encoded(case, good, texts(3), None)
    call = {"query": QUERY, "documents": texts(3)}
    for what, damaged in _damage(reply):
        try:
            found = _pairs(ask(case, call, damaged))
        except (ResponseParseError, APIStatusError):
            continue
        except RerankError as error:
            found = [(-1, None)]
            what = f"{what} ({type(error).__name__}: {error})"  # noqa: PLW2901 - for the message
        require(
            found == good,
            f"a reply with {what} is read as {found}",
            why="a service in trouble sends such replies, and users trust what comes back",
            where=_PARSE,
        )


ODD: tuple[tuple[str, JSON], ...] = (
    ("null", None),
    ("text", "x"),
    ("true", True),
    ("an object", {}),
    ("a list", []),
)


def _damage(reply: JSON, path: str = "") -> Iterator[tuple[str, JSON]]:
    """The reply with one value, at any depth, lost or of another type."""
    places = (
        list(reply)
        if isinstance(reply, dict)
        else range(len(reply))
        if isinstance(reply, list)
        else []
    )
    for place in places:
        here = f"{path}.{place}" if isinstance(place, str) else f"{path}[{place}]"
        for word, value in ODD:
            changed = copy.copy(reply)
            changed[place] = value
            yield f"{here} replaced by {word}", changed
        if isinstance(reply, dict):
            yield f"{here} lost", {name: value for name, value in reply.items() if name != place}
        for what, inner in _damage(reply[place], here):
            changed = copy.copy(reply)
            changed[place] = inner
            yield what, changed
