"""The way through the four rooms: `Reranker`, `rerank` and `arerank`."""
