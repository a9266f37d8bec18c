"""Replies that once came to something else than they should, each with what they must come to."""

from __future__ import annotations

from attrs import frozen

from fuzz.promises import HostileReply
from fuzz.seeds import PLUGINS
from rerank_core import APIStatusError, RerankError, RerankResponse, ResponseParseError
from rerank_core.testing import CANARY

REMOTE = tuple(plugin for plugin in PLUGINS if plugin != "local")
NUMBERED = ("cohere", "infinity", "jina", "litellm-proxy", "scaleway", "together", "vllm")
Kind = type[RerankError] | type[RerankResponse]


@frozen
class Finding:
    """One reply.

    Attributes:
        name: What is wrong with it.
        plugins: Whose services may send it.
        reply: What is sent.
        outcome: What must come of it.
        says: Words in the error's text, or in what the response says of itself.
    """

    name: str
    plugins: tuple[str, ...]
    reply: HostileReply
    outcome: Kind
    says: str = ""


def _deep(count: int, inside: str = "") -> str:
    return "[" * count + inside + "]" * count


def _ranked(first: str, more: str = "") -> bytes:
    """Three results, the first with an index of its own, and what else the reply says."""
    rows = [f'{{"index": {first}, "relevance_score": 0.5}}']
    rows += [f'{{"index": {at}, "relevance_score": 0.25}}' for at in (1, 2)]
    return f'{{"results": [{", ".join(rows)}]{more}}}'.encode()


FINDINGS = (
    Finding(
        "an error nested deeply",
        REMOTE,
        HostileReply(_deep(1000).encode(), 400),
        APIStatusError,
    ),
    Finding(
        "an error's place nested deeply",
        REMOTE,
        HostileReply(f'{{"detail": [{{"loc": {_deep(1000)}, "msg": "no"}}]}}'.encode(), 422),
        APIStatusError,
    ),
    Finding(
        "an index nested deeply",
        NUMBERED,
        HostileReply(_ranked(_deep(1000))),
        ResponseParseError,
        "results[0].index",
    ),
    Finding(
        "a key in an index",
        NUMBERED,
        HostileReply(_ranked(f'"{"x" * 20} {CANARY}"')),
        ResponseParseError,
        "results[0].index",
    ),
    Finding(
        "an identifier nested deeply",
        NUMBERED,
        HostileReply(_ranked("0", f', "id": {_deep(1000)}')),
        RerankResponse,
    ),
    Finding(
        "an identifier that is a number",
        NUMBERED,
        HostileReply(_ranked("0", ', "id": 7')),
        RerankResponse,
    ),
    Finding(
        "a model nested deeply",
        ("infinity",),
        HostileReply(_ranked("0", f', "model": {_deep(1000)}')),
        RerankResponse,
    ),
    Finding(
        "a redirect to no URL",
        REMOTE,
        HostileReply(b"", 302, {"location": "http://["}),
        APIStatusError,
        "status 302",
    ),
    Finding(
        "a redirect to a long URL",
        REMOTE,
        HostileReply(b"", 302, {"location": "/" + "y" * 5000}),
        APIStatusError,
        "status 302",
    ),
    Finding(
        "a key in a warning",
        ("cohere", "azure-ai", "litellm-proxy"),
        HostileReply(_ranked("0", f', "meta": {{"warnings": ["{CANARY} expires"]}}')),
        RerankResponse,
        "[redacted] expires",
    ),
    Finding(
        "a count below zero",
        ("watsonx",),
        HostileReply(
            _ranked("0", ', "input_token_count": -9223372036854775808').replace(
                b"relevance_score", b"score"
            )
        ),
        RerankResponse,
    ),
    Finding(
        "a key after a sign that looks like an escape",
        REMOTE,
        HostileReply(f'{{"code": "{"x" * 60}%{CANARY} y"}}'.encode(), 422),
        APIStatusError,
        "%[redacted] y",
    ),
)
