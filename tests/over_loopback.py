"""Put a real connection between our calls and the stand-ins of the plugins' tests.

`pytest -p over_loopback plugins` sends every request that a test hands to an `httpx.MockTransport`
over loopback to a recorder first; the stand-in is then shown what arrived there. So what tests
compare with captures has been on a wire, as the captures' own requests were.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import anyio.to_thread
import httpx
import pytest

from recorder import Recorder, recording
from rerank_core._send import clients


class OverLoopback(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Shows a stand-in what a recorder saw.

    Args:
        service: The stand-in.
        recorder: The server in between.
        wire: What sends to it.
    """

    def __init__(
        self, service: httpx.MockTransport, recorder: Recorder, wire: httpx.HTTPTransport
    ) -> None:
        self._service, self._recorder, self._wire = service, recorder, wire
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and hand on what arrived."""
        return self._service.handle_request(self._send(request, request.read()))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Likewise."""
        body = await request.aread()
        arrived = await anyio.to_thread.run_sync(self._send, request, body)
        return await self._service.handle_async_request(arrived)

    def _send(self, request: httpx.Request, body: bytes) -> httpx.Request:
        there = httpx.URL(self._recorder.base_url)
        sent = httpx.Request(
            request.method,
            request.url.copy_with(scheme="http", host=there.host, port=there.port),
            headers=request.headers,
            content=body or None,
            extensions=request.extensions,
        )
        with self._lock:
            self._wire.handle_request(sent).read()
            seen = self._recorder.last
        target = f"{seen.path}?{seen.query}" if seen.query else seen.path
        return httpx.Request(
            seen.method,
            request.url.copy_with(raw_path=target.encode()),
            headers=dict(seen.headers),
            content=seen.body or None,
            extensions=request.extensions,
        )


@pytest.fixture(autouse=True, scope="session")
def loopback_in_between() -> Iterator[None]:
    """Wrap every stand-in, and count: a run in which nothing was sent proves nothing."""
    adopt = clients._adopt  # noqa: SLF001 - of our own; where a transport that is handed over arrives
    with ExitStack() as stack:
        recorder = stack.enter_context(recording())
        wire = stack.enter_context(httpx.HTTPTransport())

        def adopt_behind(connections: Any, *kinds: Any) -> Any:
            given = connections.http_client
            if isinstance(given, httpx.MockTransport):
                connections.http_client = OverLoopback(given, recorder, wire)
            return adopt(connections, *kinds)

        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(clients, "_adopt", adopt_behind)
        yield
        assert recorder.requests, "nothing went over loopback"
