"""Keeps scores: what was ranked once is not asked, and not paid, again.

`Cached(reranker, store)` is called like a `Reranker`. `SQLiteStore` keeps scores in a file,
`MemoryStore` in this process, and whatever follows the protocol `Store` anywhere else.
"""

from __future__ import annotations

from rerank_cache._cached import Asked, Cached
from rerank_cache._call import CacheInfo
from rerank_cache._key import model_prefix
from rerank_cache._memory import MemoryStore
from rerank_cache._sqlite import SQLiteStore
from rerank_cache._store import Store

__all__ = [
    "Asked",
    "CacheInfo",
    "Cached",
    "MemoryStore",
    "SQLiteStore",
    "Store",
    "model_prefix",
]
