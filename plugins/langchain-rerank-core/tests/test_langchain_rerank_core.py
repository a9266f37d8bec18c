"""The compressor alone, and behind LangChain's own retriever."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.load import dumpd
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests
from pydantic import SecretStr, ValidationError

from langchain_rerank_core import RerankCompressor
from rerank_cache import Cached, MemoryStore
from rerank_core import MissingAPIKeyError, RateLimitError, Reranker
from service import Service

KEY = "sk-test-0123456789"
Compress = Callable[..., Sequence[Document]]


class Page(Document):
    """A document of a user's own class."""

    number: int = 0


DOCUMENTS = [
    Page(page_content="Berlin", metadata={"source": "a", "title": "DE"}, id="1", number=1),
    Page(page_content="Paris", metadata={"source": "b", "relevance_score": 7}, id="2", number=2),
    Page(page_content="Berlin", metadata={"source": "c"}, id="3", number=3),
]


def backwards(asked: Any) -> Any:
    """Rank the last document first."""
    last = len(asked["documents"]) - 1
    results = [{"index": last - at, "relevance_score": 0.9 - at / 10} for at in range(last + 1)]
    return {"results": results[: asked.get("top_n", last + 1)]}


def compressor(service: Service, **settings: Any) -> RerankCompressor:
    """A compressor that asks the service."""
    usual = {"api_key": KEY, "max_retries": 0, "http_client": service}
    return RerankCompressor("cohere/rerank-v3.5", **{**usual, **settings})


def compress(ranker: RerankCompressor, *arguments: Any, **keywords: Any) -> Sequence[Document]:
    """Call it blocking."""
    return ranker.compress_documents(*arguments, **keywords)


def acompress(ranker: RerankCompressor, *arguments: Any, **keywords: Any) -> Sequence[Document]:
    """Await it."""
    return asyncio.run(ranker.acompress_documents(*arguments, **keywords))


both_ways = pytest.mark.parametrize("compress", [compress, acompress], ids=["sync", "async"])


@both_ways
def test_documents_come_back_by_index_with_all_they_had(compress: Compress) -> None:
    """Copies: id, class, metadata, equal texts; the score where LangChain looks for it."""
    service = Service(backwards)
    before = copy.deepcopy(DOCUMENTS)

    ranked = compress(compressor(service), DOCUMENTS, "capital")

    assert [document.id for document in ranked] == ["3", "2", "1"]
    assert [document.metadata["relevance_score"] for document in ranked] == [0.9, 0.8, 0.7]
    assert [document.metadata["source"] for document in ranked] == ["c", "b", "a"]
    assert [getattr(document, "number", None) for document in ranked] == [3, 2, 1]
    assert before == DOCUMENTS
    assert service.body["documents"] == ["Berlin", "Paris", "Berlin"]
    assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"


@both_ways
def test_top_n_and_parameters_are_configured_or_given_in_a_call(compress: Compress) -> None:
    """What a call gives wins; without either, all documents come back."""
    service = Service(backwards)
    ranker = compressor(service, top_n=2, max_tokens_per_doc=64)

    assert len(compress(ranker, DOCUMENTS, "capital")) == 2
    assert service.body["max_tokens_per_doc"] == 64
    assert len(compress(ranker, DOCUMENTS, "capital", top_n=1, priority=3)) == 1
    assert service.body["priority"] == 3
    assert len(compress(compressor(service), DOCUMENTS, "capital")) == 3


@both_ways
def test_no_documents_need_neither_request_nor_key(
    compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As frameworks expect of an empty list."""
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.delenv("CO_API_KEY", raising=False)
    service = Service()
    ranker = compressor(service, api_key=None)

    assert compress(ranker, [], "capital") == []
    assert service.requests == []
    with pytest.raises(MissingAPIKeyError):
        compress(ranker, DOCUMENTS, "capital")


def test_without_a_key_the_providers_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """By core, on first use."""
    service = Service()
    ranker = compressor(service, api_key=None)
    monkeypatch.setenv("COHERE_API_KEY", "from-the-environment")

    ranker.compress_documents(DOCUMENTS, "capital")

    assert service.requests[0].headers["authorization"] == "Bearer from-the-environment"


@both_ways
def test_a_passthrough_is_told_and_has_no_score(compress: Compress) -> None:
    """The old order is not taken for a ranking, nor an old score for a new one."""
    ranker = compressor(Service({}, 503), on_failure="passthrough")

    passed = compress(ranker, [DOCUMENTS[0], DOCUMENTS[2]], "capital")

    assert [document.id for document in passed] == ["1", "3"]
    assert [document.metadata["reranked"] for document in passed] == [False, False]
    assert "503" in passed[0].metadata["rerank_warnings"][0]
    assert "relevance_score" not in passed[0].metadata
    assert "relevance_score" in compress(ranker, DOCUMENTS[1:2], "capital")[0].metadata


@both_ways
def test_warnings_stand_in_the_metadata(compress: Compress) -> None:
    """Only where there are any."""
    ranker = compressor(Service(backwards), drop_params=True)

    warned = compress(ranker, DOCUMENTS, "capital", colour="blue")

    assert "colour" in warned[0].metadata["rerank_warnings"][0]
    assert "reranked" not in warned[0].metadata
    assert "rerank_warnings" not in compress(ranker, DOCUMENTS, "capital")[0].metadata


@both_ways
def test_what_one_compressor_says_is_not_said_of_the_next(compress: Compress) -> None:
    """Two stand behind each other: the first was not answered, and the second ranked."""
    down = compressor(Service({}, 503), on_failure="passthrough")

    passed = compress(down, DOCUMENTS, "capital")
    ranked = compress(compressor(Service(backwards)), passed, "capital")

    assert [document.metadata["relevance_score"] for document in ranked] == [0.9, 0.8, 0.7]
    assert not [each for each in ranked if {"reranked", "rerank_warnings"} & {*each.metadata}]
    assert passed[0].metadata["reranked"] is False


@both_ways
def test_a_blank_document_comes_last_without_a_score(compress: Compress) -> None:
    """Cohere refuses it, so that it is not sent; a threshold does not take it away."""
    service = Service(backwards)
    documents = [Document(""), *DOCUMENTS]

    ranked = compress(compressor(service, score_threshold=0.85), documents, "capital")

    assert [document.id for document in ranked] == ["3", None]
    assert "relevance_score" not in ranked[1].metadata
    assert len(service.body["documents"]) == 3


def test_a_threshold_of_zero_is_one() -> None:
    """Scores of some models are negative."""
    reply = [{"index": 0, "relevance_score": 0.5}, {"index": 1, "relevance_score": -0.5}]
    service = Service({"results": reply})

    kept = compressor(service, score_threshold=0).compress_documents(DOCUMENTS[:2], "capital")

    assert [document.id for document in kept] == ["1"]


def test_chosen_metadata_is_ranked_with_the_text() -> None:
    """Where a document has it."""
    service = Service(backwards)

    compressor(service, metadata_fields=["title"]).compress_documents(DOCUMENTS, "capital")

    first, *others = service.body["documents"]
    assert "DE" in first
    assert "Berlin" in first
    assert "source" not in str(service.body["documents"])
    assert all("title" not in other for other in others)


class Runs(BaseCallbackHandler):
    """Keeps the runs it is told of."""

    def __init__(self) -> None:
        self.started: list[tuple[str, UUID | None]] = []
        self.failed: list[BaseException] = []
        self.outputs: list[Any] = []

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,  # noqa: ARG002 - LangChain's own signature
        inputs: dict[str, Any],
        *,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep name and parent."""
        assert inputs["query"] == "capital"
        self.started.append((kwargs["name"], parent_run_id))

    def on_chain_end(self, outputs: Any, **_: Any) -> None:
        """Keep what came of it."""
        self.outputs.append(outputs)

    def on_chain_error(self, error: BaseException, **_: Any) -> None:
        """Keep the failure."""
        self.failed.append(error)


class Fixed(BaseRetriever):
    """Finds the first of some documents."""

    k: int = 3

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        del query, run_manager
        return list(DOCUMENTS[: kwargs.get("k", self.k)])


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("piped", [False, True], ids=["alone", "piped"])
def test_a_run_named_rerank_is_below_the_retriever(*, is_async: bool, piped: bool) -> None:
    """Traces show it, whether the compressor stands alone or in a pipeline of compressors."""
    runs = Runs()
    ranker = compressor(Service(backwards))
    retriever = ContextualCompressionRetriever(
        base_compressor=DocumentCompressorPipeline(transformers=[ranker]) if piped else ranker,
        base_retriever=Fixed(),
    )
    config: Any = {"callbacks": [runs]}
    if is_async:
        found = asyncio.run(retriever.ainvoke("capital", config))
    else:
        found = retriever.invoke("capital", config)

    assert [document.id for document in found] == ["3", "2", "1"]
    [(name, parent)] = runs.started
    assert name == "Rerank"
    assert parent is not None
    assert runs.outputs == [found]


@both_ways
def test_a_failure_is_ours_and_ends_the_run(compress: Compress) -> None:
    """Whoever catches errors of rerank-core catches this one."""
    runs = Runs()
    service = Service({"message": "slow down"}, 429, {"retry-after": "7"})

    with pytest.raises(RateLimitError, match="slow down") as caught:
        compress(compressor(service), DOCUMENTS, "capital", callbacks=[runs])

    assert caught.value.retry_after == 7
    assert runs.failed == [caught.value]


def test_awaiting_takes_no_thread() -> None:
    """The request is sent by the event loop itself."""
    threads: list[threading.Thread] = []

    async def reply(request: httpx.Request) -> httpx.Response:
        threads.append(threading.current_thread())
        return httpx.Response(200, json=backwards({"documents": DOCUMENTS}), request=request)

    ranker = compressor(Service(), http_client=httpx.MockTransport(reply))
    acompress(ranker, DOCUMENTS, "capital")

    assert threads == [threading.main_thread()]


def test_one_compressor_serves_several_event_loops() -> None:
    """Nothing in it belongs to the first."""
    ranker = RerankCompressor("local/bm25", top_n=1)

    for _ in range(2):
        assert acompress(ranker, DOCUMENTS, "Paris")[0].id == "2"
        asyncio.run(ranker.aclose())
    assert ranker.compress_documents(DOCUMENTS, "Paris")[0].id == "2"
    ranker.close()


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda ranker: pickle.loads(pickle.dumps(ranker)),  # noqa: S301 - our own
        lambda ranker: ranker.model_copy(),
        lambda ranker: ranker.model_copy(deep=True),
        lambda ranker: RerankCompressor.model_validate(ranker.model_dump()),
    ],
    ids=["copy", "deepcopy", "pickle", "model_copy", "model_copy-deep", "model_dump"],
)
def test_a_used_compressor_is_copied_with_all_its_settings(copied: Any) -> None:
    """Its connections stay behind, and with them what a changed model must not use."""
    ranker = RerankCompressor("local/bm25", top_n=1, api_key=KEY, options={"language": "en"})
    ranker.compress_documents(DOCUMENTS, "Paris")

    other = copied(ranker)

    assert other == ranker
    assert other.api_key == SecretStr(KEY)
    assert other.compress_documents(DOCUMENTS, "Paris")[0].id == "2"


def test_a_copy_with_another_model_asks_that_model() -> None:
    """Also where the first was already used."""
    service = Service(backwards)
    ranker = compressor(service)
    ranker.compress_documents(DOCUMENTS, "capital")

    ranker.model_copy(update={"model": "cohere/rerank-v4.0-pro"}).compress_documents(DOCUMENTS, "c")

    assert service.body["model"] == "rerank-v4.0-pro"
    with pytest.raises(ValidationError, match="frozen"):
        ranker.model = "cohere/rerank-v4.0-pro"


def cached(service: Service) -> Cached:
    """A reranker of the caller's own, with scores kept in front of it."""
    sends = Reranker("cohere/rerank-v3.5", api_key=KEY, max_retries=0, http_client=service)
    return Cached(sends, MemoryStore())


@both_ways
def test_what_is_cached_is_not_sent_again(compress: Compress) -> None:
    """By a reranker that is handed over; what a call takes may stand in the options."""
    service = Service(backwards)
    ranker = RerankCompressor(reranker=cached(service), top_n=1, max_tokens_per_doc=64)

    first = compress(ranker, DOCUMENTS[:2], "capital")
    again = compress(ranker, DOCUMENTS[:2], "capital")

    assert [document.id for document in first] == ["2"]
    assert again == first
    assert len(service.requests) == 1
    assert service.body["max_tokens_per_doc"] == 64
    assert ranker.reranker.info.cached_calls == 1


def test_a_reranker_that_is_handed_over_is_not_closed() -> None:
    """Nor is it taken into a dump or a pickle."""
    with Reranker("local/bm25") as reranker:
        ranker = RerankCompressor(reranker=reranker, top_n=1)
        ranker.close()
        asyncio.run(ranker.aclose())

        assert ranker.compress_documents(DOCUMENTS, "Paris")[0].id == "2"
        assert copy.copy(ranker).reranker is reranker
        assert "reranker" not in ranker.model_dump()
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(ranker)


def test_a_reranker_is_not_given_beside_what_another_is_made_of() -> None:
    """Nor is neither given; the error says what to do."""
    reranker = cached(Service())
    settings: dict[str, Any] = {"api_key": KEY, "timeout": 5}

    with pytest.raises(ValueError, match="leave out model, api_key, timeout here"):
        RerankCompressor("cohere/rerank-v3.5", reranker=reranker, **settings)
    with pytest.raises(ValueError, match="Give model, or reranker"):
        RerankCompressor()
    late = RerankCompressor(reranker=reranker).model_copy(update={"model": "local/bm25"})
    with pytest.raises(ValueError, match="leave out model here"):
        late.compress_documents(DOCUMENTS, "capital")


def test_nothing_secret_is_shown() -> None:
    """Neither by `repr` nor by what LangChain sends to traces."""
    ranker = RerankCompressor("cohere/x", api_key=KEY, extra_headers={"x-token": KEY})

    assert KEY not in repr(ranker)
    assert KEY not in str(ranker)
    assert KEY not in str(dumpd(ranker))
    assert KEY not in str(ranker.model_dump(exclude={"options"}))


def test_settings_are_checked_at_once() -> None:
    """Before anything is ranked."""
    with pytest.raises(ValidationError, match="top_n"):
        RerankCompressor("local/bm25", top_n=0)
    with pytest.raises(ValidationError, match="model"):
        RerankCompressor(5)  # type: ignore[arg-type]


class Reranking(ContextualCompressionRetriever):
    """The retriever with `k` where langchain-tests looks for it."""

    def __init__(self, k: int = 3) -> None:
        super().__init__(base_compressor=RerankCompressor("local/bm25"), base_retriever=Fixed(k=k))


class TestRetriever(RetrieversIntegrationTests):
    """LangChain's own tests of retrievers, over ours."""

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        """What is tested."""
        return Reranking

    @property
    def retriever_query_example(self) -> str:
        """What is looked for."""
        return "Paris"
