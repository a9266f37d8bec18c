"""`local/bm25`, `local/minilm` and `local/hybrid` on a real collection."""

from collections.abc import Callable
from itertools import islice

import pytest
from attrs import evolve

from benchmarks.cranfield import (
    Order,
    Topic,
    keep_order,
    mean_ndcg,
    rank_bm25s,
    rank_hybrid,
    rank_minilm,
    rank_ours,
    read_topics,
)

pytestmark = pytest.mark.slow


def test_bm25_orders_a_real_collection_as_bm25s_does_and_better_than_the_input() -> None:
    """Order and scores of all 225 queries equal bm25s used directly, and beat the first stage."""
    topics = list(read_topics())
    orders = {topic.query: rank_bm25s(topic) for topic in topics}

    assert len(orders) == len(topics) == 225
    assert {len(topic.documents) for topic in topics} == {100}
    assert all(list(rank_ours(topic)) == orders[topic.query] for topic in topics)
    assert (
        mean_ndcg(lambda topic: orders[topic.query], topics) > mean_ndcg(keep_order, topics) + 0.05
    )


@pytest.mark.parametrize("rank", [rank_minilm, rank_hybrid])
def test_models_order_a_real_collection_better_than_the_input(
    rank: Callable[[Topic], Order],
) -> None:
    """A few candidates of the first queries: `local_models.py quality` takes all of them."""
    topics = [
        evolve(topic, documents=topic.documents[:16], gains=topic.gains[:16])
        for topic in islice(read_topics(), 12)
    ]

    assert mean_ndcg(rank, topics) > mean_ndcg(keep_order, topics) + 0.05
