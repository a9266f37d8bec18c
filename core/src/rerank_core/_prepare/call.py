"""One call, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from types import MappingProxyType
from typing import Any

from attrs import define

from rerank_core._prepare.documents import read_documents
from rerank_core._resolve.options import check_text
from rerank_core.errors import InvalidRequestError
from rerank_core.records._text import shown


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
    extra: Mapping[str, Any] = MappingProxyType({}),
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
    with_documents = return_documents is not False
    return Call(
        query, listed, read, params.get("top_n"), rank_fields, with_documents, params, warnings
    )


def _check_count(name: str, value: Any) -> int:
    # An integer of numpy's is one, too; its booleans are none.
    if type(value) is not bool and isinstance(value, Integral) and int(value) > 0:
        return int(value)
    raise InvalidRequestError(f"{name} must be an integer from 1, not {shown(value)}")


def _check_fields(rank_fields: Any) -> tuple[str, ...]:
    if isinstance(rank_fields, (str, bytes)) or not isinstance(rank_fields, Iterable):
        message = f"rank_fields must be a list of field names, not {shown(rank_fields)}"
        raise InvalidRequestError(message)
    names = list(rank_fields)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidRequestError("rank_fields must name at least one field, each as a string")
    return tuple(dict.fromkeys(names))
