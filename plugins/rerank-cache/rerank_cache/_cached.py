"""`Cached`: a reranker that asks only for what is not known yet."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

import anyio
import anyio.to_thread
import orjson
from anyio.lowlevel import current_token
from attrs import define, evolve, field, fields

from rerank_cache._key import Keys, plugin_version
from rerank_cache._replay import LOOK, Look, Scored, make_replay
from rerank_cache._store import Store
from rerank_core import ConfigurationError, Provider, RerankResponse

HEADER = "x-rerank-cache"
# What a mixed answer has from the one that was sent.
_OF_THE_SENT = {"id", "meta", "cost", "payload", "attempts", "seconds"}


class Asked(Protocol):
    """What is asked for what is not known: a `Reranker`, or what stands in front of one."""

    @property
    def provider(self) -> str: ...  # noqa: D102 - as of a `Reranker`
    @property
    def model(self) -> str: ...  # noqa: D102 - likewise
    @property
    def base_url(self) -> str | None: ...  # noqa: D102 - likewise
    @property
    def facts(self) -> Provider: ...  # noqa: D102 - likewise


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


class Cached:
    """A reranker in front of which a store is looked into.

    It gives what the reranker would give: the same order, scores and documents. `response.cost`
    and `response.meta` are those of what was sent, and the header `x-rerank-cache` says how many
    documents were known. Errors, fallbacks' answers and passthroughs are never kept.

    Args:
        reranker: What is asked: a `Reranker`, or something with its `arerank` (or `rerank`),
            `provider`, `model`, `base_url` and `facts`.
        store: Where scores are kept.
        options: What the reranker was made with and that may move a score (`extra_body`,
            parameters, `drop_params`, `fallbacks`, `split_listwise`); by default what it says
            itself in `options`. Give `{}` where there is nothing.
        pointwise: Whether a score depends on query and document alone, so that it may be kept by
            itself; else whole requests are. By default only where the plugin lists the model, and
            does not call it listwise.
        salt: Anything that tells apart what has one name: a revision, a deployment.
        secret: At most 64 bytes; hashes are made with it, where texts could be guessed.

    Raises:
        ConfigurationError: It is not known what the reranker was made with.
    """

    def __init__(
        self,
        reranker: Any,
        store: Store,
        *,
        options: Mapping[str, Any] | None = None,
        pointwise: bool | None = None,
        salt: str = "",
        secret: bytes = b"",
    ) -> None:
        given = getattr(reranker, "options", None) if options is None else options
        if given is None:
            raise ConfigurationError(
                "the reranker does not say what it was made with: give options=, {} for nothing"
            )
        facts: Provider = reranker.facts
        self.info = CacheInfo()
        self._reranker, self._store, self._facts = reranker, store, facts
        self._has_fallbacks = bool(given.get("fallbacks"))
        if pointwise is None:
            pointwise = not facts.listwise and reranker.model in facts.models
        self._pointwise = pointwise
        model, kept = f"{reranker.provider}/{reranker.model}", _without_fallbacks(given)
        parts = [reranker.base_url, plugin_version(facts.name), facts.name, kept, salt]
        keys = Keys(model, parts, secret)
        self._replay = make_replay(
            reranker.model, facts, keys, store, drop_params=bool(given.get("drop_params"))
        )
        self._flights = _Flights()

    @property
    def provider(self) -> str:
        """The provider's name."""
        return str(self._reranker.provider)

    @property
    def model(self) -> str:
        """The model's name without its provider."""
        return str(self._reranker.model)

    @property
    def base_url(self) -> str | None:
        """Where requests go."""
        return self._reranker.base_url  # type: ignore[no-any-return]  # as of a `Reranker`

    @property
    def facts(self) -> Provider:
        """What the plugin states."""
        return self._facts

    def rerank(
        self,
        query: str,
        documents: Any,
        top_n: int | None = None,
        rank_fields: Sequence[str] | None = None,
        **params: Any,
    ) -> RerankResponse:
        """Order documents by relevance to a query; see `Reranker.rerank`."""
        call = _Call(self, query, documents, {"rank_fields": rank_fields, **params}, top_n)
        hit = call.of_store(self._replay.rerank(*call.begin(), **call.options))
        if hit is not None:
            return hit
        if call.look.keys is None:
            return self._reranker.rerank(query, call.documents, top_n, rank_fields, **params)  # type: ignore[no-any-return]  # as of a `Reranker`
        with self._flights.flight(call.flight):
            hit = call.of_store(self._replay.rerank(*call.begin(), **call.options))
            if hit is not None:
                return hit
            if call.needs_places:
                call.read_places(self._replay.rerank(*call.again(), **call.bare))
            sent = self._reranker.rerank(*call.question(), **call.asked)
            self._store.put(call.learn(sent))
            if call.look.is_complete and self._pointwise:
                return call.mixed(self._replay.rerank(*call.again(), **call.options), sent)
        if call.asked_all:
            return call.cut(sent)
        return self._reranker.rerank(query, call.documents, top_n, rank_fields, **params)  # type: ignore[no-any-return]  # likewise

    async def arerank(
        self,
        query: str,
        documents: Any,
        top_n: int | None = None,
        rank_fields: Sequence[str] | None = None,
        **params: Any,
    ) -> RerankResponse:
        """`rerank`, awaited; under asyncio or trio."""
        call = _Call(self, query, documents, {"rank_fields": rank_fields, **params}, top_n)
        hit = call.of_store(await self._replay.arerank(*call.begin(), **call.options))
        if hit is not None:
            return hit
        if call.look.keys is None:
            return await self._reranker.arerank(query, call.documents, top_n, rank_fields, **params)  # type: ignore[no-any-return]  # likewise
        async with self._flights.aflight(call.flight):
            hit = call.of_store(await self._replay.arerank(*call.begin(), **call.options))
            if hit is not None:
                return hit
            if call.needs_places:
                call.read_places(await self._replay.arerank(*call.again(), **call.bare))
            sent = await self._reranker.arerank(*call.question(), **call.asked)
            await anyio.to_thread.run_sync(self._store.put, call.learn(sent))
            if call.look.is_complete and self._pointwise:
                return call.mixed(await self._replay.arerank(*call.again(), **call.options), sent)
        if call.asked_all:
            return call.cut(sent)
        return await self._reranker.arerank(query, call.documents, top_n, rank_fields, **params)  # type: ignore[no-any-return]  # likewise

    def _is_own(self, response: RerankResponse) -> bool:
        """Whether this model answered, and nothing else did in its stead."""
        if not response.reranked or (self._has_fallbacks and response.warnings):
            return False
        return response.model == self.model and response.provider in {
            self.provider,
            self._facts.name,
        }


def _without_fallbacks(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "fallbacks"}


class _Call:
    """One call: what it asks the store, what it asks the service, what it makes of both."""

    def __init__(
        self, cached: Cached, query: str, documents: Any, params: dict[str, Any], top_n: int | None
    ) -> None:
        self._cached, self._query, self._top_n = cached, query, top_n
        self.documents = list(documents) if isinstance(documents, Iterator) else documents
        self.options = {**params, "top_n": top_n}
        self.bare = {**params, "top_n": None}
        self._places: Sequence[int] | None = None
        self._is_counted = False
        self.look = Look(cached._pointwise)  # noqa: SLF001 - its own part

    def begin(self) -> tuple[str, Any]:
        """What is asked of the store, with nothing known yet."""
        self.look = Look(self._cached._pointwise)  # noqa: SLF001 - its own part
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

    @property
    def asked_all(self) -> bool:
        """Whether all documents are asked for, as the caller gave them."""
        return not self.look.by_pair or not self.look.found or self._is_all

    @property
    def needs_places(self) -> bool:
        """Whether some documents are held back, so that positions differ."""
        self._is_all = not self.look.by_pair or not self.look.found
        sent = len(self.look.documents or ())
        if self._is_all and len(self.documents) != sent:
            return True
        self._places = range(sent)
        return False

    def read_places(self, response: RerankResponse) -> None:
        """Learn where each document that is sent stands in the caller's list."""
        scored = [result for result in response.results if result.relevance_score is not None]
        self._places = [result.index for result in scored]

    def question(self) -> tuple[str, Any]:
        """What the service is asked: all that the caller gave, or what is missing."""
        if self._is_all:
            return self._query, self.documents
        return self._query, [(self.look.documents or ())[at] for at in self._missing]

    @property
    def asked(self) -> dict[str, Any]:
        """With which parameters: a score that `top_n` cuts off would never be seen."""
        return self.bare if self.look.by_pair else self.options

    def learn(self, sent: RerankResponse) -> dict[bytes, bytes]:
        """What to write into the store."""
        look = self.look
        if not self._cached._is_own(sent):  # noqa: SLF001 - its own part
            return {}
        at_place = {place: at for at, place in enumerate(self._places or ())}
        if not self._is_all:
            at_place = dict(enumerate(self._missing))
        scored: dict[int, Scored] = {
            at_place[result.index]: (result.relevance_score, result.extra)
            for result in sent.results
            if result.relevance_score is not None and result.index in at_place
        }
        try:
            if look.by_pair:
                complete = len(scored) == len(at_place)
                return look.add(scored) if complete else {}
            ranking = [(at, *one) for at, one in scored.items()]
            return {key: orjson.dumps(ranking) for key in look.keys or ()}
        except TypeError:  # what the service said has no JSON form
            look.found = {}
            return {}

    def of_store(self, response: RerankResponse) -> RerankResponse | None:
        """The answer, where the store knew all of it."""
        look, info = self.look, self._cached.info
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
        return evolve(response, cost=0.0, headers={HEADER: f"{total} of {total}"})

    def mixed(self, response: RerankResponse, sent: RerankResponse) -> RerankResponse:
        """What was known and what was sent, in one ranking."""
        total, asked = len(self.look.documents or ()), len(sent.results)
        known = 0 if self._is_all else total - asked
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


@define
class _Flights:
    """One call at a time of those that ask for the same."""

    _locks: dict[bytes, threading.Lock] = field(factory=lambda: defaultdict(threading.Lock))
    _alocks: dict[tuple[Any, bytes], anyio.Lock] = field(factory=lambda: defaultdict(anyio.Lock))
    _waiting: dict[Any, int] = field(factory=lambda: defaultdict(int))
    _guard: threading.Lock = field(factory=threading.Lock)

    @contextmanager
    def flight(self, key: bytes) -> Iterator[None]:
        with self._guard:
            self._waiting[key] += 1
            lock = self._locks[key]
        try:
            with lock:
                yield
        finally:
            self._left(key, self._locks)

    @asynccontextmanager
    async def aflight(self, key: bytes) -> AsyncIterator[None]:
        of_loop = (current_token(), key)  # locks are their loop's
        with self._guard:
            self._waiting[of_loop] += 1
            lock = self._alocks[of_loop]
        try:
            async with lock:
                yield
        finally:
            self._left(of_loop, self._alocks)

    def _left(self, key: Any, locks: dict[Any, Any]) -> None:
        with self._guard:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], locks[key]
