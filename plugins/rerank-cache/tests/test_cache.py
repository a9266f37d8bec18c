"""A cache never gives another answer than the model would."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_cache import Cached, MemoryStore, SQLiteStore, Store, model_prefix
from rerank_core import (
    Compute,
    ConfigurationError,
    InvalidRequestError,
    Meta,
    Provider,
    Reranker,
    RerankRequest,
    RerankResponse,
    RerankResult,
    Tokens,
    TransportError,
    UnsupportedParamError,
    hookimpl,
    wire,
)
from rerank_eval import evaluate

FACTS = Provider(
    name="counted",
    api_key_required=False,
    params={"max_tokens_per_doc": "max_tokens"},
    extra_params={"instruction": "instruction"},
    models=("small",),
)


@define
class Counted:
    """A model in this process that says what it was asked for."""

    facts: Provider = FACTS
    asked: list[list[Any]] = field(factory=list)
    fails: bool = False
    before: Callable[[], None] = lambda: None
    says: Sequence[str] = ()

    @hookimpl
    def resolve_provider(self) -> Provider:
        """The facts."""
        return self.facts

    @hookimpl
    def map_params(self, provider: Provider, params: Mapping[str, Any]) -> dict[str, Any]:
        """The names of the model."""
        return wire.rename_params(params, provider.params, provider.extra_params)

    @hookimpl
    def build_request(self, request: RerankRequest, params: Mapping[str, Any]) -> Compute:
        """Score by everything that counts."""
        return Compute(lambda: self._score(request, dict(params)))

    def _score(self, request: RerankRequest, params: dict[str, Any]) -> list[RerankResult]:
        self.before()
        self.asked.append(list(request.documents))
        if self.fails:
            raise TransportError("no reply")
        beside = list(request.documents) if self.facts.listwise else None
        results = []
        for at, document in enumerate(request.documents):
            fields = request.rank_fields if self.facts.takes_mappings else None
            parts = [request.model, request.query, document, fields, params, beside]
            digest = hashlib.sha256(wire.encode_json(parts)).digest()
            extra = {"first": digest[1]} if digest[0] % 2 else None
            # Few different scores, so that there are ties.
            results.append(RerankResult(at, digest[2] % 8 / 8, extra=extra))
        return results

    @hookimpl
    def parse_response(self, payload: Any) -> RerankResponse:
        """Hand them on, with what they cost."""
        tokens = Tokens(input_tokens=len(payload))
        return RerankResponse(
            payload, meta=Meta(tokens=tokens), cost=float(len(payload)), warnings=self.says
        )


def make(
    model: Counted, store: Store | None = None, *, name: str = "small", **options: Any
) -> tuple[Reranker, Cached]:
    """The model, and the same behind a cache."""
    made = {name: options.pop(name) for name in ("pointwise", "salt", "secret") if name in options}
    reranker = Reranker(name, provider=model, **options)
    return reranker, Cached(reranker, store or MemoryStore(), options=options, **made)


def shape(response: RerankResponse) -> Any:
    """What of a response must be the same with and without a cache."""
    results = [
        (each.index, each.relevance_score, each.document, each.extra) for each in response.results
    ]
    return results, response.model, response.provider, response.reranked, response.warnings


texts = st.sampled_from(["", " ", "a", "A", "b", "é", "e\u0301", "a\n", "1", '{"text":"a"}', "aa"])
values = texts | st.integers(0, 2) | st.booleans() | st.none()
mappings = st.dictionaries(st.sampled_from(["text", "title", "n"]), values, min_size=1, max_size=3)
calls = st.fixed_dictionaries(
    {
        "query": texts.filter(str.strip),
        "documents": st.lists(texts | mappings, max_size=6),
    },
    optional={
        "top_n": st.integers(1, 4),
        "rank_fields": st.sampled_from([["text"], ["title", "text"], ["text", "title"]]),
        "instruction": st.sampled_from(["x", "y", 1, True]),
        "max_tokens_per_doc": st.integers(1, 2),
        "return_documents": st.booleans(),
    },
)


def outcome(ask: Callable[..., RerankResponse], call: Mapping[str, Any]) -> Any:
    """What a call gives or raises."""
    try:
        return shape(ask(**call))
    except InvalidRequestError as error:
        return type(error), str(error)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.lists(calls, min_size=1, max_size=8),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_a_cache_changes_no_answer(
    made: list[dict[str, Any]],
    listwise: bool,  # noqa: FBT001 - drawn
    takes_mappings: bool,  # noqa: FBT001 - drawn
    takes_blank: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whatever was asked before: order, scores, documents, extras, warnings and refusals."""
    facts = evolve(
        FACTS, listwise=listwise, takes_mappings=takes_mappings, takes_blank_documents=takes_blank
    )
    store = MemoryStore()
    plain, _ = make(Counted(facts))
    _, cached = make(Counted(facts), store)
    _, awaited = make(Counted(facts), store)
    with asyncio.Runner() as runner:
        for call in made:
            wanted = outcome(plain.rerank, call)

            assert outcome(cached.rerank, call) == wanted
            assert outcome(lambda **each: runner.run(awaited.arerank(**each)), call) == wanted
            assert outcome(cached.rerank, call) == wanted


def test_only_what_is_missing_is_asked() -> None:
    """Each pair once, a document that stands twice as well; what is sent is what is paid."""
    model = Counted()
    _, cached = make(model)
    cached.rerank("q", ["a", "b"])
    response = cached.rerank("q", ["c", "a", "c", "b"], top_n=2)

    assert model.asked == [["a", "b"], ["c"]]
    assert len(response.results) == 2
    assert response.cost == 1.0
    assert response.meta.tokens.input_tokens == 1
    assert response.headers["x-rerank-cache"] == "3 of 4"
    assert cached.rerank("q", ["b"]).cost == 0.0
    info = cached.info
    assert (info.pairs, info.cached_pairs, info.calls, info.cached_calls) == (7, 3, 3, 1)


def test_a_listwise_model_is_never_kept_by_pair() -> None:
    """Another order, another list: another question."""
    model = Counted(evolve(FACTS, listwise=True))
    _, cached = make(model)
    for documents in (["a", "b"], ["b", "a"], ["a"], ["a", "b"]):
        cached.rerank("q", documents)

    assert model.asked == [["a", "b"], ["b", "a"], ["a"]]


def test_a_model_that_the_plugin_does_not_list_is_kept_by_request() -> None:
    """Nobody knows whether it is listwise, unless the caller does."""
    unknown, told = Counted(), Counted()
    _, whole = make(unknown, name="other")
    _, pairs = make(told, name="other", pointwise=True)
    for documents in (["a", "b"], ["a"]):
        whole.rerank("q", documents)
        pairs.rerank("q", documents)

    assert unknown.asked == [["a", "b"], ["a"]]
    assert told.asked == [["a", "b"]]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"options": {"extra_body": {"a": 1}}}),
        ({}, {"options": {"api_base": "http://other.test"}}),
        ({}, {"options": {"instruction": "x"}}),
        ({}, {"call": {"instruction": "x"}}),
        ({"call": {"instruction": 1}}, {"call": {"instruction": True}}),
        ({"call": {"instruction": "1"}}, {"call": {"instruction": 1}}),
        ({}, {"call": {"max_tokens_per_doc": 3}}),
        ({}, {"call": {"query": "q "}}),
        ({}, {"salt": "another revision"}),
        ({}, {"name": "large"}),
    ],
)
def test_what_may_move_a_score_is_another_question(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    """Parameters, options, the base URL, the model, the caller's salt."""
    model, store = Counted(evolve(FACTS, models=("small", "large"))), MemoryStore()
    for each in (first, second):
        call = {"query": "q", "documents": ["a"], **each.get("call", {})}
        made = {name: each[name] for name in ("salt", "name") if name in each}
        # In its stead only the key is made with them: the model in this process has no body.
        reranker = Reranker(made.pop("name", "small"), provider=model)
        Cached(reranker, store, options=each.get("options", {}), **made).rerank(**call)

    assert len(model.asked) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"instruction": "x"},
        {"extra_headers": {"x-model-version": "2"}},
        {"drop_params": True},
        {"max_documents": 1},
        {"api_base": "http://other.test"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_reranker_says_itself_what_it_was_made_with(options: dict[str, Any]) -> None:
    """One that was made with something else shares no score with it; one made alike shares all."""
    model, store = Counted(), MemoryStore()
    for each in ({}, options, options):
        Cached(Reranker("small", provider=model, **each), store).rerank("q", ["a", "b"])

    assert len(model.asked) == (3 if "max_documents" in options else 2)


def test_top_n_and_what_is_returned_are_no_other_question() -> None:
    """They move no score."""
    model = Counted()
    _, cached = make(model)
    cached.rerank("q", ["a", "b", "c"], top_n=1)
    response = cached.rerank("q", ["a", "b", "c"], return_documents=False)

    assert len(model.asked) == 1
    assert [each.document for each in response.results] == [None] * 3


def test_a_cache_refuses_what_the_model_refuses() -> None:
    """Also where the answer is known."""
    plain, cached = make(Counted())
    cached.rerank("q", ["a"])

    for ask in (plain.rerank, cached.rerank):
        with pytest.raises(UnsupportedParamError, match="unknown_param"):
            ask("q", ["a"], unknown_param=1)


@pytest.mark.parametrize("listwise", [False, True])
def test_what_was_said_beside_a_score_is_said_again(listwise: bool) -> None:  # noqa: FBT001
    """That a text was cut, for example: else an answer of the store would hide it."""
    model = Counted(evolve(FACTS, listwise=listwise), says=["a text was cut"])
    plain, cached = make(model, drop_params=True)
    call: dict[str, Any] = {"query": "q", "documents": ["a", "b"], "max_chunks_per_doc": 3}
    wanted = shape(plain.rerank(**call))

    assert "a text was cut" in plain.rerank(**call).warnings
    assert [shape(cached.rerank(**call)) for _ in range(2)] == [wanted, wanted]
    model.says = ()
    assert "a text was cut" in cached.rerank(**call).warnings
    assert "a text was cut" not in cached.rerank(**{**call, "query": "r"}).warnings


def test_a_mixed_answer_says_nothing_false() -> None:
    """What is missing is asked for as text: of its fields nothing is to be said."""
    plain, cached = make(Counted())
    documents = [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    cached.rerank("q", documents[:1], rank_fields=["b"])
    for _ in range(2):
        response = cached.rerank("q", documents, rank_fields=["b"])

        assert shape(response) == shape(plain.rerank("q", documents, rank_fields=["b"]))


@pytest.mark.parametrize("listwise", [False, True])
@pytest.mark.parametrize(
    "value", [b"no JSON", b"null", b"[1]", b'["a",null,[]]', b"{}", b"[[],[]]"]
)
def test_a_value_that_cannot_be_read_is_asked_for_anew(listwise: bool, value: bytes) -> None:  # noqa: FBT001
    """A store may be damaged: it costs no answer, and makes none up."""
    store, model = MemoryStore(), Counted(evolve(FACTS, listwise=listwise))
    plain, cached = make(model, store)
    cached.rerank("q", ["a", "b"])
    store.put(dict.fromkeys([*store._values], value))  # noqa: SLF001 - of this test
    asked = len(model.asked)

    assert shape(cached.rerank("q", ["a", "b"])) == shape(plain.rerank("q", ["a", "b"]))
    cached.rerank("q", ["a", "b"])
    assert len(model.asked) == asked + 2


def test_what_can_be_read_once_is_read_once() -> None:
    """Documents and fields from a generator, or from what has an order and no length."""

    class Documents:
        def __iter__(self) -> Iterator[Any]:
            return iter([{"a": "1", "b": "2"}, {"a": "3", "b": " "}, {"a": "5", "b": "6"}])

    plain, cached = make(Counted())
    wanted = shape(plain.rerank("q", Documents(), rank_fields=["b"]))
    for documents in (Documents(), iter(Documents())):
        fields: Any = (name for name in ["b"])
        response = cached.rerank("q", documents, rank_fields=fields)

        assert shape(response) == wanted


def test_what_the_reranker_was_made_with_must_be_known() -> None:
    """An option that moves a score and stays unsaid would make wrong answers."""

    class Silent:
        facts, provider, model, base_url = FACTS, "counted", "small", None

    with pytest.raises(ConfigurationError, match="options="):
        Cached(Silent(), MemoryStore())


def test_failures_are_not_kept() -> None:
    """The next call asks again."""
    model = Counted(fails=True)
    _, cached = make(model, max_retries=0)
    for _ in range(2):
        with pytest.raises(TransportError):
            cached.rerank("q", ["a"])
    model.fails = False
    cached.rerank("q", ["a"])

    assert len(model.asked) == 3


@pytest.mark.parametrize("known", [False, True])
def test_what_another_model_says_is_not_kept(known: bool) -> None:  # noqa: FBT001 - drawn
    """A fallback's answer and a passthrough are given on, whole, and asked anew each time."""
    model, other = Counted(), Counted(evolve(FACTS, name="other"))
    fallback = Reranker("small", provider=other)
    for options in ({"fallbacks": [fallback]}, {"on_failure": "passthrough"}):
        model.fails = False
        plain, cached = make(model, max_retries=0, **options)
        if known:
            cached.rerank("q", ["a"])
        model.fails = True
        wanted = plain.rerank("q", ["a", "b"])

        assert shape(cached.rerank("q", ["a", "b"])) == shape(wanted)
        asked = len(model.asked)
        cached.rerank("q", ["a", "b"])
        assert len(model.asked) > asked


def test_two_threads_with_one_question_ask_once() -> None:
    """The second waits for the first."""
    model = Counted(before=lambda: time.sleep(0.05))
    _, cached = make(model)
    threads = [threading.Thread(target=cached.rerank, args=("q", ["a"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(model.asked) == 1


@pytest.mark.parametrize("run", [asyncio.run, lambda made: trio.run(lambda: made)])
def test_tasks_with_one_question_ask_once(run: Callable[[Any], Any]) -> None:
    """Under asyncio and trio."""
    import anyio  # noqa: PLC0415 - of this test

    model = Counted(before=lambda: time.sleep(0.05))
    _, cached = make(model)

    async def ask() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(cached.arerank, "q", ["a"])

    run(ask())

    assert len(model.asked) == 1


def test_an_evaluation_with_a_cache_asks_once(tmp_path: Path) -> None:
    """And finds what it found without one."""
    log = tmp_path / "log.jsonl"
    row = {"query": "q", "documents": ["a", "b", "c"], "relevance": [0, 1, 0]}
    log.write_text(json.dumps(row) + "\n")
    model = Counted()
    plain, cached = make(model)
    wanted, first, again = (
        evaluate(log, {"it": one}, measures=["nDCG@3"]).mean("it", "nDCG@3")
        for one in (plain, cached, cached)
    )

    assert len(model.asked) == 2
    assert first == again == wanted


def put_one(store: Store, key: int, value: bytes = b"1") -> None:
    """Keep one value."""
    store.put({key.to_bytes(24): value})


def get_keys(store: Store, keys: Sequence[int]) -> set[int]:
    """Which of these are there."""
    return {int.from_bytes(key) for key in store.get([key.to_bytes(24) for key in keys])}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_store_forgets_what_is_old_or_long_unused(kind: str, tmp_path: Path) -> None:
    """By age, and to make room."""
    now = [1_000_000.0]

    def make_store(**bounds: Any) -> Store:
        if kind == "memory":
            return MemoryStore(now=lambda: now[0], **bounds)
        return SQLiteStore(tmp_path / f"{len(bounds)}-{[*bounds]}", now=lambda: now[0], **bounds)

    aged = make_store(max_age=100)
    put_one(aged, 1)
    now[0] += 99
    assert get_keys(aged, [1]) == {1}
    now[0] += 2
    assert get_keys(aged, [1]) == set()
    full = make_store(max_rows=20)
    for key in range(20):
        now[0] += 1
        put_one(full, key)
    now[0] += 7_200
    assert get_keys(full, [0]) == {0}  # used again: the others go first
    for key in range(20, 25):
        put_one(full, key)
    left = get_keys(full, range(25))
    assert len(left) <= 20
    assert {0, *range(20, 25)} <= left
    aged.close()
    full.close()


def test_a_value_does_not_outlive_its_age_by_a_wrong_clock(tmp_path: Path) -> None:
    """What was written in the future, by a clock that was put right since, is not there."""
    now = [1_000_000.0]
    store = SQLiteStore(tmp_path / "scores", max_age=100, now=lambda: now[0])
    now[0] += 1_000_000
    put_one(store, 1)
    now[0] -= 1_000_000
    put_one(store, 2)

    assert get_keys(store, [1, 2]) == {2}
    store.close()


def test_what_others_write_meanwhile_is_not_taken_for_a_wrong_clock_s(tmp_path: Path) -> None:
    """A process that waited for the file has the time of when it waited no more."""
    others: list[bytes] = []

    def now() -> float:  # the others write at once after it was looked at, if they can
        key = b"%d" % len(others)
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(tmp_path / "scores", timeout=0)) as connection,
            connection,
        ):
            connection.execute("INSERT INTO scores VALUES (?, '', 1001, 1001)", (key,))
            others.append(key)
        return 1000.0

    store = SQLiteStore(tmp_path / "scores", max_age=100, now=now)
    put_one(store, 1)
    store.close()

    with closing(sqlite3.connect(tmp_path / "scores")) as connection:
        kept = {key for (key,) in connection.execute("SELECT key FROM scores")}
    assert kept >= {*others}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_store_forgets_one_model(kind: str, tmp_path: Path) -> None:
    """And keeps the others."""
    store: Store = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "scores")
    model = Counted(evolve(FACTS, models=("small", "large")))
    caches = [make(model, store, name=name)[1] for name in ("small", "large")]
    for cached in caches:
        cached.rerank("q", ["a", "b"])

    assert store.delete(model_prefix("counted/small")) == 2
    for cached in caches:
        cached.rerank("q", ["a", "b"])
    assert len(model.asked) == 3
    assert store.delete() == 4
    store.close()


def test_a_file_keeps_scores_and_no_text(tmp_path: Path) -> None:
    """For a later process, and for its owner alone."""
    model, path = Counted(), tmp_path / "scores"
    for _ in range(2):
        store = SQLiteStore(path)
        make(model, store)[1].rerank("a secret query", ["a secret document"])
        store.close()

    assert len(model.asked) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"secret" not in path.read_bytes()


@pytest.mark.parametrize("damage", ["header", "middle", "schema"])
def test_a_damaged_file_costs_a_warning(tmp_path: Path, damage: str) -> None:
    """It is moved aside, and the store starts empty."""
    path = tmp_path / "scores"
    store = SQLiteStore(path)
    store.put({key.to_bytes(24): b"1" * 400 for key in range(2_000)})
    store.close()
    content = bytearray(path.read_bytes())
    if damage == "header":
        content[:16] = bytes(16)
    elif damage == "schema":
        content = content.replace(b"CREATE TABLE", b"CREATE \xb3\xff\xfeBLE")
    else:
        content[4_096:] = b"\x7f" * (len(content) - 4_096)
    path.write_bytes(content)

    def read_all() -> SQLiteStore:
        opened = SQLiteStore(path)
        opened.get([key.to_bytes(24) for key in range(2_000)])
        return opened

    with pytest.warns(RuntimeWarning, match="is damaged"):
        store = read_all()
    put_one(store, 5)

    assert get_keys(store, [5, 6]) == {5}
    assert len(list(tmp_path.glob("scores.damaged-*"))) >= 1
    store.close()


@pytest.mark.parametrize("kind", ["csv", "short", "database", "damaged database"])
def test_a_file_that_is_no_cache_is_refused(tmp_path: Path, kind: str) -> None:
    """It was named by mistake: it stays as it is, under its name."""
    path = tmp_path / "scores"
    if "database" in kind:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE people (name TEXT)")
        connection.close()
        if kind == "damaged database":
            path.write_bytes(path.read_bytes()[:-100] + b"\x7f" * 100)
    else:
        path.write_bytes(b"id,text\n" * (1 if kind == "short" else 2_000))
    content = path.read_bytes()
    with pytest.raises(ConfigurationError, match="is no cache of scores: name another file"):
        SQLiteStore(path)

    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == content


def test_a_cache_that_is_just_being_made_is_no_other_file(tmp_path: Path) -> None:
    """Another process has begun it, and its schema is not yet there; nor in an empty file."""
    begun = sqlite3.connect(tmp_path / "begun")
    begun.execute("PRAGMA journal_mode=WAL")
    begun.close()
    (tmp_path / "empty").touch()
    for path in [*tmp_path.iterdir()]:
        store = SQLiteStore(path)
        put_one(store, 5)

        assert get_keys(store, [5, 6]) == {5}
        store.close()


@pytest.mark.parametrize("damaged", [b"[0.7,", b"[0.5,null]"])
def test_a_damaged_value_is_not_there(tmp_path: Path, damaged: bytes) -> None:
    """A flipped bit may make a number of a number: never another score."""
    path = tmp_path / "scores"
    store = SQLiteStore(path)
    put_one(store, 5, b"[0.5,null]")
    put_one(store, 6, b"[0.6,null]")
    store.close()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"[0.6,null]"[: len(damaged)], damaged))

    assert get_keys(store, [5, 6]) == {5}
    store.close()


@pytest.mark.parametrize("damage", ["value = 'text'", "value = 12", "value = 0.5", "used = 'text'"])
def test_a_value_of_another_type_costs_no_answer(tmp_path: Path, damage: str) -> None:
    """One flipped bit makes a text of bytes: what is damaged is asked for anew."""
    path = tmp_path / "scores"
    store, model = SQLiteStore(path), Counted()
    _, cached = make(model, store)
    first = cached.rerank("q", ["a", "b"])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE scores SET {damage}")  # noqa: S608 - of this test

    assert cached.rerank("q", ["a", "b"]).results == first.results
    assert len(model.asked) == (1 if damage.startswith("used") else 2)
    store.close()


class Failing(MemoryStore):
    """A store that cannot be reached."""

    def get(self, *_: object) -> Mapping[bytes, bytes]:
        """Fail."""
        raise ConnectionError("store://user:secret@host")

    def put(self, *_: object) -> None:
        """Fail."""
        self.get()


@pytest.mark.parametrize(
    "run",
    [
        lambda cached: cached.rerank("q", ["a", "b"]),
        lambda cached: asyncio.run(cached.arerank("q", ["a", "b"])),
        lambda cached: trio.run(cached.arerank, "q", ["a", "b"]),
    ],
)
def test_a_store_that_fails_costs_a_warning(run: Callable[[Cached], RerankResponse]) -> None:
    """The answer was paid, and is given; what the store says may hold a password."""
    _, cached = make(Counted(), Failing())

    with pytest.warns(RuntimeWarning, match="not cached") as told:
        response = run(cached)

    assert len(response.results) == 2
    assert not [each for each in told if "secret" in str(each.message)]


def test_a_store_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is given all the same."""
    store, model = SQLiteStore(tmp_path / "scores"), Counted()
    _, cached = make(model, store)

    def refuse(*_: object) -> None:
        import sqlite3  # noqa: PLC0415 - of this test

        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(SQLiteStore, "_put", refuse)
    with pytest.warns(RuntimeWarning, match="disk is full"):
        response = cached.rerank("q", ["a"])

    assert len(response.results) == 1
    store.close()


def test_a_folder_that_is_gone_costs_a_warning(tmp_path: Path) -> None:
    """A thread that has no connection yet cannot make one; the answer is given all the same."""
    folder = tmp_path / "folder"
    with pytest.raises(FileNotFoundError):
        SQLiteStore(folder / "scores")
    folder.mkdir()
    store = SQLiteStore(folder / "scores")
    shutil.rmtree(folder)
    _, cached = make(Counted(), store)
    with pytest.warns(RuntimeWarning, match="not cached"):
        response = asyncio.run(cached.arerank("q", ["a"]))

    assert len(response.results) == 1
    store.close()


PROGRAM = """
import sys, warnings
warnings.simplefilter("error")
from rerank_cache import SQLiteStore
from threading import Thread
store, first = SQLiteStore(sys.argv[1]), int(sys.argv[2])
errors = []
def work(offset):
    try:
        for at in range(100):
            key = (first + offset + at % 50).to_bytes(24)
            store.put({key: b"[0.5,null]"})
            assert store.get([key]) == {key: b"[0.5,null]"}
    except BaseException as error:
        errors.append(error)
threads = [Thread(target=work, args=(offset,)) for offset in (0, 10)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit(len(errors))
"""


def test_four_processes_use_one_file_without_an_error(tmp_path: Path) -> None:
    """Two threads each, reading and writing."""
    programs = [
        subprocess.Popen(  # noqa: S603 - our own
            [sys.executable, "-c", PROGRAM, tmp_path / "scores", str(at * 30)]
        )
        for at in range(4)
    ]

    assert [program.wait() for program in programs] == [0] * 4
    store = SQLiteStore(tmp_path / "scores")
    assert get_keys(store, range(150)) == {*range(150)}
    store.close()


FORKING = """
import os, threading
from rerank_cache import Cached, MemoryStore
from rerank_core import Reranker
model = Reranker("local/bm25")
begun, go_on, parent = threading.Event(), threading.Event(), os.getpid()
class Waits:
    provider, model, base_url, facts, options = "local", "bm25", None, model.facts, {}
    def rerank(self, *given, **params):
        begun.set()
        if os.getpid() == parent:
            go_on.wait()
        return model.rerank(*given, **params)
cached = Cached(Waits(), MemoryStore())
thread = threading.Thread(target=cached.rerank, args=("q", ["a"]))
thread.start()
begun.wait()
if not (child := os.fork()):
    threading.Timer(10, os._exit, (1,)).start()
    cached.rerank("q", ["a"])
    os._exit(0)
_, status = os.waitpid(child, 0)
go_on.set()
thread.join()
os._exit(status != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_does_not_wait_for_a_thread_of_its_parent() -> None:
    """Whose call with the same question was under way, and never ends in the child."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKING], check=False, timeout=60)  # noqa: S603 - our own

    assert done.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_a_connection_of_its_own(tmp_path: Path) -> None:
    """SQLite's may not cross a fork."""
    store = SQLiteStore(tmp_path / "scores")
    put_one(store, 1)
    child = os.fork()
    if not child:
        put_one(store, 2)
        os._exit(0 if get_keys(store, [1, 2]) == {1, 2} else 1)
    _, status = os.waitpid(child, 0)
    put_one(store, 3)

    assert status == 0
    assert get_keys(store, [1, 2, 3]) == {1, 2, 3}
    store.close()
