"""`RerankCompressor`: what `ContextualCompressionRetriever` takes.

https://reference.langchain.com/python/langchain_core/documents/
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import RunnableConfig, RunnableLambda
from pydantic import Field, PrivateAttr, SecretStr

from langchain_rerank_core._lazy import OF_A_CALL, LazyReranker, check_settings
from rerank_core import Reranker, RerankResponse

if TYPE_CHECKING:
    from langchain_core.callbacks import Callbacks


_OURS = {"reranked", "rerank_warnings"}  # a score may be the caller's own, and stays


class RerankCompressor(BaseDocumentCompressor):
    """Orders documents by relevance to the query, and keeps the best.

    Documents come back as copies with their id, class and metadata, the score under
    `metadata["relevance_score"]`. Where the service could not be asked and
    `on_failure="passthrough"` allows it, `metadata["reranked"]` is `False` and there is no score;
    what else you should know stands in `metadata["rerank_warnings"]`.

    Its `Reranker` is made on first use. Change a setting with `model_copy(update={...})`.

    Args:
        model: `provider/model`, for example `"cohere/rerank-v3.5"`.
        top_n: The most documents, from 1; `None` for all.
        api_key: The key; `None` for the provider's own environment variables.
        score_threshold: Documents with a lower score are left out; those without one stay.
        metadata_fields: Fields of the metadata that are ranked together with the text, where a
            document has them.
        reranker: What ranks, instead of `model`, `api_key` and `options`: a `Reranker`, or what
            is called like one, for example a `rerank_cache.Cached`. It is never closed here, and
            left out of `model_dump`; only parameters of a call may stand in `options` beside it.
        options: Any option of `rerank_core.Reranker`, and any parameter that this provider knows,
            `{"priority": 10}` for example. Not shown by `repr`.
        **more: Further options, written as keywords: `timeout=5`.

    Raises:
        pydantic.ValidationError: A setting of another type, or out of range.
        ValueError: Neither `model` nor `reranker`, or `reranker` beside settings of another one.
    """

    model: str | None = Field(default=None, frozen=True)
    top_n: int | None = Field(default=None, ge=1)
    api_key: SecretStr | None = Field(default=None, frozen=True)
    score_threshold: float | None = None
    metadata_fields: tuple[str, ...] = ()
    reranker: Any = Field(default=None, frozen=True, exclude=True)
    options: dict[str, Any] = Field(default_factory=dict, frozen=True, repr=False)
    _lazy: LazyReranker = PrivateAttr(default_factory=LazyReranker)

    def __init__(
        self,
        model: str | None = None,
        *,
        top_n: int | None = None,
        api_key: SecretStr | str | None = None,
        score_threshold: float | None = None,
        metadata_fields: Sequence[str] = (),
        reranker: Any = None,
        options: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            model=model,  # type: ignore[call-arg] # pydantic's own constructor takes the fields
            top_n=top_n,
            api_key=api_key,
            score_threshold=score_threshold,
            metadata_fields=metadata_fields,
            reranker=reranker,
            options={**(options or {}), **more},
        )
        self._check()

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
        **params: Any,
    ) -> Sequence[Document]:
        """Order documents by relevance to the query.

        Args:
            documents: What a retriever found; left as they are.
            query: What is looked for.
            callbacks: Told of a run named `Rerank`.
            **params: For this call alone: `top_n`, and parameters that this provider knows.

        Returns:
            Copies of the documents, best first.

        Raises:
            rerank_core.RerankError: And its kinds.
        """
        if not documents:
            return []

        def rank(_: object) -> list[Document]:
            reranker = self._asked()
            response = reranker.rerank(query, self._texts(documents), **self._params(params))
            return self._ranked(documents, response)

        run = RunnableLambda(rank, name="Rerank")
        return run.invoke(_inputs(documents, query), _config(callbacks))

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
        **params: Any,
    ) -> Sequence[Document]:
        """`compress_documents`, awaited, without a thread."""
        if not documents:
            return []

        async def rank(_: object) -> list[Document]:
            reranker = self._asked()
            response = await reranker.arerank(query, self._texts(documents), **self._params(params))
            return self._ranked(documents, response)

        run = RunnableLambda(rank, name="Rerank")
        return await run.ainvoke(_inputs(documents, query), _config(callbacks))

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

    def _asked(self) -> Any:
        """What ranks: the caller's own reranker, or one that is made on first use."""
        self._check()
        return self._lazy.get(self._make_reranker) if self.reranker is None else self.reranker

    def _check(self) -> None:
        """Refuse a reranker beside what another one would be made of, and neither."""
        others = {"api_key": self.api_key, **self.options}
        check_settings(self.reranker, self.model, others)

    def _make_reranker(self) -> Reranker:
        options = {name: value for name, value in self.options.items() if name not in OF_A_CALL}
        if self.api_key is not None:
            options["api_key"] = self.api_key.get_secret_value()
        return Reranker(self.model or "", **options)

    def _params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of one call: those of the configuration, and what the caller gave."""
        usual = {name: self.options[name] for name in OF_A_CALL if name in self.options}
        return {"top_n": self.top_n, "return_documents": False, **usual, **params}

    def _texts(self, documents: Sequence[Document]) -> list[str | dict[str, Any]]:
        """What is ranked of each document."""
        if not self.metadata_fields:
            return [document.page_content for document in documents]
        return [
            {
                **{f: document.metadata[f] for f in self.metadata_fields if f in document.metadata},
                "text": document.page_content,
            }
            for document in documents
        ]

    def _ranked(self, documents: Sequence[Document], response: RerankResponse) -> list[Document]:
        """Copies of the documents in the order of the response."""
        news: dict[str, Any] = {} if response.reranked else {"reranked": False}
        if response.warnings:
            news["rerank_warnings"] = list(response.warnings)
        threshold = -math.inf if self.score_threshold is None else self.score_threshold
        ranked = []
        for result in response.results:
            score, document = result.relevance_score, documents[result.index]
            if score is not None and score < threshold:
                continue
            scores = {} if score is None else {"relevance_score": score}
            # What an earlier compressor said of its own ranking is not true of this one.
            kept = {name: each for name, each in document.metadata.items() if name not in _OURS}
            metadata = {**kept, **scores, **news}
            ranked.append(document.model_copy(update={"metadata": metadata}))
        return ranked


def _inputs(documents: Sequence[Document], query: str) -> dict[str, Any]:
    """What a trace shows of the call."""
    return {"query": query, "documents": documents}


def _config(callbacks: Callbacks | None) -> RunnableConfig:
    return {"callbacks": callbacks}
