"""Every reranker of rerank-core as a node postprocessor of LlamaIndex."""

from llama_index.postprocessor.rerank_core._postprocessor import RerankPostprocessor

__all__ = ["RerankPostprocessor"]
