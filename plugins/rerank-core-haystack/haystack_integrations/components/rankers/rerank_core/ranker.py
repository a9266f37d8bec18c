"""`RerankCoreRanker`: a component for pipelines, behind a retriever.

https://docs.haystack.deepset.ai/docs/rankers
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret

from haystack_integrations.components.rankers.rerank_core._lazy import (
    OF_A_CALL,
    LazyReranker,
    check_settings,
)
from rerank_core import Reranker, RerankResponse


@component
class RerankCoreRanker:
    """Orders documents by relevance to the query, and keeps the best.

    Documents come back as copies with their id and meta, `score` being the reranker's: `None`
    where the service was not asked (`on_failure="passthrough"`) or holds the content for blank.
    Documents of equal id all stay.

    Args:
        model: `provider/model`, for example `"cohere/rerank-v3.5"`.
        top_k: The most documents, from 1; `None` for all.
        api_key: The key; `None` for the provider's own environment variables.
        score_threshold: Documents with a lower score are left out; those without one stay.
        meta_fields_to_embed: Fields of the meta that stand before the content in what is ranked,
            where a document has them.
        meta_data_separator: What stands between these fields and the content.
        reranker: What ranks, instead of `model`, `api_key` and `options`: a `Reranker`, or what
            is called like one, for example a `rerank_cache.Cached`. It is never closed here, and
            `to_dict` refuses; only parameters of a call may stand in `options` beside it.
        **options: Any option of `rerank_core.Reranker`, and any parameter that this provider
            knows: `timeout=5`, `priority=10`. A `Secret` among them is resolved on first use.

    Raises:
        ValueError: `top_k` is below 1; neither `model` nor `reranker`; or `reranker` beside
            settings of another one.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        top_k: int | None = None,
        api_key: Secret | None = None,
        score_threshold: float | None = None,
        meta_fields_to_embed: Sequence[str] | None = None,
        meta_data_separator: str = "\n",
        reranker: Any = None,
        **options: Any,
    ) -> None:
        _check_top_k(top_k)
        self.model = model
        self.top_k = top_k
        self.api_key = api_key
        self.score_threshold = score_threshold
        self.meta_fields_to_embed = list(meta_fields_to_embed or ())
        self.meta_data_separator = meta_data_separator
        self.reranker = reranker
        self.options = options
        self._check()
        self._lazy = LazyReranker()

    def warm_up(self) -> None:
        """Resolve the model and its key; nothing the second time."""
        self._asked()

    def close(self) -> None:
        """Close the connections of blocking calls."""
        self._lazy.close()

    async def close_async(self) -> None:
        """Close the connections of this event loop, and those of blocking calls."""
        await self._lazy.aclose()

    def to_dict(self) -> dict[str, Any]:
        """Write the configuration; a `Secret` as the variables it comes from.

        Raises:
            ValueError: There is a `reranker`, or a `Secret` that is a token.
        """
        if self.reranker is not None:
            raise ValueError(
                "what has a reranker cannot be serialized: give model and options instead, or "
                "add it to the pipeline in code"
            )
        return default_to_dict(
            self,
            model=self.model,
            top_k=self.top_k,
            api_key=self.api_key,
            score_threshold=self.score_threshold,
            meta_fields_to_embed=self.meta_fields_to_embed,
            meta_data_separator=self.meta_data_separator,
            **self.options,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make a ranker of what `to_dict` wrote."""
        return default_from_dict(cls, data)

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    def run(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, Any]:
        """Order documents by relevance to the query.

        Args:
            query: What is looked for.
            documents: Left as they are.
            top_k: For this call alone, from 1.

        Returns:
            `documents`, best first, and `meta`: `provider`, `model`, `reranked`, `warnings`,
            `usage`, `cost` in US dollars; empty where there were no documents.

        Raises:
            ValueError: `top_k` is below 1.
            rerank_core.RerankError: And its kinds.
        """
        _check_top_k(top_k)
        if not documents:
            return {"documents": [], "meta": {}}
        reranker = self._asked()
        response = reranker.rerank(query, self._texts(documents), **self._params(top_k))
        return self._ranked(documents, response)

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    async def run_async(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, Any]:
        """`run`, awaited, without a thread."""
        _check_top_k(top_k)
        if not documents:
            return {"documents": [], "meta": {}}
        reranker = self._asked()
        response = await reranker.arerank(query, self._texts(documents), **self._params(top_k))
        return self._ranked(documents, response)

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles take along: everything but the `Reranker`."""
        return {**self.__dict__, "_lazy": LazyReranker()}

    def _asked(self) -> Any:
        """What ranks: the caller's own reranker, or one that is made on first use."""
        self._check()
        return self._lazy.get(self._make_reranker) if self.reranker is None else self.reranker

    def _check(self) -> None:
        """Refuse a reranker beside what another one would be made of, and neither."""
        others = {"api_key": self.api_key, **self.options}
        check_settings(self.reranker, self.model, others)

    def _make_reranker(self) -> Reranker:
        options: dict[str, Any] = {
            name: value.resolve_value() if isinstance(value, Secret) else value
            for name, value in {**self.options, "api_key": self.api_key}.items()
            if name not in OF_A_CALL
        }
        return Reranker(self.model or "", **options)

    def _params(self, top_k: int | None) -> dict[str, Any]:
        usual = {name: self.options[name] for name in OF_A_CALL if name in self.options}
        return {"top_n": self.top_k if top_k is None else top_k, "return_documents": False, **usual}

    def _texts(self, documents: Sequence[Document]) -> list[str]:
        """What is ranked of each document; one without content is blank."""
        return [
            self.meta_data_separator.join([*self._embedded(document.meta), document.content or ""])
            for document in documents
        ]

    def _embedded(self, meta: Mapping[str, Any]) -> list[str]:
        return [str(meta[f]) for f in self.meta_fields_to_embed if meta.get(f) is not None]

    def _ranked(self, documents: Sequence[Document], response: RerankResponse) -> dict[str, Any]:
        threshold = -math.inf if self.score_threshold is None else self.score_threshold
        usage = {**dict(response.meta.billed_units), **dict(response.meta.tokens)}
        return {
            "documents": [
                replace(documents[result.index], score=result.relevance_score)
                for result in response.results
                if result.relevance_score is None or result.relevance_score >= threshold
            ],
            "meta": {
                "provider": response.provider,
                "model": response.model,
                "reranked": response.reranked,
                "warnings": list(response.warnings),
                "usage": {name: count for name, count in usage.items() if count is not None},
                "cost": response.cost,
            },
        }


def _check_top_k(top_k: int | None) -> None:
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, not {top_k}")
