"""The same clients, awaited."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks.clients import (
    HEADERS,
    OURS,
    TRANSPORTS,
    Client,
    find_body,
    litellm_arguments,
    make_ranker,
    read_items,
    read_payload,
    read_rerankers,
    read_results,
    request_head,
)
from benchmarks.payloads import KEY, MODEL, QUERY, body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AsyncExitStack

    AsyncCall = Callable[[list[str]], Awaitable[Any]]


async def open_ours(base: str, _: AsyncExitStack) -> AsyncCall:
    """The public function, with everything as it comes."""
    arerank = import_module("rerank_core").arerank
    model = f"cohere/{MODEL}"
    return lambda sent: arerank(model, QUERY, sent, top_n=len(sent), api_key=KEY, api_base=base)


async def open_ours_pyreqwest(base: str, stack: AsyncExitStack) -> AsyncCall:
    """A `Reranker` with pyreqwest's transport for httpx."""
    transport = import_module("pyreqwest.compatibility.httpx").HttpxTransport()
    return await _ours_with(transport, base, stack)


async def open_ours_aiohttp(base: str, stack: AsyncExitStack) -> AsyncCall:
    """A `Reranker` with httpx-aiohttp's transport, without a limit of connections."""
    aiohttp, httpx_aiohttp = import_module("aiohttp"), import_module("httpx_aiohttp")

    def make() -> Any:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    return await _ours_with(httpx_aiohttp.AiohttpTransport(client=make), base, stack)


async def _ours_with(transport: Any, base: str, stack: AsyncExitStack) -> AsyncCall:
    stack.push_async_callback(transport.aclose)
    reranker = import_module("rerank_core").Reranker(
        f"cohere/{MODEL}", api_key=KEY, api_base=base, http_client=transport
    )
    await stack.enter_async_context(reranker)
    return lambda sent: reranker.arerank(QUERY, sent, top_n=len(sent))


class Connection(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.start = self.end = 0
        self.reply: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Collect a reply."""
        self.received += data
        if not self.end:
            head = self.received.find(b"\r\n\r\n")
            if head < 0:
                return
            self.start, self.end = find_body(self.received, head)
        if len(self.received) >= self.end and self.reply:
            self.reply.set_result(bytes(self.received[self.start :]))
            self.received.clear()
            self.end = 0


async def open_asyncio(base: str, stack: AsyncExitStack) -> AsyncCall:
    """A protocol of asyncio's, a stack of idle connections, and nothing else: the floor."""
    orjson, loop = import_module("orjson"), asyncio.get_running_loop()
    host, port = base.removeprefix("http://").split(":")
    head, idle = request_head(base), list[Connection]()

    async def call(sent: list[str]) -> Any:
        if idle:
            connection = idle.pop()
        else:
            _, connection = await loop.create_connection(Connection, host, int(port))
            stack.callback(connection.transport.close)
        connection.reply = loop.create_future()
        encoded = orjson.dumps(body(sent))
        connection.transport.write(b"%b%d\r\n\r\n%b" % (head, len(encoded), encoded))
        reply = orjson.loads(await connection.reply)
        idle.append(connection)
        return reply

    return call


async def open_httpx(base: str, stack: AsyncExitStack) -> AsyncCall:
    """One `httpx.AsyncClient` as it comes: at most 100 connections, of which 20 are kept."""
    httpx, orjson = import_module("httpx"), import_module("orjson")
    client = await stack.enter_async_context(httpx.AsyncClient(timeout=600))
    url = f"{base}/v2/rerank"

    async def call(sent: list[str]) -> Any:
        reply = await client.post(url, content=orjson.dumps(body(sent)), headers=HEADERS)
        reply.raise_for_status()
        return orjson.loads(reply.content)

    return call


async def open_httpx_each(base: str, stack: AsyncExitStack) -> AsyncCall:
    """A client of httpx's for each connection, the one used last on top: what httpx allows."""
    httpx, orjson = import_module("httpx"), import_module("orjson")
    context, limits = httpx.create_ssl_context(), httpx.Limits(max_connections=1)
    url, idle = f"{base}/v2/rerank", list[Any]()

    async def call(sent: list[str]) -> Any:
        if idle:
            client = idle.pop()
        else:
            client = httpx.AsyncClient(timeout=600, verify=context, limits=limits)
            stack.push_async_callback(client.aclose)
        reply = await client.post(url, content=orjson.dumps(body(sent)), headers=HEADERS)
        reply.raise_for_status()
        idle.append(client)
        return orjson.loads(reply.content)

    return call


async def open_aiohttp(base: str, stack: AsyncExitStack) -> AsyncCall:
    """One session of aiohttp's without a limit of connections, given and taking bytes."""
    aiohttp, orjson = import_module("aiohttp"), import_module("orjson")
    connector = aiohttp.TCPConnector(limit=0)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    url = f"{base}/v2/rerank"

    async def call(sent: list[str]) -> Any:
        async with session.post(url, data=orjson.dumps(body(sent)), headers=HEADERS) as reply:
            reply.raise_for_status()
            return orjson.loads(await reply.read())

    return call


async def open_litellm(base: str, _: AsyncExitStack) -> AsyncCall:
    """The function of litellm."""
    litellm: Any = import_module("litellm")
    litellm.suppress_debug_info = True
    return lambda sent: litellm.arerank(**litellm_arguments(sent, base))


async def open_cohere(base: str, _: AsyncExitStack) -> AsyncCall:
    """Cohere's own client."""
    client = import_module("cohere").AsyncClientV2(api_key=KEY, base_url=base, timeout=600)
    return lambda sent: client.rerank(model=MODEL, query=QUERY, documents=sent, top_n=len(sent))


async def open_rerankers(base: str, _: AsyncExitStack) -> AsyncCall:
    """The blocking call in a thread of the event loop's pool."""
    ranker = make_ranker(base)
    return lambda sent: ranker.rank_async(QUERY, sent)


async def open_voyage(base: str, _: AsyncExitStack) -> AsyncCall:
    """Voyage's own client; it opens a connection per call."""
    client = import_module("voyageai").AsyncClient(api_key=KEY, base_url=f"{base}/voyage/v1")
    return lambda sent: client.rerank(QUERY, sent, model="rerank-2.5", top_k=len(sent))


CLIENTS = {
    "ours": Client("**rerank-core**", OURS, open_ours, read_results),
    "ours_pyreqwest": Client(
        "rerank-core, pyreqwest's transport", TRANSPORTS, open_ours_pyreqwest, read_results
    ),
    "ours_aiohttp": Client(
        "rerank-core, httpx-aiohttp's transport", TRANSPORTS, open_ours_aiohttp, read_results
    ),
    "asyncio": Client("raw asyncio, orjson", OURS, open_asyncio, read_payload),
    "aiohttp": Client("aiohttp, orjson", "bench_aiohttp", open_aiohttp, read_payload),
    "httpx": Client("httpx as it comes, orjson", OURS, open_httpx, read_payload),
    "httpx_each": Client(
        "httpx, a client for each connection, orjson", OURS, open_httpx_each, read_payload
    ),
    "litellm": Client("litellm", "bench_litellm", open_litellm, read_items),
    "rerankers": Client("rerankers", "bench_rerankers", open_rerankers, read_rerankers),
    "cohere": Client("cohere", "bench_cohere", open_cohere, read_results),
    "voyageai": Client("voyageai", "bench_voyageai", open_voyage, read_results),
}
