"""What an error reply says to a person, and the word it has for the error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rerank_core.records._text import codes_in, find_message, message_in, read_json


def message_of(body: Any, most: int = 500) -> str:
    """What an error reply says; a body that is no text is written as JSON."""
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    return find_message(read_json(content), content, most)


LISTED = {"loc": ["body", "documents", 0], "msg": "field required", "type": "missing"}


class Counting(dict[str, Any]):
    """An object of a reply that counts how often it is looked at."""

    looked = 0

    def get(self, name: str, default: Any = None) -> Any:
        """Count."""
        Counting.looked += 1
        return super().get(name, default)


@pytest.mark.parametrize("name", ["errors", "message", "details"])
def test_each_object_of_an_error_is_looked_at_once(name: str) -> None:
    """However deep they lie: the time does not grow with the power of the depth."""
    error = Counting(a="b")
    for _ in range(7):
        error = Counting({name: error, "x": error})
    Counting.looked = 0
    message_in(error)

    assert Counting.looked < 8 * 40


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "m"}, "m"),
        ({"id": "d0f6", "message": "unknown field"}, "unknown field"),
        ({"statusCode": 401, "message": "Unauthorized."}, "Unauthorized."),
        ({"Message": "Invalid API Key format"}, "Invalid API Key format"),
        ({"code": "InvalidApiKey", "message": "m", "request_id": "r"}, "m"),
        ({"object": "error", "message": "m", "detail": {}, "type": "bad", "code": 400}, "m"),
        ({"code": 401, "reason": "AUTH", "message": "m", "metadata": {}}, "m"),
        ({"code": 20012, "message": "m", "data": None}, "m"),
        ({"error": "text"}, "text"),
        ({"error": "text", "error_type": "Validation"}, "text"),
        ({"error": {"message": "m", "type": "t", "param": None, "code": 404}}, "m"),
        ({"error": {"code": "NOT_FOUND", "message": "m", "details": {}}, "status": 404}, "m"),
        ({"error": {"code": 403, "message": "m", "details": [{"reason": "R"}]}}, "m"),
        ({"error": {"root_cause": [{"reason": "r"}], "reason": "why"}, "status": 400}, "why"),
        ({"error": {"detail": "d"}}, "d"),
        ([{"error": {"code": 400, "message": "m"}}], "m"),
        ({"detail": "d"}, "d"),
        ({"detail": "d", "code": "AUTH", "request_id": "r"}, "d"),
        ({"detail": {"error": "User is not authenticated"}}, "User is not authenticated"),
        ({"detail": {"message": "m"}}, "m"),
        ({"detail": [LISTED]}, "body.documents.0: field required"),
        (
            {"detail": [{"loc": ["body", "documents", at], "msg": "m"} for at in range(9)]},
            "body.documents.0: m; body.documents.1: m; body.documents.2: m",
        ),
        ({"detail": [{"msg": "no place"}]}, "no place"),
        (
            {"status": 401, "title": "Unauthorized", "detail": "Authentication failed"},
            "Unauthorized; Authentication failed",
        ),
        ({"status": 429, "title": "Too Many Requests"}, "Too Many Requests"),
        (
            {"errors": [{"code": "bad", "message": "one"}, {"message": "two"}], "trace": "x"},
            "one; two",
        ),
        ({"errorCode": "BXNIM0415E", "errorMessage": "key not found"}, "key not found"),
        ({"message": ["one", "two"]}, "one; two"),
        ({"statusCode": 400, "message": ["one"], "error": "Bad Request"}, "Bad Request; one"),
        ({"message": {"detail": "d"}}, "d"),
        ({"error_msg": {"message": "m"}}, "m"),
        ({"details": ["d"]}, "d"),
        ({"reason": "r", "details": [{"message": "m"}]}, "r; m"),
        ({"msg": "error", "details": "d"}, "error; d"),
        ({"message": "", "details": "d"}, "d"),
        ({"message": "", "msg": {"message": "m"}}, "m"),
        ({"errors": {"title": ["bad"], "query": ["required"]}}, "title: bad; query: required"),
        ({"detail": [["d"]]}, "d"),
        (["a", ["b"]], "a; b"),
        ({"error": {"title": "t", "details": [{"message": "m"}]}}, "t; m"),
        ({"errors": {"query": "too long"}}, "query: too long"),
        ({"errors": {"query": ["too long", "not English"]}}, "query: too long; query: not English"),
        ({"title": "t", "errors": {"query": [{"message": "too long"}]}}, "t; query: too long"),
        ({"error": None, "message": "m"}, "m"),
        ({"error": True, "message": "m"}, "m"),
        ({"error": {}, "message": "m"}, "m"),
        ('"Invalid token"', "Invalid token"),
        ("Failed to parse the request body as JSON", "Failed to parse the request body as JSON"),
        ("404 page not found\n", "404 page not found"),
        ("<html>\n <h1>Bad  gateway</h1>\n</html>", "<html> <h1>Bad gateway</h1> </html>"),
        ("", ""),
        ({"code": 5}, '{"code": 5}'),
        ([], "[]"),
        ("5", "5"),
        ('{"error":' * 9 + '"deep"' + "}" * 9, '{"error":' * 9 + '"deep"' + "}" * 9),
        ({"error": "Bad Request", "message": "m"}, "m; Bad Request"),
        ({"error": "invalid_grant", "error_description": "d"}, "d; invalid_grant"),
        ({"field": "query", "message": "m"}, "query: m"),
        ({"detail": "d", "errors": [{"message": "one"}, {"message": "d"}]}, "d; one"),
        (
            {"title": "t", "errors": {"query": ["too long", "x"], "top_n": [], "other": 5}},
            "t; query: too long; query: x",
        ),
        (
            {"error": {"reason": "r", "caused_by": {"reason": "b", "caused_by": {"reason": "c"}}}},
            "r; b; c",
        ),
    ],
)
def test_the_text_that_a_person_needs_is_found(body: Any, message: str) -> None:
    """In every shape that a service was seen to use; else the body itself."""
    assert message_of(body) == message


@pytest.mark.parametrize(
    "body", [{"message": "x" * 9999}, {"error": {"message": "x" * 9999}}, "x" * 9999]
)
def test_the_text_of_an_error_is_cut(body: Any) -> None:
    """A service may send the whole input back."""
    assert len(message_of(body)) == 500


def test_a_byte_order_mark_hides_no_message() -> None:
    """Some gateways put one before JSON."""
    content = b'\xef\xbb\xbf{"error": {"message": "no room"}}'

    assert find_message(read_json(content), content) == "no room"


def test_a_body_in_no_encoding_is_still_shown() -> None:
    """What is not UTF-8 is replaced."""
    assert find_message(None, b"bad \xff gateway") == "bad \ufffd gateway"


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        ({"error": {"type": "invalid_request_error", "code": 404}}, {}, "invalid_request_error"),
        ({"error": {"code": "NOT_FOUND"}}, {}, "NOT_FOUND"),
        ({"code": "InvalidApiKey"}, {}, "InvalidApiKey"),
        ({"code": "404"}, {}, ""),
        ({"code": 404}, {}, ""),
        ({"errors": [{"code": "bad_entity"}], "trace": "x"}, {}, "bad_entity"),
        ({"errorCode": "BXNIM0415E"}, {}, "BXNIM0415E"),
        ({"__type": "com.amazon#ThrottlingException"}, {}, "ThrottlingException"),
        ({}, {"x-amzn-errortype": "AccessDeniedException:http://x/"}, "AccessDeniedException"),
        ([{"error": {"code": "first"}}], {}, "first"),
        ([], {}, ""),
        ("<html>", {}, ""),
        ("", {}, ""),
    ],
)
def test_the_word_for_an_error_is_found(body: Any, headers: dict[str, str], code: str) -> None:
    """Where there is one; a number is none."""
    payload = read_json(json.dumps(body).encode()) if body != "<html>" else None

    assert next(iter(codes_in(payload, headers)), "") == code
