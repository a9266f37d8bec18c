"""Speed of local models that can be checked anywhere: shares of what onnxruntime takes by itself.

`pytest tests/benchmarks/gates_local.py` runs them, in a minute; no run of all tests finds them.
"""

from __future__ import annotations

from itertools import islice
from statistics import median
from time import process_time

import bm25s
import pytest

from benchmarks.cranfield import read_topics
from benchmarks.local_models import Comparison, compare, measure_peaks
from rerank_core import Reranker

pytestmark = pytest.mark.timeout(900)  # a machine that does much else takes minutes
DOCUMENTS, ROUNDS = 8, 5
# An idle machine shows 0.95 and more: see docs/local-models.md.
LEAST_SHARE = 0.8


def test_bm25_takes_no_longer_than_bm25s_with_its_own_words() -> None:
    """By processor time, query by query, through the public call; both without a stemmer."""
    topics = [*islice(read_topics(), 40)]
    ratios = []
    with Reranker("local/bm25", stem=False) as reranker:
        reranker.rerank("wing", topics[0].documents)  # imports
        for topic in topics:
            begun = process_time()
            reranker.rerank(topic.query, topic.documents)
            middle = process_time()
            tokens = bm25s.tokenize(list(topic.documents), show_progress=False)
            index = bm25s.BM25(method="lucene", backend="numpy")
            index.index(tokens, show_progress=False)
            (words,) = bm25s.tokenize([topic.query], return_ids=False, show_progress=False)
            index.get_scores(words)
            ratios.append((process_time() - middle) / (middle - begun))

    assert median(ratios) >= 1


@pytest.fixture(scope="module")
def found() -> Comparison:
    """Both by turns, in one thread: others wait for their turn, and waiting takes time, too."""
    return compare(DOCUMENTS, ROUNDS, intra_op_num_threads=1)


def test_each_input_is_computed_once(found: Comparison) -> None:
    """So the batches, which both are given, are no more than there must be."""
    shapes = [feed["input_ids"].shape for feed in found.feeds]

    assert shapes[0][0] == 1  # the query
    assert [rows for rows, _ in shapes[1:]] == [DOCUMENTS]
    assert max(length for _, length in shapes) <= 256


def test_minilm_takes_little_more_than_onnxruntime_with_the_same_batches(found: Comparison) -> None:
    """By processor time: tokens, windows, pooling and cosines are next to nothing."""
    assert median(found.shares["speed by processor time"]) >= LEAST_SHARE


def test_minilm_needs_little_more_memory_than_onnxruntime(found: Comparison) -> None:
    """Both in a process of their own, where the greatest batch decides."""
    ours, direct = measure_peaks(found.feeds, DOCUMENTS)

    assert direct / ours >= LEAST_SHARE
