"""Every reranker of rerank-core as a document compressor of LangChain."""

from langchain_rerank_core._compressor import RerankCompressor

__all__ = ["RerankCompressor"]
