"""Every reranker of rerank-core as a ranker of Haystack."""

from haystack_integrations.components.rankers.rerank_core.ranker import RerankCoreRanker

__all__ = ["RerankCoreRanker"]
