"""`RerankPostprocessor`: what query engines take as one of `node_postprocessors`.

https://docs.llamaindex.ai/en/stable/module_guides/querying/node_postprocessors/
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from llama_index.core.bridge.pydantic import Field, PrivateAttr, SecretStr
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation import (  # type: ignore[attr-defined] # documented there
    get_dispatcher,
)
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from llama_index.postprocessor.rerank_core._lazy import OF_A_CALL, LazyReranker, check_settings
from rerank_core import Reranker, RerankResponse

_logger = logging.getLogger(__name__)
dispatcher = get_dispatcher(__name__)


class RerankPostprocessor(BaseNodePostprocessor):
    """Orders nodes by relevance to the query, and keeps the best.

    Each `NodeWithScore` that comes back is new, around the very node that came in; `score` is the
    reranker's. It is `None` where the service was not asked (`on_failure="passthrough"`) or holds
    the text for blank; what else you should know is logged, and stands in the `tags` of the
    `ReRankEndEvent`.

    Its `Reranker` is made on first use. Change a setting with `model_copy(update={...})`.

    Args:
        model: `provider/model`, for example `"cohere/rerank-v3.5"`.
        top_n: The most nodes, from 1; `None` for all.
        api_key: The key; `None` for the provider's own environment variables. Left out of
            `to_dict`.
        metadata_mode: Which metadata is ranked together with the text: as for embedding unless
            you say otherwise.
        keep_retrieval_score: Whether to keep the score that a node came with under
            `metadata["retrieval_score"]`, of a copy of the node.
        http_client: A client or transport to send with. Left out of `to_dict` and of pickles.
        reranker: What ranks, instead of `model`, `api_key`, `http_client` and `options`: a
            `Reranker`, or what is called like one, for example a `rerank_cache.Cached`. It is
            never closed here, and left out of `to_dict`; with one, nothing can be pickled. Only
            parameters of a call may stand in `options` beside it.
        options: Any other option of `rerank_core.Reranker`, and any parameter that this provider
            knows, `{"priority": 10}` for example. Not shown by `repr`.
        callback_manager: Told of a `RERANKING` event.
        **more: Further options, written as keywords: `timeout=5`.

    Raises:
        pydantic.ValidationError: A setting of another type, or out of range.
        ValueError: Neither `model` nor `reranker`, or `reranker` beside settings of another one.
    """

    model: str | None = Field(default=None, frozen=True)
    top_n: int | None = Field(default=None, ge=1)
    api_key: SecretStr | None = Field(default=None, frozen=True, exclude=True)
    metadata_mode: MetadataMode = MetadataMode.EMBED
    keep_retrieval_score: bool = False
    options: dict[str, Any] = Field(default_factory=dict, frozen=True, repr=False)
    # No fields: pickling would take one that cannot be pickled away from the original.
    _http_client: Any = PrivateAttr(default=None)
    _reranker: Any = PrivateAttr(default=None)
    _lazy: LazyReranker = PrivateAttr(default_factory=LazyReranker)

    def __init__(  # noqa: PLR0913 - each is one of the user's decisions
        self,
        model: str | None = None,
        *,
        top_n: int | None = None,
        api_key: SecretStr | str | None = None,
        metadata_mode: MetadataMode = MetadataMode.EMBED,
        keep_retrieval_score: bool = False,
        http_client: Any = None,
        reranker: Any = None,
        options: Mapping[str, Any] | None = None,
        callback_manager: CallbackManager | None = None,
        **more: Any,
    ) -> None:
        fields: dict[str, Any] = {
            "model": model,
            "top_n": top_n,
            "api_key": api_key,
            "metadata_mode": metadata_mode,
            "keep_retrieval_score": keep_retrieval_score,
            "options": {**(options or {}), **more},
            "callback_manager": callback_manager or CallbackManager(),
        }
        super().__init__(**fields)
        self._http_client = http_client
        self._reranker = reranker
        self._check()

    @classmethod
    def class_name(cls) -> str:
        """The name by which it is serialised."""
        return "RerankPostprocessor"

    def close(self) -> None:
        """Close the connections of blocking calls."""
        self._lazy.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop, and those of blocking calls."""
        await self._lazy.aclose()

    def __copy__(self) -> Self:
        copied = super().__copy__()
        copied._lazy = LazyReranker()  # noqa: SLF001 - of this class
        return copied

    def __getstate__(self) -> dict[str, Any]:
        if self._reranker is not None:  # which LlamaIndex would leave out, so that nothing ranks
            raise TypeError("what has a reranker cannot be pickled: make another one instead")
        return super().__getstate__()

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _required(query_bundle)
        with self._telling(nodes, query_bundle) as ranked:
            if nodes:
                reranker = self._asked()
                response = reranker.rerank(query, self._texts(nodes), **self._params())
                self._conclude(nodes, response, ranked)
        return ranked.nodes

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _required(query_bundle)
        with self._telling(nodes, query_bundle) as ranked:
            if nodes:
                reranker = self._asked()
                response = await reranker.arerank(query, self._texts(nodes), **self._params())
                self._conclude(nodes, response, ranked)
        return ranked.nodes

    @contextmanager
    def _telling(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None
    ) -> Iterator[_Ranked]:
        """Send the start events of both systems, and their end events whatever happens."""
        ranked = _Ranked()
        top_n = len(nodes) if self.top_n is None else self.top_n
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: self._name,
            EventPayload.QUERY_STR: query_bundle and query_bundle.query_str,
            EventPayload.TOP_K: top_n,
        }
        dispatcher.event(
            ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=top_n, model_name=self._name)
        )
        try:
            with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
                yield ranked
                event.on_end(payload={EventPayload.NODES: ranked.nodes})
        finally:
            dispatcher.event(ReRankEndEvent(nodes=ranked.nodes, tags=ranked.tags))

    @property
    def _name(self) -> str:
        """What events and the log call the model."""
        return self.model or f"{self._reranker.provider}/{self._reranker.model}"

    def _asked(self) -> Any:
        """What ranks: the caller's own reranker, or one that is made on first use."""
        self._check()
        return self._lazy.get(self._make_reranker) if self._reranker is None else self._reranker

    def _check(self) -> None:
        """Refuse a reranker beside what another one would be made of, and neither."""
        others = {"api_key": self.api_key, "http_client": self._http_client, **self.options}
        check_settings(self._reranker, self.model, others)

    def _make_reranker(self) -> Reranker:
        options = {name: value for name, value in self.options.items() if name not in OF_A_CALL}
        if self.api_key is not None:
            options["api_key"] = self.api_key.get_secret_value()
        return Reranker(self.model or "", http_client=self._http_client, **options)

    def _params(self) -> dict[str, Any]:
        usual = {name: self.options[name] for name in OF_A_CALL if name in self.options}
        return {"top_n": self.top_n, "return_documents": False, **usual}

    def _texts(self, nodes: Sequence[NodeWithScore]) -> list[str]:
        """What is ranked of each node; a node with an image alone is blank."""
        return [node.node.get_content(metadata_mode=self.metadata_mode) for node in nodes]

    def _conclude(
        self, nodes: Sequence[NodeWithScore], response: RerankResponse, ranked: _Ranked
    ) -> None:
        """Put the nodes into the order of the response, and say what else it says."""
        for warning in response.warnings:
            _logger.warning("%s: %s", self._name, warning)
        ranked.tags.update(
            provider=response.provider,
            model=response.model,
            reranked=response.reranked,
            warnings=list(response.warnings),
        )
        for result in response.results:
            node = nodes[result.index]
            news: dict[str, Any] = {"score": result.relevance_score}
            if self.keep_retrieval_score:
                metadata = {**node.node.metadata, "retrieval_score": node.score}
                news["node"] = node.node.model_copy(update={"metadata": metadata})
            ranked.nodes.append(node.model_copy(update=news))


class _Ranked:
    """What comes of a call, empty until it does."""

    def __init__(self) -> None:
        self.nodes: list[NodeWithScore] = []
        self.tags: dict[str, Any] = {}


def _required(query_bundle: QueryBundle | None) -> str:
    if query_bundle is None:
        raise ValueError("Reranking needs a query: give query_bundle or query_str.")
    return query_bundle.query_str
