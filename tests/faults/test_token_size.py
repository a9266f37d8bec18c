"""A token service that says too much, and a service that refuses with too much."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import httpx
import pytest

from core.conftest import Plugin
from faults.calls import MakeCalls, check_outcome
from faults.server import FaultServer, Step, chunk, head, repeat, reply, serving, step
from rerank_core import AuthenticationError, RerankError, RerankResponse, ResponseParseError
from rerank_core.tokens import Steps, TokenAuth, read_token

# As in `test_reply_size`.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'httpcore:ResourceWarning")
LIMIT = 100_000
OVERSHOOT = 16_000_000
ENDLESS = repeat(chunk(b" " * 65_536), 100_000_000)
CHUNKED = "Transfer-Encoding: chunked"
GIVEN, GIVEN_ANEW = (
    step(reply(json.dumps({"access_token": token, "expires_in": 3600}).encode()))
    for token in ("token", "another-token")
)
REFUSED = step(head(CHUNKED, status=401), ENDLESS)


def exchanging(server: FaultServer) -> Plugin:
    """A plugin whose token comes from the server, which is asked for the ranking as well."""

    def exchange() -> Steps:
        return read_token((yield httpx.Request("POST", f"{server.url}/token")))

    auth = TokenAuth(exchange)
    return Plugin(auth=lambda *_: auth)


def check_bounded(
    call: MakeCalls,
    server: FaultServer,
    kind: type[RerankError] | None,
    requests: int,
    **options: Any,
) -> None:
    """A call comes to this, in so many requests, and no reply was read beyond the bound."""
    options = {"provider": exchanging(server), "max_response_bytes": LIMIT, **options}
    tracemalloc.start()
    try:
        outcome = call.once(server.url, max_retries=0, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    if kind is None:
        assert isinstance(outcome, RerankResponse)
    else:
        check_outcome(outcome, kind)
    assert len(server.requests) == requests
    assert server.sent <= requests * (LIMIT + OVERSHOOT)
    assert peak <= OVERSHOOT


@pytest.mark.parametrize(
    ("script", "kind", "requests"),
    [
        pytest.param((step(head(CHUNKED), ENDLESS),), ResponseParseError, 1, id="token"),
        pytest.param((REFUSED,), AuthenticationError, 1, id="no token"),
        pytest.param((GIVEN, REFUSED, GIVEN_ANEW, REFUSED), AuthenticationError, 4, id="refusals"),
        pytest.param((GIVEN, REFUSED, GIVEN_ANEW, step(reply())), None, 4, id="one refusal"),
    ],
)
def test_neither_tokens_nor_refusals_are_without_end(
    call: MakeCalls, script: tuple[Step, ...], kind: type[RerankError] | None, requests: int
) -> None:
    """The reply is broken off at the bound of the ranking's own."""
    with serving(*script) as server:
        check_bounded(call, server, kind, requests)
