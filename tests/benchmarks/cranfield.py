"""How well `local/bm25` orders a real collection, beside the input order and bm25s itself.

For each of Cranfield's 225 queries, the 100 documents that share the most distinct words with it
are the candidates, in that order: a first stage as plain as can be. They are reranked, and
nDCG@10 is averaged over all queries. Run it with `python tests/benchmarks/cranfield.py`.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from math import log2
from pathlib import Path

import bm25s
from attrs import frozen

from rerank_core import Reranker

COLLECTION = Path(__file__).parent.parent / "fixtures" / "cranfield"
CANDIDATES = 100
DEPTH = 10

Order = Sequence[tuple[int, float]]
"""Positions in the list of candidates with their scores, best first."""


@frozen
class Topic:
    """One query, the documents to rerank for it, and which of them count.

    Attributes:
        query: The query.
        documents: The candidates, in the first stage's order.
        gains: The judged relevance of each candidate.
        ideal: All judgements of the query, whether among the candidates or not.
    """

    query: str
    documents: Sequence[str]
    gains: Sequence[int]
    ideal: Sequence[int]


def read_topics() -> Iterator[Topic]:
    """Every query of the collection with its candidates."""
    corpus = [json.loads(line) for line in _lines("corpus.jsonl")]
    texts = {row["_id"]: f"{row['title']} {row['text']}".strip() for row in corpus}
    words = {name: set(re.findall(r"\w\w+", text.lower())) for name, text in texts.items()}
    judged: Mapping[str, dict[str, int]] = defaultdict(dict)
    for row in csv.DictReader(_lines("qrels.tsv"), delimiter="\t"):
        judged[row["query-id"]][row["corpus-id"]] = int(row["score"])
    for number, line in enumerate(_lines("queries.jsonl"), 1):
        query = json.loads(line)["text"]
        asked = set(re.findall(r"\w\w+", query.lower()))
        # Sorting is stable: documents with as many words stay in the collection's order.
        names = sorted(texts, key=lambda name: -len(asked & words[name]))[:CANDIDATES]
        gains = judged[str(number)]
        yield Topic(
            query=query,
            documents=[texts[name] for name in names],
            gains=[gains.get(name, 0) for name in names],
            ideal=sorted(gains.values(), reverse=True),
        )


def _lines(name: str) -> list[str]:
    return (COLLECTION / name).read_text(encoding="utf-8").splitlines()


def ndcg(gains: Sequence[int], ideal: Sequence[int]) -> float:
    """Normalised discounted cumulative gain of the first ten."""
    best = _discounted(ideal)
    return _discounted(gains) / best if best else 0.0


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / log2(rank + 2) for rank, gain in enumerate(gains[:DEPTH]))


def keep_order(topic: Topic) -> Order:
    """The first stage's own order."""
    return [(at, 0.0) for at in range(len(topic.documents))]


def rank_ours(topic: Topic) -> Order:
    """`local/bm25` through the public call, without stemming."""
    reranker = Reranker("local/bm25", stem=False)
    results = reranker.rerank(topic.query, topic.documents).results
    return [(result.index, result.relevance_score or 0.0) for result in results]


def rank_stemmed(topic: Topic) -> Order:
    """`local/bm25` as it comes, with a stemmer where one is installed."""
    results = Reranker("local/bm25").rerank(topic.query, topic.documents).results
    return [(result.index, result.relevance_score or 0.0) for result in results]


def rank_minilm(topic: Topic) -> Order:
    """`local/minilm` through the public call; `local_models.py` has its figures."""
    results = Reranker("local/minilm").rerank(topic.query, topic.documents).results
    return [(result.index, result.relevance_score or 0.0) for result in results]


def rank_hybrid(topic: Topic) -> Order:
    """`local/hybrid` through the public call; likewise."""
    results = Reranker("local/hybrid").rerank(topic.query, topic.documents).results
    return [(result.index, result.relevance_score or 0.0) for result in results]


def rank_bm25s(topic: Topic) -> Order:
    """bm25s used directly, equal scores in the input order; it leaves out short words alone."""
    query = _tokens(topic.query)
    counted = {word for word in query if len(word) == 1}
    rows = [
        [word for word in _tokens(document) if len(word) > 1 or word in counted]
        for document in topic.documents
    ]
    index = bm25s.BM25(method="lucene")
    index.index(rows, show_progress=False)
    scores = index.get_scores(query).tolist()
    return sorted(enumerate(scores), key=lambda pair: -pair[1])


@cache  # a document is a candidate for many queries
def _tokens(text: str) -> list[str]:
    # Words of one character, too, but for what an apostrophe leaves over.
    pattern = r"(?u)\w\w+|(?<!\w')\w(?!'\w)"
    (tokens,) = bm25s.tokenize([text], token_pattern=pattern, return_ids=False, show_progress=False)
    return list(tokens)


RANKERS: Mapping[str, Callable[[Topic], Order]] = {
    "input order": keep_order,
    "bm25s used directly": rank_bm25s,
    "local/bm25, stem=False": rank_ours,
    "local/bm25 with the stemmer": rank_stemmed,
}


def mean_ndcg(ranker: Callable[[Topic], Order], topics: Sequence[Topic]) -> float:
    """nDCG@10 of one ranker over all topics."""
    values = (ndcg([topic.gains[at] for at, _ in ranker(topic)], topic.ideal) for topic in topics)
    return sum(values) / len(topics)


if __name__ == "__main__":
    TOPICS = list(read_topics())
    print("| order | nDCG@10 |\n| --- | ---: |")
    for label, rank in RANKERS.items():
        print(f"| {label} | {mean_ndcg(rank, TOPICS):.4f} |")
