"""Replies with a good status whose body is not what it should be."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from faults.calls import (
    MODEL,
    MOST_TEXT,
    TWO_DRIVERS,
    Fault,
    MakeCalls,
    check_fault,
    check_outcome,
    fault,
)
from faults.server import chunk, head, rank, ranking, reply, serving, step
from rerank_core import (
    AuthenticationError,
    BadRequestError,
    RerankError,
    RerankResponse,
    ResponseParseError,
    ServerError,
)

pytestmark = [TWO_DRIVERS, pytest.mark.slow]
BODY = ranking()
PACKED = gzip.compress(BODY, mtime=0)
GZIP = "Content-Encoding: gzip"
CUT = len(gzip.compress(BODY[:20], mtime=0))
TWO_MEMBERS = gzip.compress(BODY[:20], mtime=0) + gzip.compress(BODY[20:], mtime=0)
CHUNKED = "Transfer-Encoding: chunked"
HUGE = b"9" * 5000


def _rows(*rows: bytes) -> bytes:
    return b'{"id": "first", "results": [%s]}' % b", ".join(rows)


def _row(index: bytes = b"1", score: bytes = b"0.9") -> bytes:
    return b'{"index": %s, "relevance_score": %s}' % (index, score)


OTHER = _row(b"0", b"0.1")

CODINGS = [
    fault("gzip", step(reply(PACKED, GZIP)), outcome=None),
    fault("x-gzip in capitals", step(reply(PACKED, "Content-Encoding: GZIP")), outcome=None),
    fault("deflate, which nobody asked for",
          step(reply(zlib.compress(BODY), "Content-Encoding: deflate")),
          outcome=ResponseParseError, says="deflate"),
    fault("gzip twice, which nobody asked for",
          step(reply(gzip.compress(PACKED), "Content-Encoding: gzip, gzip")),
          outcome=ResponseParseError),
    fault("gzip in two members", step(reply(TWO_MEMBERS, GZIP)), outcome=None),
    fault("gzip in two members that come one by one",
          step(head(CHUNKED, GZIP), chunk(TWO_MEMBERS[:CUT]), chunk(TWO_MEMBERS[CUT:]), chunk(b"")),
          outcome=None),
    fault("gzip in two members, a byte at a time",
          step(head(CHUNKED, GZIP), *[chunk(bytes([byte])) for byte in TWO_MEMBERS], chunk(b"")),
          outcome=None),
    fault("gzip with an empty member behind it", step(reply(PACKED + gzip.compress(b""), GZIP)),
          outcome=None),
    fault("gzip with zeros behind it", step(reply(PACKED + b"\0" * 512, GZIP)), outcome=None),
    fault("gzip whose second member is cut", step(reply(TWO_MEMBERS[:-9], GZIP)),
          outcome=ResponseParseError),
    fault("gzip whose second member is a second reply",
          step(reply(PACKED + gzip.compress(ranking("stale")), GZIP)), outcome=ResponseParseError),
    fault("identity", step(reply(BODY, "Content-Encoding: identity")), outcome=None),
    fault("a coding that nobody asked for", step(reply(BODY, "Content-Encoding: tomorrow")),
          outcome=ResponseParseError, says="tomorrow"),
    fault("a coding that nobody asked for, with 401",
          step(reply(BODY, "Content-Encoding: tomorrow", status=401)), outcome=AuthenticationError),
    fault("gzip that is none", step(reply(BODY, GZIP)), outcome=ResponseParseError),
    fault("gzip cut in its middle", step(reply(PACKED[: len(PACKED) // 2], GZIP)),
          outcome=ResponseParseError),
    fault("gzip cut in its head", step(reply(PACKED[:5], GZIP)), outcome=ResponseParseError),
    fault("gzip of nothing", step(reply(b"", GZIP)), outcome=ResponseParseError),
    fault("gzip with a wrong checksum", step(reply(PACKED[:-8] + b"\0" * 8, GZIP)),
          outcome=ResponseParseError),
    fault("gzip that is none, with 401", step(reply(b'{"message": "no"}', GZIP, status=401)),
          outcome=AuthenticationError),
    fault("gzip that is none, with 400", step(reply(b'{"message": "no"}', GZIP, status=400)),
          outcome=BadRequestError),
]  # fmt: skip

NO_RANKINGS = [
    fault(name, step(reply(body)), outcome=ResponseParseError)
    for name, body in {
        "nothing": b"",
        "a blank": b" ",
        "null": b"null",
        "a page of HTML": b"<html><body>Sign in to the hotel's network</body></html>",
        "text": b"OK",
        "a number": b"1",
        "a list": b"[]",
        "an empty object": b"{}",
        "results that are null": b'{"results": null}',
        "results that are a text": b'{"results": "ab"}',
        "no results": b'{"results": []}',
        "a missing document": _rows(OTHER),
        "half a ranking": BODY[: len(BODY) // 2],
        "two rankings": BODY * 2,
        "UTF-16": BODY.decode().encode("utf-16"),
        "UTF-8 with a broken character": BODY.replace(b"first", b"fir\xffst"),
        "a control character in a string": BODY.replace(b"first", b"fir\x00st"),
        "100,000 brackets": b"[" * 100_000 + b"]" * 100_000,
        "100,000 open brackets": b"[" * 100_000,
        "100,000 objects": b'{"results": ' * 100_000 + b"1" + b"}" * 100_000,
        "brackets as a score": _rows(_row(score=b"[" * 900 + b"]" * 900), OTHER),
        "NaN as a score": _rows(_row(score=b"NaN"), OTHER),
        "Infinity as a score": _rows(_row(score=b"Infinity"), OTHER),
        "-Infinity as a score": _rows(_row(score=b"-Infinity"), OTHER),
        "NaN as a text": _rows(_row(score=b'"NaN"'), OTHER),
        "1e999 as a score": _rows(_row(score=b"1e999"), OTHER),
        "a score of 5000 digits": _rows(_row(score=HUGE), OTHER),
        "a negative score of 5000 digits": _rows(_row(score=b"-" + HUGE), OTHER),
        "true as a score": _rows(_row(score=b"true"), OTHER),
        "no score": _rows(b'{"index": 1}', OTHER),
        "an index of 5000 digits": _rows(_row(HUGE), OTHER),
        "a negative index of 5000 digits": _rows(_row(b"-" + HUGE), OTHER),
        "an index of 20 digits": _rows(_row(b"9" * 20), OTHER),
        "an index of 2**64 and one more": _rows(_row(b"18446744073709551617"), OTHER),
        "an index out of the list": _rows(_row(b"2"), OTHER),
        "a negative index": _rows(_row(b"-1"), OTHER),
        "an index with a fraction": _rows(_row(b"1.5"), OTHER),
        "an index as a text": _rows(_row(b'"1"'), OTHER),
        "true as an index": _rows(_row(b"true"), OTHER),
        "one index twice": _rows(OTHER, OTHER),
        "an index given twice, the last one wrong":
            _rows(b'{"index": 1, "relevance_score": 0.9, "index": 7}', OTHER),
        "results given twice, the last ones wrong": BODY[:-1] + b', "results": []}',
    }.items()
]  # fmt: skip

RANKINGS = [
    fault(name, step(reply(body)), outcome=None)
    for name, body in {
        "white space around it": b"\r\n\t " + BODY + b"\n" * 1000,
        "a megabyte of white space": b" " * 1_000_000 + BODY,
        "results given twice, the last ones right": b'{"results": [], ' + BODY[1:],
        "half of a surrogate pair": BODY[:-1] + b', "note": "\\ud800"}',
        "a key given twice": BODY[:-1] + b', "id": "first"}',
        "an unknown member of a megabyte": ranking(more="y" * 1_000_000),
        "900 brackets in an unknown member":
            BODY[:-1] + b', "more": %s}' % (b"[" * 900 + b"]" * 900),
        "usage of 300 digits": BODY[:-1] + b', "usage": {"total_tokens": 1%s}}' % (b"0" * 300),
        "usage that is no number": ranking(usage={"total_tokens": "many"}),
        "usage that is a list": ranking(usage=[1, 2]),
        "negative usage": ranking(usage={"total_tokens": -5}),
        "meta that is a text": ranking(meta={"billed_units": "all", "warnings": "none"}),
        "scores of great size": _rows(_row(score=b"1e308"), _row(b"0", b"-1e308")),
        "a score of 20 digits": _rows(_row(score=b"9" * 20), OTHER),
        "a score of 300 digits": _rows(_row(score=b"9" * 300), OTHER),
    }.items()
]  # fmt: skip


@pytest.mark.parametrize("found", [*CODINGS, *NO_RANKINGS, *RANKINGS])
def test_a_call_comes_to_what_is_promised(call: MakeCalls, found: Fault) -> None:
    """A ranking that is whole, or an error that says so: never a part, never another attempt."""
    check_fault(call, found)


@pytest.mark.parametrize("line", [GZIP, "Content-Encoding: br"])
def test_of_a_failure_that_cannot_be_unpacked_nothing_is_shown(call: MakeCalls, line: str) -> None:
    """The status says enough; garbage says nothing."""
    body = PACKED[:-8] + b"\0" * 8  # it unpacks, but for its end
    with serving(step(reply(body, line, status=503))) as server:
        outcome = call.once(server.url, max_retries=0)

    assert isinstance(outcome, ServerError)
    assert outcome.response is not None
    assert outcome.response.content == b""


def test_the_content_type_is_not_asked(call: MakeCalls) -> None:
    """Services send JSON as text, and worse; what counts is what it is."""
    for line in ("Content-Type: text/html; charset=utf-16", "Content-Type: \xff", "X: y"):
        with serving(step(reply(None, line))) as server:
            check_outcome(call.once(server.url), None)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf", b"\xfe\xff"])
def test_a_byte_order_mark_does_no_harm(call: MakeCalls, mark: bytes) -> None:
    """The ranking is read behind it, or refused: nothing else."""
    with serving(step(reply(mark + BODY))) as server:
        outcome = call.once(server.url)

    check_outcome(outcome, None if isinstance(outcome, RerankResponse) else ResponseParseError)


@pytest.mark.parametrize("digits", [HUGE, b"-" + HUGE, b"1e5000", b"1" + b"0" * 400])
@pytest.mark.parametrize("where", [b"total_tokens", b"prompt_tokens", b"completion_tokens"])
def test_a_count_beyond_all_measure_does_no_harm(
    call: MakeCalls, digits: bytes, where: bytes
) -> None:
    """Usage is no reason to lose a ranking where it can be read, and never an error of Python's."""
    body = BODY[:-1] + b', "usage": {"%s": %s}}' % (where, digits)
    with serving(step(reply(body))) as server:
        outcome = call.once(server.url)

    check_outcome(outcome, None if isinstance(outcome, RerankResponse) else ResponseParseError)
    if isinstance(outcome, RerankResponse):
        json.dumps(outcome.to_dict(), allow_nan=False)


def test_warnings_of_a_megabyte_are_cut(call: MakeCalls) -> None:
    """What a service warns of is shown, each in a few hundred characters."""
    warnings = ["y" * 1_000_000, "z", 7, None, {"message": "x"}]
    with serving(step(reply(ranking(meta={"warnings": warnings})))) as server:
        outcome = call.once(server.url)

    assert isinstance(outcome, RerankResponse)
    assert [warning[0] for warning in outcome.warnings] == ["y", "z"]
    assert max(map(len, outcome.warnings)) <= 500


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param("soon", 100_000, id="many"),
        pytest.param("%63%61x" * 200_000, 20, id="long ones, written as if to hide something"),
    ],
)
def test_warnings_without_end_are_counted(call: MakeCalls, text: str, count: int) -> None:
    """The first are shown, and what there is to read of them is bounded."""
    warnings = [f"{at} {text}" for at in range(count)]
    with serving(step(reply(ranking(meta={"warnings": warnings})))) as server:
        outcome = call.once(server.url)

    assert isinstance(outcome, RerankResponse)
    assert [said.partition(" ")[0] for said in outcome.warnings[:20]] == [*map(str, range(20))]
    assert outcome.warnings[20:] == (
        (f"the service has {count - 20} more warnings: payload has them all",) if count > 20 else ()
    )
    assert sum(map(len, outcome.warnings)) <= 21 * 500


@pytest.mark.parametrize(
    "options",
    [{"fallbacks": [MODEL]}, {"on_failure": "passthrough"}],
    ids=["fallback", "passed on"],
)
def test_a_warning_of_a_failure_is_cut(call: MakeCalls, options: dict[str, Any]) -> None:
    """The error of whoever failed before is quoted, in as few characters as any warning."""
    failing = step(reply(b'{"message": "%s"}' % (b"y" * 1_000_000), status=503))
    with serving(failing, step(rank)) as server:
        outcome = call.once(server.url, max_retries=0, **options)

    assert isinstance(outcome, RerankResponse)
    assert len(outcome.warnings) == 1
    assert "yyy" in outcome.warnings[0]
    assert len(outcome.warnings[0]) <= 500


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"error": "%s"}' % (b"y" * 1_000_000), id="an error"),
        pytest.param(b"y" * 1_000_000, id="text"),
        pytest.param(b'{"results": "%s"}' % (b"y" * 1_000_000), id="results"),
        pytest.param(_rows(_row(b'"%s"' % (b"y" * 1_000_000)), OTHER), id="an index"),
        pytest.param(_rows(_row(score=b'"%s"' % (b"y" * 1_000_000)), OTHER), id="a score"),
        pytest.param(b'{"%s": 1}' % (b"y" * 1_000_000), id="a name"),
    ],
)
def test_a_long_reply_makes_a_short_error(call: MakeCalls, body: bytes) -> None:
    """What is wrong is said in a line, not sent back whole."""
    with serving(step(reply(body))) as server:
        outcome = call.once(server.url)

    assert isinstance(outcome, RerankError)
    assert len(str(outcome)) <= MOST_TEXT
    assert len(repr(outcome)) <= MOST_TEXT


def test_a_body_that_no_reply_has_is_not_waited_for(call: MakeCalls) -> None:
    """A 204 ends with its head: the connection serves the next call."""
    with serving(step(head(status=204))) as server:
        check_outcome(call.once(server.url), ResponseParseError)
