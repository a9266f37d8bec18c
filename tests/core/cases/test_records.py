"""What a plugin states is validated, and its faults are its own."""

from __future__ import annotations

import datetime as dt
import inspect
import json
import math
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import pytest

import rerank_core
from core.cases.plain import BASE, Ask, Plain, Service, ask, faulty, rows
from rerank_core import (
    APIKeyHeader,
    HTTPRequest,
    HTTPResponse,
    Meta,
    NextRequest,
    PluginError,
    Price,
    Provider,
    RateLimitError,
    Reranker,
    RerankError,
    RerankResponse,
    RerankResult,
    ResponseParseError,
    ServerError,
    hookimpl,
    wire,
)
from rerank_core.tokens import Steps, TokenAuth


def raising(make: Callable[[], Exception]) -> Callable[..., Any]:
    """A hook that raises."""

    def hook(_: Any) -> Any:
        raise make()

    return hook


# C14: facts that cannot be.

IMPOSSIBLE: list[Mapping[str, Any]] = [
    {"max_documents": -5},
    {"max_documents": 0},
    {"max_documents": True},
    {"max_documents": 2.5},
    {"max_request_bytes": -1},
    {"max_request_bytes": "1000"},
    {"max_document_chars": 0},
    {"max_query_chars": -1},
    {"max_tokens": 0},
    {"name": ""},
    {"name": None},
    {"base_url": 5},
    {"base_url": "plain.test"},
    {"api_key_env": ("A", None)},
    {"api_key_env": "PLAIN_API_KEY"},
    {"params": {"top_n": None}},
    {"options": {"a": "NOT_A_TUPLE"}},
    {"retry_statuses": {"409"}},
    {"error_types": {402: ValueError}},
    {"score_kind": "good"},
    {"retires": "soon"},
    {"retires": 20300101},
    {"retry_after_pattern": "("},
    {"retry_after_pattern": "seconds, without a group"},
    {"retry_after_pattern": b"([0-9]+)"},
    {"base_urls_by_key": {"sk-": "plain.test"}},
    {"base_url_required": "no"},
    {"api_key_required": "no"},
    {"takes_mappings": None},
    {"takes_blank_documents": 1},
    {"listwise": "yes"},
    {"models": ("a", 1)},
    {"price": 0.002},
    {"auth": "Bearer"},
    {"auth": []},
    {"auth": {"header": "X-Key"}},
    {"auth": httpx.BasicAuth("user", "password")},
]


@pytest.mark.parametrize("facts", IMPOSSIBLE, ids=lambda facts: repr(facts)[:40])
def test_impossible_facts_are_the_plugins_fault(facts: Mapping[str, Any]) -> None:
    """Said when the `Reranker` is made, with the field's name and the plugin's."""
    (name,) = facts
    with pytest.raises(PluginError, match=name) as caught:
        Reranker("m", provider=Plain(**facts), api_key="k")

    assert "Plain" in str(caught.value) or "plain" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "usd", "unit"),
    [
        ("unit", 1, "searches"),
        ("usd", Decimal("0.002"), "search_units"),
        ("usd", True, "search_units"),
        ("usd", -1, "search_units"),
        ("usd", math.nan, "search_units"),
    ],
)
def test_an_impossible_price_is_the_plugins_fault(name: str, usd: Any, unit: Any) -> None:
    """Whoever counts must know what; a cost is a number that JSON has."""

    def resolve_provider(_: Any) -> Provider:
        return Provider(name="plain", base_url=BASE, price=Price(usd, unit, "2026-01-01"))

    with pytest.raises(PluginError, match=name):
        Reranker("m", provider=faulty(resolve_provider=resolve_provider), api_key="k")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("header", {"header": "Authorization: Token"}),
        ("header", {"header": ""}),
        ("header", {"header": None}),
        ("scheme", {"scheme": "Bearer\n"}),
        ("scheme", {"scheme": "Schlüssel"}),
        ("scheme", {"scheme": None}),
    ],
)
def test_a_header_that_no_request_can_have_is_the_plugins_fault(
    name: str, given: dict[str, Any]
) -> None:
    """Else it is found out when it is sent, and looks like a mistake of the caller's."""

    def resolve_provider(_: Any) -> Provider:
        return Provider(name="plain", base_url=BASE, auth=APIKeyHeader(**given))

    with pytest.raises(PluginError, match=name):
        Reranker("m", provider=faulty(resolve_provider=resolve_provider), api_key="k")


@pytest.mark.parametrize(
    "make",
    [
        lambda: HTTPRequest(f"{BASE}/rerank", {}, delay=None),  # type: ignore[arg-type]  # on purpose
        lambda: HTTPRequest(f"{BASE}/rerank", {}, delay=-1),
        lambda: HTTPRequest(f"{BASE}/rerank", {}, delay=float("nan")),
        lambda: HTTPRequest(f"{BASE}/rerank", {}, headers=["a"]),  # type: ignore[arg-type]  # likewise
        lambda: HTTPRequest(f"{BASE}/rerank", {}, headers={"a": 1}),  # type: ignore[dict-item]  # likewise
        lambda: HTTPRequest(f"{BASE}/rerank", {}, method=""),
        lambda: HTTPRequest(5, {}),  # type: ignore[arg-type]  # likewise
        lambda: HTTPRequest("/rerank", {}),
        lambda: {"url": BASE},
        lambda: None,
    ],
)
def test_a_request_that_cannot_be_sent_is_the_plugins_fault(
    call: Ask, make: Callable[[], Any]
) -> None:
    """Nothing is sent, nothing raw is raised."""
    service = Service()
    with pytest.raises(PluginError) as caught:
        ask(
            call, service, provider=faulty(build_request=lambda _: make()), fallbacks=["local/bm25"]
        )

    assert service.requests == []
    assert "aulty" in str(caught.value) or "plain" in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RerankResponse([RerankResult(0, 0.5)], warnings=(None,)),  # type: ignore[arg-type]  # on purpose
        lambda: RerankResponse([RerankResult(0, 0.5)], warnings="text"),
        lambda: RerankResponse([RerankResult(0, 0.5)], meta={"a": 1}),  # type: ignore[arg-type]  # likewise
        lambda: RerankResponse(None),  # type: ignore[arg-type]  # likewise
        lambda: RerankResponse([{"index": 0}]),  # type: ignore[list-item]  # likewise
        lambda: NextRequest(None),  # type: ignore[arg-type]  # likewise
        lambda: "a ranking",
        lambda: None,
    ],
)
def test_a_response_that_cannot_be_is_never_raw(call: Ask, make: Callable[[], Any]) -> None:
    """The record may stem from the plugin or from the reply; the error is ours either way."""
    with pytest.raises((PluginError, ResponseParseError)):
        ask(call, Service(), ["a"], provider=faulty(parse_response=lambda _: make()))


@pytest.mark.parametrize("wait", ["3", dt.timedelta(seconds=3), "soon", [3], True, math.nan, -1])
def test_a_wait_that_is_no_number_is_read_from_the_reply(call: Ask, wait: Any) -> None:
    """A plugin may hand over a header, or what a reply has in its place."""
    service = Service(httpx.Response(200, headers={"retry-after": "3"}, json={}))
    plugin = faulty(parse_response=raising(lambda: RateLimitError("busy", retry_after=wait)))
    with pytest.raises(RateLimitError, match="busy") as caught:
        ask(call, service, provider=plugin, deadline=2)
    response = ask(call, service, provider=plugin, fallbacks=["local/bm25"])

    assert caught.value.retry_after == 3
    assert response.provider == "local"


@pytest.mark.parametrize("reply", [httpx.Response(429), {"status_code": 429}, 429])
def test_a_reply_of_another_kind_in_an_error_is_never_raw(call: Ask, reply: Any) -> None:
    """An exchange is given a reply of httpx's, and its author may hand that on."""
    make = partial(ServerError, "no", response=reply)

    def exchange() -> Steps:
        yield httpx.Request("POST", f"{BASE}/token")
        raise make()

    facts = {"auth": lambda *_: TokenAuth(exchange)}
    service = Service(httpx.Response(200, json={}))
    with pytest.raises(PluginError, match="response must be an HTTPResponse"):
        ask(call, service, facts=facts)
    with pytest.raises(ResponseParseError, match="response must be an HTTPResponse"):
        ask(call, service, provider=faulty(parse_response=raising(make)))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("status_code", {"status_code": "503"}),
        ("status_code", {"status_code": None}),
        ("headers", {"headers": None}),
        ("headers", {"headers": ["a"]}),
        ("content", {"content": "text"}),
        ("content", {"content": None}),
    ],
)
@pytest.mark.parametrize("hook", ["build_request", "parse_response"])
def test_a_reply_that_cannot_be_is_the_plugins_fault(
    call: Ask, hook: str, name: str, given: dict[str, Any]
) -> None:
    """Who makes one for an error is told which field is wrong."""
    plugin = faulty(
        **{
            hook: raising(
                lambda: ServerError("x", response=HTTPResponse(**{"status_code": 503, **given}))
            )
        }
    )
    with pytest.raises(PluginError, match=name):
        ask(call, Service(), provider=plugin)


@pytest.mark.parametrize("about", ["provider", "model"])
@pytest.mark.parametrize("value", [5, {"id": "m"}, ["m"]], ids=repr)
def test_an_error_about_what_is_no_name_has_a_text(call: Ask, about: str, value: Any) -> None:
    """A plugin may hand over what the reply has in a name's place."""
    given: dict[str, Any] = {about: value}
    plugin = faulty(parse_response=raising(lambda: RateLimitError("busy", **given)))
    with pytest.raises(RateLimitError) as caught:
        ask(call, Service(), provider=plugin, max_retries=0)

    assert "busy" in str(caught.value)


def test_what_authorizes_need_not_be_hashable(call: Ask) -> None:
    """An object with `__call__` and `__eq__`, for example; what it makes is kept all the same."""
    made: list[Any] = []

    class Auth:
        __hash__ = None  # type: ignore[assignment]  # as `__eq__` alone makes it

        def __call__(self, *_: Any) -> Any:
            made.append(self)
            return httpx.BasicAuth("user", "password")

    plugin = Plain(auth=Auth())
    for _ in range(2):
        ask(call, service := Service(), provider=plugin)

    assert service.requests[0].headers["authorization"].startswith("Basic ")
    assert len(made) == 1


@pytest.mark.parametrize("version", [math.nan, {1, 2}, object(), b"1", 2, ["1"]], ids=type)
def test_a_version_of_any_kind_is_json(call: Ask, version: Any) -> None:
    """It stands beside the ranking, and `to_dict` is always ready."""
    answer = RerankResponse([RerankResult(0, 0.5)], meta=Meta(api_version=version))
    response = ask(call, Service(), ["a"], provider=faulty(parse_response=lambda _: answer))

    json.dumps(response.to_dict(), allow_nan=False)
    json.dumps(response["meta"], allow_nan=False)


@pytest.mark.parametrize("cost", ["0.002", [1], {"usd": 1}, math.nan, math.inf, -1, True])
@pytest.mark.parametrize("most", [None, 1])
def test_a_cost_that_is_no_number_is_unknown(call: Ask, cost: Any, most: int | None) -> None:
    """It stands beside the ranking, and does not cost it; the dictionary is JSON."""
    plugin = faulty(
        parse_response=lambda _: RerankResponse([RerankResult(0, 0.5)], cost=cost),
    )
    documents = ["a"] if most is None else ["a", "b"]
    response = ask(call, Service(), documents, provider=plugin, max_documents=most)

    assert response.cost is None
    json.dumps(response.to_dict(), allow_nan=False)


# C14: a typo is no bad reply.


def _misspelt_name() -> Any:
    return wire.read_reslts([])  # type: ignore[attr-defined]  # on purpose


def _unknown_name() -> Any:
    return no_such_name  # type: ignore[name-defined]  # noqa: F821 - on purpose


def _division() -> Any:
    return 1 / len([])


def _unknown_in_package() -> Any:
    return rerank_core.read_results([])  # type: ignore[attr-defined]  # on purpose


def _own_attribute() -> Any:
    return Price(1.0, "search_units", "2026-01-01").unti  # type: ignore[attr-defined]  # on purpose


def _assertion() -> Any:
    raise AssertionError("never")


def _not_done() -> Any:
    raise NotImplementedError


@pytest.mark.parametrize(
    "fault",
    [
        _misspelt_name,
        _unknown_name,
        _unknown_in_package,
        _division,
        _own_attribute,
        _assertion,
        _not_done,
    ],
)
def test_a_fault_of_the_code_is_the_plugins(call: Ask, fault: Callable[[], Any]) -> None:
    """It is no reason to ask somebody else, and the caller hears of it."""
    plugin = faulty(parse_response=lambda _: fault())
    with pytest.raises(PluginError):
        ask(call, Service(), provider=plugin, fallbacks=["local/bm25"], on_failure="passthrough")


@pytest.mark.parametrize(
    "read",
    [
        lambda payload: payload["nothing"],
        lambda payload: payload["results"][99],
        lambda payload: payload["results"]["index"],
        lambda payload: float(payload["text"]),
        lambda payload: payload["text"].items(),
        lambda payload: payload.append(1),
        lambda payload: payload["results"][0].lower(),
        lambda payload: payload["none"].get("index"),
    ],
)
def test_what_the_payload_lacks_is_a_bad_reply(call: Ask, read: Callable[[Any], Any]) -> None:
    """It falls back, as the service may be out of order."""
    plugin = faulty(parse_response=lambda _, payload: read(payload))
    reply = httpx.Response(200, json={"results": rows(2), "text": "words", "none": None})
    with pytest.raises(ResponseParseError):
        ask(call, Service(reply), provider=plugin)
    response = ask(call, Service(reply), ["q a", "b"], provider=plugin, fallbacks=["local/bm25"])

    assert response.provider == "local"


# C22: annotations can be read, and a plugin of wrappers alone says what is wrong.


@pytest.mark.parametrize("public", rerank_core.__all__)
def test_annotations_of_public_names_can_be_read(public: str) -> None:
    """By `typing.get_type_hints`, as frameworks read them."""
    found = getattr(rerank_core, public)
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        return
    typing.get_type_hints(found)
    for name, method in inspect.getmembers(found, inspect.isfunction):
        ours = method.__module__.startswith("rerank_core")
        if name == "__init__" or (ours and not name.startswith("_")):
            typing.get_type_hints(method)


@pytest.mark.parametrize(
    "module", ["wire", "auth", "tokens", "hookspecs", "errors", "events", "testing"]
)
def test_annotations_of_public_modules_can_be_read(module: str) -> None:
    """Likewise of what authors import."""
    found = __import__(f"rerank_core.{module}", fromlist=["*"])
    for name in getattr(found, "__all__", [name for name in vars(found) if name[0] != "_"]):
        value = getattr(found, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            typing.get_type_hints(value)


@pytest.mark.parametrize("hook", ["map_params", "build_request", "parse_response"])
def test_a_hook_of_wrappers_alone_says_what_is_missing(call: Ask, hook: str) -> None:
    """A wrapper wraps something; where there is nothing, the error names the hook."""

    def wrap(_: Any) -> Any:
        return (yield)

    plugin = type("Wrapping", (Plain,), {hook: hookimpl(wrapper=True)(wrap)})()
    with pytest.raises(PluginError, match=hook) as caught:
        ask(call, Service(), provider=plugin)

    assert "generator" not in str(caught.value)


def test_a_wrapper_beside_an_implementation_works(call: Ask) -> None:
    """As pluggy's users know it."""
    seen: list[Any] = []

    class Both(Plain):
        @hookimpl(wrapper=True, specname="parse_response")
        def around(self) -> Any:
            response = yield
            seen.append(response)
            return response

    response = ask(call, Service(), provider=Both())

    assert len(seen) == 1
    assert response.reranked


@pytest.mark.parametrize("error", [RerankError, PluginError])
def test_errors_have_a_plain_text(error: type[RerankError]) -> None:
    """What a plugin raises itself is shown as it is."""
    assert "why" in str(error("why", provider="p", model="m"))
