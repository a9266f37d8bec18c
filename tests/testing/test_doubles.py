"""The doubles for applications' tests: what they rank, note and refuse."""

from __future__ import annotations

import asyncio
import pydoc
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx
import pytest

import rerank_core
import rerank_core.testing
from rerank_core import (
    ConfigurationError,
    ProviderNotFoundError,
    RateLimitError,
    RequestTimeoutError,
    Reranker,
    RerankResponse,
    ServerError,
    UnsupportedParamError,
    arerank,
    register,
    rerank,
    unregister,
)
from rerank_core.testing import FakeProvider
from rerank_core.testing.fixtures import rerank_fake
from testing.test_page import run_pytest

__all__ = ["rerank_fake"]  # a fixture

COLOURS = ["blue", "red", "green"]


def _awaited(*arguments: Any, **options: Any) -> RerankResponse:
    return asyncio.run(arerank(*arguments, **options))


Ask = Callable[..., RerankResponse]
both = pytest.mark.parametrize("ask", [rerank, _awaited], ids=["rerank", "arerank"])


def _pairs(response: RerankResponse) -> list[tuple[int, float]]:
    return [(result.index, result.relevance_score) for result in response]


@both
@pytest.mark.parametrize(
    ("scores", "ranking"),
    [
        (None, [(0, 1.0), (1, 0.5)]),
        ([0.1, 0.2, 0.3], [(2, 0.3), (1, 0.2)]),
        ({"red": 0.7}, [(1, 0.7), (0, 0.0)]),
        (lambda query, document: len(query + document), [(2, 6.0), (0, 5.0)]),
    ],
    ids=["none", "list", "mapping", "function"],
)
def test_scores_are_those_given(ask: Ask, scores: Any, ranking: Any) -> None:
    """By position, by text, or by a function; sorted and cut as core promises."""
    fake = FakeProvider(scores)
    response = ask("m", "q", COLOURS, top_n=2, provider=fake)

    assert _pairs(response) == ranking
    assert response[0].document.original == COLOURS[ranking[0][0]]
    assert (response.provider, response.model, response.attempts) == ("fake", "m", 0)


@both
@pytest.mark.parametrize("model", [None, "cohere/rerank-v3.5", "nvidia_nim/nvidia/a-model"])
def test_a_score_by_text_finds_the_text_of_a_mapping(
    ask: Ask, rerank_fake: FakeProvider, model: str | None
) -> None:
    """As `result.document.text` has it, whatever is sent for the mapping."""
    scores = {"red\nfox": 0.7, "blue": 0.2}
    documents = [{"id": 1, "text": "blue"}, {"text": "red\nfox", "size": 5}, {"id": 3}]
    rerank_fake.scores = scores
    double = {"provider": FakeProvider(scores)} if model is None else {}
    response = ask(model or "m", "q", documents, **double)

    assert _pairs(response) == [(1, 0.7), (0, 0.2), (2, 0.0)]
    assert [result.document.text for result in response][:2] == [*scores]


@pytest.mark.parametrize(
    ("scores", "document"),
    [
        ({"blue": 0.2, "text: blue": 0.9}, "text: blue"),
        ({"red": 0.2, "red\nfox": 0.9}, {"text": "red\nfox", "size": 5}),
        ({"blue": 0.2, "id: 1\ntext: blue": 0.9}, {"id": 1, "text": "blue"}),
    ],
)
def test_a_score_by_text_is_that_of_the_whole_text(scores: dict[str, float], document: Any) -> None:
    """Whatever other text stands within it, and comes first."""
    response = rerank("m", "q", [document], provider=FakeProvider(scores))

    assert _pairs(response) == [(0, 0.9)]


def test_calls_are_counted_and_noted() -> None:
    """With what was asked."""
    fake = FakeProvider(params=["truncation"])
    with Reranker("m", provider=fake) as reranker:
        reranker.rerank("q", COLOURS, 2, truncation=True)
        reranker.rerank("p", ["a"])

    assert fake.calls == 2
    assert [request.query for request in fake.requests] == ["q", "p"]
    assert [*fake.requests[0].documents] == COLOURS
    assert fake.params == [{"top_n": 2, "truncation": True}, {}]
    assert repr(fake) == "FakeProvider('fake', calls=2)"


def test_a_parameter_that_it_was_not_told_of_is_refused() -> None:
    """As a service's plugin would."""
    with pytest.raises(UnsupportedParamError):
        rerank("m", "q", ["a"], provider=FakeProvider(), truncation=True)


def test_other_than_one_score_a_document_is_refused() -> None:
    """A test that is wrong about itself is told so."""
    with pytest.raises(ConfigurationError, match="2 scores for 3 documents"):
        rerank("m", "q", COLOURS, provider=FakeProvider([1, 2]))


@both
def test_errors_come_in_turn(ask: Ask) -> None:
    """An error, a kind of one, a success; then successes for good."""
    slow = RateLimitError("slow down", retry_after=3)
    fake = FakeProvider(errors=[slow, None, ServerError])
    with pytest.raises(RateLimitError, match="slow down") as caught:
        ask("m", "q", COLOURS, provider=fake)
    assert caught.value.retry_after == 3
    assert caught.value is not slow
    assert ask("m", "q", COLOURS, provider=fake).reranked
    with pytest.raises(ServerError, match="a fake failure"):
        ask("m", "q", COLOURS, provider=fake)
    assert ask("m", "q", COLOURS, provider=fake).reranked

    assert fake.calls == 4


def test_errors_reach_fallbacks_and_passthrough() -> None:
    """So that an application's own settings are tried."""
    broken, sound = FakeProvider(errors=[ServerError] * 2), FakeProvider(name="sound")
    other = Reranker("n", provider=sound)

    assert rerank("m", "q", COLOURS, provider=broken, fallbacks=[other]).provider == "sound"
    assert not rerank("m", "q", COLOURS, provider=broken, on_failure="passthrough").reranked


@both
def test_latency_is_slept_by_the_given_clock(ask: Ask) -> None:
    """A test need not wait."""
    slept: list[float] = []
    ask("m", "q", COLOURS, provider=FakeProvider(latency=2.5, sleep=slept.append))

    assert slept == [2.5]


@both
def test_a_deadline_ends_a_slow_call(ask: Ask) -> None:
    """As it ends that of a service."""
    with pytest.raises(RequestTimeoutError):
        ask("m", "q", COLOURS, provider=FakeProvider(latency=1.0), deadline=0.05)


def test_it_can_be_registered() -> None:
    """For an application that names its model in one string."""
    fake = FakeProvider([3, 2, 1], name="mine")
    name = register(fake)
    try:
        assert rerank("mine/any", "q", COLOURS).provider == "mine"
    finally:
        unregister(name)
    assert fake.calls == 1


@both
def test_the_fixture_answers_for_every_service(
    ask: Ask, rerank_fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key; the response says whom the application asked."""
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    rerank_fake.scores = {"red": 1.0}
    response = ask("cohere/rerank-v3.5", "q", COLOURS, top_n=1)

    assert _pairs(response) == [(1, 1.0)]
    assert (response.provider, response.model) == ("cohere", "rerank-v3.5")
    assert [request.query for request in rerank_fake.requests] == ["q"]


def test_the_fixture_answers_rerankers_that_were_made_before(
    request: pytest.FixtureRequest,
) -> None:
    """An application may make its own when it is imported."""
    before = Reranker("cohere/rerank-v3.5", api_key="k-0123456789")
    fake = request.getfixturevalue("rerank_fake")
    before.rerank("q", COLOURS)

    assert fake.calls == 1


def test_the_fixture_finds_mistakes(rerank_fake: FakeProvider) -> None:
    """The application's own plugins are asked."""
    with pytest.raises(ProviderNotFoundError):
        rerank("coherre/rerank-v3.5", "q", COLOURS)
    with pytest.raises(UnsupportedParamError):
        rerank("cohere/rerank-v3.5", "q", COLOURS, truncation=True)

    assert rerank_fake.calls == 0


def test_the_fixture_lets_models_of_this_process_run(rerank_fake: FakeProvider) -> None:
    """They send nothing."""
    assert rerank("local/bm25", "red", COLOURS)[0].document.text == "red"
    assert rerank_fake.calls == 0


def test_a_list_is_split_as_for_the_service(rerank_fake: FakeProvider) -> None:
    """By the plugin's facts, or the application's own bound."""
    rerank_fake.scores = {"d7": 1.0}
    with Reranker("cohere/rerank-v3.5", max_documents=4) as reranker:
        response = reranker.rerank("q", [f"d{at}" for at in range(10)])

    assert response[0].index == 7
    assert rerank_fake.calls == 3


@both
def test_nothing_can_be_sent(ask: Ask, rerank_fake: FakeProvider) -> None:
    """Not even by a plugin whose reply goes on, and not hidden by a passthrough."""
    rerank_fake.errors = []
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    transport = httpx.MockTransport(answer)
    with pytest.MonkeyPatch.context() as patch:
        from rerank_core._resolve.hooks import ProviderHooks  # noqa: PLC0415 - for this alone

        patch.setattr(ProviderHooks, "build_request", _asking)
        with pytest.raises(ConfigurationError, match=r"refuses to send to https://paid\.test"):
            ask(
                "cohere/rerank-v3.5",
                "q",
                COLOURS,
                http_client=transport,
                on_failure="passthrough",
                fallbacks=["cohere/other"],
            )

    assert sent == []


def _asking(*_: Any) -> rerank_core.HTTPRequest:
    return rerank_core.HTTPRequest("https://paid.test/rerank", body={})


_TWO_TESTS = """
import pytest
from rerank_core import MissingAPIKeyError, rerank
from rerank_core.testing import rerank_fake

def test_one(rerank_fake):
    assert rerank("cohere/rerank-v3.5", "q", ["a"])

def test_two(monkeypatch):
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.delenv("CO_API_KEY", raising=False)
    with pytest.raises(MissingAPIKeyError):
        rerank("cohere/rerank-v3.5", "q", ["a"])
"""


@pytest.mark.slow
def test_after_the_test_all_is_as_it_was(tmp_path: Path) -> None:
    """A call with the same arguments needs its key again."""
    (tmp_path / "test_it.py").write_text(_TWO_TESTS, encoding="utf-8")

    assert "2 passed" in run_pytest(tmp_path)


@pytest.mark.slow
def test_the_fixture_can_be_named_as_a_plugin(tmp_path: Path) -> None:
    """In a `conftest.py`, as pytest's users know it."""
    named = 'pytest_plugins = ["rerank_core.testing.fixtures"]'
    (tmp_path / "conftest.py").write_text(named, encoding="utf-8")
    test = "def test_it(rerank_fake): assert rerank_fake.calls == 0"
    (tmp_path / "test_it.py").write_text(test, encoding="utf-8")

    assert "1 passed" in run_pytest(tmp_path)


def test_the_fixture_is_never_loaded_by_itself() -> None:
    """No entry point names it."""
    loaded = [entry.value for entry in entry_points(group="pytest11")]

    assert [value for value in loaded if value.startswith("rerank")] == []


def test_the_doubles_need_neither_pytest_nor_hypothesis() -> None:
    """An application may have another runner, and its image fewer packages."""
    program = (
        "import sys\n"
        "for name in ('pytest', '_pytest', 'hypothesis'): sys.modules[name] = None\n"
        "import rerank_core.testing, pydoc\n"
        "from rerank_core import Reranker\n"
        "fake = rerank_core.testing.FakeProvider([1, 2])\n"
        "print(Reranker('m', provider=fake).rerank('q', ['a', 'b'])[0].index)\n"
        "pydoc.render_doc(rerank_core.testing)\n"
    )
    ran = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "1\n"


def test_help_works_as_the_readme_writes_it() -> None:
    """With nothing imported but `rerank_core`."""
    program = "import rerank_core; help(rerank_core.testing)"
    ran = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "FakeProvider" in ran.stdout
    assert "conformance" in ran.stdout
    assert "FakeProvider" in pydoc.render_doc(rerank_core.testing)


@pytest.mark.parametrize("module", [rerank_core, rerank_core.testing])
def test_a_name_that_is_not_there_is_said(module: Any) -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing
