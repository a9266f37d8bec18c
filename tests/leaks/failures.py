"""What can go wrong with a request, by a service that quotes all that it was sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote, unquote

import httpx

from .canary import CANARY, TOKEN, encodings, sent_secrets

Answer = Callable[[httpx.Request], httpx.Response]


def _plain_forms(secret: str) -> Iterator[str]:
    """Its encodings, but for JSON's where JSON holds it: the reply itself is written so."""
    return (form for form in encodings(secret) if "\\" not in form)


def echo_of(request: httpx.Request) -> str:
    """All of a request in words, and each secret in it as services encode one."""
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    secrets = [CANARY, *sent_secrets(request)]
    encoded = [form for secret in secrets for form in _plain_forms(secret)]
    url = str(request.url)
    content = request.content.decode(errors="replace").replace(json.dumps(CANARY)[1:-1], CANARY)
    return " | ".join(["you sent", *encoded, *lines, url, unquote(url), content])


def _said(status: int) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        echo = echo_of(request)
        headers = {f"x-sent-{name}": value for name, value in request.headers.items()}
        body = {"error": {"message": echo, "type": CANARY}, "message": echo, "detail": echo}
        return httpx.Response(status, headers={**headers, "retry-after-ms": "1"}, json=body)

    return answer


def _text(status: int, form: str = "{}", **headers: str) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=headers, text=form.replace("{}", echo_of(request)))

    return answer


def _cut_at(place: int) -> Answer:
    """An error whose message is cut in the middle of the canary, wherever that is."""

    def answer(request: httpx.Request) -> httpx.Response:
        secret = sent_secrets(request) or [CANARY]
        text = "x" * place + secret[0] + CANARY + "y" * 2000
        return httpx.Response(400, json={"message": text})

    return answer


def _location(where: str) -> Answer:
    return lambda _: httpx.Response(
        302, headers={"location": where.replace("{}", quote(CANARY, safe=""))}
    )


def _raising(kind: type[httpx.TransportError]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise kind(f"failed: {echo_of(request)!r}", request=request) from ValueError(CANARY)

    return answer


def _json(reply: Mapping[str, object], status: int = 200) -> Answer:
    return lambda _: httpx.Response(status, json=reply)


def failures() -> Iterator[tuple[str, Answer]]:
    """Each by its name."""
    for kind in (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.ReadTimeout,
        httpx.ReadError,
        httpx.ProxyError,
        httpx.RemoteProtocolError,
        httpx.LocalProtocolError,
        httpx.UnsupportedProtocol,
    ):
        yield kind.__name__, _raising(kind)
    for status in (400, 401, 403, 404, 409, 422, 429, 500, 503):
        yield f"status {status}", _said(status)
    yield "text", _text(400)
    yield "page", _text(502, "<html><body><pre>{}</pre></body></html>")
    yield "no UTF-8", lambda _: httpx.Response(500, content=b"\xff\xfe " + CANARY.encode())
    for place in (480, 490, 498, 19_990):
        yield f"cut at {place}", _cut_at(place)
    yield "redirect to user-info", _location("https://user:{}@elsewhere.test/{}")
    yield "redirect to query", _location("/path?key={}")
    yield "garbage", _text(200, "no json {}")
    yield "garbage JSON", _text(200, '["{}')
    yield "error in success", _said(200)
    yield "wrong shape", _json({"results": CANARY, "data": CANARY, "scores": CANARY})
    row = {"index": CANARY, "relevance_score": CANARY, "score": CANARY, "id": CANARY}
    yield "wrong rows", _json({"results": [row], "records": [row], "rankings": [row]})
    yield "next page elsewhere", _json({"results": [], "nextToken": CANARY}, 202)


def answering(answer: Answer, *, refuse_tokens: bool = False) -> Answer:
    """The answer to a ranking's request; a token service in front gives a token, or refuses."""

    def handle(request: httpx.Request) -> httpx.Response:
        if "form-urlencoded" not in request.headers.get("content-type", ""):
            return answer(request)
        if refuse_tokens:
            return _said(400)(request)
        lasts = {"expires_in": 3600, "expiration": 4_000_000_000}
        return httpx.Response(200, text=json.dumps({"access_token": TOKEN, **lasts}))

    return handle
