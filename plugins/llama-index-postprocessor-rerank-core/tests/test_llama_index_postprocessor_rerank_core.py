"""The postprocessor alone, and in LlamaIndex's own query engine."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import (  # type: ignore[attr-defined] # documented there
    get_dispatcher,
)
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.schema import (
    ImageNode,
    MetadataMode,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from pydantic import SecretStr, ValidationError

from llama_index.postprocessor.rerank_core import RerankPostprocessor
from rerank_cache import Cached, MemoryStore
from rerank_core import MissingAPIKeyError, RateLimitError, Reranker
from service import Service

KEY = "sk-test-0123456789"
Process = Callable[..., list[NodeWithScore]]


def backwards(asked: Any) -> Any:
    """Rank the last document first."""
    last = len(asked["documents"]) - 1
    results = [{"index": last - at, "relevance_score": 0.9 - at / 10} for at in range(last + 1)]
    return {"results": results[: asked.get("top_n", last + 1)]}


def some_nodes() -> list[NodeWithScore]:
    """Three nodes, two of them of equal text, with what a retriever thought of them."""
    texts = ("Berlin", "Paris", "Berlin")
    return [
        NodeWithScore(
            node=TextNode(
                id_=str(at),
                text=text,
                metadata={"title": f"T{at}", "path": f"P{at}"},
                excluded_embed_metadata_keys=["path"],
            ),
            score=0.1 * at,
        )
        for at, text in enumerate(texts)
    ]


def postprocessor(service: Service, **settings: Any) -> RerankPostprocessor:
    """A postprocessor that asks the service."""
    usual = {"api_key": KEY, "max_retries": 0, "http_client": service}
    return RerankPostprocessor("cohere/rerank-v3.5", **{**usual, **settings})


def process(ranker: RerankPostprocessor, *arguments: Any, **keywords: Any) -> list[NodeWithScore]:
    """Call it blocking."""
    return ranker.postprocess_nodes(*arguments, **keywords)


def aprocess(ranker: RerankPostprocessor, *arguments: Any, **keywords: Any) -> list[NodeWithScore]:
    """Await it."""
    return asyncio.run(ranker.apostprocess_nodes(*arguments, **keywords))


both_ways = pytest.mark.parametrize("process", [process, aprocess], ids=["sync", "async"])


class Events(BaseEventHandler):
    """Keeps the events it is told of."""

    seen: list[Any] = []  # noqa: RUF012 - pydantic copies it for each

    def handle(self, event: Any, **_: Any) -> None:
        """Keep it, where it is about a rerank."""
        if isinstance(event, ReRankStartEvent | ReRankEndEvent):
            self.seen.append(event)


class Callbacks(BaseCallbackHandler):
    """Keeps what the older system is told."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.seen: list[tuple[str, CBEventType, dict[str, Any] | None]] = []

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",  # noqa: ARG002 - LlamaIndex's own signature
        **_: Any,
    ) -> str:
        """Keep the start."""
        self.seen.append(("start", event_type, payload))
        return event_id

    def on_event_end(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",  # noqa: ARG002 - LlamaIndex's own signature
        **_: Any,
    ) -> None:
        """Keep the end."""
        self.seen.append(("end", event_type, payload))

    def start_trace(self, trace_id: str | None = None) -> None:
        """Nothing of ours."""

    def end_trace(
        self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None
    ) -> None:
        """Nothing of ours."""


@pytest.fixture
def events() -> Iterator[Events]:
    """What LlamaIndex is told, by its newer system."""
    handler = Events()
    root = get_dispatcher()
    root.add_event_handler(handler)
    yield handler
    root.event_handlers.remove(handler)


@both_ways
def test_nodes_come_back_by_index_and_are_the_very_ones(process: Process) -> None:
    """New `NodeWithScore`s: those that came in keep their scores."""
    service = Service(backwards)
    nodes = some_nodes()

    ranked = process(postprocessor(service), nodes, query_str="capital")

    assert [node.node_id for node in ranked] == ["2", "1", "0"]
    assert all(node.node is nodes[int(node.node_id)].node for node in ranked)
    assert [node.score for node in ranked] == [0.9, 0.8, 0.7]
    assert [node.score for node in nodes] == [0.0, 0.1, 0.2]
    assert service.body["documents"][0] == "title: T0\n\nBerlin"
    assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (MetadataMode.NONE, ["Berlin"]),
        (MetadataMode.EMBED, ["Berlin", "T0"]),
        (MetadataMode.ALL, ["Berlin", "T0", "P0"]),
    ],
)
def test_the_metadata_that_is_ranked_is_chosen(mode: MetadataMode, words: list[str]) -> None:
    """And no other."""
    service = Service(backwards)

    postprocessor(service, metadata_mode=mode).postprocess_nodes(some_nodes(), query_str="capital")

    sent = service.body["documents"][0]
    assert [word for word in ("Berlin", "T0", "P0") if word in sent] == words


@both_ways
def test_top_n_may_be_set_later_and_parameters_are_sent(process: Process) -> None:
    """All nodes come back where it is `None`."""
    service = Service(backwards)
    ranker = postprocessor(service, max_tokens_per_doc=64, options={"priority": 3})

    assert len(process(ranker, some_nodes(), query_str="capital")) == 3
    ranker.top_n = 1
    assert len(process(ranker, some_nodes(), query_bundle=QueryBundle("capital"))) == 1
    assert service.body["max_tokens_per_doc"] == 64
    assert service.body["priority"] == 3


@both_ways
def test_a_query_is_needed(process: Process, events: Events) -> None:
    """As LlamaIndex says it, and before anything is told."""
    with pytest.raises(ValueError, match="needs a query"):
        process(RerankPostprocessor("local/bm25"), some_nodes())
    assert events.seen == []


@both_ways
def test_no_nodes_need_neither_request_nor_key(
    process: Process, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both events are told all the same."""
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.delenv("CO_API_KEY", raising=False)
    service = Service()
    handler = Callbacks()
    ranker = postprocessor(service, api_key=None, callback_manager=CallbackManager([handler]))

    assert process(ranker, [], query_str="capital") == []
    assert service.requests == []
    assert [type(event) for event in events.seen] == [ReRankStartEvent, ReRankEndEvent]
    assert [when for when, _, _ in handler.seen] == ["start", "end"]
    with pytest.raises(MissingAPIKeyError):
        process(ranker, some_nodes(), query_str="capital")


@both_ways
def test_both_systems_are_told_of_start_and_end(process: Process, events: Events) -> None:
    """With query, model, nodes in and out, within one span."""
    handler = Callbacks()
    ranker = postprocessor(Service(backwards), top_n=2, callback_manager=CallbackManager([handler]))
    nodes = some_nodes()

    ranked = process(ranker, nodes, query_str="capital")

    start, end = events.seen
    assert (start.query.query_str, start.top_n, start.model_name) == (
        "capital",
        2,
        "cohere/rerank-v3.5",
    )
    assert (start.nodes, end.nodes) == (nodes, ranked)
    assert end.tags["reranked"] is True
    assert start.span_id is not None
    assert start.span_id == end.span_id
    (first, kind, given), (last, _, got) = handler.seen
    assert (first, last, kind) == ("start", "end", CBEventType.RERANKING)
    assert given == {
        EventPayload.NODES: nodes,
        EventPayload.MODEL_NAME: "cohere/rerank-v3.5",
        EventPayload.QUERY_STR: "capital",
        EventPayload.TOP_K: 2,
    }
    assert got == {EventPayload.NODES: ranked}


@both_ways
def test_a_failure_is_ours_and_both_systems_are_told(process: Process, events: Events) -> None:
    """The end comes, whatever happens."""
    handler = Callbacks()
    service = Service({"message": "slow down"}, 429, {"retry-after": "7"})
    ranker = postprocessor(service, callback_manager=CallbackManager([handler]))

    with pytest.raises(RateLimitError, match="slow down") as caught:
        process(ranker, some_nodes(), query_str="capital")

    assert caught.value.retry_after == 7
    start, end = events.seen
    assert (type(start), type(end), end.nodes) == (ReRankStartEvent, ReRankEndEvent, [])
    assert [when for when, _, _ in handler.seen] == ["start", "end"]
    assert handler.seen[1][2] == {EventPayload.EXCEPTION: caught.value}


@both_ways
def test_a_passthrough_is_told_and_has_no_score(
    process: Process, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    """So that nothing behind it takes the retriever's score for the reranker's."""
    caplog.set_level(logging.WARNING, "llama_index.postprocessor.rerank_core")
    ranker = postprocessor(Service({}, 503), on_failure="passthrough")

    passed = process(ranker, some_nodes(), query_str="capital")

    assert [node.node_id for node in passed] == ["0", "1", "2"]
    assert [node.score for node in passed] == [None, None, None]
    assert events.seen[1].tags["reranked"] is False
    assert "503" in events.seen[1].tags["warnings"][0]
    assert "503" in caplog.text


def test_a_node_without_text_comes_last() -> None:
    """An image alone is blank, and is no error."""
    service = Service(backwards)
    nodes = [NodeWithScore(node=ImageNode(id_="image", image="aGk=")), *some_nodes()]

    ranked = postprocessor(service).postprocess_nodes(nodes, query_str="capital")

    assert [node.node_id for node in ranked] == ["2", "1", "0", "image"]
    assert ranked[-1].score is None
    assert SimilarityPostprocessor(similarity_cutoff=0.0).postprocess_nodes(ranked) == ranked[:3]


def test_the_retrievers_score_is_kept_where_asked_for() -> None:
    """On a copy: nodes are shared with the index."""
    nodes = some_nodes()
    ranker = postprocessor(Service(backwards), keep_retrieval_score=True)

    ranked = ranker.postprocess_nodes(nodes, query_str="capital")

    assert [node.metadata["retrieval_score"] for node in ranked] == [0.2, 0.1, 0.0]
    assert [node.node_id for node in ranked] == ["2", "1", "0"]
    assert "retrieval_score" not in nodes[0].metadata


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_query_engine_ranks_with_it(events: Events, *, is_async: bool) -> None:
    """As users build one, with an index, an embedding and a model of LlamaIndex's."""
    texts = ("Berlin is in Germany.", "Paris is the capital of France.", "The Rhine is a river.")
    index = VectorStoreIndex.from_documents(
        [Document(text=text) for text in texts], embed_model=MockEmbedding(embed_dim=4)
    )
    engine = index.as_query_engine(
        llm=MockLLM(),
        similarity_top_k=3,
        node_postprocessors=[RerankPostprocessor("local/bm25", top_n=1)],
    )
    asked = "capital of France"
    response = asyncio.run(engine.aquery(asked)) if is_async else engine.query(asked)

    assert [node.get_content() for node in response.source_nodes] == [texts[1]]
    assert [type(event) for event in events.seen] == [ReRankStartEvent, ReRankEndEvent]


def test_awaiting_takes_no_thread() -> None:
    """The request is sent by the event loop itself."""
    threads: list[threading.Thread] = []

    async def reply(request: httpx.Request) -> httpx.Response:
        threads.append(threading.current_thread())
        return httpx.Response(200, json=backwards({"documents": some_nodes()}), request=request)

    ranker = postprocessor(Service(), http_client=httpx.MockTransport(reply))
    aprocess(ranker, some_nodes(), query_str="capital")

    assert threads == [threading.main_thread()]


def test_one_postprocessor_serves_several_event_loops() -> None:
    """Nothing in it belongs to the first."""
    ranker = RerankPostprocessor("local/bm25", top_n=1)

    for _ in range(2):
        assert aprocess(ranker, some_nodes(), query_str="Paris")[0].node_id == "1"
        asyncio.run(ranker.aclose())
    assert ranker.postprocess_nodes(some_nodes(), query_str="Paris")[0].node_id == "1"
    ranker.close()


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda ranker: pickle.loads(pickle.dumps(ranker)),  # noqa: S301 - our own
        lambda ranker: ranker.model_copy(),
        lambda ranker: RerankPostprocessor.from_dict(ranker.to_dict(), api_key=KEY),
        lambda ranker: RerankPostprocessor.from_json(ranker.to_json(), api_key=KEY),
    ],
    ids=["copy", "deepcopy", "pickle", "model_copy", "dict", "json"],
)
def test_a_used_postprocessor_is_copied_with_all_its_settings(copied: Any) -> None:
    """Its connections stay behind."""
    ranker = RerankPostprocessor(
        "local/bm25",
        top_n=1,
        api_key=KEY,
        metadata_mode=MetadataMode.NONE,
        options={"language": "en"},
    )
    ranker.postprocess_nodes(some_nodes(), query_str="Paris")

    other = copied(ranker)

    assert other.model_dump() == ranker.model_dump()
    assert other.api_key == SecretStr(KEY)
    assert other.postprocess_nodes(some_nodes(), query_str="Paris")[0].node_id == "1"


def test_a_pickle_keeps_all_but_what_cannot_be_pickled() -> None:
    """Neither are options lost with a client, nor is the client lost to the original."""
    with httpx.Client(transport=Service(backwards)) as client:
        ranker = postprocessor(Service(), http_client=client, top_n=2)

        other = pickle.loads(pickle.dumps(ranker))  # noqa: S301 - our own

        assert (other.top_n, other.options) == (2, {"max_retries": 0})
        assert len(ranker.postprocess_nodes(some_nodes(), query_str="capital")) == 2


def test_a_copy_with_another_model_asks_that_model() -> None:
    """Also where the first was already used."""
    service = Service(backwards)
    ranker = postprocessor(service)
    ranker.postprocess_nodes(some_nodes(), query_str="capital")

    other = ranker.model_copy(update={"model": "cohere/rerank-v4.0-pro"})
    other.postprocess_nodes(some_nodes(), query_str="capital")

    assert service.body["model"] == "rerank-v4.0-pro"
    with pytest.raises(ValidationError, match="frozen"):
        ranker.model = "cohere/rerank-v4.0-pro"


def cached(service: Service) -> Cached:
    """A reranker of the caller's own, with scores kept in front of it."""
    sends = Reranker("cohere/rerank-v3.5", api_key=KEY, max_retries=0, http_client=service)
    return Cached(sends, MemoryStore())


@both_ways
def test_what_is_cached_is_not_sent_again(process: Process) -> None:
    """By a reranker that is handed over; events name its model."""
    service, callbacks = Service(backwards), Callbacks()
    ranker = RerankPostprocessor(
        reranker=cached(service),
        top_n=2,
        max_tokens_per_doc=64,
        callback_manager=CallbackManager([callbacks]),
    )

    first = process(ranker, some_nodes(), query_str="capital")
    again = process(ranker, some_nodes(), query_str="capital")

    assert [(node.node_id, node.score) for node in first] == [("2", 0.9), ("1", 0.8)]
    assert [(node.node_id, node.score) for node in again] == [("2", 0.9), ("1", 0.8)]
    assert len(service.requests) == 1
    assert service.body["max_tokens_per_doc"] == 64
    [payload, *_] = [seen for when, _, seen in callbacks.seen if when == "start"]
    assert payload is not None
    assert payload[EventPayload.MODEL_NAME] == "cohere/rerank-v3.5"


def test_a_reranker_that_is_handed_over_is_not_closed() -> None:
    """Nor is it taken into a dictionary or a pickle; a dictionary is read back beside one."""
    with Reranker("local/bm25") as reranker:
        ranker = RerankPostprocessor(reranker=reranker, top_n=1)
        ranker.close()
        asyncio.run(ranker.aclose())
        read = RerankPostprocessor.from_dict(ranker.to_dict(), reranker=reranker)

        for each in (ranker, copy.copy(ranker), read):
            assert each.postprocess_nodes(some_nodes(), query_str="Paris")[0].node_id == "1"
        assert "reranker" not in ranker.to_dict()
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(ranker)


def test_a_reranker_is_not_given_beside_what_another_is_made_of() -> None:
    """Nor is neither given; the error says what to do."""
    reranker = cached(Service())
    settings: dict[str, Any] = {"api_key": KEY, "http_client": Service(), "timeout": 5}

    with pytest.raises(ValueError, match="leave out model, api_key, http_client, timeout here"):
        RerankPostprocessor("cohere/rerank-v3.5", reranker=reranker, **settings)
    with pytest.raises(ValueError, match="Give model, or reranker"):
        RerankPostprocessor()
    late = RerankPostprocessor(reranker=reranker).model_copy(update={"model": "local/bm25"})
    with pytest.raises(ValueError, match="leave out model here"):
        late.postprocess_nodes(some_nodes(), query_str="capital")


def test_the_key_is_not_shown() -> None:
    """Nor written by `to_dict`."""
    ranker = RerankPostprocessor("cohere/x", api_key=KEY, extra_headers={"x-token": "t0ken"})

    assert KEY not in repr(ranker) + str(ranker) + str(ranker.to_dict()) + ranker.to_json()
    assert "t0ken" not in repr(ranker)


def test_settings_are_checked_at_once() -> None:
    """Before anything is ranked."""
    with pytest.raises(ValidationError, match="top_n"):
        RerankPostprocessor("local/bm25", top_n=0)
