"""Pure functions that providers share. Plain values in, plain values out."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rerank_core.records._text import shorten
from rerank_core.wire._documents import (
    render_document,
    render_documents,
    render_fields,
    render_value,
    to_document,
)
from rerank_core.wire._json import decode_json, encode_json
from rerank_core.wire._replies import (
    add_extra,
    read_meta,
    read_results,
    read_strings,
    read_warnings,
)

__all__ = [
    "add_extra",
    "decode_json",
    "encode_json",
    "join_endpoint",
    "read_meta",
    "read_results",
    "read_strings",
    "read_warnings",
    "rename_params",
    "render_document",
    "render_documents",
    "render_fields",
    "render_value",
    "shorten",
    "to_document",
]

# Last segments of a path by which servers call a rerank endpoint: none of them is completed.
_ENDPOINTS = frozenset({"rerank", "reranking", "reranks", "ranking"})


@functools.lru_cache(256)
def join_endpoint(base_url: str, path: str) -> str:
    """Complete a base URL to an endpoint, however much of `path` it has already.

    Users copy bases with and without `/v1`, and whole endpoints: what follows the base's last
    segment in `path` is appended, or all of it where that segment is not in `path`. A base that
    ends in the name of another rerank endpoint (`/v1/reranking`) is taken as it stands, and of one
    that ends in a chat's endpoint its base. A query string stays; trailing slashes go.

    Args:
        base_url: For example `https://api.example.com/v1`.
        path: For example `/v1/rerank`.
    """
    parts = urlsplit(base_url)
    base = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/embeddings")
    steps = path.strip("/").split("/")
    last = base.rpartition("/")[2]
    if last in _ENDPOINTS and steps[-1] in _ENDPOINTS:
        steps = [last]
    done = len(steps) - steps[::-1].index(last) if last in steps else 0
    return urlunsplit(parts._replace(path="/".join([base, *steps[done:]]), fragment=""))


def rename_params(params: Mapping[str, Any], *tables: Mapping[str, str]) -> dict[str, Any]:
    """The params under their names on the wire, which `tables` give; others are left out."""
    return {
        table[name]: value for name, value in params.items() for table in tables if name in table
    }
