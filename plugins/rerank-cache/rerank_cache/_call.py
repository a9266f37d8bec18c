"""One call: what it asks the store, what it asks the service, what it makes of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from typing import Any, Protocol

import orjson
from attrs import define, evolve, fields

from rerank_cache._replay import LOOK, Look, Scored
from rerank_core import RerankResponse

HEADER = "x-rerank-cache"
# What a mixed answer has from the one that was sent.
_OF_THE_SENT = {"id", "meta", "cost", "payload", "attempts", "seconds"}


@define
class CacheInfo:
    """What a `Cached` has saved.

    Attributes:
        pairs: Documents that were asked for, blank ones apart.
        cached_pairs: Those whose score was known.
        calls: Calls that something would have been sent for.
        cached_calls: Those that nothing was sent for: where a request is what is billed, only
            these saved money.
    """

    pairs: int = 0
    cached_pairs: int = 0
    calls: int = 0
    cached_calls: int = 0


class Keeps(Protocol):
    """What a call must know of its `Cached`."""

    info: CacheInfo
    pointwise: bool

    def is_own(self, response: RerankResponse) -> bool:
        """Whether this model answered, and nothing else did in its stead."""


def _kept(value: Any) -> Any:
    """What can be read more than once."""
    return list(value) if isinstance(value, Iterable) and not isinstance(value, Sized) else value


class Call:
    """One call: what it asks the store, what it asks the service, what it makes of both."""

    def __init__(
        self, cached: Keeps, query: str, documents: Any, params: dict[str, Any], top_n: int | None
    ) -> None:
        self._cached, self._query, self._top_n = cached, query, top_n
        self.documents = _kept(documents)
        self.options = {name: _kept(value) for name, value in params.items()} | {"top_n": top_n}
        self.bare = {**self.options, "top_n": None}
        self._places: Sequence[int] | None = None
        self._is_counted = False
        self._own_warnings: Sequence[str] = ()
        self.asked_all = True  # as the caller gave them, rather than what is missing
        self.look = Look(cached.pointwise)

    def begin(self) -> tuple[str, Any]:
        """What is asked of the store, with nothing known yet."""
        self.look = Look(self._cached.pointwise)
        return self.again()

    def again(self) -> tuple[str, Any]:
        """What is asked of the store once more, with what is known by now."""
        LOOK.set(self.look)
        return self._query, self.documents

    @property
    def flight(self) -> bytes:
        """What two calls have in common that ask for the same."""
        return b"".join((self.look.keys or [])[at] for at in self._missing)

    @property
    def _missing(self) -> list[int]:
        return self.look.missing if self.look.by_pair else [0]

    def needs_places(self) -> bool:
        """Whether some documents are held back, so that positions differ; asked after a look."""
        self.asked_all = self.look.is_whole or not self.look.found
        sent = len(self.look.documents or ())
        self._places = range(sent)
        return self.asked_all and len(self.documents) != sent

    def read_places(self, response: RerankResponse) -> None:
        """Learn where each document that is sent stands in the caller's list."""
        scored = [result for result in response.results if result.relevance_score is not None]
        self._places = [result.index for result in scored]

    def question(self) -> tuple[str, Any]:
        """What the service is asked: all that the caller gave, or what is missing."""
        if self.asked_all:
            return self._query, self.documents
        return self._query, [(self.look.documents or ())[at] for at in self._missing]

    @property
    def asked(self) -> dict[str, Any]:
        """With which parameters: a score that `top_n` cuts off would never be seen."""
        if not self.look.by_pair:
            return self.options
        # What is missing is asked for as it was rendered: there the fields are chosen already.
        return self.bare if self.asked_all else {**self.bare, "rank_fields": None}

    def learn(self, sent: RerankResponse) -> dict[bytes, bytes]:
        """What to write into the store."""
        look = self.look
        if not self._cached.is_own(sent):
            return {}
        at_place = {place: at for at, place in enumerate(self._places or ())}
        if not self.asked_all:
            at_place = dict(enumerate(self._missing))
        # What the store's own call does not say by itself.
        said = tuple(text for text in sent.warnings if text not in self._own_warnings)
        scored: dict[int, Scored] = {
            at_place[result.index]: (result.relevance_score, result.extra, said)
            for result in sent.results
            if result.relevance_score is not None and result.index in at_place
        }
        try:
            if look.by_pair:
                complete = len(scored) == len(at_place)
                return look.add(scored) if complete else {}
            # `top_n` may have cut off the rest.
            if len(scored) < min(self._top_n or len(at_place), len(at_place)):
                return {}
            ranking = [(at, score, extra) for at, (score, extra, _) in scored.items()]
            return {key: orjson.dumps((ranking, said)) for key in look.keys or ()}
        except TypeError:  # what the service said has no JSON form
            look.found = {}
            return {}

    def of_store(self, response: RerankResponse) -> RerankResponse | None:
        """The answer, where the store knew all of it."""
        look, info = self.look, self._cached.info
        self._own_warnings = response.warnings
        total = len(look.documents or ())
        known = total if look.is_complete else len(look.found)
        if look.keys is not None and not self._is_counted:
            self._is_counted = True
            info.calls += 1
            info.pairs += total
            info.cached_pairs += known
            info.cached_calls += look.is_complete
        if not look.is_complete:
            return None
        headers = {HEADER: f"{total} of {total}"}
        return evolve(response, cost=0.0, payload=None, headers=headers)

    def mixed(self, response: RerankResponse, sent: RerankResponse) -> RerankResponse:
        """What was known and what was sent, in one ranking."""
        total, asked = len(self.look.documents or ()), len(sent.results)
        known = 0 if self.asked_all else total - asked
        names = _OF_THE_SENT & {each.name for each in fields(RerankResponse)}
        warnings = [*response.warnings, *sent.warnings]
        return evolve(
            response,
            warnings=tuple(dict.fromkeys(warnings)),
            headers={**sent.headers, HEADER: f"{known} of {total}"},
            **{name: getattr(sent, name) for name in names},
        )

    def cut(self, sent: RerankResponse) -> RerankResponse:
        """An answer that is not kept, with as many results as were asked for."""
        return sent if self._top_n is None else evolve(sent, results=sent.results[: self._top_n])
