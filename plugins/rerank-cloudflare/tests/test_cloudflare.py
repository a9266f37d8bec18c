"""Workers AI's REST API, as its schema and its users have it."""

from __future__ import annotations

from typing import Any

import pytest

import rerank_cloudflare
from failures import Failure, failing
from rerank_core import APIStatusError, ConfigurationError, ResponseParseError
from rerank_core.testing import Case, Check, Example, conformance
from service import Send, Service, asking, both_ways, without_variables

QUERY = "Which one is better?"
DOCUMENTS = ["a cyberpunk lizard", "a cyberpunk car"]
MODEL = "@cf/baai/bge-reranker-base"
ROOT = "https://api.cloudflare.com/client/v4"
URL = f"{ROOT}/accounts/acc1/ai/run/{MODEL}"


def reply(rows: Any) -> dict[str, Any]:
    """A ranking in Cloudflare's envelope."""
    return {"result": {"response": rows}, "success": True, "errors": [], "messages": []}


def failed(message: str, code: int = 5007) -> dict[str, Any]:
    """An error in Cloudflare's envelope."""
    errors = [{"message": message, "code": code}]
    return {"result": None, "success": False, "errors": errors, "messages": []}


def answer(asked: Any) -> dict[str, Any]:
    """Rank as sent."""
    count = asked.get("top_k", len(asked["contexts"]))
    return reply([{"id": at, "score": -0.5 - at} for at in range(count)])


ask = asking(
    f"cloudflare/{MODEL}",
    api_key="test-key",
    account_id="acc1",
    query=QUERY,
    documents=DOCUMENTS,
)
bare_environment = without_variables(of="cloudflare")

CASE = Case(
    plugin=rerank_cloudflare,
    model=MODEL,
    options={"account_id": "acc1"},
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        url=URL,
        json={"query": QUERY, "contexts": [{"text": text} for text in DOCUMENTS], "top_k": 2},
        reply=reply([{"id": 1, "score": 1.25}, {"id": 0, "score": -7.5}]),
        ranking=[(1, 1.25), (0, -7.5)],
    ),
    encode=lambda ranking, _, __: reply([{"id": at, "score": score} for at, score in ranking]),
    encode_error=failed,
    error_in_200=failed("AiError: the model failed"),
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


GATEWAY = "https://gateway.ai.cloudflare.com/v1/acc1/mine/workers-ai"


def test_a_model_s_name_cannot_leave_its_path() -> None:
    """Its slashes are part of it, the rest is encoded."""
    service = Service(answer)
    ask(service, model="cloudflare/@cf/me/my model?x")

    assert service.requests[0].url.raw_path.endswith(b"/ai/run/@cf/me/my%20model%3Fx")


@pytest.mark.parametrize("account", [None, "", "a/b", 5, "../x"])
def test_an_account_is_needed(account: Any) -> None:
    """One that is none is not put into a URL."""
    service = Service(answer)
    with pytest.raises(ConfigurationError, match="account"):
        ask(service, account_id=account)

    assert service.requests == []


def test_the_account_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As other tools of Cloudflare's call it."""
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "acc2")
    service = Service(answer)
    ask(service, account_id=None)

    assert service.url == f"{ROOT}/accounts/acc2/ai/run/{MODEL}"


@both_ways
def test_an_index_is_called_id_and_a_score_is_a_logit(send: Send) -> None:
    """Both are handed on as they are, and sorted."""
    rows = [{"id": 0, "score": -11.4}, {"id": 1, "score": 0.3}]
    response = ask(Service(reply(rows), headers={"cf-ray": "ray-1"}), send=send)

    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 0.3), (0, -11.4)]
    assert response.id == "ray-1"


@pytest.mark.parametrize(
    "payload",
    [
        reply(None),
        reply([{"score": 0.5}]),
        reply([{"id": 0}]),
        reply([{"id": 0, "score": None}, {"id": 1, "score": 0.5}]),
        reply([0.5, 0.25]),
        {"result": {"status": "queued", "request_id": "r"}, "success": True},
        {"response": [{"id": 0, "score": 0.5}, {"id": 1, "score": 0.25}]},
    ],
)
def test_a_reply_without_a_ranking_is_an_error(payload: Any) -> None:
    """Bare scores, a missing or null one, and the reply of another API of the same service."""
    with pytest.raises(ResponseParseError):
        ask(Service(payload))


@both_ways
@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (failed("AiError: oops", 3010), "AiError: oops"),
        ({"success": False, "errors": None}, "the reply is an error"),
        ({"success": False, "errors": ["?"]}, "the reply is an error"),
    ],
)
def test_no_success_is_an_error_whatever_the_status(
    payload: dict[str, Any], words: str, send: Send
) -> None:
    """In Cloudflare's words."""
    with pytest.raises(APIStatusError, match=words) as caught:
        ask(Service(payload), send=send)

    assert caught.value.status_code == 200


ERRORS = [
    Failure(400, failed("AiError: bad input"), "AiError: bad input"),
    Failure(401, failed("Authentication error"), "Workers AI: Read"),
    Failure(404, failed("Could not route"), "Could not route"),
    Failure(429, failed("you have used up"), "you have used up"),
    Failure(500, failed("internal"), "internal"),
]
test_errors_are_of_their_kind = failing(ask, f"cloudflare/{MODEL}", ERRORS)
