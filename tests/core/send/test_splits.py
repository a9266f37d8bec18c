"""Lists that are longer than one request: split, asked side by side, and put together again."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import attrs
import httpx
import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from core.conftest import Ask, Plugin, ranking
from core.virtual import (
    Reply,
    ScriptedPlugin,
    Service,
    VirtualClock,
    VirtualDriver,
    flow_of,
)
from rerank_core import (
    APIStatusError,
    BadRequestError,
    HTTPRequest,
    InvalidRequestError,
    Price,
    Provider,
    RequestTimeoutError,
    Reranker,
    RerankError,
    RerankRequest,
    RerankResponse,
    ServerError,
    hookimpl,
    wire,
)

few = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LONG = 10.0


def _run(
    driver: VirtualDriver,
    documents: Sequence[Any],
    plugin: ScriptedPlugin | None = None,
    *,
    call: Mapping[str, Any] | None = None,
    **options: Any,
) -> RerankResponse:
    reranker = Reranker("m", provider=plugin or ScriptedPlugin(), **options)
    flow = flow_of(reranker, documents, driver.clock.to_clock(), **(call or {}))
    response: RerankResponse = driver.run(flow)
    return response


def _driver(answer: Any) -> VirtualDriver:
    """A driver whose service replies by the documents that it is sent."""

    def script(_url: str, content: bytes, earlier: int) -> Reply:
        reply: Reply = answer(orjson.loads(content), earlier)
        return reply

    return VirtualDriver(Service(script, VirtualClock()))


def _tie(sent: Any, _: int) -> Reply:
    """All documents are as good as each other."""
    return Reply(body=ranking(*[0.5] * len(sent["documents"])).content)


def _sent(driver: VirtualDriver) -> list[list[Any]]:
    return [orjson.loads(attempt.effect.content)["documents"] for attempt in driver.attempts]


# --- merged as if it had been one request --------------------------------------------------------


def _make(kind: str, at: int) -> Any:
    match kind:
        case "text":
            return f"text {at}"
        case "blank":
            return " " * at
        case "mapping":
            return {"text": f"täxt {at}", "title": f"title {at}"}
        case _:
            return {"title": f"title {at}", "year": at}


def _score(document: Any, scores: Sequence[float]) -> float:
    """A score that hangs on what is sent, with many ties."""
    return scores[sum(wire.render_document(document).encode()) % len(scores)]


@few
@given(
    kinds=st.lists(st.sampled_from(["text", "text", "mapping", "fields", "blank"]), max_size=14),
    scores=st.lists(st.sampled_from([0.5, 0.25, -0.0, 0.0, 1.0, -3.5]), min_size=1, max_size=4),
    limits=st.fixed_dictionaries(
        {}, optional={"max_documents": st.integers(1, 6), "max_request_bytes": st.integers(60, 200)}
    ),
    call=st.fixed_dictionaries(
        {"top_n": st.none() | st.integers(1, 16), "return_documents": st.booleans()},
        optional={
            "rank_fields": st.sampled_from([["title"], ["title", "text"], ["year", "title"]])
        },
    ),
    facts=st.fixed_dictionaries(
        {
            "params": st.sampled_from([{}, {"top_n": "top_n"}]),
            "takes_mappings": st.booleans(),
            "takes_blank_documents": st.booleans(),
        }
    ),
    delays=st.lists(st.integers(0, 9), min_size=1, max_size=7),
    concurrency=st.integers(1, 5),
)
def test_any_split_comes_to_what_one_request_comes_to(
    kinds: list[str],
    scores: list[float],
    limits: dict[str, int],
    call: dict[str, Any],
    facts: dict[str, Any],
    delays: list[int],
    concurrency: int,
) -> None:
    """Whatever is asked, however it is split, and in whichever order the parts are answered."""
    documents = [_make(kind, at) for at, kind in enumerate(kinds)]
    fields = {name for document in documents if isinstance(document, dict) for name in document}
    assume(not fields or fields.issuperset(call.get("rank_fields") or ()))

    def answer(sent: Any, _: int) -> Reply:
        texts = [wire.render_document(document) for document in sent["documents"]]
        rows = [
            {"index": at, "relevance_score": _score(document, scores)}
            for at, document in enumerate(sent["documents"])
        ]
        rows.sort(key=lambda row: -row["relevance_score"])
        usage = {"billed_units": {"total_tokens": len(rows)}}
        body = {"results": rows[: sent.get("top_n")], "meta": usage, "first": texts[0]}
        return Reply(delays[len(texts[0]) % len(delays)], body=orjson.dumps(body))

    options = {name: limits[name] for name in limits if name == "max_documents"}
    bounds: dict[str, Any] = {name: limits[name] for name in limits.keys() - options}
    whole, split = _driver(answer), _driver(answer)
    expected = _run(whole, documents, ScriptedPlugin(**facts), call=call)
    merged = _run(
        split,
        documents,
        ScriptedPlugin(**facts, **bounds),
        call=call,
        max_concurrency=concurrency,
        **options,
    )

    # The replies themselves, and the identifier that is made here, are the only differences.
    unlike: dict[str, Any] = {"id": "", "payload": None, "headers": {}, "attempts": 0}
    assert attrs.evolve(merged, **unlike) == attrs.evolve(expected, **unlike)
    sent = [document for part in _sent(whole) for document in part]
    assert sorted(map(str, (d for part in _sent(split) for d in part))) == sorted(map(str, sent))
    if len(split.attempts) > 1:
        firsts = [payload["first"] for payload in merged.payload]
        texts = [wire.render_document(document) for document in sent]
        assert [texts.index(first) for first in firsts] == sorted(map(texts.index, firsts))


@few
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1
    ),
    st.integers(14, 80),
    st.none() | st.integers(1, 5),
)
def test_no_part_is_over_a_limit_and_none_is_in_vain(
    texts: list[str], most_bytes: int, most: int | None
) -> None:
    """Bytes count as they are sent; what is too large for any part is refused before all else."""
    documents = [f"{at}{text}" for at, text in enumerate(texts)]
    driver = _driver(_tie)
    plugin = ScriptedPlugin(max_request_bytes=most_bytes, max_documents=most)

    def bytes_of(part: Sequence[str]) -> int:
        return len(orjson.dumps("question")) + sum(len(orjson.dumps(each)) + 1 for each in part)

    too_large = [at for at, each in enumerate(documents) if bytes_of([each]) > most_bytes]
    if too_large:
        with pytest.raises(InvalidRequestError, match=rf"documents\[{too_large[0]}\] is too large"):
            _run(driver, documents, plugin)
        assert not driver.attempts
        return
    response = _run(driver, documents, plugin, max_concurrency=1)

    parts = _sent(driver)
    assert [each for part in parts for each in part] == documents
    assert max(map(bytes_of, parts)) <= most_bytes
    assert most is None or max(map(len, parts)) <= most
    assert [result.index for result in response.results] == list(range(len(documents)))
    for part, following in pairwise(parts) if most is None else ():
        assert bytes_of([*part, following[0]]) > most_bytes


@pytest.mark.parametrize(
    ("facts", "options"),
    [
        ({}, {"max_documents": 2}),
        ({"max_documents": 2}, {}),
        ({"max_request_bytes": 14}, {}),
    ],
    ids=["caller's limit", "provider's limit", "bytes"],
)
def test_no_limit_splits_what_is_scored_together_unless_allowed(
    facts: dict[str, Any], options: dict[str, Any]
) -> None:
    """Whoever sets the limit, and in whatever it counts."""
    driver = _driver(_tie)
    plugin = ScriptedPlugin(listwise=True, **facts)
    with pytest.raises(InvalidRequestError, match="split_listwise=True"):
        _run(driver, ["a", "b", "c"], plugin, **options)

    assert not driver.attempts
    assert len(_run(driver, ["a", "b", "c"], plugin, split_listwise=True, **options).results) == 3
    assert len(driver.attempts) > 1


# --- usage ---------------------------------------------------------------------------------------

_count = st.none() | st.integers(0, 10**6)


@few
@given(st.lists(st.tuples(_count, _count, _count, _count), min_size=2, max_size=5))
def test_usage_and_cost_are_those_of_all_parts_or_unknown(
    told: list[tuple[int | None, ...]],
) -> None:
    """Each count by itself: one part that is silent about one makes that one unknown."""

    def answer(sent: Any, _: int) -> Reply:
        units, total, read, written = told[int(sent["documents"][0])]
        meta = {
            "billed_units": {"search_units": units, "total_tokens": total},
            "tokens": {"input_tokens": read, "output_tokens": written},
        }
        return Reply(body=ranking(0.5, meta=meta).content)

    plugin = ScriptedPlugin(price=Price(0.25, "total_tokens", "2026-11-22"), max_documents=1)
    response = _run(_driver(answer), [str(at) for at in range(len(told))], plugin)

    billed, tokens = response.meta.billed_units, response.meta.tokens
    found = (billed.search_units, billed.total_tokens, tokens.input_tokens, tokens.output_tokens)
    # A total alone is what went in.
    read = [
        (units, total, total if went is None else went, written)
        for units, total, went, written in told
    ]
    for count, parts in zip(found, zip(*read, strict=True), strict=True):
        assert count == (None if None in parts else sum(parts))
    assert response.cost == (None if billed.total_tokens is None else billed.total_tokens * 0.25)


@pytest.mark.parametrize("count", [1.7e308, 2**63, 1e30])
def test_a_count_beyond_all_counts_is_no_reason_to_lose_a_ranking(count: float) -> None:
    """Also where the sum of such counts is too large for any price."""
    usage = {"total_tokens": count}
    driver = _driver(lambda *_: Reply(body=ranking(0.5, usage=usage).content))
    plugin = ScriptedPlugin(price=Price(0.25, "total_tokens", "2026-11-22"), max_documents=1)
    response = _run(driver, ["a", "b", "c"], plugin)

    assert [result.index for result in response.results] == [0, 1, 2]


# --- failures ------------------------------------------------------------------------------------


class Ailing(httpx.MockTransport):
    """Ranks, but refuses one document's part so many times; counts what each part is sent.

    Args:
        times: How often the part with `c` is refused.
        refusal: With what, or what the network does.
    """

    def __init__(self, times: int, refusal: httpx.Response | Exception) -> None:
        super().__init__(self._answer)
        self.counts: Counter[str] = Counter()
        self._times, self._refusal = times, refusal

    def _answer(self, request: httpx.Request) -> httpx.Response:
        documents = json.loads(request.content)["documents"]
        self.counts["".join(documents)] += 1
        if "c" not in documents or self.counts["".join(documents)] > self._times:
            return ranking(*(ord(document) / 1000 for document in documents))
        if isinstance(self._refusal, Exception):
            raise self._refusal
        again = self._refusal
        return httpx.Response(again.status_code, headers=again.headers, content=again.content)


REFUSALS = {
    "busy": httpx.Response(503, json={"message": "no c"}),
    "limited": httpx.Response(429, json={"message": "no c"}, headers={"retry-after": "3"}),
    "cut off": httpx.ReadError("no c"),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("concurrency", [1, 2, 4])
def test_only_the_part_that_failed_is_asked_again(
    ask: Ask, waits: list[float], refusal: httpx.Response | Exception, concurrency: int
) -> None:
    """What has been answered is paid for, and good."""
    service = Ailing(2, refusal)
    response = ask(
        service, list("abcdefgh"), plugin=Plugin(max_documents=2), max_concurrency=concurrency
    )

    assert service.counts == {"ab": 1, "cd": 3, "ef": 1, "gh": 1}
    assert [result.index for result in response.results] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert len(waits) == 2


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("on_failure", ["raise", "passthrough"])
def test_a_part_that_fails_for_good_fails_all_as_it_would_alone(
    ask: Ask, refusal: httpx.Response | Exception, on_failure: str
) -> None:
    """The same error with the same number of attempts; no other part is asked afterwards."""
    documents, plugin = list("abcdefgh"), Plugin(max_documents=2)
    options = {"max_concurrency": 1, "max_retries": 3, "on_failure": on_failure}
    service, alone = Ailing(99, refusal), Ailing(99, refusal)

    def outcome(service: Ailing, documents: list[str]) -> tuple[Any, ...]:
        try:
            response = ask(service, documents, plugin=plugin, **options)
        except RerankError as error:
            return type(error), str(error), error.retry_after
        return response.reranked, response.warnings, len(response.results) == len(documents)

    assert outcome(service, documents) == outcome(alone, ["c", "d"])
    assert service.counts == {"ab": 1, "cd": 4}


@few
@given(st.lists(st.integers(1, 50), min_size=2, max_size=6, unique=True), st.data())
def test_the_first_part_to_fail_decides(moments: list[int], data: st.DataObject) -> None:
    """At the moment at which it fails, whatever the others are about."""
    kinds = data.draw(st.lists(st.sampled_from([200, 400, 500]), min_size=len(moments)))

    def answer(sent: Any, _: int) -> Reply:
        at = int(sent["documents"][0])
        body = {"message": f"part {at}"} if kinds[at] != 200 else json.loads(ranking(1).content)
        return Reply(moments[at], kinds[at], body=orjson.dumps(body))

    failing = sorted((moments[at], at) for at in range(len(moments)) if kinds[at] != 200)
    assume(failing)
    moment, first = failing[0]
    driver = _driver(answer)
    with pytest.raises(APIStatusError, match=f"part {first}") as caught:
        _run(
            driver,
            [str(at) for at in range(len(moments))],
            max_documents=1,
            max_retries=0,
            max_concurrency=len(moments),
        )

    assert type(caught.value) is (BadRequestError if kinds[first] == 400 else ServerError)
    assert driver.clock.now == moment
    answered = {
        int(orjson.loads(a.effect.content)["documents"][0]) for a in driver.attempts if a.answered
    }
    assert answered == {at for at, when in enumerate(moments) if when <= moment}


@few
@given(st.integers(2, 9), st.integers(1, 4), st.integers(1, 5), st.integers(0, 20))
def test_a_deadline_holds_for_all_parts_together(
    parts: int, concurrency: int, seconds: int, rounds: int
) -> None:
    """What fits in time is whole; else it is over at the deadline, and nothing is begun after."""
    deadline = rounds + 0.5
    driver = _driver(lambda *_: Reply(seconds, body=ranking(0.5).content))
    options: dict[str, Any] = {"max_documents": 1, "max_concurrency": concurrency}
    options["deadline"] = deadline
    needed = -(-parts // concurrency) * seconds
    documents = [str(at) for at in range(parts)]
    if needed < deadline:
        assert len(_run(driver, documents, **options).results) == parts
        assert driver.clock.now == needed
        return
    with pytest.raises(RequestTimeoutError):
        _run(driver, documents, **options)

    assert driver.clock.now == deadline
    done = int(deadline // seconds)
    assert len(driver.attempts) == min(parts, concurrency * (done + 1))
    assert max(attempt.began for attempt in driver.attempts) == done * seconds


# --- side by side --------------------------------------------------------------------------------


class Gate(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers only once so many requests are under way, or have been; refuses each part once.

    Args:
        opens_at: How many.
    """

    def __init__(self, opens_at: int) -> None:
        self.most = self.now = 0
        self.seen: Counter[bytes] = Counter()
        self._opens_at, self._lock = opens_at, threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Wait, and answer."""
        reply, end = self._enter(request), time.monotonic() + LONG
        while self.most < self._opens_at and time.monotonic() < end:
            threading.Event().wait(0.001)
        self._opens_at = 0  # once it was open, or in vain, nobody waits
        threading.Event().wait(0.002)  # for one too many to come in
        return self._leave(reply)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait, and answer."""
        reply, end = self._enter(request), time.monotonic() + LONG
        while self.most < self._opens_at and time.monotonic() < end:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        self._opens_at = 0  # once it was open, or in vain, nobody waits
        await asyncio.sleep(0.002)
        return self._leave(reply)

    def _enter(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.seen[request.content] += 1
            return ranking(0.5) if self.seen[request.content] > 1 else httpx.Response(503)

    def _leave(self, reply: httpx.Response) -> httpx.Response:
        with self._lock:
            self.now -= 1
        return reply


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize(
    ("parts", "limit", "most"), [(2, 8, 2), (5, 1, 1), (9, 2, 2), (9, 5, 5), (12, 12, 12)]
)
def test_as_many_parts_as_allowed_are_under_way_retries_included(
    ask: Ask, parts: int, limit: int, most: int
) -> None:
    """Never one more, also while each part is refused and sent again."""
    gate = Gate(most)
    documents = [str(at) for at in range(parts)]
    response = ask(gate, documents, max_documents=1, max_concurrency=limit)

    assert gate.most == most
    assert gate.now == 0
    assert set(gate.seen.values()) == {2}
    assert len(response.results) == parts


class _TakingOut(ScriptedPlugin):
    """Takes what it reads out of what it is given."""

    @hookimpl
    def map_params(self, provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
        taken: Any = params
        return {wire_name: taken.pop(name) for name, wire_name in provider.extra_params.items()}

    @hookimpl
    def build_request(
        self, provider: Provider, request: RerankRequest, params: Mapping[str, Any]
    ) -> HTTPRequest:
        options: Any = request.options
        region = options.pop("region")
        return super().build_request(provider, request, {**params, "region": region})


def test_every_part_has_its_parameters_whatever_a_hook_does_with_them() -> None:
    """Each is handed a copy: what the first part takes out is there for the second."""
    plugin = _TakingOut(extra_params={"mode": "mode"}, options={"region": ()}, max_documents=2)
    driver = _driver(_tie)
    _run(driver, list("abcd"), plugin, mode="fast", region="eu")

    sent = [orjson.loads(attempt.effect.content) for attempt in driver.attempts]
    assert [(body["mode"], body["region"]) for body in sent] == [("fast", "eu")] * 2
