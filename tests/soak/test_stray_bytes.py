"""What a server sends beyond its reply is nobody's answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import orjson
import pytest

from core.loopback import PROXY_VARIABLES, Connection, Loopback, ranking, serving
from core.virtual import ScriptedPlugin
from rerank_core import Reranker, RerankError

DOCUMENTS = ["a 1", "b 3", "c 2"]
RIGHT = [1, 2, 0]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server that is asked directly."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        yield server


def _whole(payload: Any, length: int | None = None) -> bytes:
    content = orjson.dumps(payload)
    size = len(content) if length is None else length
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, content)


def _ask_thrice(server: Loopback, kind: str) -> list[Any]:
    """The orders of three calls, one after another, or the errors they end in."""
    found: list[Any] = []
    options: dict[str, Any] = {"api_base": server.url, "max_retries": 0}
    reranker = Reranker("m", provider=ScriptedPlugin(), **options)

    def note(response: Any) -> None:
        found.append([result.index for result in response.results])

    async def main() -> None:
        async with reranker:
            for _ in range(3):
                try:
                    note(await reranker.arerank("q", DOCUMENTS))
                except RerankError as error:
                    found.append(type(error).__name__)

    if kind != "blocking":
        anyio.run(main, backend=kind)
        return found
    with reranker:
        for _ in range(3):
            try:
                note(reranker.rerank("q", DOCUMENTS))
            except RerankError as error:
                found.append(type(error).__name__)
    return found


@pytest.mark.parametrize("kind", ["blocking", "asyncio", "trio"])
def test_a_length_that_is_too_short_spoils_only_its_own_reply(server: Loopback, kind: str) -> None:
    """The rest of a body is not taken for the next reply."""

    def behave(connection: Connection, body: Any) -> None:
        length = 30 if len(server.seen) == 1 else None
        connection.wfile.write(_whole(ranking(body), length))

    server.behave = behave

    assert _ask_thrice(server, kind) == ["ResponseParseError", RIGHT, RIGHT]
    assert server.accepted == 2
