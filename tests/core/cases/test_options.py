"""The `Reranker`s that `rerank` keeps, plugins found late, and bounds of what is received."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.cases.installed import install_plugin
from core.cases.plain import BASE, KEY, Ask, Plain, Service, ask, faulty, rank, rows
from core.cases.programs import run_program
from recorder import Recorder, Reply, recording
from rerank_core import (
    HTTPRequest,
    InvalidRequestError,
    NextRequest,
    Reranker,
    RerankError,
    ResponseParseError,
    list_providers,
    register,
    unregister,
)

# C10: a call touches only what is its own.


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A service on loopback: with a client of the caller's nothing is kept."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with recording(Reply({"results": rows(2)})) as recorder:
        yield recorder


@pytest.fixture
def kept(service: Recorder, call: Ask) -> Iterator[Callable[[], int]]:
    """Calls a registered provider; returns how often it was resolved so far."""
    plugin = Plain(name="kept", base_url=service.base_url)
    name = register(plugin)

    def call_kept() -> int:
        call(f"{name}/m", "q", ["a", "b"], api_key=KEY)
        return plugin.resolved

    call_kept()
    yield call_kept
    unregister(name)


Others = Callable[[Ask, str, pytest.MonkeyPatch], object]


def _call_with_a_module(call: Ask, base: str, _: Any) -> None:
    call("m", "q", ["a", "b"], provider=Plain(base_url=base), api_key=KEY)


def _call_with_a_fallback_from_before(call: Ask, base: str, patch: pytest.MonkeyPatch) -> None:
    plugin = Plain(name="other", base_url=base)
    patch.setenv("PLAIN_API_KEY", "before")
    with Reranker("m", provider=plugin) as fallback:
        patch.setenv("PLAIN_API_KEY", "after")
        call("kept/m", "q", ["a", "b"], api_key=KEY, fallbacks=[fallback])
        call("kept/m", "q", ["a", "b"], api_key=KEY, fallbacks=[fallback])


def _call_with_a_client(call: Ask, _: str, __: Any) -> None:
    ask(call, Service())


def _call_with_unhashable_options(call: Ask, base: str, _: Any) -> None:
    options: dict[str, Any] = {"extra_body": {"a": [{"b": {"c"}}]}, "extra_headers": {"x-a": "b"}}
    with contextlib.suppress(RerankError):  # a set is no JSON
        call("m", "q", ["a", "b"], provider=Plain(base_url=base), api_key=KEY, **options)


def _change_another_variable(call: Ask, base: str, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("COHERE_API_KEY", "another")
    call("cohere/m", "q", ["a", "b"], api_base=base)
    patch.setenv("COHERE_API_KEY", "and another")
    call("cohere/m", "q", ["a", "b"], api_base=base)


def _register_another(_: Ask, __: str, ___: Any) -> None:
    unregister(register(Plain(name="yet_another")))


@pytest.mark.parametrize(
    "other",
    [
        _call_with_a_module,
        _call_with_a_client,
        _call_with_unhashable_options,
        _change_another_variable,
        _register_another,
    ],
)
def test_what_others_do_does_not_make_a_call_resolve_anew(
    call: Ask,
    service: Recorder,
    kept: Callable[[], int],
    other: Others,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call with plain options finds what was made before, whatever happened in between."""
    counts = []
    for _ in range(3):
        other(call, service.base_url, monkeypatch)
        counts.append(kept())

    assert len(set(counts)) == 1


def test_a_fallback_from_before_a_change_empties_nothing(
    call: Ask, service: Recorder, kept: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `Reranker` is what it was when it was made; only calls that have it may resolve."""
    _call_with_a_fallback_from_before(call, service.base_url, monkeypatch)
    before = kept()
    _call_with_a_fallback_from_before(call, service.base_url, monkeypatch)
    # Two more, with a fallback that is another object; the plain call itself is not resolved anew.
    spent = kept() - before

    assert spent <= 2


def test_a_changed_variable_holds_from_the_next_call(
    call: Ask, service: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept never hides the environment."""
    for key in ("first", "second", "first"):
        monkeypatch.setenv("COHERE_API_KEY", key)
        call("cohere/m", "q", ["a", "b"], api_base=service.base_url)

    sent = [request.headers["authorization"] for request in service.requests]
    assert sent == ["Bearer first", "Bearer second", "Bearer first"]


def test_options_that_compare_equal_are_not_taken_for_each_other(
    call: Ask, service: Recorder
) -> None:
    """1, 1.0 and True are three values."""
    base = service.base_url
    for value in (1, True, 1.0):
        call("cohere/m", "q", ["a", "b"], api_key=KEY, api_base=base, extra_body={"x": value})

    assert [b'"x":1}' in each.body for each in service.requests] == [True, False, False]
    assert [b'"x":true' in each.body for each in service.requests] == [False, True, False]


def test_what_a_caller_changes_later_is_seen(call: Ask, service: Recorder) -> None:
    """A mapping given twice, and changed in between, is read twice."""
    headers = {"x-turn": "1"}
    for turn in ("1", "2"):
        headers["x-turn"] = turn
        call(
            "cohere/m",
            "q",
            ["a", "b"],
            api_key=KEY,
            api_base=service.base_url,
            extra_headers=headers,
        )

    assert [request.headers["x-turn"] for request in service.requests] == ["1", "2"]


@pytest.mark.parametrize("value", [10**5_000, [10**5_000], {"a": -(10**5_000)}], ids=type)
def test_a_huge_integer_is_refused_in_words(call: Ask, value: Any) -> None:
    """Nor is it a mistake of ours that Python writes no integer of so many digits."""
    with pytest.raises(InvalidRequestError, match="extra_body"):
        call("cohere/m", "q", ["a"], api_key=KEY, api_base=BASE, extra_body={"x": value})


# C19: a plugin that was installed in a running notebook is found.


@pytest.mark.parametrize("first", ["listed", "named", "another"])
def test_a_plugin_installed_later_is_found(tmp_path: Path, first: str) -> None:
    """The scan is repeated on a miss; nothing has to be restarted."""
    install_plugin(tmp_path, "early")
    done = run_program(
        f"""
        from pathlib import Path
        from core.cases.installed import install_plugin

        if {first!r} == "listed":
            rerank_core.list_providers()
        elif {first!r} == "another":
            rerank_core.Reranker("early/m", api_key="k")
        else:
            try:
                rerank_core.Reranker("late/m", api_key="k")
            except rerank_core.ProviderNotFoundError:
                pass
        install_plugin(Path(sys.argv[1]), "late")
        rerank_core.Reranker("late/m", api_key="k")
        print(sorted(found.name for found in rerank_core.list_providers() if "a" in found.name))
        """,
        path=tmp_path,
        arguments=(str(tmp_path),),
    )

    assert "late" in done.stdout, done.stderr


def test_a_plugin_that_is_not_there_is_still_not_found() -> None:
    """And the answer says how it would be installed."""
    with pytest.raises(RerankError, match="pip install rerank-never-there"):
        Reranker("never_there/m")


# C16: what is received in all is bounded.


def _pages(size: int, delay: float = 0) -> httpx.MockTransport:
    """One page after another, without end; a test that lets it go on ends by itself."""
    turn = itertools.count()

    def answer(_: httpx.Request) -> httpx.Response:
        at = next(turn)
        if at > 3_000:
            raise KeyboardInterrupt  # nothing in core may swallow this
        found = [] if at else [{"index": 0, "relevance_score": 0.5}]
        page = {"results": found, "pad": "x" * size, "next": f"{BASE}/{at}", "delay": delay}
        return httpx.Response(200, json=page)

    transport = httpx.MockTransport(answer)
    transport.turn = turn  # type: ignore[attr-defined]  # for the test to look at
    return transport


@pytest.mark.parametrize(("most", "pages"), [(150_000, 2), (500_000, 5)])
def test_pages_together_are_bounded(call: Ask, most: int, pages: int) -> None:
    """`max_response_bytes` holds for the whole of what is kept, however it is cut into pages."""
    service = _pages(100_000)
    with pytest.raises(ResponseParseError, match=f"have more than {most:,} bytes"):
        ask(call, service, max_response_bytes=most)
    asked = next(service.turn)  # type: ignore[attr-defined]  # likewise

    assert asked == pages


def test_what_was_asked_is_not_kept(call: Ask) -> None:
    """However often a service says that there is more, and whatever is to be sent back to it."""

    def parse_response(self: Plain, payload: Any) -> Any:  # noqa: ARG001 - a method
        return NextRequest(HTTPRequest(f"{BASE}/more", {"cursor": payload["next"]}))

    turn = itertools.count()

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"next": f"{next(turn)}{'x' * 50_000}"})

    tracemalloc.start()
    try:
        with pytest.raises(ResponseParseError, match="keeps saying"):
            ask(call, httpx.MockTransport(answer), provider=faulty(parse_response=parse_response))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert most < 20_000_000


def test_pages_below_the_bound_are_put_together(call: Ask) -> None:
    """The bound is no bound of pages."""
    last = httpx.Response(200, json={"results": [{"index": 1, "relevance_score": 0.1}]})
    page = httpx.Response(
        200, json={"results": [{"index": 0, "relevance_score": 0.2}], "next": f"{BASE}/2"}
    )
    response = ask(call, Service(page, last), max_response_bytes=500)

    assert [result.index for result in response.results] == [0, 1]


def test_not_yet_is_heard_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that says "come back later" for ever is given up, without a deadline, too."""
    waited = 0.0

    def sleep(seconds: float) -> None:
        nonlocal waited
        waited += seconds
        if waited > 100_000:
            raise KeyboardInterrupt

    moment = time.monotonic
    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: moment() + waited)
    with pytest.raises(RerankError):
        ask(_by_a_reranker, _pages(10, delay=10))

    assert waited <= 3_600


def _by_a_reranker(model: str, *args: Any, provider: Any, **options: Any) -> Any:
    """A call by a `Reranker` of its own."""
    with Reranker(model, provider=provider, **options) as reranker:
        return reranker.rerank(*args)


# C15: what steers a terminal is escaped, in JSON too.


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no terminals of this kind")
@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "table"])
def test_nothing_steers_the_terminal(tmp_path: Path, options: list[str]) -> None:
    """C1 controls, DEL and what turns the direction of text are shown, not obeyed."""
    import pty  # noqa: PLC0415 - not on Windows

    steering = "\x9b31m \u202e \x7f \u2066 \x1b[2J \u200f \x85"
    file = tmp_path / "documents.jsonl"
    file.write_text(json.dumps(f"red {steering} end") + "\n", encoding="utf-8")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "rerank_core", "rank", "--model", "local/bm25", *options]
    program = subprocess.Popen(  # noqa: S603 - our own
        [*command, "red", str(file)],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "200"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    text = shown.decode()

    assert program.wait(30) == 0, text
    assert "red" in text
    obeyed = [char for char in steering if not char.isascii()] + ["\x7f", "\x1b"]
    assert [ascii(char) for char in obeyed if char in text] == []


# U7 in part: a call that was repeated says so.


def test_a_response_says_how_many_requests_it_took(call: Ask) -> None:
    """Attempts, parts and pages are counted; a ranking in this process takes none."""
    busy = httpx.Response(503, headers={"retry-after-ms": "1"}, json={})
    retried = ask(call, Service(busy, busy, rank))
    split = ask(call, Service(rank), [*"abcde"], facts={"max_documents": 2})
    local = call("local/bm25", "red", ["red", "blue"])
    with pytest.raises(RerankError) as caught:
        ask(call, Service(busy), max_retries=1)

    assert [retried.attempts, split.attempts, local.attempts] == [3, 3, 0]
    assert min(retried.seconds, split.seconds, local.seconds) > 0
    assert caught.value.attempts == 2
    assert caught.value.seconds > 0


def test_no_call_keeps_what_it_was_given(call: Ask, service: Recorder) -> None:
    """Documents and clients of a finished call can be collected at once."""

    class Text(str):
        __slots__ = ()

    call("cohere/m", "q", [Text("a"), Text("b")], api_key=KEY, api_base=service.base_url)
    gc.collect()

    assert [found for found in gc.get_objects() if isinstance(found, Text)] == []
    assert list_providers()
