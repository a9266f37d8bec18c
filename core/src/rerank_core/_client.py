"""`rerank` and `arerank`: one call each, with connections that all calls share."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import field, frozen

from rerank_core._http.lifetime import SHARED
from rerank_core._models import RerankResponse
from rerank_core._options import to_timeout
from rerank_core._reranker import Documents, Reranker

_MAX_KEPT = 256
_MAX_KEY_CHARS = 10_000  # of one call's options that may change: they are kept as well
_HASHABLE = {str, Reranker}  # what stands in a tuple that is looked up by
_PLAIN = {str, bytes, int, float, bool, type(None)}


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
        documents: Strings, mappings, or both.
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
        deadline: Seconds for everything.
        extra_headers: Sent as well.
        extra_body: Added to the request's JSON object.
        drop_params: Leave out, with a warning, what cannot be honoured.
        fallbacks: Models asked in turn after a failure that may pass.
        on_failure: `"raise"`, or `"passthrough"` for the caller's own order.
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
    reranker = _find_reranker(
        model,
        custom_llm_provider=custom_llm_provider,
        api_key=api_key,
        api_base=api_base,
        timeout=timeout,
        max_retries=max_retries,
        deadline=deadline,
        extra_headers=extra_headers,
        extra_body=extra_body,
        drop_params=drop_params,
        fallbacks=fallbacks,
        on_failure=on_failure,
        http_client=http_client,
        **extra,
    )
    return reranker.rerank(
        query,
        documents,
        top_n,
        rank_fields,
        return_documents,
        max_chunks_per_doc,
        max_tokens_per_doc,
    )


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
    """`rerank`, awaited: the same arguments, results and errors, under asyncio or trio."""
    reranker = _find_reranker(
        model,
        custom_llm_provider=custom_llm_provider,
        api_key=api_key,
        api_base=api_base,
        timeout=timeout,
        max_retries=max_retries,
        deadline=deadline,
        extra_headers=extra_headers,
        extra_body=extra_body,
        drop_params=drop_params,
        fallbacks=fallbacks,
        on_failure=on_failure,
        http_client=http_client,
        **extra,
    )
    return await reranker.arerank(
        query,
        documents,
        top_n,
        rank_fields,
        return_documents,
        max_chunks_per_doc,
        max_tokens_per_doc,
    )


def _find_reranker(model: str, *, http_client: Any, **options: Any) -> Reranker:
    """The `Reranker` for these options: kept, for as long as the environment stays the same."""
    if http_client is not None:  # not kept: it is the caller's, to be dropped when they like
        return Reranker(model, http_client=http_client, **options)
    try:
        kept = _keep(model, **options)
    except TypeError:  # an option that cannot be looked up by, a list for example
        kept = None
    if kept is None:
        keys = _to_keys(model, options)
        if keys is None:
            return Reranker(model, _connections=SHARED, **options)
        options, kept = keys, _keep(model, **keys)
    if kept.is_current():
        return kept
    _keep.cache_clear()
    return _keep(model, **options)


@functools.lru_cache(_MAX_KEPT, typed=True)  # typed: 1 is a number of retries, and True is not
def _keep(model: str, **options: Any) -> Reranker:
    for value in options.values():
        # The types of what is inside are not looked at: (1,) would be found for (True,).
        if isinstance(value, tuple) and not _HASHABLE.issuperset(map(type, value)):
            raise TypeError
    values = {
        name: value.value if isinstance(value, _Copy) else value for name, value in options.items()
    }
    return Reranker(model, _connections=SHARED, **values)


@frozen
class _Copy:
    """An option that may change, as it was, and what it can be looked up by."""

    key: str = field(repr=False)
    value: Any = field(eq=False, repr=False)


def _to_keys(model: Any, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The options as they can be looked up by; `None` where one cannot be, or is too large."""
    try:
        hash(model)
        keys = {name: _to_key(name, value) for name, value in options.items()}
    except (TypeError, ValueError, RecursionError):
        return None
    size = sum(len(key.key) for key in keys.values() if isinstance(key, _Copy))
    return keys if size <= _MAX_KEY_CHARS else None


def _to_key(name: str, value: Any) -> Any:
    if name == "timeout":
        value = to_timeout(value)  # httpx's own may change
    elif name == "fallbacks" and type(value) is list and _HASHABLE.issuperset(map(type, value)):
        return tuple(value)
    elif isinstance(value, (dict, list, tuple)):
        value = _copy_plain(value)
    else:
        hash(value)
        return value
    return _Copy(repr(value), value)  # of plain values, `repr` tells all, types among it


def _copy_plain(value: Any) -> Any:
    """A copy of plain values in lists and mappings; anything else is a `TypeError`."""
    kind = type(value)
    if kind is dict:
        return {_copy_plain(name): _copy_plain(inner) for name, inner in value.items()}
    if kind in {list, tuple}:
        return kind(map(_copy_plain, value))
    if kind in _PLAIN:
        return value
    raise TypeError(kind)
