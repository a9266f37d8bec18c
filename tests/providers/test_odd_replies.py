"""A reply that carries no ranking says what it says, in whatever shape services say it.

One reader in core finds the words, whatever the status; an error that needs no plugin is no
plugin's work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import copy
from typing import Any

import httpx
import pytest

from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RerankError,
    RerankResponse,
    ResponseParseError,
    ServerError,
)
from rerank_core.wire import encode_json
from service import Service, in_turn

from .plugins import ALL, BY_NAME, FINAL_500, Plugin, every_plugin

pytestmark = pytest.mark.slow

Said = tuple[Any, type[APIStatusError], str]

# An error inside a good status.

FINAL: list[Said] = [
    (
        {"object": "error", "message": "bad key", "type": "authentication_error", "code": 401},
        AuthenticationError,
        "bad key",
    ),
    ({"code": 401, "message": "token expired", "data": None}, AuthenticationError, "token expired"),
    ({"code": "401", "msg": "token expired"}, AuthenticationError, "token expired"),
    ({"status": 401, "title": "Unauthorized", "detail": "no key"}, AuthenticationError, "no key"),
    ({"error": {"code": 403, "message": "not yours"}}, PermissionDeniedError, "not yours"),
    ({"statusCode": 403, "message": "not yours"}, PermissionDeniedError, "not yours"),
    ({"error": {"status": 404, "message": "no such model"}}, NotFoundError, "no such model"),
    ({"errors": [{"code": 400, "message": "bad query"}]}, BadRequestError, "bad query"),
    ({"status_code": 422, "detail": [{"msg": "is required"}]}, BadRequestError, "is required"),
    ({"success": False, "message": "invalid token"}, APIStatusError, "invalid token"),
    ({"success": False, "errors": ["one thing", "another"]}, APIStatusError, "one thing"),
    ({"error": "model is loading"}, APIStatusError, "model is loading"),
    ({"error": {"message": "no room"}}, APIStatusError, "no room"),
    ({"detail": "not allowed here"}, APIStatusError, "not allowed here"),
    ({"message": "no such route"}, APIStatusError, "no such route"),
    ({"msg": "no such route"}, APIStatusError, "no such route"),
    ({"errors": {"query": ["is too long"]}}, APIStatusError, "is too long"),
    ({"error": "invalid_token", "error_description": "expired"}, AuthenticationError, "expired"),
    ({"error": "invalid_api_key"}, AuthenticationError, "invalid_api_key"),
    ([{"error": {"code": 403, "message": "not yours"}}], PermissionDeniedError, "not yours"),
]
MAY_PASS: list[Said] = [
    ({"error": {"code": 429, "message": "slow down"}}, RateLimitError, "slow down"),
    ({"code": 429, "message": "slow down", "data": None}, RateLimitError, "slow down"),
    ({"object": "error", "message": "busy", "code": 503}, ServerError, "busy"),
    ({"status": 502, "title": "Bad Gateway", "detail": "no reply"}, ServerError, "no reply"),
    ({"code": "Throttling.BurstRate", "message": "too fast"}, RateLimitError, "too fast"),
    ({"error": "rate_limit_exceeded"}, RateLimitError, "rate_limit_exceeded"),
    ([{"error": {"code": 503, "message": "busy"}}], ServerError, "busy"),
]
INTERNAL: Said = (
    {"status": 500, "title": "Internal", "detail": "no memory"},
    ServerError,
    "no memory",
)


def _outcome(plugin: Plugin, reply: Any, **options: Any) -> RerankResponse | RerankError:
    try:
        return plugin.ask(Service(reply), **options)
    except RerankError as error:
        return error


def _id_of(said: Said) -> str:
    body, _, words = said
    return f"{'-'.join(body) if isinstance(body, dict) else 'list'}-{words}"


def _code_of(kind: type[APIStatusError]) -> int:
    return {AuthenticationError: 401, PermissionDeniedError: 403, NotFoundError: 404}.get(kind, 0)


@every_plugin
@pytest.mark.parametrize("said", FINAL, ids=_id_of)
def test_an_error_inside_a_200_is_that_error(plugin: Plugin, said: Said) -> None:
    """Typed by its code, with the service's words; nobody else is asked, nothing passes."""
    body, kind, words = said
    with pytest.raises(APIStatusError) as caught:
        plugin.ask(Service(body), fallbacks=["local/bm25"], on_failure="passthrough")

    stated = plugin.facts.error_types.get(_code_of(kind), kind)  # a service may mean another
    assert isinstance(caught.value, stated), repr(caught.value)
    assert words in str(caught.value)
    assert "KeyError" not in str(caught.value)
    assert caught.value.status_code == 200


@every_plugin
@pytest.mark.parametrize("said", MAY_PASS, ids=_id_of)
def test_an_error_inside_a_200_that_may_pass_is_retried(plugin: Plugin, said: Said) -> None:
    """Like the status that it carries; then fallbacks have their turn."""
    _check_passing(plugin, said)


@every_plugin
def test_a_500_inside_a_200_is_what_the_service_means_by_one(plugin: Plugin) -> None:
    """Retried, unless its 500 is about the request."""
    if plugin.name not in FINAL_500:
        _check_passing(plugin, INTERNAL)
        return
    body, kind, words = INTERNAL
    service = Service(body)
    with pytest.raises(kind, match=words):
        plugin.ask(service, max_retries=1, fallbacks=["local/bm25"])

    assert len(service.requests) == 1


def _check_passing(plugin: Plugin, said: Said) -> None:
    body, kind, words = said
    busy = httpx.Response(200, json=body, headers={"retry-after-ms": "1"})
    retried = plugin.ask(Service(in_turn(busy, plugin.reply())), max_retries=1)
    fallen = plugin.ask(Service(busy), fallbacks=["local/bm25"])
    with pytest.raises(kind, match=words):
        plugin.ask(Service(busy))

    assert [result.index for result in retried.results] == [0, 1, 2]
    assert fallen.provider == "local"


@every_plugin
@pytest.mark.parametrize("status", [200, 400])
def test_a_title_and_a_message_are_both_shown(plugin: Plugin, status: int) -> None:
    """Where a body has two sentences, neither is lost."""
    body = {"title": "Quota used up", "message": "wait until tomorrow", "code": 400}
    shown = str(_outcome(plugin, httpx.Response(status, json=body)))

    assert "Quota used up" in shown
    assert "wait until tomorrow" in shown


PAGE = b"<!DOCTYPE html><html><head><title>Sign on</title></head><body>Please do</body></html>"


@every_plugin
@pytest.mark.parametrize(
    ("content", "kind"),
    [(PAGE, "text/html"), (b"\n" + PAGE[15:], "application/json"), (b"\xef\xbb\xbf" + PAGE, "")],
    ids=["html", "html as json", "with a mark"],
)
def test_a_page_is_told_as_one(plugin: Plugin, content: bytes, kind: str) -> None:
    """It says that it is HTML, and how it begins: that of a sign-on, usually."""
    reply = httpx.Response(200, content=content, headers={"content-type": kind} if kind else {})
    error = _outcome(plugin, reply)
    fallen = plugin.ask(Service(reply), fallbacks=["local/bm25"])

    assert isinstance(error, ResponseParseError), repr(error)
    assert "HTML" in str(error)
    assert "Sign on" in str(error)
    assert fallen.provider == "local"


@every_plugin
@pytest.mark.parametrize("content", [b"", b" \n"], ids=["nothing", "blank"])
def test_an_empty_reply_is_told_as_one(plugin: Plugin, content: bytes) -> None:
    """In words, not in Python's."""
    error = _outcome(plugin, httpx.Response(200, content=content))

    assert isinstance(error, ResponseParseError), repr(error)
    assert "empty" in str(error)


@every_plugin
@pytest.mark.parametrize(
    "content",
    [
        b'{"results": [',
        b"plain words of a gateway",
        b"event: ping\ndata: {}\n\n",
        b'{"choices": [{"text": "a chat model"}]}',
    ],
    ids=["cut", "text", "events", "chat"],
)
def test_what_is_no_ranking_shows_its_beginning(plugin: Plugin, content: bytes) -> None:
    """So that whoever knows the service recognises it."""
    error = _outcome(plugin, httpx.Response(200, content=content))

    assert isinstance(error, ResponseParseError), repr(error)
    assert content[2:9].decode() in str(error)


# Another well-known shape where an object was expected.

# But for the plugin that reads a list as well.
OBJECTS = [
    plugin for plugin in ALL if isinstance(plugin.reply(), dict) and plugin.name != "compatible"
]
LISTS: list[Any] = [
    [{"index": 0, "score": 0.5}, {"index": 1, "score": 0.4}],
    [0.5, 0.4],
    ["a", "b"],
    [[0, 0.5]],
    [],
]
OF_PYTHON = ("subscriptable", "indices must be", "attribute", "KeyError", "TypeError")


@pytest.mark.parametrize("plugin", OBJECTS, ids=[plugin.name for plugin in OBJECTS])
@pytest.mark.parametrize("body", LISTS, ids=["objects", "numbers", "strings", "pairs", "empty"])
def test_a_list_where_an_object_was_expected_is_told(plugin: Plugin, body: Any) -> None:
    """In words that say what came and what was expected."""
    error = _outcome(plugin, httpx.Response(200, json=body))

    assert isinstance(error, ResponseParseError), repr(error)
    assert f"is a list, where an object with {error.path!r} was expected" in str(error)
    assert "docs/servers.md" in str(error)
    assert [word for word in OF_PYTHON if word in str(error)] == []


@pytest.mark.parametrize("name", ["compatible", "huggingface", "sagemaker"])
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(0, 0.5), (7, 0.4), (1, 0.3)], "outside the 3 documents"),
        ([(0, 0.5), (0, 0.4), (1, 0.3)], "stands twice"),
        ([(0, 0.5), (1, "x"), (2, 0.3)], "is not a number"),
        ([(0, 0.5)], "ranks 1 documents where 3 were asked for"),
    ],
    ids=["outside", "twice", "no number", "few"],
)
def test_what_is_wrong_in_a_list_that_was_expected_is_told(
    name: str, rows: list[tuple[int, Any]], said: str
) -> None:
    """That it is a list is not what is wrong with it."""
    body = [{"index": index, "score": score} for index, score in rows]
    error = _outcome(BY_NAME[name], httpx.Response(200, json=body))

    assert isinstance(error, ResponseParseError), repr(error)
    assert said in str(error)
    assert "was expected" not in str(error)


@every_plugin
@pytest.mark.parametrize("body", ["a sentence", 5, True, 0.5, None], ids=repr)
def test_a_single_value_is_told(plugin: Plugin, body: Any) -> None:
    """Likewise; it is no error of Python's."""
    error = _outcome(plugin, httpx.Response(200, json=body))

    assert isinstance(error, (ResponseParseError, APIStatusError)), repr(error)
    assert [word for word in OF_PYTHON if word in str(error)] == []


@pytest.mark.parametrize("plugin", OBJECTS, ids=[plugin.name for plugin in OBJECTS])
def test_the_part_of_a_reply_that_is_of_another_kind_is_told(plugin: Plugin) -> None:
    """By its place, in words that are none of Python's, whichever part it is."""
    good, names = plugin.reply(), set()
    for body in _damaged(good):
        error = _outcome(plugin, httpx.Response(200, json=body))
        if isinstance(error, RerankResponse):
            continue  # what stands beside a ranking
        assert isinstance(error, ResponseParseError), repr(error)
        assert [word for word in OF_PYTHON if word in str(error)] == []
        names.add(re.split(r"[.[]", error.path)[0])

    assert names
    assert names <= {*good}


def _damaged(body: Any) -> Iterator[Any]:
    """The reply with each of its objects and lists in turn replaced; of a list the first."""
    places = body.items() if isinstance(body, dict) else enumerate(body[:1])
    for place, inner in places:
        if isinstance(inner, (dict, list)):
            for other in (None, "text", 5, True, *_damaged(inner)):
                changed = copy(body)
                changed[place] = other
                yield changed


@every_plugin
def test_a_ranking_that_says_that_it_failed_is_none(plugin: Plugin) -> None:
    """Whatever stands where a ranking would."""
    good = plugin.reply()
    if isinstance(good, dict):
        found = _outcome(plugin, good | {"success": False, "message": "no ranking today"})

        assert isinstance(found, RerankError)
        assert "no ranking today" in found.message


# A ranking beside what says that all is well, or beside half an emoji, is a ranking.


@every_plugin
def test_a_ranking_that_says_that_all_is_well_is_one(plugin: Plugin) -> None:
    """Words that errors have, too, do not make one of it."""
    good = plugin.reply()
    well: list[dict[str, Any]] = [
        {"error": None},
        {"errors": []},
        {"success": True, "code": 200, "message": "ok"},
        {"status": "ok", "detail": None},
        {"message": "", "msg": "success"},
        {"object": "list", "code": 0},
    ]
    bodies = [good | beside for beside in well] if isinstance(good, dict) else [good]

    outcomes = [_outcome(plugin, body) for body in bodies]
    assert [found for found in outcomes if not isinstance(found, RerankResponse)] == []


@every_plugin
@pytest.mark.parametrize(
    "escape",
    ["\\ud83d", "\\udc00", "\\ud83d\\ud83d", "\\udc00\\ud83d"],
    ids=["high", "low", "twice", "swapped"],
)
def test_a_ranking_is_not_lost_for_half_an_emoji(plugin: Plugin, escape: str) -> None:
    """A gateway that cuts texts in JavaScript leaves lone surrogates in an echoed document."""
    text = encode_json(_marked(plugin.reply())).replace(b"CUT", f"cut {escape}".encode())
    found = _outcome(plugin, httpx.Response(200, content=text))

    assert isinstance(found, RerankResponse), found
    assert [result.index for result in found.results] == [0, 1, 2]


def _marked(body: Any) -> Any:
    """The reply with a text more in each of its objects."""
    if isinstance(body, list):
        return [_marked(row) for row in body]
    if not isinstance(body, dict):
        return body
    return {"echoed": "CUT", **{name: _marked(value) for name, value in body.items()}}


# Usage in other usual places.


# The others document no usage, another word for it, or a list, beside which nothing stands.
_USUAL = (
    "azure_ai",
    "cohere",
    "compatible",
    "fireworks",
    "infinity",
    "jina",
    "litellm_proxy",
    "llamacpp",
    "mixedbread",
    "nvidia_nim",
    "openrouter",
    "scaleway",
    "together",
    "vllm",
    "voyage",
)


@pytest.mark.parametrize("name", _USUAL)
@pytest.mark.parametrize(
    "beside",
    [
        {"meta": {"billed_units": {"input_tokens": 118}}},
        {"meta": {"tokens": {"input_tokens": 118}}},
        {"usage": {"prompt_tokens": 118, "total_tokens": 118}},
        {"usage": {"input_tokens": 118}},
        {"usage": {"total_tokens": 118}},
    ],
    ids=["billed", "tokens", "openai", "input", "total"],
)
def test_usage_is_read_where_it_usually_stands(name: str, beside: dict[str, Any]) -> None:
    """118 tokens are 118 tokens."""
    plugin = BY_NAME[name]
    body = {field: value for field, value in plugin.reply().items() if field != "usage"}
    response = plugin.ask(Service({**body, "meta": {}, **beside}))

    assert response.meta.tokens.input_tokens == 118


@pytest.mark.parametrize("name", [*_USUAL, "dashscope", "isaacus", "siliconflow"])
@pytest.mark.parametrize(
    "beside",
    [
        {"meta": {"billed_units": {"input_tokens": 118.0}}},
        {"usage": {"input_tokens": 118}},
        {"usage": {"prompt_tokens": 118.0}},
        {"usage": {"text_tokens": 118, "total_tokens": None}},
    ],
    ids=["billed", "input", "prompt", "text"],
)
def test_what_went_in_is_billed_where_no_total_is_stated(name: str, beside: dict[str, Any]) -> None:
    """As an integer or not: JavaScript and Go write both."""
    plugin = BY_NAME[name]
    body = {field: value for field, value in plugin.reply().items() if field != "usage"}
    meta = plugin.ask(Service({**body, "meta": {}, **beside})).meta

    assert (meta.tokens.input_tokens, meta.billed_units.total_tokens) == (118, 118)


def test_usage_without_a_total_costs_what_the_list_says() -> None:
    """Five hundredths of a dollar for a million tokens."""
    plugin = BY_NAME["voyage"]
    response = plugin.ask(Service({**plugin.reply(), "usage": {"input_tokens": 1_000_000}}))

    assert response.cost == pytest.approx(0.05)
