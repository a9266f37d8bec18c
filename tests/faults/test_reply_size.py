"""`max_response_bytes`: a reply too large is refused while it comes, not after."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from faults.calls import MODEL, Fault, MakeCalls, check_fault, check_outcome, fault
from faults.server import Step, chunk, head, rank, ranking, repeat, reply, serving, step
from rerank_core import (
    BadRequestError,
    ConfigurationError,
    Reranker,
    RerankResponse,
    ResponseParseError,
    ServerError,
)
from rerank_core._send.bodies import ReplyBody

# httpcore leaves its own generator behind where a reply is broken off, and only trio minds.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'http(core|x):ResourceWarning")
DEFAULT = 64 * 1024 * 1024
LIMIT = 100_000
MEGABYTE = 1_000_000
OVERSHOOT = 16 * MEGABYTE
"""What may be held beyond the limit: the last read, and what it unpacks to."""
PLENTY = 1_000_000_000
GZIP = "Content-Encoding: gzip"
CHUNKED = "Transfer-Encoding: chunked"


def _filled(size: int) -> bytes:
    """A good body of so many bytes."""
    return ranking(fill="").replace(b'"fill": ""', b'"fill": "%s"') % (
        b"y" * (size - len(ranking(fill="")))
    )


def _bomb(megabytes: int, prefix: bytes = b"") -> bytes:
    """Gzip of zeros; one block again and again, as compressing all of them takes seconds."""
    packer = zlib.compressobj(9, wbits=-15)
    begin = packer.compress(prefix) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + begin + block * megabytes + packer.flush()


BOMB = _bomb(1024)
"""A GiB in a megabyte."""


def _too_large(name: str, script: Step, most: int = LIMIT) -> object:
    return fault(
        name, script, outcome=ResponseParseError, requests=1, says="max_response_bytes",
        options={"max_response_bytes": most, "max_retries": 2},
    )  # fmt: skip


def _taken(name: str, body: bytes, *lines: str, most: int | None = LIMIT) -> object:
    return fault(
        name, step(reply(body, *lines)), outcome=None, options={"max_response_bytes": most}
    )


@pytest.mark.parametrize(
    "found",
    [
        _too_large("one byte too large", step(reply(_filled(LIMIT + 1)))),
        _too_large("a Content-Length of a GB", step(head(f"Content-Length: {PLENTY}"),
                   repeat(b" " * 65_536, PLENTY))),
        _too_large("no Content-Length", step(head(), repeat(b" " * 65_536, PLENTY))),
        _too_large("chunks without end", step(head(CHUNKED), repeat(chunk(b" " * 65_536), PLENTY))),
        _too_large("small chunks", step(head(CHUNKED), repeat(chunk(b" " * 50) * 300, PLENTY))),
        _too_large("gzip one byte too large", step(reply(gzip.compress(_filled(LIMIT + 1)), GZIP))),
        _too_large("a gzip bomb", step(reply(BOMB, GZIP))),
        _too_large("a gzip bomb in chunks", step(head(CHUNKED, GZIP), chunk(BOMB), chunk(b""))),
        _too_large("gzip of nothing without end", step(head(GZIP),
                   repeat(gzip.compress(b"") * 4096, PLENTY))),
        fault("a bomb in a bomb", step(reply(gzip.compress(BOMB), "Content-Encoding: gzip, gzip")),
              outcome=ResponseParseError, options={"max_response_bytes": LIMIT}),
        _taken("the limit met", _filled(LIMIT)),
        _taken("the limit met by gzip", gzip.compress(_filled(LIMIT)), GZIP),
        _taken("gzip larger than what is in it", gzip.compress(ranking(), 0), GZIP,
               most=len(ranking("second"))),
        _taken("a megabyte by default", _filled(MEGABYTE), most=DEFAULT),
        _taken("a megabyte without a limit", _filled(MEGABYTE), most=None),
    ],
)  # fmt: skip
def test_a_reply_too_large_is_refused(call: MakeCalls, found: Fault) -> None:
    """Once, naming the option; what meets the limit is taken; the next call is not harmed."""
    check_fault(call, found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "sent"),
    [
        pytest.param(step(head(CHUNKED), repeat(chunk(b" " * 65_536), PLENTY)), True, id="chunks"),
        pytest.param(step(reply(BOMB, GZIP)), False, id="gzip"),
    ],
)
@pytest.mark.parametrize("limit", [LIMIT, None])
def test_a_reply_too_large_is_not_held_in_memory(
    call: MakeCalls, script: Step, limit: int | None, *, sent: bool
) -> None:
    """Neither at a small limit nor at the usual one is much more held than that; nor read."""
    options: dict[str, Any] = {} if limit is None else {"max_response_bytes": limit}
    call.once("http://127.0.0.1:9", max_retries=0)  # what a first call imports does not count
    with serving(script) as server:
        tracemalloc.start()
        try:
            outcome = call.once(server.url, **options)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        check_outcome(outcome, ResponseParseError, says=f"{limit or DEFAULT:,}")
        assert peak <= (limit or DEFAULT) * 1.25 + OVERSHOOT
        assert not sent or server.sent <= (limit or DEFAULT) + OVERSHOOT


CHUNK = 65_536
SPARE = 8 * CHUNK
"""What one chunk takes beside the body: what it unpacks to and what of it waits, each twice where
it is copied, and the state of zlib."""
NOISE = random.Random(1).randbytes(4 * MEGABYTE)  # noqa: S311 - no secret


@pytest.mark.parametrize("limit", [LIMIT, MEGABYTE, 2 * CHUNK])
@pytest.mark.parametrize(
    ("arriving", "encoding"),
    [
        pytest.param(NOISE, "", id="plain"),
        pytest.param(gzip.compress(NOISE), "gzip", id="gzip"),
        pytest.param(gzip.compress(NOISE.hex().encode()), "gzip", id="gzip of half the size"),
        pytest.param(BOMB, "gzip", id="a gzip bomb"),
    ],
)
def test_no_more_is_held_than_the_limit_and_one_chunk(
    arriving: bytes, encoding: str, limit: int
) -> None:
    """What is too large is refused at the first chunk that is over, and never held."""
    expected, taken = _first_over(arriving, encoding, limit), 0
    tracemalloc.start()
    try:
        body = ReplyBody(200, encoding, limit)
        for at in range(0, len(arriving), CHUNK):
            taken += 1
            if not body.add(arriving[at : at + CHUNK]):
                break
        with pytest.raises(ResponseParseError, match="max_response_bytes"):
            body.whole()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert taken == expected
    assert peak <= limit * 9 / 8 + SPARE  # of an eighth more does Python make room


def _first_over(arriving: bytes, encoding: str, limit: int) -> int:
    """The number of the chunk with which there is more than the limit."""
    unpack = zlib.decompressobj(47).decompress if encoding else bytes
    size = 0
    for number, at in enumerate(range(0, len(arriving), CHUNK), 1):
        size += len(unpack(arriving[at : at + CHUNK]))
        if size > limit:
            return number
    pytest.fail("it is within the limit")


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_the_limit_itself_is_taken(encoding: str) -> None:
    """To the byte, in chunks as they come; and one byte more is refused."""
    content = NOISE[: 5 * CHUNK]
    arriving = gzip.compress(content) if encoding else content

    def read(limit: int) -> bytes:
        body = ReplyBody(200, encoding, limit)
        for at in range(0, len(arriving), CHUNK):
            body.add(arriving[at : at + CHUNK])
        return body.whole()

    assert read(len(content)) == content
    with pytest.raises(ResponseParseError, match="max_response_bytes"):
        read(len(content) - 1)


@pytest.mark.slow
def test_a_body_of_small_pieces_takes_no_more_than_its_size() -> None:
    """As a service makes it that sends each two bytes as a chunk of their own."""
    pieces = [bytes([at % 256, 0]) for at in range(MEGABYTE // 2)]
    tracemalloc.start()
    try:
        body = ReplyBody(200)
        for piece in pieces:
            body.add(bytes(bytearray(piece)))  # one of its own, as a parser makes it
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert body.whole() == b"".join(pieces)
    assert peak <= 4 * MEGABYTE


@pytest.mark.slow
@pytest.mark.parametrize("way", ["direct", "through a proxy", "by a client of the caller's"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_other_tasks_have_their_turn_while_small_chunks_are_read(
    backend: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply in tens of thousands of chunks that arrive together does not stop the event loop."""
    turns = 0
    script = step(head(CHUNKED), chunk(b" ") * 20_000, chunk(ranking()), chunk(b""))

    async def tick() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async def main(url: str) -> RerankResponse:
        client = httpx.AsyncClient() if way.startswith("by a client") else None
        if way == "through a proxy":
            monkeypatch.setenv("HTTP_PROXY", url)
            url = "http://service.test"
        async with (
            Reranker(MODEL, api_key="k-0123456789", api_base=url, http_client=client) as reranker,
            anyio.create_task_group() as group,
        ):
            await reranker.arerank("warm", ["a", "b"])
            group.start_soon(tick)
            before = turns
            response = await reranker.arerank("first", ["a", "b"])
            assert turns - before >= 20
            group.cancel_scope.cancel()
        if client is not None:
            await client.aclose()
        return response

    with serving(step(rank), script) as server:
        response = anyio.run(main, server.url, backend=backend)
    assert [result.index for result in response.results] == [1, 0]


@pytest.mark.parametrize(("status", "kind"), [(400, BadRequestError), (503, ServerError)])
def test_an_error_too_large_is_still_that_error(
    call: MakeCalls, status: int, kind: type[Exception]
) -> None:
    """Where the status has said it all, either kind will do; memory is bounded all the same."""
    huge = step(head(CHUNKED, status=status), repeat(chunk(b" " * 65_536), PLENTY))
    with serving(huge) as server:
        outcome = call.once(server.url, max_response_bytes=LIMIT, max_retries=0)

        assert isinstance(outcome, (kind, ResponseParseError))
        assert server.sent <= LIMIT + OVERSHOOT


def test_the_limit_holds_for_each_reply_not_for_all(call: MakeCalls) -> None:
    """Parts of a long list are limited one by one."""
    with serving(step(rank)) as server:
        outcomes = call(server.url, "a", "b", "c", max_response_bytes=len(ranking("a")) + 50)

    for outcome, query in zip(outcomes, "abc", strict=True):
        check_outcome(outcome, None, query=query)
        assert isinstance(outcome, RerankResponse)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "1", True])
def test_a_limit_that_is_none_is_refused(limit: object) -> None:
    """Before anything is sent."""
    with (
        serving() as server,
        pytest.raises(ConfigurationError, match="max_response_bytes"),
    ):
        MakeCalls("rerank")(server.url, "a", max_response_bytes=limit)

    assert server.connections == 0
