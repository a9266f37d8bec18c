"""The documents as one provider takes them: as text, without blank ones, in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from attrs import define

from rerank_core._prepare.call import Call
from rerank_core._resolve.options import Options, check_text
from rerank_core.errors import InvalidRequestError
from rerank_core.facts import Provider
from rerank_core.wire import encode_json, render_documents


@define(eq=False, repr=False)
class Fitted:
    """Documents ready to be sent."""

    sent: Sequence[str | Mapping[str, Any]]
    indices: Sequence[int]
    held_back: Sequence[int]
    rank_fields: tuple[str, ...] | None


def fit_documents(call: Call, provider: Provider) -> Fitted:
    """Render, hold back blanks, and check lengths."""
    rank_fields = call.rank_fields if call.has_mappings else None
    for name in rank_fields or ():
        if not any(isinstance(each, Mapping) and name in each for each in call.documents):
            raise InvalidRequestError(f"rank_fields names {name!r}, a field that no document has")
    _check_length(call.query, "query", provider.max_query_chars)
    texts: Sequence[Any] = call.documents
    if call.has_mappings:
        try:
            texts = render_documents(call.documents, rank_fields)
        except InvalidRequestError:
            check_encodable(call.documents, range(len(call.documents)))
            raise
    if provider.max_document_chars is not None:
        for at, text in enumerate(texts):
            _check_length(text, f"documents[{at}]", provider.max_document_chars)
    source = call.documents if provider.takes_mappings else texts
    if provider.takes_blank_documents or not ("" in texts or any(map(str.isspace, texts))):
        return Fitted(source, range(len(texts)), (), rank_fields)
    blank = {at for at, text in enumerate(texts) if not text or text.isspace()}
    indices = [at for at in range(len(texts)) if at not in blank]
    return Fitted([source[at] for at in indices], indices, sorted(blank), rank_fields)


def say_held_back(call: Call, fitted: Fitted) -> str:
    """What is to be said of the documents that are not sent: why they are as good as blank."""
    held, total = fitted.held_back, len(call.documents)
    bare = [at for at in held if fitted.rank_fields and isinstance(call.documents[at], Mapping)]
    why = f"{len(held)} of {total} documents are blank"
    if bare:
        lacks = f"have no text under {', '.join(map(repr, fitted.rank_fields or ()))}"
        why = why.replace("are blank", lacks) if len(bare) == len(held) else f"{why}, or {lacks}"
    return f"{why}: not sent, they come last without a score"


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
    query: str, fitted: Fitted, provider: Provider, options: Options
) -> list[range]:
    """Ranges that cover the documents in order, each small enough for one request."""
    documents, indices = fitted.sent, fitted.indices
    if not documents:
        return []
    most = options.max_documents or provider.max_documents or len(documents)
    if provider.max_request_bytes is None and len(documents) <= most:
        return [range(len(documents))]
    # Parts are sent side by side, so that all must be in order before the first is sent.
    check_encodable(documents, indices)
    spans = _split_by_bytes(query, fitted, provider.max_request_bytes)
    spans = [part for span in spans for part in _split_evenly(span, most)]
    if len(spans) > 1 and provider.listwise and not options.split_listwise:
        message = (
            f"{len(documents):,} documents are too many for one request, and this model scores a"
            " document by the others beside it, so that a split list is ranked differently: send"
            " fewer, or allow it with split_listwise=True"
        )
        raise InvalidRequestError(message)
    return spans


def _split_evenly(span: range, most: int) -> list[range]:
    """Ranges of at most `most` and of even size."""
    parts = -(-len(span) // most)
    bounds = [span.start + len(span) * at // parts for at in range(parts + 1)]
    return [range(*pair) for pair in pairwise(bounds)]


def _split_by_bytes(query: str, fitted: Fitted, most: int | None) -> list[range]:
    """Ranges of at most `most` bytes of JSON together with the query, filled in turn."""
    if most is None:
        return [range(len(fitted.sent))]
    used = first = len(encode_json(query))
    starts = [0]
    for at, document in enumerate(fitted.sent):
        size = len(encode_json(document)) + 1
        if first + size > most:
            where = fitted.indices[at]
            message = f"documents[{where}] is too large: a request takes at most {most:,} bytes"
            raise InvalidRequestError(message)
        if used + size > most:
            starts.append(at)
            used = first
        used += size
    return [range(*pair) for pair in pairwise([*starts, len(fitted.sent)])]
