"""One call, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from types import MappingProxyType
from typing import Any

from attrs import define, field

from rerank_core.errors import InvalidRequestError

# For whatever provider: core does where the service does not.
HONOURED = ("top_n", "rank_fields", "return_documents")
CALL_PARAMS = (*HONOURED, "max_chunks_per_doc", "max_tokens_per_doc")
_STRINGS = {str}


@define
class Call:
    """What the caller asks: the same for every provider that is tried.

    Attributes:
        query: Never blank.
        documents: Strings and mappings, the caller's own objects in a list of ours.
        top_n: At least 1, or `None` for all.
        rank_fields: Field names in order, or `None`.
        return_documents: Whether results carry their documents.
        params: What the caller set of these and of other parameters, but for `return_documents`,
            which core honours.
        has_mappings: Whether any document is a mapping.
    """

    query: str = field(repr=False)
    documents: Sequence[str | Mapping[str, Any]] = field(repr=False)
    top_n: int | None = None
    rank_fields: tuple[str, ...] | None = None
    return_documents: bool = True
    params: Mapping[str, Any] = field(factory=dict)
    has_mappings: bool = False


def make_call(
    query: Any,
    documents: Any,
    *,
    top_n: Any = None,
    rank_fields: Any = None,
    return_documents: Any = None,
    max_chunks_per_doc: Any = None,
    max_tokens_per_doc: Any = None,
    extra: Mapping[str, Any] = MappingProxyType({}),
) -> Call:
    """Check a call's arguments.

    Raises:
        InvalidRequestError: One of them makes no sense; the message says which and why.
    """
    if not isinstance(query, str):
        message = f"query must be a string, not {_shown(query)}"
        raise InvalidRequestError(message)
    if not query or query.isspace():
        message = "query is blank: it must say what is looked for"
        raise InvalidRequestError(message)
    check_text(query, "query")
    if return_documents is not None and not isinstance(return_documents, bool):
        message = f"return_documents must be True or False, not {_shown(return_documents)}"
        raise InvalidRequestError(message)
    listed, has_mappings = _checked_documents(documents)
    params: dict[str, Any] = {}
    if top_n is not None:
        params["top_n"] = top_n = _checked_count("top_n", top_n)
    if rank_fields is not None:
        params["rank_fields"] = rank_fields = _checked_fields(rank_fields)
    if max_chunks_per_doc is not None:
        params["max_chunks_per_doc"] = _checked_count("max_chunks_per_doc", max_chunks_per_doc)
    if max_tokens_per_doc is not None:
        params["max_tokens_per_doc"] = _checked_count("max_tokens_per_doc", max_tokens_per_doc)
    if extra:
        params |= {name: value for name, value in extra.items() if value is not None}
    returned = return_documents is not False
    return Call(query, listed, top_n, rank_fields, returned, params, has_mappings)


def _checked_documents(documents: Any) -> tuple[list[str | Mapping[str, Any]], bool]:
    """The documents in a list of ours, and whether any is a mapping."""
    if type(documents) is not list and (
        isinstance(documents, (str, bytes, Mapping)) or not isinstance(documents, Iterable)
    ):
        message = (
            "documents must be a list (or another iterable) of strings and mappings,"
            f" not {_shown(documents)}"
        )
        raise InvalidRequestError(message)
    # A list of our own: the caller's may change while a request is under way.
    listed = list(documents)
    if set(map(type, listed)) <= _STRINGS:
        return listed, False
    for at, document in enumerate(listed):
        if not isinstance(document, (str, Mapping)):
            message = f"documents[{at}] must be a string or a mapping, not {_shown(document)}"
            raise InvalidRequestError(message)
        if not isinstance(document, str) and not all(isinstance(name, str) for name in document):
            message = f"documents[{at}] has a field whose name is not a string"
            raise InvalidRequestError(message)
    return listed, any(not isinstance(document, str) for document in listed)


def _checked_count(name: str, value: Any) -> int:
    if type(value) is int and value > 0:
        return value
    # An integer of numpy's, for example; its booleans are none.
    if type(value) is not bool and isinstance(value, Integral) and int(value) > 0:
        return int(value)
    message = f"{name} must be an integer from 1, not {_shown(value)}"
    raise InvalidRequestError(message)


def _checked_fields(rank_fields: Any) -> tuple[str, ...]:
    if isinstance(rank_fields, (str, bytes)) or not isinstance(rank_fields, Iterable):
        message = f"rank_fields must be a list of field names, not {_shown(rank_fields)}"
        raise InvalidRequestError(message)
    names = list(rank_fields)
    if not names or not all(isinstance(name, str) and name for name in names):
        message = "rank_fields must name at least one field, each as a string"
        raise InvalidRequestError(message)
    return tuple(dict.fromkeys(names))


def check_text(text: str, where: str) -> None:
    """Refuse text that has no UTF-8 form.

    Raises:
        InvalidRequestError: It holds a lone surrogate, as text decoded wrongly does.
    """
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = (
            f"{where} has a lone surrogate at position {error.start}; it was decoded wrongly:"
            " decode it with errors='replace'"
        )
        raise InvalidRequestError(message) from None


def _shown(value: object) -> str:
    """A value as a message shows it: small ones whole, others by their type."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    return type(value).__name__
