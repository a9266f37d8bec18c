"""TLS: what breaks it, and that whom one talks to is asked."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.loopback import comes_true
from faults.calls import MakeCalls, check_outcome
from faults.server import (
    FaultServer,
    Peer,
    close,
    pause,
    rank,
    reply,
    serving,
    step,
)
from rerank_core import TransportError


@pytest.fixture
def server(certificate: Path) -> Iterator[FaultServer]:
    """A server that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(tls=context) as server:
        yield server


@pytest.fixture(params=["direct", "through a proxy"])
def url(
    request: pytest.FixtureRequest, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The server's, which may be its own proxy."""
    if request.param != "direct":
        monkeypatch.setenv("HTTPS_PROXY", server.url.replace("https:", "http:"))
    return server.url


def break_record(peer: Peer) -> None:
    """Send what looks like a record, and is none that anybody encrypted."""
    os.write(peer.socket.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("before", [b"", reply()[:-20]], ids=["at once", "within the reply"])
def test_a_broken_record_is_a_connection_that_failed(
    call: MakeCalls, server: FaultServer, url: str, before: bytes
) -> None:
    """So the call is made again; with an error of ours where that does not help."""
    broken = step(before, break_record, pause(0.02), close)
    server.answer(broken, broken, step(rank))
    failed, ranked = call(url, "first", "second", between=lambda: None)

    check_outcome(failed, TransportError)
    check_outcome(ranked, None, query="second")
    assert len(server.requests) == 3


@pytest.mark.usefixtures("trusted")
def test_good_calls_share_one_connection(call: MakeCalls, server: FaultServer, url: str) -> None:
    """So those above are replaced for what was left on them."""
    call(url, "a", "b", "c")

    assert comes_true(lambda: len(server.requests) == 3)
    assert server.connections == 1


def test_a_service_that_nobody_vouches_for_gets_nothing(
    call: MakeCalls, server: FaultServer, url: str
) -> None:
    """Neither the key nor the documents."""
    outcome = call.once(url)

    check_outcome(outcome, TransportError, says="certificate")
    assert server.requests == []
