"""A real LiteLLM proxy before a real Infinity server and a stub, driven through the public API."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import pytest

from recorder import Reply
from rerank_core import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    Document,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RerankResponse,
    ServerError,
    arerank,
    rerank,
)

from .test_infinity import DOCUMENTS, QUERY, assert_same, post, scores

if TYPE_CHECKING:
    from .conftest import InfinityServer, LiteLLMProxy

WRONG_KEY = "sk-not-the-key-of-this-proxy"
RANKED = Reply(
    {
        "id": "of-the-stub",
        "results": [
            {"index": 2, "relevance_score": 0.75},
            {"index": 0, "relevance_score": 0.5},
            {"index": 1, "relevance_score": 0.25},
            {"index": 3, "relevance_score": 0.125},
        ],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    }
)


def connect(proxy: LiteLLMProxy, group: str = "inf-rerank", **changes: Any) -> dict[str, Any]:
    """Say which group of which proxy to call, and with which key."""
    return {
        "model": f"litellm_proxy/{group}",
        "query": QUERY,
        "documents": DOCUMENTS,
        "api_base": proxy.base_url,
        "api_key": proxy.api_key,
        "max_retries": 0,
        **changes,
    }


@pytest.mark.anyio
async def test_both_calls_say_what_infinity_says(
    proxy: LiteLLMProxy, infinity: InfinityServer
) -> None:
    """`rerank` and `arerank` through the proxy, and a request by hand past it."""
    expected = post(infinity, DOCUMENTS)

    synchronous = rerank(**connect(proxy))
    asynchronous = await arerank(**connect(proxy))

    assert len(expected["results"]) == len(DOCUMENTS)
    for response in (synchronous, asynchronous):
        assert_same(response, expected)
        assert (response.provider, response.model) == ("litellm_proxy", "inf-rerank")
        assert response.id.startswith("infinity-")
        assert response.cost is None  # the proxy knows no price of it
        assert not response.warnings


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v2", "/rerank", "/v1/rerank", "/v2/rerank"])
def test_every_base_url_of_the_proxy_leads_there(
    proxy: LiteLLMProxy, infinity: InfinityServer, path: str
) -> None:
    """Its three routes are the same."""
    response = rerank(**connect(proxy, api_base=proxy.base_url + path))

    assert_same(response, post(infinity, DOCUMENTS))


def test_documents_are_the_callers_own(proxy: LiteLLMProxy) -> None:
    """Space around a document stays, and a mapping is the caller's own object."""
    mapping = {"title": "Paris", "text": "The capital of France."}

    response = rerank(**connect(proxy, documents=[*DOCUMENTS, mapping]))

    found = {result.index: result.document for result in response.results}
    assert found.pop(len(DOCUMENTS)) == Document("The capital of France.", mapping)
    assert found == {index: Document(text) for index, text in enumerate(DOCUMENTS)}


def test_top_n_keeps_the_best(proxy: LiteLLMProxy, infinity: InfinityServer) -> None:
    """The proxy hands it on."""
    response = rerank(**connect(proxy, top_n=2))

    assert list(scores(response)) == list(scores(post(infinity, DOCUMENTS)))[:2]


def test_what_the_service_behind_it_bills_is_read(proxy: LiteLLMProxy) -> None:
    """Its usage from the body, the price from the proxy's header."""
    proxy.stub.answer(RANKED)

    response = rerank(**connect(proxy, "stub", max_tokens_per_doc=64))

    assert list(scores(response)) == [2, 0, 1, 3]
    assert response.id == "of-the-stub"
    assert response.meta.billed_units.search_units == 1
    assert response.cost == pytest.approx(0.002)
    assert proxy.stub.last.json == {
        "model": "rerank-v3.5",
        "query": QUERY,
        "documents": DOCUMENTS,
        "max_tokens_per_doc": 64,
    }


def test_the_key_of_the_proxy_stays_there(proxy: LiteLLMProxy) -> None:
    """The service behind it sees the proxy's own, and we never see that."""
    proxy.stub.answer(RANKED)

    rerank(**connect(proxy, "stub"))

    assert proxy.stub.last.headers["authorization"] == "Bearer key-of-the-stub"
    assert proxy.api_key not in str(proxy.stub.last)


def test_a_wrong_key_is_an_authentication_error(proxy: LiteLLMProxy) -> None:
    """Although a proxy without a database answers 400; and the key is not repeated."""
    with pytest.raises(AuthenticationError, match=r"No connected db\..*check api_key=") as caught:
        rerank(**connect(proxy, api_key=WRONG_KEY))

    assert caught.value.status_code == 400
    for text in (repr(caught.value), *traceback.format_exception(caught.value)):
        assert WRONG_KEY not in text


def test_no_key_is_an_error_that_says_so(
    proxy: LiteLLMProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy without its database package answers 500, as to any failure of its own."""
    monkeypatch.delenv("LITELLM_PROXY_API_KEY", raising=False)

    with pytest.raises(ServerError, match=r"missing or wrong.*check api_key="):
        rerank(**connect(proxy, api_key=None))


def test_an_unknown_model_is_a_bad_request(proxy: LiteLLMProxy) -> None:
    """With the way to find out which there are."""
    with pytest.raises(BadRequestError, match=r"Invalid model name.*model=nope.*/v1/models"):
        rerank(**connect(proxy, "nope"))


def test_a_service_that_is_down_is_a_server_error(proxy: LiteLLMProxy) -> None:
    """It is worth a retry, and the message says that it is not the proxy."""
    with pytest.raises(
        ServerError, match=r"(?s)Cannot connect to host.*behind the proxy"
    ) as caught:
        rerank(**connect(proxy, "down"))

    assert caught.value.status_code == 500


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (400, BadRequestError, ""),
        (401, AuthenticationError, "refuses the proxy's key, not yours"),
        (403, PermissionDeniedError, ""),
        (404, NotFoundError, ""),
        (429, RateLimitError, ""),
        (500, ServerError, "the service behind the proxy that failed"),
        (503, ServerError, "the service behind the proxy that failed"),
    ],
)
@pytest.mark.anyio
async def test_a_failure_behind_the_proxy_keeps_its_kind(
    proxy: LiteLLMProxy, status: int, kind: type[APIStatusError], hint: str
) -> None:
    """With the words of the service that failed, in both calls, after one attempt each."""
    proxy.stub.answer(Reply({"message": "the stub says no"}, status))

    with pytest.raises(kind, match=f"(?s)the stub says no.*{hint}") as synchronous:
        rerank(**connect(proxy, "stub"))
    with pytest.raises(kind) as asynchronous:
        await arerank(**connect(proxy, "stub"))

    assert str(asynchronous.value) == str(synchronous.value)
    assert synchronous.value.status_code == status
    assert len(proxy.stub.requests) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failure_that_passes_is_retried(proxy: LiteLLMProxy, status: int) -> None:
    """By us: the proxy is told to try once."""
    proxy.stub.answer(Reply({"message": "later"}, status), RANKED)

    response = rerank(**connect(proxy, "stub", max_retries=1))

    assert list(scores(response)) == [2, 0, 1, 3]
    assert len(proxy.stub.requests) == 2


def test_a_fallback_answers_for_a_service_that_is_down(
    proxy: LiteLLMProxy, infinity: InfinityServer
) -> None:
    """Another group of the same proxy, with the same key."""
    response = rerank(**connect(proxy, "down", fallbacks=["litellm_proxy/inf-rerank"]))

    assert_same(response, post(infinity, DOCUMENTS))
    assert response.model == "inf-rerank"
    assert any("Cannot connect to host" in warning for warning in response.warnings)


def rest(proxy: LiteLLMProxy) -> None:
    """Make the proxy leave its stub in peace, which can answer again."""
    proxy.stub.answer(Reply({"message": "invalid api token"}, 401))
    with pytest.raises(AuthenticationError):
        rerank(**connect(proxy, "stub"))
    proxy.stub.answer(RANKED)


def test_a_service_that_rests_says_for_how_long(resting_proxy: LiteLLMProxy) -> None:
    """In the message alone; nobody exceeded a rate, in spite of the status."""
    rest(resting_proxy)

    with pytest.raises(RateLimitError, match="nobody exceeded a rate") as caught:
        rerank(**connect(resting_proxy, "stub"))

    assert caught.value.response is not None
    assert "retry-after" not in caught.value.response.headers
    assert caught.value.retry_after == 5
    assert resting_proxy.stub.requests == []


@pytest.mark.anyio
async def test_a_service_that_rests_is_waited_for(resting_proxy: LiteLLMProxy) -> None:
    """As long as the message says, and then it answers."""
    rest(resting_proxy)

    response: RerankResponse = await arerank(**connect(resting_proxy, "stub", max_retries=1))

    assert list(scores(response)) == [2, 0, 1, 3]
    assert len(resting_proxy.stub.requests) == 1
