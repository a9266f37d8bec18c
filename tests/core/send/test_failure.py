"""What happens when a service fails: retries, waits, deadlines, fallbacks, errors, secrets."""

from __future__ import annotations

import asyncio
import re
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from core.conftest import KEY, Ask, Plugin, Service, ranking
from rerank_core import (
    APIKeyHeader,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    MissingAPIKeyError,
    NotFoundError,
    PermissionDeniedError,
    PluginError,
    Provider,
    ProviderNotFoundError,
    RateLimitError,
    RequestTimeoutError,
    Reranker,
    RerankError,
    ResponseParseError,
    ServerError,
    TransportError,
    UnsupportedParamError,
    arerank,
    hookimpl,
    rerank,
)

DATE = "Sun, 01 Nov 2026 12:00:00 GMT"
UNIX = 1_793_534_400  # the same moment
URL = "https://user:hunter2@own.test/base?key=hunter2"
FIRST_BACKOFF, LONGEST_BACKOFF, LONGEST_RETRY_AFTER = 0.5, 8.0, 60.0


def failed(status: int, message: str = "no", **headers: str) -> httpx.Response:
    """An error reply; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"message": message}, headers=named)


def second(service: Service, **facts: Any) -> Reranker:
    """A `Reranker` for a second provider, to fall back to."""
    plugin = Plugin(name="second", base_url="https://second.test", **facts)
    return Reranker("m2", provider=plugin, api_key="second-key", http_client=service)


def everything_said(error: BaseException) -> str:
    """All text that a person or a log might come to see of an error."""
    return "\n".join([str(error), repr(error), *traceback.format_exception(error)])


# --- what is tried again -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [
        (400, BadRequestError, 1),
        (401, AuthenticationError, 1),
        (402, APIStatusError, 1),
        (403, PermissionDeniedError, 1),
        (404, NotFoundError, 1),
        (405, APIStatusError, 1),
        (408, APIStatusError, 3),
        (409, APIStatusError, 1),
        (413, BadRequestError, 1),
        (418, APIStatusError, 1),
        (422, BadRequestError, 1),
        (425, APIStatusError, 3),
        (429, RateLimitError, 3),
        (498, APIStatusError, 1),
        (500, ServerError, 3),
        (501, ServerError, 1),
        (502, ServerError, 3),
        (503, ServerError, 3),
        (504, ServerError, 3),
        (529, ServerError, 3),
        (600, APIStatusError, 1),
        (999, APIStatusError, 1),
    ],
)
def test_a_status_decides_about_error_and_retries(
    ask: Ask, waits: list[float], status: int, kind: type[RerankError], attempts: int
) -> None:
    """Two further attempts, where another attempt may do better."""
    service = Service(failed(status, "the reason"))

    with pytest.raises(APIStatusError) as caught:
        ask(service)

    assert type(caught.value) is kind
    assert len(service.requests) == attempts
    assert len(waits) == attempts - 1
    assert len({request.content for request in service.requests}) == 1
    assert caught.value.status_code == status
    assert (caught.value.provider, caught.value.model) == ("test", "m")
    assert caught.value.response is not None
    assert caught.value.response.content == failed(status, "the reason").content
    assert str(caught.value) == f"test/m: status {status}: the reason"


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [(409, APIStatusError, 3), (498, AuthenticationError, 1)],
)
def test_a_provider_may_know_better(
    call: Ask, waits: list[float], status: int, kind: type[RerankError], attempts: int
) -> None:
    """Cohere's 409 may pass; its 498 is a blocked token."""
    service = Service(failed(status))

    with pytest.raises(APIStatusError) as caught:
        call("cohere/m", "q", ["a"], api_key=KEY, http_client=service)

    assert type(caught.value) is kind
    assert len(service.requests) == attempts
    assert len(waits) == attempts - 1


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("invalid_api_key", AuthenticationError),
        ("AccessDenied.Sub", PermissionDeniedError),
        ("model_not_found", NotFoundError),
        ("Throttling.BurstRate", RateLimitError),
        ("overloaded_error", ServerError),
        ("InvalidParameter", BadRequestError),
        ("moved", APIStatusError),
    ],
)
def test_an_error_inside_a_200_is_typed_by_its_word(
    ask: Ask, word: str, kind: type[APIStatusError]
) -> None:
    """Where it names no status."""
    body = {"code": word, "message": "the reason"}
    with pytest.raises(APIStatusError, match="the reason") as caught:
        ask(Service(httpx.Response(200, json=body)), max_retries=0)

    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"status": "Failed"}, APIStatusError),
        ({"object": "error"}, APIStatusError),
        ({"success": False}, APIStatusError),
        ({"code": "429", "message": "the reason"}, RateLimitError),
        ({"success": True, "message": "done"}, ResponseParseError),
        ({"code": 0, "message": "done"}, ResponseParseError),
        ({"code": "200", "message": "done"}, ResponseParseError),
    ],
    ids=repr,
)
def test_a_200_without_a_ranking_is_an_error_only_where_it_says_so(
    ask: Ask, body: Any, kind: type[RerankError]
) -> None:
    """What says that all is well is unreadable instead."""
    with pytest.raises(RerankError) as caught:
        ask(Service(httpx.Response(200, json=body)), max_retries=0)

    assert type(caught.value) is kind


def test_an_error_without_a_body_is_its_status(ask: Ask) -> None:
    """Nothing stands behind it."""
    with pytest.raises(ServerError) as caught:
        ask(Service(httpx.Response(503)), max_retries=0)

    assert caught.value.message == "status 503"


def test_a_phrase_of_the_message_chooses_hint_and_kind(ask: Ask) -> None:
    """In whatever case the service writes it."""
    plugin = Plugin(hints={"out of cats": "buy some"}, error_types={"out of cats": RateLimitError})
    reply = httpx.Response(400, json={"message": "We are Out Of Cats."})

    with pytest.raises(RateLimitError) as caught:
        ask(Service(reply), plugin=plugin, max_retries=0)

    assert caught.value.message == "status 400: We are Out Of Cats. (buy some)"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Too Many Requests", RateLimitError),
        ("Unauthorized", AuthenticationError),
        ("service unavailable", ServerError),
        ("Too many requests for a cat", APIStatusError),
    ],
)
def test_an_error_inside_a_200_is_typed_by_the_phrase_of_a_status(
    ask: Ask, said: str, kind: type[APIStatusError]
) -> None:
    """A gateway that says nothing else wraps the one of the service behind it."""
    with pytest.raises(APIStatusError, match=said) as caught:
        ask(Service(httpx.Response(200, json={"error": said})), max_retries=0)

    assert type(caught.value) is kind


def test_a_provider_may_state_final_statuses_and_hints(ask: Ask, waits: list[float]) -> None:
    """A 5xx that no retry mends, with what a person should try."""
    service = Service(failed(503))
    plugin = Plugin(final_statuses=frozenset({503}), hints={503: "start the model first"})

    with pytest.raises(ServerError, match="start the model first"):
        ask(service, plugin=plugin)

    assert len(service.requests) == 1
    assert waits == []


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("refused"), TransportError),
        (httpx.ReadError("reset"), TransportError),
        (httpx.RemoteProtocolError("server disconnected"), TransportError),
        (httpx.ConnectTimeout("slow"), RequestTimeoutError),
        (httpx.ReadTimeout(""), RequestTimeoutError),
        (httpx.PoolTimeout(""), RequestTimeoutError),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.usefixtures("waits")
def test_no_reply_is_tried_again(
    ask: Ask, raised: httpx.TransportError, kind: type[RerankError]
) -> None:
    """The error says what was tried, and why it failed."""
    service = Service(raised)

    with pytest.raises(TransportError) as caught:
        ask(service)

    assert type(caught.value) is kind
    assert len(service.requests) == 3
    assert "POST https://rerank.test/rerank" in str(caught.value)
    assert type(raised).__name__ in str(caught.value)
    assert str(raised) in everything_said(caught.value)
    assert (caught.value.provider, caught.value.model) == ("test", "m")
    assert (caught.value.status_code, caught.value.response) == (None, None)


@pytest.mark.usefixtures("waits")
def test_an_attempt_after_failures_of_all_kinds_succeeds(ask: Ask) -> None:
    """Retries count together."""
    service = Service(httpx.ConnectError("x"), failed(503), failed(429), ranking(1.0))

    response = ask(service, ["a"], max_retries=3)

    assert len(service.requests) == 4
    assert response.results[0].relevance_score == 1.0
    assert response.warnings == ()


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_max_retries_bounds_the_attempts(ask: Ask, waits: list[float], retries: int) -> None:
    """One attempt, and as many further ones."""
    service = Service(failed(503))

    with pytest.raises(ServerError):
        ask(service, max_retries=retries)

    assert len(service.requests) == retries + 1
    assert len(waits) == retries


@pytest.mark.usefixtures("waits")
def test_an_unreadable_reply_is_not_tried_again(ask: Ask) -> None:
    """It was paid for, and would come again."""
    service = Service(httpx.Response(200, text="{}"))

    with pytest.raises(ResponseParseError):
        ask(service)

    assert len(service.requests) == 1


# --- what an error says --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", ["x" * 100_000, '{"message": "' + "x" * 100_000 + '"}', "é" * 9999]
)
def test_the_text_of_an_error_is_capped(ask: Ask, body: str) -> None:
    """A service may send the whole input back."""
    with pytest.raises(BadRequestError) as caught:
        ask(Service(httpx.Response(400, text=body)))

    assert len(caught.value.message) <= len("status 400: ") + 500
    assert caught.value.message.endswith("…")
    assert caught.value.response is not None
    assert caught.value.response.content.startswith(body.encode()[:60_000])
    assert len(caught.value.response.content) <= 2**16


def test_an_error_without_a_body_still_says_its_status(ask: Ask) -> None:
    """And nothing made up."""
    with pytest.raises(BadRequestError, match=r"^test/m: status 400$"):
        ask(Service(httpx.Response(400)))


def test_an_error_page_is_shown_as_one_line(ask: Ask) -> None:
    """Gateways answer in HTML."""
    page = "<html>\n  <title>Bad\n gateway</title>\n</html>"

    with pytest.raises(ServerError, match="<html> <title>Bad gateway</title> </html>"):
        ask(Service(httpx.Response(502, text=page)), max_retries=0)


# --- waiting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "stated", "waited"),
    [
        ({"retry_after": "7"}, 7.0, 7.0),
        ({"retry_after": " 1.5 "}, 1.5, 1.5),
        ({"retry_after": "86400"}, 86400.0, LONGEST_RETRY_AFTER),
        ({"retry_after": "9" * 30}, 4e9, LONGEST_RETRY_AFTER),
        ({"retry_after_ms": "250"}, 0.25, 0.25),
        ({"retry_after_ms": "250", "retry_after": "7"}, 0.25, 0.25),
        ({"retry_after_ms": "soon", "retry_after": "7"}, 7.0, 7.0),
        ({"date": DATE, "retry_after": "Sun, 01 Nov 2026 12:00:30 GMT"}, 30.0, 30.0),
        ({"date": DATE, "retry_after": "Sun, 01 Nov 2026 13:00:30 +0100"}, 30.0, 30.0),
        ({"date": DATE, "retry_after": "Sun, 01 Nov 2026 12:00:30 -0000"}, 30.0, 30.0),
        ({"date": DATE, "retry_after": "Tue, 01 Nov 2050 12:00:00 GMT"}, None, LONGEST_RETRY_AFTER),
        ({"date": DATE, "retry_after": "Sat, 31 Oct 2026 12:00:00 GMT"}, 0.0, None),
        ({"retry_after": "0"}, 0.0, None),
        ({"retry_after": "-5"}, None, None),
        ({"retry_after": "nan"}, None, None),
        ({"retry_after": "inf"}, None, None),
        ({"retry_after": "1e3"}, None, None),
        ({"retry_after": "soon"}, None, None),
        ({"retry_after": ""}, None, None),
        ({"retry_after": "Sun, 99 Nov 2026 12:00:30 GMT"}, None, None),
        ({"x_reset": "4"}, 4.0, 4.0),
        ({"x_reset": "4", "retry_after": "2"}, 2.0, 2.0),
        ({"x_reset": "4", "retry_after": "soon"}, 4.0, 4.0),
        ({"date": DATE, "x_reset": str(UNIX + 5)}, 5.0, 5.0),
        ({"date": DATE, "x_reset": str(UNIX - 5)}, 0.0, None),
        ({"x_reset": "later"}, None, None),
        ({"x_other": "4"}, None, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_service_says_how_long_to_wait(
    ask: Ask,
    waits: list[float],
    headers: dict[str, str],
    stated: float | None,
    waited: float | None,
    status: int,
) -> None:
    """At most a minute; where it says nothing that can be read, the back-off decides."""
    service = Service(failed(status, **headers))
    plugin = Plugin(reset_headers=("x-reset",))

    with pytest.raises(APIStatusError) as caught:
        ask(service, plugin=plugin, max_retries=1)

    if stated is not None or waited is None:
        assert caught.value.retry_after == (None if stated is None else pytest.approx(stated))
    if waited is None:
        assert 0 <= waits[0] <= FIRST_BACKOFF
    else:
        assert waited <= waits[0] <= waited * 1.25


@pytest.mark.parametrize("header", ["retry_after", "x_reset"])
def test_a_time_counts_by_our_clock_where_the_service_states_none(
    ask: Ask, waits: list[float], header: str
) -> None:
    """A reply need not have a `Date`."""
    later = time.time() + 30
    texts = {
        "retry_after": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(later)),
        "x_reset": f"{later:.0f}",
    }

    with pytest.raises(RateLimitError):
        ask(
            Service(failed(429, **{header: texts[header]})),
            plugin=Plugin(reset_headers=("x-reset",)),
            max_retries=1,
        )

    assert 27 <= waits[0] <= 33 * 1.25


def test_waits_grow_with_jitter_up_to_a_bound(ask: Ask, waits: list[float]) -> None:
    """Callers who failed together do not come back together."""
    with pytest.raises(ServerError):
        ask(Service(failed(503)), max_retries=12)

    bounds = [min(LONGEST_BACKOFF, FIRST_BACKOFF * 2**at) for at in range(12)]
    assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len(set(waits)) == 12
    assert max(waits) > FIRST_BACKOFF


# --- timeout and deadline ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "bounds"),
    [
        ({}, {"connect": 10.0, "read": 60.0, "write": 60.0, "pool": 60.0}),
        ({"timeout": 5}, {"connect": 5, "read": 5, "write": 5, "pool": 5}),
        ({"timeout": None}, {"connect": None, "read": None, "write": None, "pool": None}),
        (
            {"timeout": httpx.Timeout(9, connect=2, pool=None)},
            {"connect": 2, "read": 9, "write": 9, "pool": None},
        ),
    ],
)
def test_timeout_bounds_one_attempt_as_in_httpx(
    ask: Ask, options: dict[str, Any], bounds: dict[str, float | None]
) -> None:
    """60 seconds, 10 to connect, unless told otherwise."""
    service = Service()

    ask(service, **options)

    assert service.requests[0].extensions["timeout"] == bounds


@pytest.mark.parametrize("timeout", [{}, {"timeout": 30}, {"timeout": None}])
def test_no_attempt_is_given_longer_than_the_deadline(
    ask: Ask, timeout: dict[str, float | None]
) -> None:
    """Whatever the timeout."""
    service = Service()

    ask(service, deadline=5, **timeout)

    assert all(0 < bound <= 5 for bound in service.requests[0].extensions["timeout"].values())


@pytest.mark.parametrize("fallback", [False, True])
def test_waiting_never_goes_past_the_deadline(
    ask: Ask,
    waits: list[float],
    fallback: bool,  # noqa: FBT001 - whether there is one
) -> None:
    """The last error is raised at once, and says why it was the last; unless another can answer."""
    service, other = Service(failed(429, retry_after="30")), Service()

    if fallback:
        assert ask(service, deadline=5, fallbacks=[second(other)]).provider == "second"
    else:
        with pytest.raises(RateLimitError) as caught:
            ask(service, deadline=5)
        assert caught.value.retry_after == 30
        assert "the deadline would pass" in "".join(caught.value.__notes__)

    assert len(service.requests) == 1
    assert waits == []


def test_a_generous_deadline_changes_nothing(ask: Ask, waits: list[float]) -> None:
    """Waits and retries are the same."""
    service = Service(failed(429, retry_after="3"), failed(429, retry_after="2"), ranking(1.0))

    response = ask(service, ["a"], deadline=3600)

    assert len(response.results) == 1
    assert 3.0 <= waits[0] <= 3.75
    assert 2.0 <= waits[1] <= 2.5


class Slow(httpx.MockTransport):
    """Answers no sooner than it is told to."""

    def __init__(self) -> None:
        super().__init__(lambda _: ranking(1.0))
        self.release = threading.Event()
        self.asked = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer after all."""
        self.asked += 1
        self.release.wait(10)
        return super().handle_request(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer after all."""
        self.asked += 1
        await asyncio.sleep(10)
        return await super().handle_async_request(request)


@pytest.mark.parametrize("documents", [["a"], ["a", "b", "c"]], ids=["whole", "split"])
def test_a_deadline_ends_a_request_under_way(call: Ask, documents: list[str]) -> None:
    """A trickling reply heeds no timeout."""
    slow = Slow()
    plugin, start = Plugin(max_documents=1), time.monotonic()

    with pytest.raises(RequestTimeoutError, match="deadline") as caught:
        call(
            "m",
            "q",
            documents,
            provider=plugin,
            api_key=KEY,
            http_client=slow,
            deadline=0.3,
        )

    slow.release.set()
    assert time.monotonic() - start < 5
    assert slow.asked == len(documents)
    assert (caught.value.provider, caught.value.model) == ("test", "m")


# --- fallbacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("own", "sent"), [({"mode": "slow"}, "slow"), ({}, "fast")])
def test_a_fallback_of_the_same_provider_keeps_its_own_parameters(
    ask: Ask, own: dict[str, Any], sent: str
) -> None:
    """Where it has none, those of the first model hold for it, too."""
    plugin, other = Plugin(extra_params={"mode": "mode"}), Service()
    fallback = Reranker("other", provider=plugin, api_key=KEY, http_client=other, **own)
    ask(Service(failed(503)), plugin=plugin, fallbacks=[fallback], max_retries=0, mode="fast")

    assert other.bodies[0]["mode"] == sent


@pytest.mark.parametrize(
    "reply",
    [
        failed(408),
        failed(429),
        failed(500),
        failed(503),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"rows": [], "metadata": "of the request", "raw": "text"}),
        ranking(0.5),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("waits")
def test_a_fallback_answers_after_a_failure_that_may_pass(ask: Ask, reply: Any) -> None:
    """With its own provider and model, and the failure among the warnings."""
    service, other = Service(reply), Service()

    response = ask(service, fallbacks=[second(other)], max_retries=1)

    assert (response.provider, response.model) == ("second", "m2")
    assert response.reranked is True
    assert len(service.requests) in {1, 2}
    assert len(other.requests) == 1
    assert len(response.warnings) == 1
    assert "test/m" in response.warnings[0]


@pytest.mark.parametrize("on_failure", ["raise", "passthrough"])
@pytest.mark.parametrize(
    "reply",
    [
        failed(400),
        failed(401),
        failed(402),
        failed(403),
        failed(404),
        failed(413),
        failed(422),
        failed(307, location="https://elsewhere.test"),
        failed(401, x_should_retry="true"),
        failed(403, x_should_retry="true"),
        failed(404, x_should_retry="true"),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("waits")
def test_no_fallback_hides_a_mistake(ask: Ask, reply: httpx.Response, on_failure: str) -> None:
    """Of the caller or of whoever deployed them; nor does the caller's own order."""
    service, other = Service(reply), Service()

    with pytest.raises(APIStatusError) as caught:
        ask(service, fallbacks=[second(other)], on_failure=on_failure)

    assert caught.value.status_code == reply.status_code
    assert other.requests == []


@pytest.mark.parametrize(
    ("documents", "keywords"),
    [(["a"], {"max_tokens_per_doc": 5}), (["\ud800"], {}), (["a"], {"top_n": 0}), ("a", {})],
)
def test_no_fallback_hides_a_call_that_makes_no_sense(
    ask: Ask, documents: Any, keywords: dict[str, Any]
) -> None:
    """It would make none for the fallback either, or be a mistake all the same."""
    service, other = Service(), Service()
    asked_for = {"fallbacks": [second(other)], "on_failure": "passthrough"}

    with pytest.raises(ConfigurationError):
        ask(service, documents, **asked_for, **keywords)

    assert service.requests == other.requests == []


@pytest.mark.usefixtures("waits")
def test_fallbacks_are_tried_in_order(ask: Ask) -> None:
    """Until one answers; the others are left alone."""
    replies = [failed(503, "one"), failed(503, "two"), ranking(1.0), ranking(1.0)]
    services = [Service(reply) for reply in replies]
    fallbacks = [second(service) for service in services[1:]]

    response = ask(services[0], ["a"], fallbacks=fallbacks, max_retries=0)

    assert [len(service.requests) for service in services] == [1, 3, 1, 0]
    assert [re.findall("one|two", warning) for warning in response.warnings] == [["one"], ["two"]]


@pytest.mark.usefixtures("waits")
def test_the_first_failure_is_raised_where_all_fail(ask: Ask) -> None:
    """The others are told in notes."""
    fallbacks = [second(Service(failed(500, "two"))), second(Service(failed(500, "three")))]

    with pytest.raises(ServerError, match="one") as caught:
        ask(Service(failed(503, "one")), fallbacks=fallbacks)

    assert [re.findall("two|three", note) for note in caught.value.__notes__] == [
        ["two"],
        ["three"],
    ]


@pytest.mark.usefixtures("waits")
def test_a_mistake_of_the_fallback_is_raised_with_what_led_there(ask: Ask) -> None:
    """Both are worth knowing."""
    with pytest.raises(AuthenticationError, match="second/m2") as caught:
        ask(Service(failed(503, "one")), fallbacks=[second(Service(failed(401, "two")))])

    assert "one" in "".join(caught.value.__notes__)


@pytest.mark.usefixtures("waits")
def test_a_fallback_leaves_out_what_it_cannot_honour(ask: Ask) -> None:
    """It answers for another, and says what it did not do."""
    other = Service()
    plugin = Plugin(params={"max_tokens_per_doc": "cut"})

    response = ask(
        Service(failed(503)), plugin=plugin, max_tokens_per_doc=5, fallbacks=[second(other)]
    )

    assert other.bodies[0].keys() == {"model", "query", "documents"}
    assert any("second does not take 'max_tokens_per_doc'" in said for said in response.warnings)


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("takes", [True, False])
@pytest.mark.parametrize("made", [True, False])
def test_a_parameter_of_the_first_providers_own_is_not_handed_to_another(
    ask: Ask,
    registered: Callable[[Plugin], str],
    shared_pool: Callable[[Service], None],
    takes: bool,  # noqa: FBT001 - whether the fallback knows it as well
    made: bool,  # noqa: FBT001 - whether the fallback is a `Reranker`
) -> None:
    """One of the same name may mean something else there: a word here, a flag there."""
    other = Service()
    facts = {"name": "second", "base_url": "https://second.test", "api_key_required": False}
    plugin = Plugin(**facts, extra_params={"instruction": "prompt"} if takes else {})
    shared_pool(other)
    fallback = (
        Reranker("m2", provider=plugin, http_client=other) if made else f"{registered(plugin)}/m2"
    )

    response = ask(
        Service(failed(503)),
        plugin=Plugin(extra_params={"instruction": "instruct"}, options={"region": ()}),
        instruction="Find",
        region="eu",
        max_retries=0,
        fallbacks=[fallback],
    )

    assert response.provider == "second"
    assert "prompt" not in other.bodies[0]
    left_out = [said for said in response.warnings if said.endswith(": left out")]
    assert left_out == ["'instruction' was meant for test: left out"]


def test_a_parameter_of_the_fallbacks_own_stays(ask: Ask) -> None:
    """What its `Reranker` was made with counts more than what the first was given."""
    other, params = Service(), {"instruction": "prompt"}
    plugin = Plugin(name="second", base_url="https://second.test", extra_params=params)
    fallback = Reranker("m2", provider=plugin, api_key=KEY, http_client=other, instruction="mine")

    ask(
        Service(failed(503)),
        plugin=Plugin(extra_params={**params, "user": "user"}),
        instruction="Find",
        user="u",
        max_retries=0,
        fallbacks=[fallback],
    )

    assert other.bodies[0]["prompt"] == "mine"


@pytest.mark.usefixtures("waits")
def test_a_fallback_of_the_same_provider_inherits_the_connection(
    call: Ask, registered: Callable[[Plugin], str]
) -> None:
    """Key, base URL, headers and body: only the model is another."""
    name = registered(Plugin(options={"region": ()}, extra_params={"priority": "prio"}))
    service = Service(failed(503), ranking(1.0))

    response = call(
        f"{name}/m",
        "q",
        ["a"],
        api_key=KEY,
        api_base="https://own.test/base",
        extra_headers={"x-team": "search"},
        extra_body={"user": 1},
        priority=5,
        http_client=service,
        fallbacks=[f"{name}/m2"],
        max_retries=0,
    )

    first, then = service.requests
    assert service.bodies[1] == {**service.bodies[0], "model": "m2"}
    assert first.url == then.url
    for name in ("authorization", "x-team"):
        assert first.headers[name] == then.headers[name]
    assert response.model == "m2"


@pytest.mark.usefixtures("waits")
def test_a_fallback_of_the_same_provider_leaves_out_what_its_model_does_not_know(
    call: Ask, registered: Callable[[Plugin], str]
) -> None:
    """Parameters and options of the first model alone, with a warning each; a typo is refused."""

    class TwoModels(Plugin):
        @hookimpl
        def resolve_provider(self, model: str) -> Provider:  # type: ignore[override]  # a hook names what it uses
            known: dict[str, Any] = {"extra_params": {"instruct": "i"}, "options": {"batch": ()}}
            return Provider(**self.facts, **known if model == "m" else {})

    name = registered(TwoModels())
    service = Service(failed(503), ranking(1.0))
    options = {"api_key": KEY, "http_client": service, "max_retries": 0, "instruct": "x"}

    response = call(f"{name}/m", "q", ["a"], **options, batch=8, fallbacks=[f"{name}/m2"])

    assert response.model == "m2"
    assert service.bodies[1] == {"model": "m2", "query": "q", "documents": ["a"]}
    left_out = [said for said in response.warnings if said.endswith(": left out")]
    assert sorted(left_out) == [
        f"{name} does not take {p!r}: left out" for p in ("batch", "instruct")
    ]
    with pytest.raises(UnsupportedParamError, match="instrukt"):
        call(f"{name}/m", "q", ["a"], **options, instrukt=8, fallbacks=[f"{name}/m2"])


@pytest.mark.usefixtures("waits")
def test_a_fallback_of_another_provider_inherits_no_secret(
    call: Ask,
    registered: Callable[[Plugin], str],
    shared_pool: Callable[[Service], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither key nor base URL, headers, body or client: it takes its own."""
    plugin = Plugin(name="other", base_url="https://other.test", api_key_env=("TEST_API_KEY",))
    name, first, other = registered(plugin), Service(failed(503)), Service()
    monkeypatch.setenv("TEST_API_KEY", "key-of-the-other")
    shared_pool(other)

    response = call(
        "m",
        "q",
        ["a"],
        provider=Plugin(api_key_env=(), auth=APIKeyHeader("x-key", "")),
        api_key=KEY,
        api_base="https://own.test",
        extra_headers={"x-secret": "abcdef"},
        extra_body={"user": "abcdef"},
        http_client=first,
        fallbacks=[f"{name}/m2"],
    )

    assert response.provider == "other"
    assert str(other.requests[0].url) == "https://other.test/rerank"
    assert other.requests[0].headers["authorization"] == "Bearer key-of-the-other"
    assert other.requests[0].headers.keys().isdisjoint({"x-key", "x-secret"})
    assert other.bodies[0].keys() == {"model", "query", "documents"}


def test_a_fallback_without_a_key_of_its_own_is_refused_at_once(
    registered: Callable[[Plugin], str],
) -> None:
    """The first provider's key does not serve whichever."""
    name = registered(Plugin(name="other"))

    with pytest.raises(MissingAPIKeyError, match="TEST_API_KEY"):
        Reranker("m", provider=Plugin(), api_key=KEY, fallbacks=[f"{name}/m2"])


@pytest.mark.parametrize(
    ("fallbacks", "kind", "said"),
    [
        (["coheer/m"], ProviderNotFoundError, "cohere"),
        (["m"], ConfigurationError, "names no provider"),
        ([""], ConfigurationError, "model"),
        ([5], ConfigurationError, "model"),
        (["cohere/m"], MissingAPIKeyError, "COHERE_API_KEY"),
        ("cohere/m", ConfigurationError, "list"),
        (5, ConfigurationError, "fallbacks"),
    ],
)
def test_a_misspelt_fallback_is_refused_before_anything_is_sent(
    ask: Ask, fallbacks: Any, kind: type[RerankError], said: str
) -> None:
    """A mistake must not wait for the day of need."""
    service = Service()

    with pytest.raises(kind, match=said):
        ask(service, fallbacks=fallbacks)

    assert service.requests == []


# --- the caller's own order ----------------------------------------------------------------------


@pytest.mark.parametrize("top_n", [None, 2, 9])
@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.usefixtures("waits")
def test_passthrough_is_the_callers_own_order(
    ask: Ask,
    top_n: int | None,
    wanted: bool,  # noqa: FBT001 - what the call takes
) -> None:
    """It claims nothing about relevance, and says why."""
    documents = ["a", {"title": "t"}, ""]

    response = ask(
        Service(failed(503, "the reason")),
        documents,
        on_failure="passthrough",
        top_n=top_n,
        return_documents=wanted,
    )

    assert [r.index for r in response.results] == list(range(3))[:top_n]
    assert all(r.relevance_score is None for r in response.results)
    assert response.reranked is False
    assert (response.provider, response.model) == ("test", "m")
    assert "the reason" in response.warnings[0]
    assert [r.document is not None for r in response.results] == [wanted] * len(response)
    assert not wanted or response.results[1]["document"]["title"] == "t"


@pytest.mark.usefixtures("waits")
def test_passthrough_comes_after_the_fallbacks(ask: Ask) -> None:
    """And tells what each of them said."""
    other = Service(failed(500, "two"))

    response = ask(Service(failed(503, "one")), fallbacks=[second(other)], on_failure="passthrough")

    assert len(other.requests) == 3
    assert [re.findall("one|two", warning) for warning in response.warnings] == [["one"], ["two"]]


def test_passthrough_answers_where_the_deadline_has_passed(call: Ask) -> None:
    """A search page is better unsorted than late."""
    slow = Slow()

    response = call(
        "m",
        "q",
        ["a", "b"],
        provider=Plugin(),
        api_key=KEY,
        http_client=slow,
        deadline=0.03,
        on_failure="passthrough",
    )

    slow.release.set()
    assert response.reranked is False
    assert [result.index for result in response.results] == [0, 1]
    assert "deadline" in response.warnings[0]


# --- the caller's own client ---------------------------------------------------------------------


@pytest.mark.parametrize("client", [42, "client", httpx.Client])
def test_a_client_that_is_none_is_refused(call: Ask, client: object) -> None:
    """The message says what is taken."""
    with pytest.raises(ConfigurationError, match=r"httpx\.(Async)?Client or a"):
        call("m", "q", ["a"], provider=Plugin(), api_key=KEY, http_client=client)


def test_a_client_for_the_other_kind_of_call_is_refused() -> None:
    """A blocking one cannot be awaited, nor the other way round."""
    service = Service()
    options: dict[str, Any] = {"provider": Plugin(), "api_key": KEY}

    with (
        httpx.Client(transport=service) as client,
        pytest.raises(ConfigurationError, match="Async"),
    ):
        asyncio.run(arerank("m", "q", ["a"], http_client=client, **options))
    with pytest.raises(ConfigurationError, match=r"httpx\.Client"):
        rerank("m", "q", ["a"], http_client=httpx.AsyncClient(transport=service), **options)

    assert service.requests == []


def test_the_clients_own_auth_is_kept() -> None:
    """So that no key is needed; and it is not closed."""
    service = Service()

    with httpx.Client(transport=service, auth=("user", "password")) as client:
        rerank("m", "q", ["a"], provider=Plugin(), http_client=client)
        rerank("m", "q", ["a"], provider=Plugin(), http_client=client, api_key=KEY)

        assert not client.is_closed

    assert [request.headers["authorization"] for request in service.requests] == [
        "Basic dXNlcjpwYXNzd29yZA=="
    ] * 2


# --- secrets -------------------------------------------------------------------------------------


def echo(text: str, status: int = 400) -> Service:
    """A service that says this in its error."""
    return Service(httpx.Response(status, json={"error": {"message": text}}))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"api_key": None, "extra_headers": {"Authorization": KEY}},
        {"api_key": None, "extra_headers": {"Authorization": f"Bearer {KEY}"}},
        {"extra_headers": {"x-token": KEY}},
        {"token": KEY},
    ],
    ids=["key", "bare header", "bearer header", "other header", "secret option"],
)
@pytest.mark.parametrize("status", [200, 400, 401])
def test_a_key_that_the_service_echoes_is_not_shown(
    ask: Ask, options: dict[str, Any], status: int
) -> None:
    """Wherever the caller gave it."""
    service = echo(f"Incorrect API key provided: {KEY}. See the docs.", status)

    with pytest.raises(APIStatusError, match="Incorrect API key") as caught:
        ask(service, plugin=Plugin(secret_options={"token": ()}), **options)

    assert KEY not in everything_said(caught.value)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("kept", [8, 12, 18])
def test_a_key_is_not_shown_in_part_where_the_text_is_cut(ask: Ask, status: int, kept: int) -> None:
    """The beginning of a key is worth something, too."""
    service = echo("x" * (498 - kept) + KEY + "x" * 500, status)

    with pytest.raises(APIStatusError) as caught:
        ask(service)

    assert KEY[:8] not in everything_said(caught.value)


@pytest.mark.parametrize("on_failure", ["raise", "passthrough"])
@pytest.mark.usefixtures("waits")
def test_a_key_is_not_shown_in_what_fallbacks_and_passthrough_say(
    ask: Ask, on_failure: str
) -> None:
    """Notes and warnings are text as well."""
    echoes = [echo(f"busy, {KEY}", 503), echo("busy, second-key", 503)]
    try:
        said = str(ask(echoes[0], fallbacks=[second(echoes[1])], on_failure=on_failure).warnings)
    except ServerError as error:
        said = everything_said(error)

    assert KEY not in said
    assert "second-key" not in said
    assert said.count("busy") >= 2


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", f"{KEY}\r\nx: y", f"{KEY}\u2026"])
@pytest.mark.parametrize("source", ["argument", "environment"])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, key: str, source: str
) -> None:
    """Copied with a line break, for example."""
    service = Service()
    if source == "environment":
        monkeypatch.setenv("TEST_API_KEY", key)

    with pytest.raises(ConfigurationError, match="copy it again") as caught:
        ask(service, api_key=key if source == "argument" else None)

    assert KEY not in everything_said(caught.value)
    assert service.requests == []


@pytest.mark.parametrize("value", [f"{KEY}\n", f"{KEY}\r\nx: y", f"{KEY}\u2026", f"{KEY}\0"])
def test_a_header_that_cannot_be_sent_is_refused_without_showing_it(ask: Ask, value: str) -> None:
    """The message names the header."""
    service = Service()

    with pytest.raises(ConfigurationError, match="x-token") as caught:
        ask(service, extra_headers={"x-token": value})

    assert KEY not in everything_said(caught.value)
    assert service.requests == []


def test_no_repr_shows_a_key(call: Ask) -> None:
    """Neither of what the caller holds nor of what hooks are given."""
    plugin = Plugin(secret_options={"token": ()})
    options: dict[str, Any] = {
        "provider": plugin,
        "api_key": KEY,
        "token": "tok-0123456789",
        "extra_headers": {"x-other": "hdr-0123456789"},
        "http_client": Service(),
    }

    response = call("m", "q", ["a"], **options)

    shown = repr([Reranker("m", **options), vars(Reranker("m", **options)), response, plugin.asked])
    assert KEY not in shown
    assert "0123456789" not in shown


@pytest.mark.parametrize("status", [None, 503])
@pytest.mark.usefixtures("waits")
def test_what_is_secret_in_a_base_url_is_not_shown(ask: Ask, status: int | None) -> None:
    """User, password and query may be."""
    service = Service(failed(status) if status else httpx.ConnectError("refused"))

    with pytest.raises(RerankError) as caught:
        ask(service, api_base=URL)

    assert service.requests[0].url.host == "own.test"
    assert service.requests[0].url.query == b"key=hunter2"
    assert "hunter2" not in everything_said(caught.value)


@pytest.mark.parametrize(
    ("how", "header", "value"),
    [
        (APIKeyHeader(), "authorization", f"Bearer {KEY}"),
        (APIKeyHeader("api-key", ""), "api-key", KEY),
        (APIKeyHeader("Authorization", "Token"), "authorization", f"Token {KEY}"),
    ],
)
def test_a_key_is_sent_as_the_provider_takes_it(
    ask: Ask, how: APIKeyHeader, header: str, value: str
) -> None:
    """In that header and no other."""
    service = Service()

    ask(service, plugin=Plugin(auth=how))

    holding = {name for name, text in service.requests[0].headers.items() if KEY in text}
    assert holding == {header}
    assert service.requests[0].headers[header] == value


def test_a_plugin_that_fails_to_authenticate_is_named(ask: Ask) -> None:
    """As for any other fault of a plugin; and its error, too, may hold the key."""
    service = Service()

    def auth(key: str | None, *_: object) -> None:
        message = f"no signature from {key}"
        raise ValueError(message)

    with pytest.raises(PluginError, match="no signature from") as caught:
        ask(service, plugin=Plugin(auth=auth))

    assert KEY not in str(caught.value)
    assert service.requests == []


def test_a_missing_key_is_said_with_the_variables_looked_at(ask: Ask) -> None:
    """Before anything is sent."""
    service = Service()

    with pytest.raises(MissingAPIKeyError, match="ONE, TWO") as caught:
        ask(service, plugin=Plugin(api_key_env=("ONE", "TWO")), api_key=None)

    assert service.requests == []
    assert (caught.value.provider, caught.value.model) == ("test", "m")


def test_a_key_of_the_environment_goes_only_to_its_own_hosts(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that the caller gives goes where the caller says."""
    monkeypatch.setenv("TEST_API_KEY", KEY)
    plugin = Plugin(api_key_hosts={"TEST_API_KEY": ("rerank.test", "*.own.test")})
    service = Service()

    with pytest.raises(MissingAPIKeyError, match=r"elsewhere\.test"):
        ask(service, plugin=plugin, api_key=None, api_base="https://elsewhere.test")
    ask(service, plugin=plugin, api_key=None)
    ask(service, plugin=plugin, api_key=None, api_base="https://eu.own.test")
    ask(service, plugin=plugin, api_key="given", api_base="https://elsewhere.test")

    assert [request.headers["authorization"] for request in service.requests] == [
        f"Bearer {KEY}",
        f"Bearer {KEY}",
        "Bearer given",
    ]
