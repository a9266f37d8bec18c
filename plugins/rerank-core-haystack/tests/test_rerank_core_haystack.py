"""The ranker alone, and in Haystack's own pipelines."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import Secret

from haystack_integrations.components.rankers.rerank_core import RerankCoreRanker
from rerank_cache import Cached, MemoryStore
from rerank_core import MissingAPIKeyError, RateLimitError, Reranker
from service import Service

KEY = "sk-test-0123456789"
Run = Callable[..., dict[str, Any]]
DOCUMENTS = [
    Document(id="1", content="Berlin", meta={"title": "DE", "year": 0}, score=0.5),
    Document(id="2", content="Paris", meta={"title": None}, embedding=[0.5, 0.25]),
    Document(id="3", content="Berlin"),
]


def backwards(asked: Any) -> Any:
    """Rank the last document first."""
    last = len(asked["documents"]) - 1
    results = [{"index": last - at, "relevance_score": 0.9 - at / 10} for at in range(last + 1)]
    units = {"billed_units": {"search_units": 1}}
    return {"results": results[: asked.get("top_n", last + 1)], "meta": units}


def ranker(service: Service, **settings: Any) -> RerankCoreRanker:
    """A ranker that asks the service."""
    key = Secret.from_token(KEY)
    usual = {"api_key": key, "max_retries": 0, "http_client": service}
    return RerankCoreRanker("cohere/rerank-v3.5", **{**usual, **settings})


def run(ranker: RerankCoreRanker, *arguments: Any, **keywords: Any) -> dict[str, Any]:
    """Call it blocking."""
    return ranker.run(*arguments, **keywords)


def run_async(ranker: RerankCoreRanker, *arguments: Any, **keywords: Any) -> dict[str, Any]:
    """Await it."""
    return asyncio.run(ranker.run_async(*arguments, **keywords))


both_ways = pytest.mark.parametrize("run", [run, run_async], ids=["sync", "async"])


@both_ways
def test_documents_come_back_by_index_with_all_they_had(run: Run) -> None:
    """Copies: id, meta, embedding, equal contents; the score where Haystack looks for it."""
    service = Service(backwards)
    before = copy.deepcopy(DOCUMENTS)

    told = run(ranker(service), "capital", DOCUMENTS)

    ranked = told["documents"]
    assert [document.id for document in ranked] == ["3", "2", "1"]
    assert [document.score for document in ranked] == [0.9, 0.8, 0.7]
    assert ranked[1].embedding == [0.5, 0.25]
    assert ranked[2].meta == {"title": "DE", "year": 0}
    assert before == DOCUMENTS
    assert service.body["documents"] == ["Berlin", "Paris", "Berlin"]
    assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert told["meta"] == {
        "provider": "cohere",
        "model": "rerank-v3.5",
        "reranked": True,
        "warnings": [],
        "usage": {"search_units": 1},
        "cost": 0.002,
    }


@both_ways
def test_documents_of_one_id_all_stay(run: Run) -> None:
    """Whether to join them is for another component to say."""
    told = run(ranker(Service(backwards)), "capital", [DOCUMENTS[0], DOCUMENTS[0]])

    assert [document.id for document in told["documents"]] == ["1", "1"]
    assert [document.score for document in told["documents"]] == [0.9, 0.8]


@both_ways
def test_top_k_is_configured_or_given_in_a_call(run: Run) -> None:
    """What a call gives wins; without either, all documents come back."""
    service = Service(backwards)
    two = ranker(service, top_k=2, max_tokens_per_doc=64, priority=3)

    assert len(run(two, "capital", DOCUMENTS)["documents"]) == 2
    assert (service.body["max_tokens_per_doc"], service.body["priority"]) == (64, 3)
    assert len(run(two, "capital", DOCUMENTS, top_k=1)["documents"]) == 1
    assert len(run(ranker(service), "capital", DOCUMENTS)["documents"]) == 3
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="top_k must be at least 1"):
            run(two, "capital", DOCUMENTS, top_k=wrong)
        with pytest.raises(ValueError, match="top_k must be at least 1"):
            RerankCoreRanker("local/bm25", top_k=wrong)


@both_ways
def test_no_documents_need_neither_request_nor_key(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As frameworks expect of an empty list."""
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.delenv("CO_API_KEY", raising=False)
    service = Service()
    keyless = ranker(service, api_key=None)

    assert run(keyless, "capital", []) == {"documents": [], "meta": {}}
    assert service.requests == []
    with pytest.raises(MissingAPIKeyError):
        run(keyless, "capital", DOCUMENTS)


@both_ways
def test_a_passthrough_is_told_and_has_no_score(run: Run) -> None:
    """The retriever's score is not taken for the reranker's."""
    told = run(ranker(Service({}, 503), on_failure="passthrough"), "capital", DOCUMENTS)

    assert [document.id for document in told["documents"]] == ["1", "2", "3"]
    assert [document.score for document in told["documents"]] == [None, None, None]
    assert told["meta"]["reranked"] is False
    assert "503" in told["meta"]["warnings"][0]


@both_ways
def test_a_document_without_content_comes_last(run: Run) -> None:
    """Cohere refuses blank texts, so that it is not sent; a threshold does not take it away."""
    service = Service(backwards)
    documents = [Document(id="0", content=None), *DOCUMENTS]

    ranked = run(ranker(service, score_threshold=0.85), "capital", documents)["documents"]

    assert [(document.id, document.score) for document in ranked] == [("3", 0.9), ("0", None)]
    assert len(service.body["documents"]) == 3


def test_a_threshold_of_zero_is_one() -> None:
    """Scores of some models are negative."""
    reply = [{"index": 0, "relevance_score": 0.5}, {"index": 1, "relevance_score": -0.5}]

    kept = ranker(Service({"results": reply}), score_threshold=0).run("capital", DOCUMENTS[:2])

    assert [document.id for document in kept["documents"]] == ["1"]


def test_chosen_meta_stands_before_the_content() -> None:
    """A zero is a value, `None` is none."""
    service = Service(backwards)

    ranker(service, meta_fields_to_embed=["title", "year"], meta_data_separator=" | ").run(
        "capital", DOCUMENTS
    )

    assert service.body["documents"] == ["DE | 0 | Berlin", "Paris", "Berlin"]


@both_ways
def test_a_failure_is_ours(run: Run) -> None:
    """Whoever catches errors of rerank-core catches this one."""
    service = Service({"message": "slow down"}, 429, {"retry-after": "7"})

    with pytest.raises(RateLimitError, match="slow down") as caught:
        run(ranker(service), "capital", DOCUMENTS)

    assert caught.value.retry_after == 7


def search(top_k: int = 1) -> Pipeline:
    """A retriever and a ranker behind it."""
    store = InMemoryDocumentStore()
    store.write_documents(
        [
            Document(content="The capital, the capital, the capital."),
            Document(content="Paris is the capital of France."),
        ]
    )
    pipeline = Pipeline()
    pipeline.add_component("retriever", InMemoryBM25Retriever(store))
    pipeline.add_component("ranker", RerankCoreRanker("local/bm25", top_k=top_k, max_retries=0))
    pipeline.connect("retriever.documents", "ranker.documents")
    return pipeline


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_pipeline_ranks_before_and_after_yaml(*, is_async: bool) -> None:
    """What is read is what was written, and nothing has to be allowed for it."""
    first = search()
    second = Pipeline.loads(first.dumps())
    store: Any = first.get_component("retriever")
    empty: Any = second.get_component("retriever")
    empty.document_store = store.document_store
    asked = {
        "retriever": {"query": "capital of France"},
        "ranker": {"query": "capital of France"},
    }
    for pipeline in (first, second):
        found = asyncio.run(pipeline.run_async(asked)) if is_async else pipeline.run(asked)

        [document] = found["ranker"]["documents"]
        assert document.content == "Paris is the capital of France."
        assert found["ranker"]["meta"]["reranked"] is True
    assert second.dumps() == first.dumps()


def test_all_settings_survive_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets as the variables they come from, also among the options."""
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("MY_SECRET", "t0ken")
    pipeline = Pipeline()
    written = RerankCoreRanker(
        "cohere/rerank-v3.5",
        top_k=2,
        api_key=Secret.from_env_var("MY_KEY"),
        score_threshold=0.5,
        meta_fields_to_embed=["title"],
        meta_data_separator=" ",
        fallbacks=["local/bm25"],
        client_name=Secret.from_env_var("MY_SECRET"),
    )
    pipeline.add_component("ranker", written)

    text = pipeline.dumps()
    read: Any = Pipeline.loads(text).get_component("ranker")

    assert KEY not in text
    assert "t0ken" not in text
    assert read.to_dict() == written.to_dict()
    assert read.api_key == Secret.from_env_var("MY_KEY")
    service = Service(backwards)
    read.options = {**read.options, "http_client": service}
    assert len(read.run("capital", DOCUMENTS)["documents"]) == 2
    assert service.requests[0].headers["x-client-name"] == "t0ken"
    assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_key_in_the_code_is_not_written() -> None:
    """Haystack's own rule for secrets."""
    with pytest.raises(ValueError, match="token"):
        RerankCoreRanker("cohere/rerank-v3.5", api_key=Secret.from_token(KEY)).to_dict()


def test_it_is_ready_after_warming_up_and_can_be_used_again_when_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A missing key is found before the first query."""
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.delenv("CO_API_KEY", raising=False)
    with pytest.raises(MissingAPIKeyError):
        RerankCoreRanker("cohere/rerank-v3.5").warm_up()
    bm25 = RerankCoreRanker("local/bm25", top_k=1)
    for _ in range(2):
        bm25.warm_up()
        bm25.warm_up()
        assert bm25.run("Paris", DOCUMENTS)["documents"][0].id == "2"
        bm25.close()
        assert run_async(bm25, "Paris", DOCUMENTS)["documents"][0].id == "2"
        asyncio.run(bm25.close_async())


def test_awaiting_takes_no_thread() -> None:
    """The request is sent by the event loop itself."""
    threads: list[threading.Thread] = []

    async def reply(request: httpx.Request) -> httpx.Response:
        threads.append(threading.current_thread())
        return httpx.Response(200, json=backwards({"documents": DOCUMENTS}), request=request)

    pipeline = Pipeline()
    asking = ranker(Service(), http_client=httpx.MockTransport(reply))
    pipeline.add_component("ranker", asking)
    asyncio.run(pipeline.run_async({"ranker": {"query": "capital", "documents": DOCUMENTS}}))

    assert threads == [threading.main_thread()]


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda ranker: pickle.loads(pickle.dumps(ranker))],  # noqa: S301 - our own
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_used_ranker_is_copied_with_all_its_settings(copied: Any) -> None:
    """Its connections stay behind: the copy may become one of another model."""
    used = RerankCoreRanker("local/bm25", top_k=1)
    used.run("Paris", DOCUMENTS)

    other = copied(used)
    other.model = "cohere/rerank-v3.5"
    other.api_key = Secret.from_token(KEY)
    other.options = {"http_client": Service(backwards)}

    assert other.run("capital", DOCUMENTS)["documents"][0].id == "3"
    assert used.run("Paris", DOCUMENTS)["documents"][0].id == "2"


def cached(service: Service) -> Cached:
    """A reranker of the caller's own, with scores kept in front of it."""
    sends = Reranker("cohere/rerank-v3.5", api_key=KEY, max_retries=0, http_client=service)
    return Cached(sends, MemoryStore())


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_what_is_cached_is_not_sent_again(*, is_async: bool) -> None:
    """By a reranker that is handed over, in a pipeline."""
    service = Service(backwards)
    pipeline = Pipeline()
    pipeline.add_component(
        "ranker", RerankCoreRanker(reranker=cached(service), top_k=1, max_tokens_per_doc=64)
    )
    asked = {"ranker": {"query": "capital", "documents": DOCUMENTS[:2]}}

    first, again = (
        asyncio.run(pipeline.run_async(asked)) if is_async else pipeline.run(asked)
        for _ in range(2)
    )

    assert [document.id for document in first["ranker"]["documents"]] == ["2"]
    assert again["ranker"]["documents"] == first["ranker"]["documents"]
    assert (first["ranker"]["meta"]["cost"], again["ranker"]["meta"]["cost"]) == (0.002, 0.0)
    assert len(service.requests) == 1
    assert service.body["max_tokens_per_doc"] == 64


def test_a_reranker_that_is_handed_over_is_not_closed() -> None:
    """Nor is it written or pickled, and whoever tries is told."""
    with Reranker("local/bm25") as reranker:
        handed = RerankCoreRanker(reranker=reranker, top_k=1)
        handed.warm_up()
        handed.close()
        asyncio.run(handed.close_async())

        for each in (handed, copy.copy(handed)):
            assert each.run("Paris", DOCUMENTS)["documents"][0].id == "2"
        with pytest.raises(ValueError, match="give model and options instead"):
            handed.to_dict()
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(handed)


def test_a_reranker_is_not_given_beside_what_another_is_made_of() -> None:
    """Nor is neither given; the error says what to do."""
    reranker = cached(Service())
    key = Secret.from_token(KEY)

    with pytest.raises(ValueError, match="leave out model, api_key, timeout here"):
        RerankCoreRanker("cohere/rerank-v3.5", api_key=key, reranker=reranker, timeout=5)
    with pytest.raises(ValueError, match="Give model, or reranker"):
        RerankCoreRanker()
    late = RerankCoreRanker(reranker=reranker)
    late.model = "local/bm25"
    with pytest.raises(ValueError, match="leave out model here"):
        late.run("capital", DOCUMENTS)


def test_the_key_is_not_shown() -> None:
    """By whatever shows a component."""
    assert KEY not in repr(ranker(Service())) + str(ranker(Service()))
