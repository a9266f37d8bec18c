"""A plugin that answers from a store, so that core itself checks, sorts, cuts and attaches."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import orjson
from attrs import define, evolve, field

from rerank_cache._key import Keys
from rerank_cache._store import Store, ask_store
from rerank_core import (
    Compute,
    Provider,
    Reranker,
    RerankRequest,
    RerankResponse,
    RerankResult,
    hookimpl,
)

_LEAST = -sys.float_info.max
Scored = tuple[float, Any, Sequence[str]]
"""A score, what else the service said about the document, and its warnings."""


@define
class Look:
    """One call's look into the store.

    Attributes:
        by_pair: Whether each document's score is kept by itself.
        documents: As the service would get them; `None` where nothing would be sent.
        keys: Of each document, or the one of the whole request; `None` where there can be none.
        found: What is known of each document.
        ranking: What is known of the whole request, by position.
        warnings: What was said beside what is known.
        is_whole: Whether all documents are asked for where one is missing.
    """

    by_pair: bool
    documents: Sequence[Any] | None = None
    keys: list[bytes] | None = None
    found: dict[int, Scored] = field(factory=dict)
    ranking: list[tuple[int, float, Any]] | None = None
    warnings: Sequence[str] = ()
    is_whole: bool = False

    @property
    def missing(self) -> list[int]:
        """The first position of each document that nothing is known of."""
        first: dict[bytes, int] = {}
        for at, key in enumerate(self.keys or ()):
            if at not in self.found:
                first.setdefault(key, at)
        return list(first.values())

    @property
    def is_complete(self) -> bool:
        """Whether the store knew everything."""
        if self.keys is None or self.documents is None:
            return False
        return len(self.found) == len(self.documents) if self.by_pair else self.ranking is not None

    def add(self, scored: Mapping[int, Scored]) -> dict[bytes, bytes]:
        """Take what the service said; what to write into the store."""
        keys = self.keys or []
        by_key = {keys[at]: one for at, one in scored.items()}
        self.found |= {at: by_key[key] for at, key in enumerate(keys) if key in by_key}
        return {key: orjson.dumps(one) for key, one in by_key.items() if math.isfinite(one[0])}


LOOK: ContextVar[Look] = ContextVar("rerank_cache_look")


@define
class Replay:
    """The plugin.

    Attributes:
        facts: Of the true provider, without anything that has to do with sending.
        keys: Makes keys.
        store: Is looked into.
    """

    facts: Provider
    keys: Keys
    store: Store

    @hookimpl
    def resolve_provider(self) -> Provider:
        """The facts."""
        return self.facts

    @hookimpl
    def map_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The caller's names, for the key."""
        return dict(params)

    @hookimpl
    def build_request(self, request: RerankRequest, params: Mapping[str, Any]) -> Compute:
        """A look into the store: under async in a worker thread."""
        look = LOOK.get()
        return Compute(lambda: self._look(look, request, params))

    @hookimpl
    def parse_response(self, payload: Any) -> RerankResponse:
        """What was found; anything where it was not enough."""
        ranking, said = payload
        return RerankResponse(
            [RerankResult(at, score, extra=extra) for at, score, extra in ranking], warnings=said
        )

    def _look(
        self, look: Look, request: RerankRequest, params: Mapping[str, Any]
    ) -> tuple[list[tuple[int, float, Any]], Sequence[str]]:
        if look.documents is None:
            look.documents = request.documents
            self._find(look, request, params)
        if look.by_pair and look.is_complete:
            found = [(at, *look.found[at]) for at in range(len(look.documents))]
            said = dict.fromkeys(text for *_, warnings in found for text in warnings)
            return [(at, score, extra) for at, score, extra, _ in found], [*said]
        if look.ranking is not None:
            known = {at for at, *_ in look.ranking}
            # What `top_n` cut off when it was asked, it cuts off again.
            rest = (at for at in range(len(look.documents)) if at not in known)
            return [*look.ranking, *((at, _LEAST, None) for at in rest)], look.warnings
        # In the order in which they would be sent: whoever needs it reads it from the results.
        return [(at, float(-at), None) for at in range(len(look.documents))], ()

    def _find(self, look: Look, request: RerankRequest, params: Mapping[str, Any]) -> None:
        asked = {name: value for name, value in params.items() if name != "return_documents"}
        asked["rank_fields"] = request.rank_fields
        # A part of the documents may lack a field that the whole has.
        sees_fields = self.facts.takes_mappings or "rank_fields" in self.facts.params
        look.is_whole = not look.by_pair or (request.rank_fields is not None and sees_fields)
        try:
            if look.by_pair:
                asked.pop("top_n", None)
                look.keys = self.keys.of_pairs(request.query, asked, request.documents)
            else:
                asked["top_n"] = request.top_n
                look.keys = [self.keys.of_list(request.query, asked, request.documents)]
        except TypeError:  # a parameter or a field that has no JSON form, a number too large
            return
        values = ask_store(self.store.get, list(dict.fromkeys(look.keys))) or {}
        known = {key: read for key, value in values.items() if (read := _read(value, look))}
        if look.by_pair:
            look.found = {at: known[key] for at, key in enumerate(look.keys) if key in known}
        elif look.keys[0] in known:
            look.ranking, look.warnings = known[look.keys[0]]


def _read(value: bytes, look: Look) -> Any:
    """What a value says; `None` where nobody can read it: then it is asked for anew."""
    try:
        if look.by_pair:
            score, extra, said = orjson.loads(value)
            return float(score), extra, said
        listed, said = orjson.loads(value)
        ranking = [(at, float(score), extra) for at, score, extra in listed]
    except (ValueError, TypeError):
        return None
    return (ranking, said) if ranking else None


def make_replay(
    model: str, facts: Provider, keys: Keys, store: Store, *, drop_params: bool
) -> Reranker:
    """A `Reranker` that asks the store."""
    bare = evolve(
        facts,
        auth=None,
        api_key_required=False,
        api_key_env=(),
        api_key_hosts={},
        api_key_required_hosts=(),
        base_url=None,
        base_url_env=(),
        base_url_required=False,
        base_urls_by_key={},
        options={},
        secret_options={},
        option_sources={},
        watched_env=(),
        max_documents=None,
        max_request_bytes=None,
        retires=None,
        price=None,
    )
    return Reranker(model, provider=Replay(bare, keys, store), drop_params=drop_params)
