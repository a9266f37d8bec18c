"""`rerank` and `arerank`: one call each, with connections that all calls share."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rerank_core._client.reranker import Documents, Reranker
from rerank_core._resolve.options import CALL_PARAMS
from rerank_core._resolve.target import Kept
from rerank_core._send.connections import SHARED
from rerank_core.records.response import RerankResponse

_MAX_KEY_CHARS = 10_000
_PLAIN = {str, int, float, bool, type(None), type(...)}
_kept = Kept()


def rerank(  # noqa: PLR0913, PLR0917 - litellm's signature
    model: str,
    query: str,
    documents: Documents,
    custom_llm_provider: str | None = None,
    top_n: int | None = None,
    rank_fields: Sequence[str] | None = None,
    return_documents: bool | None = True,  # noqa: FBT001, FBT002 - litellm's signature
    max_chunks_per_doc: int | None = None,
    max_tokens_per_doc: int | None = None,
    *,
    api_key: str | None = None,
    api_base: str | None = None,
    timeout: Any = ...,
    max_retries: int | None = None,
    deadline: float | None = None,
    extra_headers: Mapping[str, str] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    drop_params: bool = False,
    fallbacks: Sequence[str | Reranker] | None = None,
    on_failure: Literal["raise", "passthrough"] = "raise",
    http_client: Any = None,
    **extra: Any,
) -> RerankResponse:
    """Order documents by relevance to a query.

    Args:
        model: `provider/model`, split at the first `/`.
        query: What is looked for.
        documents: Strings, mappings, and objects with text: see `Reranker.rerank`.
        custom_llm_provider: The provider's name; then `model` is taken whole.
        top_n: The most results, from 1; `None` for all.
        rank_fields: The fields of mapping documents that count, in order; `None` for all.
        return_documents: Whether results carry their documents.
        max_chunks_per_doc: Where the service takes it: chunks of a long document, from 1.
        max_tokens_per_doc: Where the service takes it: tokens that a document is cut to, from 1.
        api_key: See `Reranker` for this and the following.
        api_base: The base URL.
        timeout: Seconds for each step of an attempt; 60 by default, 10 to connect.
        max_retries: Further attempts after a failure that may pass; 2 by default.
        deadline: Seconds for the whole call.
        extra_headers: Headers to send in addition.
        extra_body: Added to the request's JSON object.
        drop_params: Leave out, with a warning, parameters that cannot be honoured.
        fallbacks: Models to ask in turn after a failure that may pass.
        on_failure: `"raise"`, or `"passthrough"` to return the caller's own order instead.
        http_client: A client or transport to send with.
        **extra: Any other option of `Reranker`; parameters and options that only this provider
            knows.

    Returns:
        The ranking, by descending score.

    Raises:
        ConfigurationError: And its kinds, before anything is sent.
        TransportError: No reply, or none in time.
        APIStatusError: And its kinds: the service replied with an error.
        ResponseParseError: The reply is no ranking.
        PluginError: The plugin is broken.
    """
    reranker, arguments = _find_reranker(locals())
    return reranker.rerank(**arguments)


async def arerank(  # noqa: PLR0913, PLR0917 - litellm's signature
    model: str,
    query: str,
    documents: Documents,
    custom_llm_provider: str | None = None,
    top_n: int | None = None,
    rank_fields: Sequence[str] | None = None,
    return_documents: bool | None = True,  # noqa: FBT001, FBT002 - litellm's signature
    max_chunks_per_doc: int | None = None,
    max_tokens_per_doc: int | None = None,
    *,
    api_key: str | None = None,
    api_base: str | None = None,
    timeout: Any = ...,  # noqa: ASYNC109 - of one attempt, in httpx's meaning
    max_retries: int | None = None,
    deadline: float | None = None,
    extra_headers: Mapping[str, str] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    drop_params: bool = False,
    fallbacks: Sequence[str | Reranker] | None = None,
    on_failure: Literal["raise", "passthrough"] = "raise",
    http_client: Any = None,
    **extra: Any,
) -> RerankResponse:
    """Do what `rerank` does, with its arguments, results and errors, under asyncio or trio."""
    reranker, arguments = _find_reranker(locals())
    return await reranker.arerank(**arguments)


def _find_reranker(given: dict[str, Any]) -> tuple[Reranker, dict[str, Any]]:
    """The `Reranker` for these options, a kept one where all are plain; and a call's arguments."""
    arguments = {name: given.pop(name) for name in ("query", "documents", *CALL_PARAMS)}
    extra = given.pop("extra")
    told, options = [*given.values()], {**given, **extra}
    shared = SHARED if given["http_client"] is None else None
    try:  # of plain values, `repr` tells all
        key = repr((*told, extra)) if _is_plain(told) and _is_plain(extra) else ""
    except (RecursionError, ValueError):  # of what no request can hold, either
        key = ""
    if not 0 < len(key) <= _MAX_KEY_CHARS:
        return Reranker(**options, _connections=shared), arguments
    kept: Reranker | None = _kept.get(key)
    if kept is not None and kept.is_current():
        return kept, arguments
    _kept.pop(key, None)
    return _kept.put(key, Reranker(**copy.deepcopy(options), _connections=shared)), arguments


def _is_plain(value: Any) -> bool:
    """Whether a value is made of plain ones, which `repr` tells apart."""
    kind = type(value)
    if kind in {list, tuple}:
        return _PLAIN.issuperset(map(type, value)) or all(map(_is_plain, value))
    if kind is dict:
        return not value or ({str}.issuperset(map(type, value)) and _is_plain([*value.values()]))
    return kind in _PLAIN
