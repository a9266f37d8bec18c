"""`Cached`: a reranker that asks only for what is not known yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import anyio.to_thread

from rerank_cache._call import CacheInfo, Call
from rerank_cache._flights import Flights
from rerank_cache._key import Keys, plugin_version
from rerank_cache._replay import make_replay
from rerank_cache._store import Store, ask_store
from rerank_core import ConfigurationError, Provider, RerankResponse


class Asked(Protocol):
    """What is asked for what is not known: a `Reranker`, or what stands in front of one."""

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def base_url(self) -> str | None: ...
    @property
    def facts(self) -> Provider: ...


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
            `extra_headers`, parameters, `drop_params`, `fallbacks`, `split_listwise`); by default
            what it says itself in `options`. Give `{}` where there is nothing.
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
        self.pointwise = pointwise
        model, kept = f"{reranker.provider}/{reranker.model}", _without_fallbacks(given)
        parts = [reranker.base_url, plugin_version(facts.name), facts.name, kept, salt]
        keys = Keys(model, parts, secret)
        self._replay = make_replay(
            reranker.model, facts, keys, store, drop_params=bool(given.get("drop_params"))
        )
        self._flights = Flights()

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
        call = Call(self, query, documents, {"rank_fields": rank_fields, **params}, top_n)
        hit = call.of_store(self._replay.rerank(*call.begin(), **call.options))
        if hit is not None:
            return hit
        if call.look.keys is None:
            return self._reranker.rerank(query, call.documents, **call.options)  # type: ignore[no-any-return]  # as of a `Reranker`
        with self._flights.flight(call.flight):
            hit = call.of_store(self._replay.rerank(*call.begin(), **call.options))
            if hit is not None:
                return hit
            if call.needs_places():
                call.read_places(self._replay.rerank(*call.again(), **call.bare))
            sent = self._reranker.rerank(*call.question(), **call.asked)
            ask_store(self._store.put, call.learn(sent))
            if call.look.is_complete and self.pointwise:
                return call.mixed(self._replay.rerank(*call.again(), **call.options), sent)
        if call.asked_all:
            return call.cut(sent)
        return self._reranker.rerank(query, call.documents, **call.options)  # type: ignore[no-any-return]  # likewise

    async def arerank(
        self,
        query: str,
        documents: Any,
        top_n: int | None = None,
        rank_fields: Sequence[str] | None = None,
        **params: Any,
    ) -> RerankResponse:
        """`rerank`, awaited; under asyncio or trio."""
        call = Call(self, query, documents, {"rank_fields": rank_fields, **params}, top_n)
        hit = call.of_store(await self._replay.arerank(*call.begin(), **call.options))
        if hit is not None:
            return hit
        if call.look.keys is None:
            return await self._reranker.arerank(query, call.documents, **call.options)  # type: ignore[no-any-return]  # likewise
        async with self._flights.aflight(call.flight):
            hit = call.of_store(await self._replay.arerank(*call.begin(), **call.options))
            if hit is not None:
                return hit
            if call.needs_places():
                call.read_places(await self._replay.arerank(*call.again(), **call.bare))
            sent = await self._reranker.arerank(*call.question(), **call.asked)
            await anyio.to_thread.run_sync(ask_store, self._store.put, call.learn(sent))
            if call.look.is_complete and self.pointwise:
                return call.mixed(await self._replay.arerank(*call.again(), **call.options), sent)
        if call.asked_all:
            return call.cut(sent)
        return await self._reranker.arerank(query, call.documents, **call.options)  # type: ignore[no-any-return]  # likewise

    def is_own(self, response: RerankResponse) -> bool:
        """Whether this model answered, and nothing else did in its stead."""
        if not response.reranked or (self._has_fallbacks and response.warnings):
            return False
        return response.model == self.model and response.provider in {
            self.provider,
            self._facts.name,
        }


def _without_fallbacks(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "fallbacks"}
