"""rerank-core, module by module."""
