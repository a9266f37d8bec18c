"""Random histories: what a caller asks, and what a service makes of it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from typing import Any, Literal

import httpx
import orjson
from attrs import frozen
from hypothesis import strategies as st

from core.virtual import Reply, ScriptedPlugin, Service
from rerank_core import Reranker, wire

TIMEOUT = 2.0
PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 599)
FINAL = (301, 302, 304, 400, 401, 403, 404, 410, 413, 418, 422, 451, 501)
FAILURES = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ReadError,
    httpx.ReadTimeout,
    httpx.RemoteProtocolError,
    httpx.WriteError,
)
BLANK = "\u2003"
Rows = list[dict[str, Any]]


@frozen
class Told(Reply):
    """A reply, and what the contract makes of it.

    Attributes:
        kind: A ranking, worth another attempt, never so, or unreadable.
        asks: Seconds that it asks to wait at a time in seconds since 1970; `None` for none.
    """

    kind: Literal["good", "passing", "final", "malformed"] = "good"
    asks: Callable[[float], float | None] = lambda _: None

    @property
    def outcome(self) -> str:
        """The kind, for a reply that may have become a timeout."""
        return "passing" if self.failure else self.kind


@frozen
class History:
    """One call and everything that happens to it."""

    documents: list[str | dict[str, Any]]
    scores: Mapping[str, float]
    replies: list[list[Told]]
    fallback_replies: list[list[Told]]
    facts: Mapping[str, Any]
    chances: list[float]
    top_n: int | None
    max_retries: int
    max_concurrency: int
    deadline: float | None
    on_failure: Literal["raise", "passthrough"]
    return_documents: bool

    def script(self, url: str, content: bytes, earlier: int) -> Told:
        """What is told; the same request gets the same replies, whatever else is under way."""
        slots = self.replies if url.startswith("http://scripted.test") else self.fallback_replies
        told = slots[zlib.crc32(content) % len(slots)] if slots else []
        return told[earlier] if earlier < len(told) else Told(body=ranking(self.scores))

    def open(self, service: Service) -> Reranker:
        """The caller's reranker, on this service."""
        options: dict[str, Any] = {
            "max_retries": self.max_retries,
            "timeout": TIMEOUT,
            "http_client": service.to_transport(),
            "max_concurrency": self.max_concurrency,
        }
        fallbacks = None
        if self.fallback_replies:
            other = ScriptedPlugin("other", **self.facts)
            fallbacks = [Reranker("second", provider=other, **options)]
        return Reranker(
            "first",
            provider=ScriptedPlugin(**self.facts),
            deadline=self.deadline,
            on_failure=self.on_failure,
            fallbacks=fallbacks,
            **options,
        )


def ranking(
    scores: Mapping[str, float], change: Callable[[Rows], Any] = lambda rows: rows
) -> Callable[[Any], bytes]:
    """A reply's body that ranks what was sent, after a change to its rows."""

    def body(sent: Any) -> bytes:
        rows = [
            {"index": at, "relevance_score": scores[wire.render_document(document)]}
            for at, document in enumerate(sent["documents"])
        ]
        rows.sort(key=lambda row: -row["relevance_score"])
        changed = change(rows[: sent.get("top_n")])
        if isinstance(changed, bytes):
            return changed
        usage = {"billed_units": {"total_tokens": len(sent["documents"])}}
        return orjson.dumps({"results": changed, "meta": usage})

    return body


def _first(**changes: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [{**rows[0], **changes}, *rows[1:]]


def _as_text(old: bytes, new: bytes) -> Callable[[Rows], bytes]:
    return lambda rows: orjson.dumps({"results": _first(relevance_score="?")(rows)}).replace(
        old, new
    )


CHANGES: tuple[Callable[[Rows], Any], ...] = (
    lambda _: b"",
    lambda _: b"<html><body>Bad gateway</body></html>",
    lambda _: b"\xff\xfe{}",
    lambda _: b"null",
    lambda _: b"[]",
    lambda _: b'"results"',
    lambda _: b"{}",
    lambda _: b"[" * 2000,
    lambda rows: orjson.dumps({"results": rows})[:-2],
    lambda rows: orjson.dumps({"results": rows, "error": "overloaded"}),
    orjson.dumps,
    lambda _: None,
    lambda _: {},
    lambda _: "results",
    lambda _: [],
    lambda rows: rows[:-1],
    lambda rows: rows[1:],
    lambda rows: [*rows, rows[0]],
    lambda rows: [rows[-1], *rows[1:], rows[-1]],
    lambda rows: [None, *rows[1:]],
    lambda rows: [list(row.values()) for row in rows],
    lambda rows: [{"index": row["index"]} for row in rows],
    lambda rows: [{"relevance_score": row["relevance_score"]} for row in rows],
    _first(index=-1),
    _first(index=1000),
    _first(index=2**63),
    _first(index="0"),
    _first(index=0.0),
    _first(index=False),
    _first(index=None),
    _first(relevance_score=None),
    _first(relevance_score="0.5"),
    _first(relevance_score=True),
    _first(relevance_score=[0.5]),
    _as_text(b'"?"', b"NaN"),
    _as_text(b'"?"', b"Infinity"),
    _as_text(b'"?"', b"1e999"),
    _as_text(b'"?"', b"9" * 400),
)


def _date(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


Asking = Callable[[float, int], tuple[Mapping[str, str], float | None]]
"""From the time and a number of seconds to headers that ask to wait, and how long that is."""
ASKING: Mapping[str, Asking] = {
    "seconds": lambda _, n: ({"Retry-After": str(n)}, n),
    "decimal": lambda _, n: ({"retry-after": f"{n}.25"}, n + 0.25),
    "milliseconds": lambda _, n: ({"retry-after-ms": str(n * 100), "retry-after": "7"}, n / 10),
    "date": lambda now, n: ({"retry-after": _date(int(now) + n)}, int(now) + n - now),
    "date of a wrong clock": lambda now, n: (
        {"retry-after": _date(now - 5000 + n), "date": _date(now - 5000)},
        n,
    ),
    "reset": lambda _, n: ({"x-reset": str(n)}, n),
    "reset date": lambda now, n: ({"x-reset": str(int(now) + n)}, int(now) + n - now),
    "reset date of a wrong clock": lambda now, n: (
        {"x-reset": str(int(now) - 5000 + n), "date": _date(int(now) - 5000)},
        n,
    ),
    "past": lambda *_: ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
}


def _ask(form: str, seconds: int) -> dict[str, Any]:
    """Headers that ask to wait, and how long that is."""
    asking: Asking = ASKING.get(form, lambda *_: ({"retry-after": form}, None))
    return {
        "headers": lambda now: asking(now, seconds)[0],
        "asks": lambda now: asking(now, seconds)[1],
    }


ABSURD = ("99999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT")
GARBAGE = ("soon", "", "-5", "nan", "inf", "1e3", "12 s", "0x10", "Wed, 99 Foo 2026", "\u00b2")
FORMS = (*ASKING, *GARBAGE)
SECONDS = (0, 1, 5, 59, 60, 61, 200)
# Few and cheap draws: each of these is one choice from a list.
_asks = st.sampled_from(
    [
        {},
        *(_ask(form, seconds) for form in ASKING for seconds in SECONDS),
        *(_ask(form, 0) for form in GARBAGE),
        *({"headers": {"retry-after": text}, "asks": lambda _: 1e9} for text in ABSURD),
    ]
)
_after = st.sampled_from([0.0, 0.0, 0.125, 1 / 3, 0.5, 1.0, 1.75, TIMEOUT, 60.0])
_bodies = st.sampled_from([b"", b"{}", b"<h1>no</h1>", b'{"message": "no"}', b"\xff"])
_scores = st.sampled_from(
    [0.5, 0.5, 0.5, 0.0, -0.0, 1.0, -1.0, 3, 1 / 3, 0.1 + 0.2, 0.3, 5e-324, -1e308, 1.7e308, 2**60]
)


def _refusals(
    kind: Literal["passing", "final"], statuses: Sequence[int]
) -> st.SearchStrategy[Told]:
    def tell(after: float, status: int, body: bytes, asks: Mapping[str, Any]) -> Told:
        return Told(after, status, body=body, kind=kind, **asks)

    return st.builds(tell, _after, st.sampled_from(statuses), _bodies, _asks)


_final = _refusals("final", FINAL)
passing = _refusals("passing", PASSING) | st.builds(
    lambda after, failure: Told(after, failure=failure), _after, st.sampled_from(FAILURES)
)


@st.composite
def histories(draw: st.DrawFn, *, timed: bool = True) -> History:
    """Histories; those that are not timed have no deadline and one request at a time."""
    kinds = draw(st.lists(st.sampled_from("ssttmmb"), max_size=12))
    documents = [_make_document(kind, at) for at, kind in enumerate(kinds)]
    texts = [wire.render_document(document) for document in documents]
    scores = {text: draw(_scores) for text in texts}
    good = st.builds(
        lambda after, change: Told(after, body=ranking(scores, change)),
        _after,
        st.sampled_from([lambda rows: rows, lambda rows: rows[::-1]]),
    )
    malformed = st.builds(
        lambda after, change: Told(after, body=ranking(scores, change), kind="malformed"),
        _after,
        st.sampled_from(CHANGES),
    )
    told = st.one_of(
        st.lists(st.one_of(good, passing, passing, _final, malformed, malformed), max_size=4),
        st.builds(lambda again, count: [again] * count, passing, st.integers(1, 9)),
    )
    return History(
        documents=documents,
        scores=scores,
        replies=draw(st.lists(told, max_size=3)),
        fallback_replies=draw(st.lists(told, max_size=2)),
        facts={
            "max_documents": draw(st.sampled_from([None, 1, 2, 3, 5])),
            "params": draw(st.sampled_from([{}, {"top_n": "top_n"}])),
            "takes_mappings": draw(st.booleans()),
            "takes_blank_documents": draw(st.booleans()),
            "retry_statuses": frozenset({409}),
            "reset_headers": ("x-reset",),
        },
        chances=draw(st.sampled_from([[1.0], [0.0, 1.0], [0.25, 0.5, 0.75]])),
        top_n=draw(st.sampled_from([None, None, 1, 2, 3, 5, 15])),
        max_retries=draw(st.sampled_from([0, 1, 2, 3, 8])),
        max_concurrency=draw(st.integers(1, 4)) if timed else 1,
        deadline=draw(
            st.sampled_from([None, None, None, None, 0.1, 1.0, 3.0, 10.0, 90.0])
            if timed
            else st.sampled_from([None, 1e6])
        ),
        on_failure=draw(st.sampled_from(["raise", "passthrough"])),
        return_documents=draw(st.booleans()),
    )


def waiting_histories() -> st.SearchStrategy[History]:
    """One document, and refusals that pass: all that happens is waiting."""
    return st.builds(
        lambda told, chances: History(
            documents=["text 0"],
            scores={"text 0": 0.5},
            replies=[told],
            fallback_replies=[],
            facts={
                "max_documents": None,
                "takes_blank_documents": False,
                "retry_statuses": frozenset({409}),
                "reset_headers": ("x-reset",),
            },
            chances=chances,
            top_n=None,
            max_retries=8,
            max_concurrency=1,
            deadline=None,
            on_failure="raise",
            return_documents=True,
        ),
        st.lists(passing, min_size=1, max_size=8),
        st.lists(st.floats(0, 1), min_size=1, max_size=3),
    )


def _make_document(kind: str, at: int) -> str | dict[str, Any]:
    """A document that is like no other, so that a wrong one is always seen."""
    match kind:
        case "s":
            return f"text {at}"
        case "t":
            return {"text": f"täxt {at}"}
        case "m":
            return {"title": f"title {at}", "year": at, "none": None}
        case _:
            return BLANK * (at + 1)
