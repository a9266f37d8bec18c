"""Over a real connection: what libraries log, proxies, asyncio's debug mode, the command line."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from click.testing import CliRunner

from recorder import Reply, recording
from rerank_core import Provider, Reranker, RerankError
from rerank_core._cli.commands import cli
from rerank_core._send.connections import Connections

from .canary import CANARY, TOKEN, found_in, texts_of_error
from .failures import answering
from .places import PROVIDERS, Place, clear_environment, model_of, needed_options
from .test_around import EXCHANGES, failing
from .test_failures import logged

ECHO = Reply(
    {"message": f"wrong key: {CANARY}"}, status=401, headers={"x-sent": quote(CANARY, safe="")}
)
_TESTS = str(Path(__file__).parents[1])
PROVIDER = min(name for name, facts in PROVIDERS.items() if facts.api_key_env)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's takes part."""
    clear_environment(PROVIDERS[PROVIDER], monkeypatch)


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def fail(url: str, *, awaited: bool) -> tuple[list[str], list[str]]:
    """What is written of a call that fails, and what is logged meanwhile."""
    options: dict[str, Any] = {"api_key": CANARY, "api_base": url, "max_retries": 0}
    reranker = Reranker(model_of(PROVIDERS[PROVIDER]), deadline=30, **options)
    with reranker, logged() as log, pytest.raises(RerankError) as caught:  # noqa: PT012 - one call of two
        if awaited:
            asyncio.run(reranker.arerank("query", ["one"]), debug=True)
        else:
            reranker.rerank("query", ["one"])
    # What httpcore logs of a reply's headers is the service's own text.
    own = [text for text in log if "receive_response_headers.complete" not in text]
    return list(texts_of_error(caught.value)), own


@pytest.mark.parametrize("awaited", [False, True])
def test_no_log_shows_a_key(nobody: str, *, awaited: bool) -> None:
    """At any level, of any library, whether there is a reply or not."""
    with recording(ECHO) as recorder:
        refused, log = fail(recorder.base_url, awaited=awaited)
        assert CANARY in recorder.last.headers["authorization"]
    unreachable, more = fail(nobody, awaited=awaited)

    assert any("httpcore" in text for text in log + more)
    assert found_in([*refused, *unreachable, *log, *more], {CANARY}) == []


@pytest.mark.parametrize("awaited", [False, True])
def test_the_key_of_a_proxy_is_not_shown(
    nobody: str, monkeypatch: pytest.MonkeyPatch, *, awaited: bool
) -> None:
    """Whether it cannot be reached or refuses, and quotes what it was given."""
    user = f"user:{quote(CANARY, safe='')}"
    with recording(Reply({"message": f"no: {CANARY}"}, status=407)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.replace("//", f"//{user}@"))
        refused, log = fail("http://service.test", awaited=awaited)
        assert "proxy-authorization" in proxy.last.headers
    monkeypatch.setenv("HTTP_PROXY", nobody.replace("//", f"//{user}@"))
    unreachable, more = fail("http://service.test", awaited=awaited)

    assert found_in([*refused, *unreachable, *log, *more], {CANARY}) == []


def test_a_proxy_that_is_no_url_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that was not encoded breaks the URL, and httpx's error quotes the pieces."""
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{CANARY}@127.0.0.1:9")

    texts, log = fail("http://service.test", awaited=False)

    assert any("no HTTP client can be made (InvalidURL)" in text for text in texts)
    assert "CaNaRy" not in "".join(texts + log)


def test_a_proxy_of_no_known_kind_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which variables to look at."""
    monkeypatch.setenv("HTTP_PROXY", f"nonsense://user:{quote(CANARY, safe='')}@127.0.0.1:9")

    texts, log = fail("http://service.test", awaited=False)

    assert any("HTTPS_PROXY" in text for text in texts)
    assert found_in([*texts, *log], {CANARY}) == []


def test_the_command_line_shows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in its listings nor in its errors."""
    # What is opened here goes through the proxy: no other test is to be given it.
    monkeypatch.setattr("rerank_core._client.functions.SHARED", Connections())
    facts = PROVIDERS[PROVIDER]
    for name in (*facts.api_key_env, *(n for v in facts.secret_options.values() for n in v)):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{quote(CANARY, safe='')}@127.0.0.1:9")
    with recording(ECHO) as recorder:
        monkeypatch.setenv(facts.base_url_env[0], recorder.base_url)
        commands = [["doctor"], ["providers"], ["rank", "--model", model_of(facts), "query", "-"]]
        outcomes = [CliRunner().invoke(cli, command, input="one\ntwo") for command in commands]
        assert CANARY in recorder.last.headers["authorization"]

    assert found_in([outcome.output for outcome in outcomes], {CANARY}) == []
    assert facts.api_key_env[0] in outcomes[0].output


def _locals_of(error: BaseException) -> Iterator[str]:
    """The local variables of our own frames, as tools write them that collect errors."""
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    for frame in found.stack:
        # What the caller gives to `needed_options` and this test stands in their frames.
        if "rerank_" in frame.filename and not frame.filename.startswith(_TESTS):
            for name, value in (frame.locals or {}).items():
                yield f"{frame.name}.{name} = {value}"


def _locals_of_a_failing_call(reranker: Reranker) -> list[str]:
    with pytest.raises(RerankError) as caught:
        reranker.rerank("query", ["one"])
    return list(_locals_of(caught.value))


@pytest.mark.parametrize("key", [f"{CANARY}\n", None], ids=["malformed", "withheld"])
def test_no_local_variable_of_a_refusal_shows_a_key(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a variable; what is an argument, the caller's own frame shows as well."""

    def resolve_provider() -> Provider:
        hosts = {"LEAKY_KEY": ("leaky.test",)}
        url = "https://leaky.test" if key else "https://elsewhere.test"
        return Provider(name="leaky", base_url=url, api_key_env=("LEAKY_KEY",), api_key_hosts=hosts)

    monkeypatch.setenv("LEAKY_KEY", key or CANARY)
    with pytest.raises(RerankError) as caught:
        Reranker("m", provider=failing(resolve_provider=resolve_provider))

    seen = list(_locals_of(caught.value))
    assert any(text.startswith("choose_key.") for text in seen)
    assert found_in(seen, {CANARY}) == []


@pytest.mark.parametrize(
    "outcome",
    [
        httpx.Response(400, json={"error": "no"}),
        httpx.Response(200, json={"access_token": TOKEN}),
        httpx.ConnectError("no"),
    ],
    ids=["refused", "without an end", "no reply"],
)
@pytest.mark.parametrize(
    ("provider", "options"),
    [(name, options) for name, options in EXCHANGES if name != "vertex_ai"],
    ids=["watsonx", "azure_ai"],
)
def test_no_local_variable_of_an_exchange_shows_a_key(
    provider: str,
    options: dict[str, Any],
    outcome: httpx.Response | Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor the token, where it cannot be used; nor where no reply comes."""

    def answer(_: httpx.Request) -> httpx.Response:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    facts = PROVIDERS[provider]
    clear_environment(facts, monkeypatch)
    # A token that another test had in exchange is kept for the same key.
    own = {name: text.replace(CANARY, f"own-{CANARY}") for name, text in options.items()}
    whole, transport = needed_options(facts, Place("", own)), httpx.MockTransport(answer)
    reranker = Reranker(model_of(facts), max_retries=0, http_client=transport, **whole)
    seen = _locals_of_a_failing_call(reranker)

    assert any(text.startswith("exchange.") for text in seen)
    assert found_in(seen, {CANARY, TOKEN}) == []


@pytest.mark.parametrize("raised", [None, httpx.ConnectError("no")], ids=["status", "connection"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_local_variable_of_a_call_shows_a_key(
    provider: str, raised: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a `Reranker` that was made: what holds a key hides it."""
    facts = PROVIDERS[provider]
    clear_environment(facts, monkeypatch)

    def answer(_: httpx.Request) -> httpx.Response:
        if raised:
            raise raised
        return httpx.Response(401, json={"message": "no"})

    given = next(iter(facts.secret_options), "api_key") if not facts.api_key_env else "api_key"
    options = needed_options(facts, Place("", {given: CANARY}))
    transport = httpx.MockTransport(answering(answer))
    reranker = Reranker(model_of(facts), max_retries=0, http_client=transport, **options)
    seen = _locals_of_a_failing_call(reranker)

    assert any(text.startswith("rerank.self") for text in seen)
    assert found_in(seen, {CANARY, TOKEN}) == []


@pytest.mark.parametrize(
    "options",
    [
        {"extra_headers": {"x-token": CANARY}},
        {"extra_body": {"token": CANARY}},
        {"extra_body": {"token": CANARY, "query": "another"}},
        {"api_base": f"https://user:{quote(CANARY, safe='')}@own.test"},
        {"api_base": f"https://own.test/v2?code={quote(CANARY)}"},
    ],
    ids=["header", "body", "refused body", "user", "query"],
)
@pytest.mark.parametrize("status", [200, 401, 503])
def test_no_local_variable_of_a_call_shows_what_is_sent_beside_the_key(
    status: int, options: dict[str, Any]
) -> None:
    """Headers, a body and what stands in the base URL, whatever the call fails of."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=b"<html>"))
    own = {"api_key": "not-the-canary", "max_retries": 0, "http_client": transport, **options}
    reranker = Reranker("cohere/rerank-v3.5", **own)

    seen = _locals_of_a_failing_call(reranker)

    assert any(text.startswith("rerank.self") for text in seen)
    assert found_in(seen, {CANARY}) == []
