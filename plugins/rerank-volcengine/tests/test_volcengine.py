"""Volcengine's knowledge service, as its SDKs and its users have it."""

from __future__ import annotations

import re
import traceback
from typing import Any

import pytest
from volcengine.auth.SignerV4 import SignerV4  # type: ignore[import-untyped]
from volcengine.base.Request import Request  # type: ignore[import-untyped]
from volcengine.Credentials import Credentials  # type: ignore[import-untyped]

import rerank_volcengine
from failures import Failure, failing
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    ConfigurationError,
    Meta,
    MissingAPIKeyError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    Tokens,
)
from rerank_core.testing import CANARY, Case, Check, Example, conformance
from service import Send, Service, asking, both_ways, every_way, noting_waits, without_variables

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
MODEL = "doubao-seed-rerank"
HOST = "api-knowledgebase.mlp.cn-beijing.volces.com"
URL = f"https://{HOST}/api/knowledge/service/rerank"
PAIR = {"volcengine_access_key": "AKLTtest", "volcengine_secret_key": "secret-0123456789"}


def reply(scores: Any) -> dict[str, Any]:
    """A ranking as the service writes it."""
    data = {"scores": scores, "token_usage": 42}
    return {"code": 0, "message": "success", "request_id": "r-1", "data": data}


def failed(code: int, message: str = "what is wrong") -> dict[str, Any]:
    """An error, which may come with a good status."""
    return {"code": code, "message": message, "request_id": "r-1"}


def answer(asked: Any) -> dict[str, Any]:
    """Score as sent."""
    return reply([0.9 - at / 1000 for at in range(len(asked["datas"]))])


ask = asking(f"volcengine/{MODEL}", query=QUERY, documents=DOCUMENTS, **PAIR)
bare_environment = without_variables(of="volcengine")
waits = noting_waits()

CASE = Case(
    plugin=rerank_volcengine,
    model=MODEL,
    # The kit's key stands for what must never show; here, that is a session token.
    options={"api_key": None, **PAIR, "volcengine_session_token": CANARY},
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "instruction": "Find capitals."},
        url=URL,
        json={
            "rerank_model": MODEL,
            "datas": [{"query": QUERY, "content": text} for text in DOCUMENTS],
            "rerank_instruction": "Find capitals.",
        },
        reply=reply([0.12, 0.82]),
        ranking=[(1, 0.82), (0, 0.12)],
        id="r-1",
        meta=Meta(billed_units=BilledUnits(total_tokens=42), tokens=Tokens(input_tokens=42)),
    ),
    encode=lambda ranking, _, __: reply([score for _, score in ranking]),
    encode_error=lambda message: failed(1000003, message),
    params={"instruction": "Find capitals."},
    positional=True,
    error_in_200=failed(1000028, "internal"),
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


@every_way
@pytest.mark.parametrize(
    ("options", "region", "token"),
    [
        ({}, "cn-beijing", None),
        ({"volcengine_region": "cn-beijing"}, "cn-beijing", None),
        (
            {"volcengine_region": "cn-shanghai", "api_base": "https://gateway.test"},
            "cn-shanghai",
            None,
        ),
        (
            {"api_base": "https://api-knowledgebase.mlp.cn-shanghai.volces.com"},
            "cn-shanghai",
            None,
        ),
        ({"volcengine_session_token": "my-token"}, "cn-beijing", "my-token"),
    ],
)
def test_the_signature_is_the_sdk_s(
    options: dict[str, Any],
    region: str,
    token: str | None,
    send: Send,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the very bytes and the URL that are sent."""
    service = Service(answer)
    ask(service, send=send, **options)
    (request,) = service.requests

    headers = request.headers
    found = re.fullmatch(
        rf"HMAC-SHA256 Credential=AKLTtest/\d{{8}}/{region}/air/request,"
        r" SignedHeaders=(\S+), Signature=[0-9a-f]{64}",
        headers["authorization"],
    )
    assert found is not None, headers["authorization"]
    names = "content-type;host;x-content-sha256;x-date"
    assert found[1] == (f"{names};x-security-token" if token else names)
    assert headers.get("x-security-token") == token
    # Once more by the SDK, of what arrived, at the time that arrived.
    monkeypatch.setattr(SignerV4, "get_current_format_date", lambda: headers["x-date"])
    again = Request()
    again.set_method("POST")
    again.set_path(request.url.path)
    again.set_body(request.content.decode())
    again.set_headers({"Content-Type": headers["content-type"], "Host": headers["host"]})
    keys = Credentials(*PAIR.values(), "air", region, token or "")
    SignerV4.sign(again, keys)
    assert again.headers["Authorization"] == headers["authorization"]


GIVEN = {"volcengine_access_key": "given", "volcengine_secret_key": "given-secret"}
NONE = dict.fromkeys(PAIR)


@both_ways
@pytest.mark.parametrize(
    ("variables", "options", "begins"),
    [
        ({"VOLC_ACCESSKEY": "env", "VOLC_SECRETKEY": "s"}, NONE, "HMAC-SHA256 Credential=env/"),
        ({"VOLC_ACCESSKEY": "env", "VOLC_SECRETKEY": "s"}, GIVEN, "HMAC-SHA256 Credential=given/"),
        ({"VOLCENGINE_API_KEY": "key"}, NONE, "Bearer key"),
        ({"VOLCENGINE_API_KEY": "key"}, GIVEN, "HMAC-SHA256 Credential=given/"),
        (
            {"VOLC_ACCESSKEY": "env", "VOLC_SECRETKEY": "s", "VOLCENGINE_API_KEY": "key"},
            NONE,
            "HMAC-SHA256 Credential=env/",
        ),
        (
            {"VOLC_ACCESSKEY": "env", "VOLC_SECRETKEY": "s"},
            {**NONE, "api_key": "given-key"},
            "Bearer given-key",
        ),
    ],
)
def test_what_is_given_comes_before_what_variables_hold(
    variables: dict[str, str],
    options: dict[str, Any],
    begins: str,
    send: Send,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And a pair before an API key."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    service = Service(answer)
    ask(service, send=send, **options)

    assert service.requests[0].headers["authorization"].startswith(begins)


def test_a_token_of_the_environment_is_not_sent_with_keys_that_were_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It belongs to the keys of the environment."""
    monkeypatch.setenv("VOLC_SESSION_TOKEN", "env-token")
    service = Service(answer)
    ask(service)

    assert "x-security-token" not in service.requests[0].headers


def test_the_base_url_states_the_region_before_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is for all of Volcengine."""
    monkeypatch.setenv("VOLCENGINE_REGION", "cn-shanghai")
    service = Service(answer)
    ask(service)
    ask(service, api_base="https://gateway.test")

    scopes = [request.headers["authorization"].split("/")[2] for request in service.requests]
    assert scopes == ["cn-beijing", "cn-shanghai"]


@both_ways
@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (NONE, MissingAPIKeyError, "VOLC_ACCESSKEY, VOLC_SECRETKEY"),
        ({"volcengine_secret_key": None}, ConfigurationError, "belong together"),
        ({"volcengine_access_key": None}, ConfigurationError, "belong together"),
        ({"volcengine_access_key": "two\nlines"}, ConfigurationError, "volcengine_access_key"),
        (
            {"volcengine_region": "cn-shanghai"},
            ConfigurationError,
            "that of cn-beijing, but the region is cn-shanghai",
        ),
        ({"volcengine_region": 5}, ConfigurationError, "volcengine_region must be a string"),
    ],
)
def test_what_cannot_be_signed_is_not_sent(
    options: dict[str, Any], kind: type[Exception], words: str, send: Send
) -> None:
    """And the secret is in no traceback."""
    service = Service(answer)
    with pytest.raises(kind, match=words) as caught:
        ask(service, send=send, **options)

    assert service.requests == []
    assert PAIR["volcengine_secret_key"] not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("data", "usage"),
    [
        ({"data": {"scores": [0.1, 0.8], "token_usage": 42}}, 42),
        ({"data": {"scores": [0.1, 0.8]}}, None),
        ({"data": [0.1, 0.8], "token_usage": 12}, 12),
        ({"code": 200, "data": [0.1, 0.8]}, None),
    ],
)
def test_scores_are_a_list_in_the_order_of_the_documents(
    data: dict[str, Any], usage: int | None
) -> None:
    """In an object, or as some versions of the service write them, bare."""
    response = ask(Service({"code": 0, "request_id": "r-2", **data}))

    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 0.8), (0, 0.1)]
    assert response.meta.billed_units.total_tokens == usage
    assert response.id == "r-2"


@pytest.mark.parametrize(("code", "kind"), [(1000001, AuthenticationError), (7, APIStatusError)])
def test_a_code_is_an_error_even_beside_scores(code: int, kind: type[APIStatusError]) -> None:
    """They are not those of a ranking that went well."""
    with pytest.raises(kind, match="what is wrong"):
        ask(Service(reply([0.1, 0.8]) | failed(code)))


@both_ways
@pytest.mark.parametrize(
    ("code", "kind", "attempts"),
    [
        (1000001, AuthenticationError, 1),
        (1000002, PermissionDeniedError, 1),
        (1000003, BadRequestError, 1),
        (1000028, ServerError, 2),
        (1000029, RateLimitError, 2),
        (1000030, APIStatusError, 1),
    ],
)
@pytest.mark.usefixtures("waits")
def test_a_code_beside_a_200_is_an_error(
    code: int, kind: type[APIStatusError], attempts: int, send: Send
) -> None:
    """Of the kind that the code means, with what the service says."""
    service = Service(failed(code))
    with pytest.raises(kind, match="what is wrong") as caught:
        ask(service, send=send, max_retries=1)

    assert type(caught.value) is kind
    assert caught.value.status_code == 200
    assert len(service.requests) == attempts


ERRORS = [
    Failure(400, failed(1000003), "what is wrong"),
    Failure(401, failed(1000001), ("what is wrong", "clock")),
    Failure(403, failed(1000002), ("what is wrong", "VikingDB")),
    Failure(429, failed(1000029), "what is wrong"),
    Failure(500, failed(1000028), "what is wrong"),
]
test_errors_are_of_their_kind = failing(ask, f"volcengine/{MODEL}", ERRORS)
