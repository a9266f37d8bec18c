"""Look-ups that a machine of Google's allows: effects of the flow, made directly."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import Any

import httpx
import pytest

from core.cases.plain import Ask, Service, ends
from recorder import Recorder, Reply, recording
from rerank_core import Reranker, RerankError, RerankResponse, TransportError, arerank, rerank

# C8: look-ups run in the flow: under its deadline, off the loop, and nothing that failed is kept.

TOKEN = {"access_token": "metadata-token", "expires_in": 3600, "token_type": "Bearer"}
RANKED = {"records": [{"id": "0", "score": 0.5}, {"id": "1", "score": 0.4}]}


class Metadata(Recorder):
    """A metadata server and the ranking service in one, by path.

    Args:
        projects: What the project's address answers in turn, the last for ever.
    """

    def __init__(self, *projects: Any) -> None:
        super().__init__()
        self._projects = list(projects)

    def record(self, request: Any) -> Reply:
        """Answer as whichever is asked."""
        self.requests.append(request)
        if request.path.endswith("/project/project-id"):
            found = self._projects.pop(0) if len(self._projects) > 1 else self._projects[0]
            reply = found() if callable(found) else found
            assert isinstance(reply, Reply)
            return reply
        return Reply(TOKEN if request.path.endswith("/token") else RANKED)

    def paths(self, end: str) -> list[Any]:
        """The requests whose path ends so."""
        return [request for request in self.requests if request.path.endswith(end)]


@pytest.fixture
def vertex(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """Makes the service, and a call of it that knows no project."""
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    running: list[tuple[Metadata, threading.Thread]] = []

    def make(*projects: Any) -> tuple[Metadata, Any]:
        server = Metadata(*projects)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        running.append((server, thread))
        monkeypatch.setenv("GCE_METADATA_HOST", server.base_url.removeprefix("http://"))
        arguments = ("vertex_ai/semantic-ranker-default-004", "q", ["a", "b"])
        return server, partial(_call_vertex, *arguments, api_base=server.base_url)

    yield make
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.hang_up()
        server.server_close()


def _call_vertex(*arguments: Any, call: Ask, **options: Any) -> RerankResponse:
    return call(*arguments, **options)


NAMED = Reply(body=b"the-project")


@pytest.mark.slow
@pytest.mark.parametrize(
    "failure", [Reply(status=503, body=b""), Reply(status=404, body=b"?"), Reply(body=b"")]
)
def test_a_look_up_that_failed_is_not_kept(vertex: Any, call: Ask, failure: Reply) -> None:
    """The metadata server is asked again by the next call."""
    server, ask_vertex = vertex(*[failure] * 6, NAMED)
    outcomes: list[Any] = []
    for _ in range(8):
        try:
            outcomes.append(ask_vertex(call=call, max_retries=0))
        except RerankError as error:
            outcomes.append(error)

    assert isinstance(outcomes[0], RerankError)
    assert isinstance(outcomes[-1], RerankResponse)
    assert server.paths(":rank")[-1].path.startswith("/v1/projects/the-project/")


@pytest.mark.slow
def test_a_late_reply_is_no_answer_for_ever(vertex: Any, call: Ask) -> None:
    """What did not come in time once, comes in time the next time."""

    def late() -> Reply:
        time.sleep(1.5)
        return NAMED

    server, ask_vertex = vertex(late, NAMED)
    with pytest.raises(RerankError):
        ask_vertex(call=call, deadline=0.5, max_retries=0)
    response = ask_vertex(call=call, max_retries=0)

    assert response.reranked
    assert len(server.paths(":rank")) == 1


def test_a_look_up_is_under_the_deadline(vertex: Any, call: Ask, released: Any) -> None:
    """A metadata server that hangs does not keep the caller longer than they wanted to wait."""

    def hang() -> Reply:
        released.wait(10)
        return NAMED

    server, ask_vertex = vertex(hang)

    def work() -> None:
        with pytest.raises(TransportError):
            ask_vertex(call=call, deadline=0.3)

    ended = ends(work, 1.7)
    released.set()

    assert ended
    assert server.paths(":rank") == []


def test_a_look_up_leaves_the_event_loop_free(vertex: Any) -> None:
    """The metadata server answers only when another task has had its turn meanwhile."""
    asked, turned = threading.Event(), threading.Event()

    def answer() -> Reply:
        asked.set()
        return NAMED if turned.wait(1.5) else Reply(status=503, body=b"")

    _, ask_vertex = vertex(answer)

    async def main() -> RerankResponse:
        async def take_turns() -> None:
            await asyncio.to_thread(asked.wait, 5)
            turned.set()

        other = asyncio.create_task(take_turns())
        response: RerankResponse = await ask_vertex(call=arerank)
        await other
        return response

    assert asyncio.run(main()).reranked


def test_a_look_up_is_not_made_before_it_is_needed(vertex: Any) -> None:
    """To make a `Reranker` sends nothing."""
    server, ask_vertex = vertex(NAMED)
    with Reranker("vertex_ai/m", api_base=server.base_url):
        made = len(server.requests)
    ask_vertex(call=rerank)

    assert made == 0
    assert len(server.paths("/project/project-id")) >= 1


# C13, of the same server: it is asked directly.


def test_the_metadata_server_is_asked_directly(
    vertex: Any, call: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never through a proxy, which would read the token."""
    server, ask_vertex = vertex(NAMED)
    with recording(Reply(RANKED)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
        monkeypatch.setenv("ALL_PROXY", proxy.base_url)
        ask_vertex(call=call, timeout=7)
        through = [request.path for request in proxy.requests]

    assert [path for path in through if "computeMetadata" in path] == []
    assert server.paths("/project/project-id")


def test_the_metadata_server_is_not_asked_by_the_callers_client(vertex: Any, call: Ask) -> None:
    """That may have a proxy, hooks and headers of its own."""
    server, ask_vertex = vertex(NAMED)
    service = Service(httpx.Response(200, json=RANKED))
    ask_vertex(call=call, http_client=service)

    assert [
        request.url.path for request in service.requests if "/computeM" in str(request.url)
    ] == []
    assert server.paths("/project/project-id")
