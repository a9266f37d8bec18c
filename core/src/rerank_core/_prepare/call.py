"""One call: its arguments checked, its documents as one provider takes them, in parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

from attrs import define

from rerank_core._prepare.documents import read_documents
from rerank_core._resolve.options import check_text
from rerank_core._resolve.target import Target
from rerank_core.errors import InvalidRequestError
from rerank_core.facts import Provider
from rerank_core.records._text import shown
from rerank_core.wire import encode_json, render_documents


@define(eq=False, repr=False)
class Call:
    """What the caller asks: the same for every provider that is tried.

    `documents` is `given` itself where all are strings; else strings, and mappings of what is text.
    `rank_fields` is `None`, too, where no document is a mapping. `params` has all that was set, but
    for `return_documents`.
    """

    query: str
    given: Sequence[Any]
    documents: Sequence[str | Mapping[str, Any]]
    top_n: int | None
    rank_fields: tuple[str, ...] | None
    return_documents: bool
    params: Mapping[str, Any]
    warnings: Sequence[str]


def make_call(
    query: Any,
    listed: list[Any],
    *,
    top_n: Any = None,
    rank_fields: Any = None,
    return_documents: Any = None,
    max_chunks_per_doc: Any = None,
    max_tokens_per_doc: Any = None,
    extra: Mapping[str, Any],
) -> Call:
    """Check a call's arguments."""
    if not isinstance(query, str):
        raise InvalidRequestError(f"query must be a string, not {shown(query)}")
    if not query or query.isspace():
        raise InvalidRequestError("query is blank: it must say what is looked for")
    check_text(query, "query")
    if return_documents is not None and not isinstance(return_documents, bool):
        message = f"return_documents must be True or False, not {shown(return_documents)}"
        raise InvalidRequestError(message)
    counts = {
        "top_n": top_n,
        "max_chunks_per_doc": max_chunks_per_doc,
        "max_tokens_per_doc": max_tokens_per_doc,
    }
    params = {
        name: _check_count(name, count) for name, count in counts.items() if count is not None
    }
    if rank_fields is not None:
        rank_fields = _check_fields(rank_fields)
    read, warnings = read_documents(listed, rank_fields)
    if rank_fields and listed:
        mappings = [document for document in read if isinstance(document, Mapping)]
        if not mappings:
            warnings.append("rank_fields has no effect: no document is a mapping")
            rank_fields = None
        elif unknown := set(rank_fields).difference(*mappings):
            message = f"rank_fields names {min(unknown)!r}, a field that no document has"
            raise InvalidRequestError(message)
        else:
            params["rank_fields"] = rank_fields
    params |= {name: value for name, value in extra.items() if value is not None}
    top_n, with_documents = params.get("top_n"), return_documents is not False
    return Call(query, listed, read, top_n, rank_fields, with_documents, params, warnings)


def _check_count(name: str, value: Any) -> int:
    # An integer of numpy's is one, too; its booleans are none.
    if type(value) is not bool and isinstance(value, (int, Integral)) and int(value) > 0:
        return int(value)
    raise InvalidRequestError(f"{name} must be an integer from 1, not {shown(value)}")


def _check_fields(rank_fields: Any) -> tuple[str, ...]:
    if isinstance(rank_fields, (str, set, frozenset)) or not isinstance(rank_fields, Iterable):
        message = f"rank_fields must be a list of field names, not {shown(rank_fields)}"
        raise InvalidRequestError(message)
    names = list(rank_fields)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidRequestError("rank_fields must name at least one field, each as a string")
    return tuple(dict.fromkeys(map(str.__str__, names)))  # an enum's member says its name


def fit_documents(call: Call, provider: Provider) -> tuple[Sequence[Any], Sequence[int]]:
    """The documents to send, without those held back as blank, and their indices."""
    _check_length(call.query, "query", provider.max_query_chars)
    texts: Sequence[str] = call.given
    if call.documents is not call.given:
        try:
            texts = render_documents(call.documents, call.rank_fields)
        except InvalidRequestError:
            check_encodable(call.documents, range(len(call.documents)))
            raise
    if provider.max_document_chars is not None:
        for at, text in enumerate(texts):
            _check_length(text, f"documents[{at}]", provider.max_document_chars)
    documents = call.documents if provider.takes_mappings else texts
    if provider.takes_blank_documents or (all(texts) and not any(map(str.isspace, texts))):
        return documents, range(len(texts))
    indices = [at for at, text in enumerate(texts) if text and not text.isspace()]
    return [documents[at] for at in indices], indices


def check_encodable(documents: Sequence[str | Mapping[str, Any]], indices: Sequence[int]) -> None:
    """Refuse documents that cannot be written as JSON, by their place in the caller's list."""
    for at, document in zip(indices, documents, strict=True):
        where = f"documents[{at}]"
        if isinstance(document, str):
            check_text(document, where)
            continue
        for name, value in document.items():
            try:
                encode_json({name: value})
            except InvalidRequestError as error:
                raise InvalidRequestError(f"{where}[{name!r}]: {error.message}") from error


def _check_length(text: str, where: str, most: int | None) -> None:
    if most is not None and len(text) > most:
        message = f"{where} has {len(text):,} characters; at most {most:,} are taken: shorten it"
        raise InvalidRequestError(message)


def split_documents(
    query: str, documents: Sequence[Any], indices: Sequence[int], target: Target
) -> list[slice]:
    """Slices that cover the documents in order, each small enough for one request."""
    if not documents:
        return []
    provider, options = target.provider, target.options
    most = options.max_documents or provider.max_documents or len(documents)
    if provider.max_request_bytes is None and len(documents) <= most:
        return [slice(None)]
    # Parts are sent side by side, so that all must be in order before the first is sent.
    check_encodable(documents, indices)
    spans = _split_by_bytes(query, documents, indices, provider.max_request_bytes)
    parts = [part for span in spans for part in _split_evenly(span, most)]
    if len(parts) > 1 and provider.listwise and not options.split_listwise:
        message = (
            f"{len(documents):,} documents are too many for one request, and this model scores a"
            " document by the others beside it, so that a split list is ranked differently: send"
            " fewer, or allow it with split_listwise=True"
        )
        raise InvalidRequestError(message)
    return parts


def _split_evenly(span: range, most: int) -> list[slice]:
    """Slices of at most `most` and of even size."""
    parts = -(-len(span) // most)
    bounds = [span.start + len(span) * at // parts for at in range(parts + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]


def _split_by_bytes(
    query: str, documents: Sequence[Any], indices: Sequence[int], most: int | None
) -> list[range]:
    """Ranges of at most `most` bytes of JSON together with the query, filled in turn."""
    if most is None:
        return [range(len(documents))]
    used = first = len(encode_json(query))
    starts = [0]
    for at, document in enumerate(documents):
        size = len(encode_json(document)) + 1
        if first + size > most:
            where = f"documents[{indices[at]}]"
            message = f"{where} is too large: a request takes at most {most:,} bytes"
            raise InvalidRequestError(message)
        if used + size > most:
            starts.append(at)
            used = first
        used += size
    return [range(*pair) for pair in pairwise([*starts, len(documents)])]
