"""Keys around a call: fallbacks, warnings, the plugin's own faults, exchanged tokens, odd keys."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from rerank_core import (
    HTTPRequest,
    Provider,
    Reranker,
    RerankError,
    RerankResponse,
    hookimpl,
    wire,
)

from .canary import CANARY, TOKEN, found_in, texts_of_error, texts_of_response
from .failures import answering, echo_of
from .places import PROVIDERS, Place, clear_environment, model_of, needed_options
from .test_failures import logged

EXCHANGES: list[tuple[str, dict[str, Any]]] = [
    ("watsonx", {"api_key": CANARY, "project_id": "p"}),
    ("azure_ai", {"tenant_id": "t", "client_id": "c", "client_secret": CANARY}),
    (
        "vertex_ai",
        {
            "vertex_project": "p",
            "vertex_credentials": {
                "type": "authorized_user",
                "client_id": "c",
                "client_secret": CANARY,
                "refresh_token": CANARY[::-1],
            },
        },
    ),
]


def failing(**hooks: Any) -> SimpleNamespace:
    """A plugin of the simplest kind, some of whose hooks a test replaces."""

    def resolve_provider(options: Mapping[str, Any]) -> Provider:
        return Provider(name="leaky", base_url=options.get("api_base", "https://leaky.test"))

    def map_params(params: Mapping[str, Any]) -> dict[str, Any]:
        return dict(params)

    def build_request(provider: Provider) -> HTTPRequest:
        return HTTPRequest(wire.join_endpoint(provider.base_url or "", "/rerank"), {"query": "q"})

    def parse_response(payload: Any) -> RerankResponse:
        return RerankResponse(wire.read_results(payload["results"]))

    own = (resolve_provider, map_params, build_request, parse_response)
    return SimpleNamespace(**{f.__name__: hookimpl(hooks.get(f.__name__, f)) for f in own})


def keyless(options: Mapping[str, Any]) -> Provider:
    """What a plugin says whose service takes no key."""
    return Provider(name="leaky", base_url=options.get("api_base"), api_key_required=False)


def ask(answer: Any, *, awaited: bool = False, **options: Any) -> RerankResponse:
    """Ask the service that answers so."""
    given = {"max_retries": 0, "http_client": httpx.MockTransport(answer), **options}
    reranker = Reranker(given.pop("model", "m"), **given)
    if awaited:
        return asyncio.run(reranker.arerank("q", ["a", "b"]))
    return reranker.rerank("q", ["a", "b"])


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize(("name", "options"), EXCHANGES, ids=[name for name, _ in EXCHANGES])
def test_no_error_shows_what_was_exchanged(
    name: str,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    *,
    refused: bool,
    awaited: bool,
) -> None:
    """Neither what was given, nor the token, whichever of the two services quotes it."""
    facts, sent = PROVIDERS[name], list[str]()
    clear_environment(facts, monkeypatch)

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(repr((request.headers.raw, request.content)))
        return httpx.Response(403, json={"message": echo_of(request)})

    whole = needed_options(facts, Place("", options))
    with pytest.raises(RerankError) as caught:
        ask(
            answering(answer, refuse_tokens=refused),
            awaited=awaited,
            model=model_of(facts),
            **whole,
        )

    texts = list(texts_of_error(caught.value))
    assert found_in(texts, {CANARY, CANARY[::-1], TOKEN}) == []
    assert any("[redacted]" in text for text in texts)
    assert refused or any(TOKEN in text for text in sent)


KEY_FILE = {"type": "authorized_user", "client_id": "c", "client_secret": "x", "refresh_token": "y"}
TOKEN_SERVICES: list[tuple[str, Any]] = [
    ("watsonx", lambda url: {"api_key": "a-key", "project_id": "p", "iam_url": url}),
    (
        "azure_ai",
        lambda url: {
            "tenant_id": "t",
            "client_id": "c",
            "client_secret": "x",
            "azure_authority_host": url,
        },
    ),
    (
        "vertex_ai",
        lambda url: {"vertex_project": "p", "vertex_credentials": {**KEY_FILE, "token_uri": url}},
    ),
]


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize(
    ("name", "options_at"), TOKEN_SERVICES, ids=[name for name, _ in TOKEN_SERVICES]
)
def test_a_token_service_s_password_is_sent_and_not_shown(
    name: str, options_at: Any, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    """As with that of a base URL: in a header, so that it is in no URL that httpx logs."""
    facts, sent = PROVIDERS[name], list[httpx.Request]()
    clear_environment(facts, monkeypatch)

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return answering(lambda _: httpx.Response(403), refuse_tokens=refused)(request)

    user = f"user-{refused}"  # of its own, as a token is kept
    reranker = Reranker(
        model_of(facts),
        api_base="https://service.test",
        max_retries=0,
        http_client=httpx.MockTransport(answer),
        **options_at(f"https://{user}:{quote(CANARY, safe='')}@tokens.test"),
    )
    with logged(everything=True) as log, pytest.raises(RerankError) as caught:
        reranker.rerank("q", ["a", "b"])

    basic = base64.b64encode(f"{user}:{CANARY}".encode()).decode()
    assert sent[0].headers["authorization"] == f"Basic {basic}"
    assert sent[0].url.host == "tokens.test"
    shown = repr(reranker._routes[0].target)  # noqa: SLF001 - whose repr is looked at
    assert found_in([shown, *log, *texts_of_error(caught.value)], {CANARY}) == []


@pytest.mark.parametrize("hook", ["map_params", "build_request", "parse_response"])
def test_a_broken_plugin_shows_no_key(hook: str) -> None:
    """Nor does what it raised."""

    def broken() -> Any:
        try:
            dict[str, int]()[CANARY]
        except KeyError:
            message = f"no use: {CANARY}"
            raise RuntimeError(message) from ValueError(CANARY)

    with pytest.raises(RerankError) as caught:
        ask(
            lambda _: httpx.Response(200, json={"results": []}),
            provider=failing(**{hook: broken}),
            api_key=CANARY,
        )

    assert found_in(texts_of_error(caught.value), {CANARY}) == []


def test_a_plugin_that_is_broken_from_the_start_shows_no_key() -> None:
    """The base URL that it is told may hold one."""

    def broken(options: Mapping[str, Any]) -> Any:
        raise ValueError(options)

    # A traceback quotes the source, so the secrets do not stand where the call is.
    base = "https://user:canary-of-mine@leaky.test?code=another-of-mine"
    with pytest.raises(RerankError) as caught:
        Reranker("m", provider=failing(resolve_provider=broken), api_base=base)

    assert found_in(texts_of_error(caught.value), {"canary-of-mine", "another-of-mine"}) == []


@pytest.mark.parametrize("awaited", [False, True])
def test_fallbacks_and_the_callers_own_order_show_no_key(*, awaited: bool) -> None:
    """Neither in notes nor in warnings."""
    plugin = failing()
    options: dict[str, Any] = {"provider": plugin, "api_key": CANARY}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, json={"message": "busy " + echo_of(request)})

    again = [Reranker("n", max_retries=0, http_client=httpx.MockTransport(answer), **options)]
    with pytest.raises(RerankError) as caught:
        ask(answer, awaited=awaited, fallbacks=again, **options)
    response = ask(answer, awaited=awaited, fallbacks=again, on_failure="passthrough", **options)

    assert caught.value.__notes__
    assert found_in(texts_of_error(caught.value), {CANARY}) == []
    assert len(response.warnings) == 2
    assert found_in(texts_of_response(response), {CANARY}) == []


@pytest.mark.parametrize(
    "key", [f"{CANARY}\n", f" {CANARY}", f"{CANARY}\nx", f"é{CANARY}", "k" * 9 + "\0"]
)
@pytest.mark.parametrize("place", ["api_key", "extra_headers", "variable"])
def test_a_key_that_cannot_be_sent_is_not_shown(
    place: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused with what to do."""
    facts = PROVIDERS["cohere"]
    clear_environment(facts, monkeypatch)
    given: dict[str, dict[str, Any]] = {
        "api_key": {"api_key": key},
        "extra_headers": {"api_key": "k", "extra_headers": {"x-api-key": key}},
        "variable": {},
    }
    if place == "variable" and "\0" not in key:
        monkeypatch.setenv(facts.api_key_env[0], key)

    with pytest.raises(RerankError) as caught:
        ask(lambda _: httpx.Response(200), model=model_of(facts), **given[place])

    assert found_in(texts_of_error(caught.value), {key}) == []


def test_an_error_that_carries_a_reply_keeps_the_rest_of_it() -> None:
    """Only what is secret is taken out, of body and headers."""
    body = {"message": f"wrong key {CANARY}", "more": [1, 2]}

    with pytest.raises(RerankError) as caught:
        ask(
            lambda _: httpx.Response(400, headers={"x-sent": CANARY, "x-id": "7"}, json=body),
            provider=failing(),
            api_key=CANARY,
        )

    reply = caught.value.response
    assert reply is not None
    assert json.loads(reply.content) == {"message": "wrong key [redacted]", "more": [1, 2]}
    assert (reply.headers["x-sent"], reply.headers["x-id"]) == ("[redacted]", "7")


def test_a_warning_of_the_service_shows_no_key() -> None:
    """It may quote the key as an error does."""

    def parse_response(payload: Any) -> RerankResponse:
        return RerankResponse(wire.read_results(payload["rows"]), warnings=payload["warnings"])

    rows = [{"index": at, "relevance_score": 0.5} for at in range(2)]
    response = ask(
        lambda _: httpx.Response(200, json={"rows": rows, "warnings": [f"old key {CANARY}"]}),
        provider=failing(parse_response=parse_response),
        api_key=CANARY,
    )

    assert found_in(texts_of_response(response), {CANARY}) == []


def test_a_warning_of_the_service_shows_no_header_of_the_callers_own_client() -> None:
    """Of a good reply nobody looks at what was sent."""

    def parse_response(payload: Any) -> RerankResponse:
        return RerankResponse(wire.read_results(payload["rows"]), warnings=payload["warnings"])

    def answer(request: httpx.Request) -> httpx.Response:
        rows = [{"index": at, "relevance_score": 0.5} for at in range(2)]
        said = f"old key {request.headers['x-api-key']}"
        return httpx.Response(200, json={"rows": rows, "warnings": [said]})

    headers = {"x-api-key": CANARY}
    with httpx.Client(headers=headers, transport=httpx.MockTransport(answer)) as client:
        provider = failing(parse_response=parse_response)
        response = ask(None, provider=provider, http_client=client, api_key="of-the-call")

    assert response.warnings == ("old key [redacted]",)


def test_the_authentication_of_the_callers_own_client_is_not_shown() -> None:
    """Where the service quotes it."""
    transport = httpx.MockTransport(lambda r: httpx.Response(401, json={"message": echo_of(r)}))
    client = httpx.Client(transport=transport)

    for auth in (httpx.BasicAuth("user", "another-0123456789"), httpx.BasicAuth("user", CANARY)):
        client.auth = auth  # the latter is given to a client that has sent already
        with pytest.raises(RerankError) as caught:
            ask(None, provider=failing(), http_client=client)

    assert found_in(texts_of_error(caught.value), {CANARY}) == []


@pytest.mark.parametrize("awaited", [False, True])
def test_what_stands_before_an_at_is_sent_as_a_header_and_not_logged(*, awaited: bool) -> None:
    """Each URL is logged by httpx; only whoever is asked learns the password."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(401, json={"message": echo_of(request)})

    hidden = quote(CANARY, safe="")
    with logged(everything=True) as log, pytest.raises(RerankError) as caught:
        ask(
            answer,
            awaited=awaited,
            provider=failing(resolve_provider=keyless),
            api_base=f"https://us%3Aer:{hidden}@leaky.test/v1?a=b",
        )

    assert str(sent[0].url) == "https://leaky.test/v1/rerank?a=b"
    expected = base64.b64encode(f"us:er:{CANARY}".encode()).decode()
    assert sent[0].headers["authorization"] == f"Basic {expected}"
    assert any("HTTP Request: POST https://leaky.test/v1/rerank" in text for text in log)
    assert found_in([*log, *texts_of_error(caught.value)], {CANARY}) == []


def test_a_header_of_the_callers_comes_before_what_stands_before_an_at() -> None:
    """It was given for this very call."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"results": []})

    with contextlib.suppress(RerankError):
        ask(
            answer,
            provider=failing(resolve_provider=keyless),
            api_base="https://user:word@leaky.test",
            extra_headers={"Authorization": "Bearer mine"},
        )

    assert sent[0].headers["authorization"] == "Bearer mine"


@pytest.mark.parametrize(
    "brings",
    [
        {"cookies": {"session": "secret-of-the-client"}},
        {"params": {"code": "secret-of-the-client"}},
        {"headers": {"x-api-key": "secret-of-the-client"}},
    ],
    ids=lambda brings: next(iter(brings)),
)
def test_no_error_shows_what_the_callers_own_client_brings(brings: dict[str, Any]) -> None:
    """Its headers, cookies and query are sent like those that are given here."""

    def answer(request: httpx.Request) -> httpx.Response:
        said = f"{request.url} {request.headers.get('cookie')} {request.headers.get('x-api-key')}"
        return httpx.Response(403, json={"message": said})

    client = httpx.Client(transport=httpx.MockTransport(answer), **brings)
    with client, pytest.raises(RerankError) as caught:
        ask(answer, model="cohere/rerank-v3.5", api_key="not-the-canary", http_client=client)

    texts = list(texts_of_error(caught.value))
    assert found_in(texts, {"secret-of-the-client"}) == []
    assert any("[redacted]" in text for text in texts)
