"""`local/bm25` on a real collection."""

from benchmarks.cranfield import keep_order, mean_ndcg, rank_bm25s, rank_ours, read_topics


def test_bm25_orders_a_real_collection_as_bm25s_does_and_better_than_the_input() -> None:
    """Order and scores of all 225 queries equal bm25s used directly, and beat the first stage."""
    topics = list(read_topics())

    assert len(topics) == 225
    assert {len(topic.documents) for topic in topics} == {100}
    assert [list(rank_ours(topic)) for topic in topics] == [
        list(rank_bm25s(topic)) for topic in topics
    ]
    assert mean_ndcg(rank_bm25s, topics[:50]) > mean_ndcg(keep_order, topics[:50]) + 0.05
