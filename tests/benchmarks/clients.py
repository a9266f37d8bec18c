"""The clients that are compared: how each is opened, called and read.

A client does in each call all that its user pays for: it encodes, sends, waits and decodes to
whatever it returns. Everything is imported by name and late: no environment holds all of it, and
what is not needed must not count.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks.payloads import KEY, MODEL, QUERY, body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import ExitStack

    Call = Callable[[list[str]], Any]
    Pairs = Iterable[tuple[int, float]]

HEADERS = {
    "Authorization": f"Bearer {KEY}",
    "Content-Type": "application/json",
    "Accept": "application/json",
}


class Client:
    """One client, blocking or async.

    Args:
        label: Its name in tables.
        environment: The environment that it runs in.
        make: Makes the call, given the server's base URL and a stack of what to close.
        pairs: Reads index and score of each result from what a call returned.
    """

    def __init__(
        self,
        label: str,
        environment: str,
        make: Callable[[str, Any], Any],
        pairs: Callable[[Any], Pairs],
    ) -> None:
        self.label = label
        self.environment = environment
        self.open = make
        self.pairs = pairs


def read_payload(reply: Any) -> Pairs:
    """Results of a decoded reply."""
    return [(result["index"], result["relevance_score"]) for result in reply["results"]]


def read_results(reply: Any) -> Pairs:
    """Results with attributes."""
    return [(result.index, result.relevance_score) for result in reply.results]


def read_items(reply: Any) -> Pairs:
    """Results that are dicts."""
    return [(result["index"], result["relevance_score"]) for result in reply.results]


def read_rerankers(reply: Any) -> Pairs:
    """Results whose index is their document's."""
    return [(result.document.doc_id, result.score) for result in reply.results]


def open_ours(base: str, _: ExitStack) -> Call:
    """The public function, with everything as it comes."""
    rerank = import_module("rerank_core").rerank
    model = f"cohere/{MODEL}"
    return lambda sent: rerank(model, QUERY, sent, top_n=len(sent), api_key=KEY, api_base=base)


def open_ours_read(base: str, stack: ExitStack) -> Call:
    """The public function, and index, score and text of every result are read."""
    call = open_ours(base, stack)

    def read(sent: list[str]) -> Any:
        reply = call(sent)
        for result in reply.results:
            _ = result.index, result.relevance_score, result.document.text
        return reply

    return read


def open_httpx(base: str, stack: ExitStack) -> Call:
    """One `httpx.Client`, as its documentation shows it."""
    client = stack.enter_context(import_module("httpx").Client(timeout=60))
    url = f"{base}/v2/rerank"

    def call(sent: list[str]) -> Any:
        reply = client.post(url, json=body(sent), headers=HEADERS)
        reply.raise_for_status()
        return reply.json()

    return call


def open_httpx_orjson(base: str, stack: ExitStack) -> Call:
    """The same with bytes from orjson, and pairs of index and score made of the reply."""
    client = stack.enter_context(import_module("httpx").Client(timeout=60))
    orjson = import_module("orjson")
    url = f"{base}/v2/rerank"

    def call(sent: list[str]) -> Any:
        reply = client.post(url, content=orjson.dumps(body(sent)), headers=HEADERS)
        reply.raise_for_status()
        return read_payload(orjson.loads(reply.content))

    return call


def open_socket(base: str, stack: ExitStack) -> Call:
    """A blocking socket: no pool, no timeouts, no errors but these. The floor for Python code."""
    socket, orjson = import_module("socket"), import_module("orjson")
    host, port = base.removeprefix("http://").split(":")
    connection = stack.enter_context(socket.create_connection((host, int(port))))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = request_head(base)
    buffer = bytearray(1 << 20)
    view = memoryview(buffer)

    def call(sent: list[str]) -> Any:
        encoded = orjson.dumps(body(sent))
        connection.sendall(b"%b%d\r\n\r\n%b" % (head, len(encoded), encoded))
        got, start, end = 0, 0, 1 << 20
        while got < end:
            received = connection.recv_into(view[got:])
            got += received
            if not received:
                raise ConnectionError
            if not start and (at := buffer.find(b"\r\n\r\n", 0, got)) >= 0:
                start, end = find_body(buffer, at)
        return orjson.loads(bytes(view[start:end]))

    return call


def request_head(base: str) -> bytes:
    """The head of a request, up to the value of its last header."""
    lines = {"host": base.removeprefix("http://"), **HEADERS}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /v2/rerank HTTP/1.1\r\n{head}content-length: ".encode()


def find_body(buffer: bytearray, end: int) -> tuple[int, int]:
    """Where the body of a reply begins and ends, whose head ends here."""
    if buffer[9:12] != b"200":
        raise ConnectionError(bytes(buffer[:end]))
    at = buffer.find(b"content-length:", 0, end) + 15
    return end + 4, end + 4 + int(buffer[at : buffer.find(b"\r", at)])


def open_litellm(base: str, _: ExitStack) -> Call:
    """The function of litellm."""
    litellm: Any = import_module("litellm")
    litellm.suppress_debug_info = True
    return lambda sent: litellm.rerank(**litellm_arguments(sent, base))


def litellm_arguments(sent: list[str], base: str) -> dict[str, Any]:
    """What both of its functions are given."""
    return {
        "model": f"cohere/{MODEL}",
        "query": QUERY,
        "documents": sent,
        "top_n": len(sent),
        "return_documents": None,
        "api_key": KEY,
        "api_base": f"{base}/v2/rerank",
    }


def open_cohere(base: str, _: ExitStack) -> Call:
    """Cohere's own client."""
    client = import_module("cohere").ClientV2(api_key=KEY, base_url=base)
    return lambda sent: client.rerank(model=MODEL, query=QUERY, documents=sent, top_n=len(sent))


def open_rerankers(base: str, _: ExitStack) -> Call:
    """The ranker for Cohere's API; it opens a connection per call."""
    ranker = make_ranker(base)
    return lambda sent: ranker.rank(QUERY, sent)


def make_ranker(base: str) -> Any:
    """Its ranker, with another URL than Cohere's."""
    ranker = import_module("rerankers.models.api_rankers").APIRanker
    return ranker(MODEL, KEY, "cohere", verbose=0, url=f"{base}/v2/rerank")


def open_voyage(base: str, _: ExitStack) -> Call:
    """Voyage's own client."""
    client = import_module("voyageai").Client(api_key=KEY, base_url=f"{base}/voyage/v1")
    return lambda sent: client.rerank(QUERY, sent, model="rerank-2.5", top_k=len(sent))


OURS = "bench_ours"
TRANSPORTS = "bench_transports"  # ours, with transports of third parties beside it
CLIENTS = {
    "ours": Client("**rerank-core**", OURS, open_ours, read_results),
    "ours_read": Client("rerank-core, every result read", OURS, open_ours_read, read_results),
    "socket": Client("raw socket, orjson", OURS, open_socket, read_payload),
    "httpx": Client("httpx, `json=`", OURS, open_httpx, read_payload),
    "httpx_orjson": Client("httpx, orjson", OURS, open_httpx_orjson, list),
    "litellm": Client("litellm", "bench_litellm", open_litellm, read_items),
    "rerankers": Client("rerankers", "bench_rerankers", open_rerankers, read_rerankers),
    "cohere": Client("cohere", "bench_cohere", open_cohere, read_results),
    "voyageai": Client("voyageai", "bench_voyageai", open_voyage, read_results),
}
