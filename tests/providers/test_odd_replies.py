"""A reply that carries no ranking says what it says; one that does is not lost for what is beside.

Over all plugins: one reader in core finds what a reply says, whatever its status.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from providers.cases import CASES, RANKING, ask, every_case, good
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RerankError,
    ResponseParseError,
    ServerError,
)
from rerank_core.testing import Case

# S2: an error inside a good status.

WITH_A_CODE: list[tuple[Any, type[APIStatusError], str]] = [
    (
        {
            "object": "error",
            "message": "Invalid API key",
            "type": "authentication_error",
            "code": 401,
        },
        AuthenticationError,
        "Invalid API key",
    ),
    ({"code": 401, "message": "token expired", "data": None}, AuthenticationError, "token expired"),
    ({"code": "401", "msg": "token expired"}, AuthenticationError, "token expired"),
    ({"status": 401, "title": "Unauthorized", "detail": "no key"}, AuthenticationError, "no key"),
    ({"error": {"code": 403, "message": "not yours"}}, PermissionDeniedError, "not yours"),
    ({"statusCode": 403, "message": "not yours"}, PermissionDeniedError, "not yours"),
    ({"error": {"status": 404, "message": "no such model"}}, NotFoundError, "no such model"),
    ({"errors": [{"code": 400, "message": "bad query"}]}, BadRequestError, "bad query"),
    (
        {"status_code": 422, "detail": [{"msg": "field required"}]},
        BadRequestError,
        "field required",
    ),
]
MAY_PASS: list[tuple[Any, type[APIStatusError], str]] = [
    ({"error": {"code": 429, "message": "slow down"}}, RateLimitError, "slow down"),
    ({"code": 429, "message": "slow down", "data": None}, RateLimitError, "slow down"),
    ({"object": "error", "message": "busy", "code": 503}, ServerError, "busy"),
    ({"status": 500, "title": "Internal", "detail": "out of memory"}, ServerError, "out of memory"),
]
WITHOUT_A_CODE: list[tuple[Any, str]] = [
    ({"success": False, "message": "invalid token"}, "invalid token"),
    ({"success": False, "errors": ["one thing", "another"]}, "one thing"),
    ({"error": "model is loading"}, "model is loading"),
    ({"error": {"message": "no room"}}, "no room"),
    ({"detail": "not allowed here"}, "not allowed here"),
    ({"message": "no such route"}, "no such route"),
    ({"msg": "no such route"}, "no such route"),
    ({"errors": {"query": ["is too long"]}}, "is too long"),
]
both_ways = pytest.mark.parametrize("awaited", [False, True], ids=["rerank", "arerank"])


def _say(body: Any) -> str:
    return "-".join(map(str, body))[:40]


@every_case
@pytest.mark.parametrize(
    ("body", "kind", "words"), WITH_A_CODE, ids=[_say(body) for body, *_ in WITH_A_CODE]
)
def test_an_error_inside_a_200_is_that_error(
    case: Case, body: Any, kind: type[APIStatusError], words: str
) -> None:
    """Typed by its code, with the service's words; nobody else is asked, nothing is passed on."""
    with pytest.raises(APIStatusError) as caught:
        ask(case, body, fallbacks=["local/bm25"], on_failure="passthrough")

    assert isinstance(caught.value, kind), repr(caught.value)
    assert words in str(caught.value)
    assert caught.value.status_code == 200


@every_case
@pytest.mark.parametrize(
    ("body", "kind", "words"), MAY_PASS, ids=[_say(body) for body, *_ in MAY_PASS]
)
def test_one_that_may_pass_is_retried(
    case: Case, body: Any, kind: type[APIStatusError], words: str
) -> None:
    """Like the status that it carries; then fallbacks have their turn."""
    busy = httpx.Response(200, json=body, headers={"retry-after-ms": "1"})
    retried = ask(case, busy, good(case), max_retries=1)
    fallen = ask(case, busy, fallbacks=["local/bm25"])
    with pytest.raises(kind, match=words):
        ask(case, busy)

    assert [result.index for result in retried.results] == [1, 0]
    assert fallen.provider == "local"


@every_case
@pytest.mark.parametrize(
    ("body", "words"), WITHOUT_A_CODE, ids=[_say(body) for body, *_ in WITHOUT_A_CODE]
)
def test_an_error_without_a_code_has_the_services_words(case: Case, body: Any, words: str) -> None:
    """It is final: nobody knows that it may pass."""
    with pytest.raises(APIStatusError) as caught:
        ask(case, body, fallbacks=["local/bm25"], on_failure="passthrough")

    assert words in str(caught.value)
    assert "KeyError" not in str(caught.value)


@every_case
@pytest.mark.parametrize("status", [200, 400])
def test_a_title_and_a_message_are_both_shown(case: Case, status: int) -> None:
    """Where a body has two sentences, neither is lost."""
    body = {"title": "Quota used up", "message": "wait until tomorrow", "code": 400}
    with pytest.raises(RerankError) as caught:
        ask(case, httpx.Response(status, json=body))

    assert "Quota used up" in str(caught.value)
    assert "wait until tomorrow" in str(caught.value)


PAGE = b"<!DOCTYPE html><html><head><title>Sign on</title></head><body>Please sign on</body></html>"


@every_case
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PAGE, "text/html"),
        (b"\n" + PAGE[15:], "application/json"),
        (b"\xef\xbb\xbf" + PAGE, ""),
    ],
    ids=["html", "html as json", "with a mark"],
)
def test_a_page_is_told_as_one(case: Case, content: bytes, kind: str) -> None:
    """It says that it is HTML, and how it begins: that of a sign-on, usually."""
    reply = httpx.Response(200, content=content, headers={"content-type": kind} if kind else {})
    with pytest.raises(ResponseParseError, match="HTML") as caught:
        ask(case, reply)

    assert "Sign on" in str(caught.value)
    assert ask(case, reply, fallbacks=["local/bm25"]).provider == "local"


@every_case
@pytest.mark.parametrize("content", [b"", b" \n", b"null"], ids=["nothing", "blank", "null"])
def test_an_empty_reply_is_told_as_one(case: Case, content: bytes) -> None:
    """In words, not in Python's."""
    with pytest.raises(ResponseParseError, match="empty") as caught:
        ask(case, httpx.Response(200, content=content))

    assert "NoneType" not in str(caught.value)


@every_case
@pytest.mark.parametrize(
    "content", [b'{"results": [', b"plain words of a gateway", b"event: ping\ndata: {}\n\n"]
)
def test_what_is_no_json_shows_its_beginning(case: Case, content: bytes) -> None:
    """So that whoever knows the service recognises it."""
    with pytest.raises(ResponseParseError) as caught:
        ask(case, httpx.Response(200, content=content))

    assert content[:10].decode() in str(caught.value)


@every_case
def test_an_object_of_another_kind_shows_its_beginning(case: Case) -> None:
    """A body that says nothing known, and carries no ranking."""
    with pytest.raises(ResponseParseError) as caught:
        ask(case, {"choices": [{"text": "a chat model's words"}]})

    assert "choices" in str(caught.value)


# S3: another well-known shape where one was expected.

LISTS = ("huggingface", "huggingface-router_case")
OBJECTS = {name: case for name, case in CASES.items() if name not in LISTS}
SHAPES: list[Any] = [
    [{"index": 0, "score": 0.5}, {"index": 1, "score": 0.4}],
    [0.5, 0.4],
    ["a", "b"],
    [[0, 0.5]],
]


@pytest.mark.parametrize("case", OBJECTS.values(), ids=OBJECTS)
@pytest.mark.parametrize("body", SHAPES, ids=["objects", "numbers", "strings", "pairs"])
def test_a_list_where_an_object_was_expected_is_told(case: Case, body: Any) -> None:
    """In words that say what came and what was expected."""
    with pytest.raises(ResponseParseError, match="list") as caught:
        ask(case, body)

    assert "indices must be" not in str(caught.value)
    assert "attribute" not in str(caught.value)
    assert caught.value.response is not None


@every_case
@pytest.mark.parametrize(
    "body", ["a sentence", 5, True, 0.5], ids=["string", "number", "boolean", "float"]
)
def test_a_single_value_is_told(case: Case, body: Any) -> None:
    """Likewise; it is no error of Python's."""
    with pytest.raises(RerankError) as caught:
        ask(case, httpx.Response(200, json=body))

    shown = str(caught.value)
    assert isinstance(caught.value, (ResponseParseError, APIStatusError))
    assert [
        word
        for word in ("subscriptable", "indices must be", "attribute", "KeyError")
        if word in shown
    ] == []


# S6: usage in other usual places.


@pytest.mark.parametrize(
    "name", ["cohere", "jina", "together", "vllm", "litellm-proxy", "infinity"]
)
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
    body = {key: value for key, value in good(CASES[name]).items() if key not in ("meta", "usage")}
    response = ask(CASES[name], body | beside)

    assert response.meta.tokens.input_tokens == 118


# S7: what stands beside a ranking never costs it.

BESIDE: list[dict[str, Any]] = [
    {"meta": []},
    {"meta": "text"},
    {"meta": {"billed_units": []}},
    {"meta": {"billed_units": {"search_units": "many"}}},
    {"meta": {"tokens": 5}},
    {"meta": {"warnings": {"a": 1}}},
    {"meta": {"api_version": 2}},
    {"usage": "text"},
    {"usage": []},
    {"usage": {"total_tokens": "12"}},
    {"usage": {"prompt_tokens": -1, "total_tokens": 1e400}},
    {"usage": 12},
    {"id": 1.5},
    {"id": {"a": 1}},
    {"id": []},
    {"id": None},
    {"id": True},
    {"request_id": {"a": 1}},
    {"model": {"a": 1}},
    {"model": 5},
    {"system": "text"},
    {"system": []},
    {"system": {"warnings": "text"}},
    {"warnings": 5},
    {"warnings": [None, {"a": 1}]},
    {"object": 5},
    {"input_token_count": "12"},
    {"error": None},
    {"errors": []},
    {"success": True, "code": 200, "message": "ok"},
    {"status": "ok", "detail": None},
    {"message": "", "msg": "success"},
]


@pytest.mark.parametrize("case", OBJECTS.values(), ids=OBJECTS)
@pytest.mark.parametrize("beside", BESIDE, ids=repr)
def test_a_ranking_is_not_lost_for_what_stands_beside_it(
    case: Case, beside: dict[str, Any]
) -> None:
    """What cannot be read is absent."""
    text = _as_json(good(case) | beside)
    response = ask(case, httpx.Response(200, content=text))

    assert [(result.index, result.relevance_score) for result in response.results] == RANKING
    assert response.reranked


def _as_json(body: Any) -> bytes:
    import json  # noqa: PLC0415 - infinity is written as a number that is too large

    return json.dumps(body).replace("Infinity", "1e400").encode()


@every_case
@both_ways
@pytest.mark.parametrize(
    "value",
    [
        "9" * 5_000,
        "-" + "9" * 5_000,
        "1e999999",
        "nan",
        "\xe4",
        "soon",
    ],
    ids=["digits", "negative", "exponent", "nan", "bytes", "word"],
)
def test_a_ranking_is_not_lost_for_a_header(case: Case, value: str, *, awaited: bool) -> None:
    """Headers of limits, billing and ids are read as far as they can be."""
    names = (
        "x-ratelimit-reset",
        "x-ratelimit-remaining-tokens",
        "retry-after",
        "x-total-tokens",
        "x-request-id",
        "x-compute-tokens",
        "x-litellm-response-cost",
        "x-amzn-bedrock-input-token-count",
        "x-global-transaction-id",
    )
    headers = [(name.encode(), value.encode("latin-1")) for name in names]
    reply = httpx.Response(200, json=good(case), headers=headers)
    response = ask(case, reply, awaited=awaited)

    assert [result.index for result in response.results] == [1, 0]


@every_case
@pytest.mark.parametrize(
    "escape",
    ["\\ud83d", "\\udc00", "\\ud83d\\ud83d", "\\udc00\\ud83d"],
    ids=["high", "low", "twice", "swapped"],
)
def test_a_ranking_is_not_lost_for_half_an_emoji(case: Case, escape: str) -> None:
    """A gateway that cuts texts in JavaScript leaves lone surrogates in an echoed document."""
    body = good(case)
    marked = _mark(body)
    text = _as_json(marked).replace(b"CUT-HERE", f"cut here {escape}".encode())
    response = ask(case, httpx.Response(200, content=text))

    assert [(result.index, result.relevance_score) for result in response.results] == RANKING


def _mark(body: Any) -> Any:
    """The reply with a text beside each result, or beside the ranking where that is all numbers."""
    if isinstance(body, list):
        return [_mark(row) for row in body]
    if not isinstance(body, dict):
        return body
    inner = {
        name: _mark(value) if isinstance(value, (list, dict)) else value
        for name, value in body.items()
    }
    return {**inner, "echoed": "CUT-HERE"}
