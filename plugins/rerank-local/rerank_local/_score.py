"""Scores of documents by a model, a batch at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy.typing as npt
from attrs import define, field

from rerank_core import ConfigurationError, InvalidRequestError
from rerank_local._encode import (
    Template,
    encode_text,
    make_chat_template,
    make_template,
)
from rerank_local._onnx import Model
from rerank_local._options import Settings
from rerank_local._progress import tell
from rerank_local._read import embed, read_logits
from rerank_local._windows import cut_windows, make_batches

Array = npt.NDArray[Any]
Reader = Callable[[Array, Array], Array]
_DOCUMENTS_PER_STEP, _CHARACTERS_PER_STEP = 64, 100_000


@define
class _Windows:
    """What is computed: the windows of all documents, those with the same tokens once.

    Attributes:
        tokens: Of each window.
        owners: The positions of the documents that have it.
        counts: How many windows each document has.
        cut: How many documents were cut to what the model takes.
        unknown: How many have no token that the model knows.
    """

    tokens: list[Array] = field(factory=list)
    owners: list[list[int]] = field(factory=list)
    counts: list[int] = field(factory=list)
    cut: int = 0
    unknown: int = 0
    _rows: dict[bytes, int] = field(factory=dict)

    def add(self, cut: Sequence[Array]) -> None:
        """Add those of the next document."""
        at = len(self.counts)
        for window in cut:
            row = self._rows.setdefault(window.tobytes(), len(self.tokens))
            if row == len(self.tokens):
                self.tokens.append(window)
                self.owners.append([])
            self.owners[row].append(at)
        self.counts.append(len(cut))


def score_steps(
    model: Model,
    query: str,
    documents: Sequence[str],
    settings: Settings,
    options: Mapping[str, Any],
) -> Generator[None, None, dict[str, Any]]:
    """Score documents, yielding between batches.

    A document has the score of its best window. Windows with the same tokens are computed once,
    so that equal documents have equal scores.

    Args:
        model: What scores.
        query: What is looked for.
        documents: What is scored.
        settings: The parameters of the ranking.
        options: The activation, and the kind that is expected.

    Returns:
        The scores in the order of the documents, and how many tokens were read.

    Raises:
        ConfigurationError: The model is of another kind than the options say.
        InvalidRequestError: The query leaves no room, or `progress` raised.
    """
    _check_kind(model, options)
    tell(settings, 0, len(documents))
    template, read, used = _prepare(model, query, documents, settings, options)
    yield
    windows = yield from _cut_all(model, template, documents, settings)
    scores, more = yield from _score_batches(model, template, read, windows, settings)
    knows_query = model.knows_any(encode_text(model.tokenizer, query))
    return {
        "scores": scores,
        "input_tokens": used + more,
        "kind": model.kind,
        "warnings": _say_what_was_not_seen(model, windows, knows_query=knows_query),
    }


def _say_what_was_not_seen(model: Model, windows: _Windows, *, knows_query: bool) -> list[str]:
    said = []
    total = len(windows.counts)
    if windows.cut:
        said.append(
            f"{windows.cut} of {total} documents were cut: the model takes"
            f" {model.export.max_length} tokens at a time. A higher max_chunks_per_doc ranks all"
            " of their text"
        )
    if model.kind == "bi-encoder" and (similarity := model.export.similarity) != "cosine":
        said.append(
            f"the model's files compare vectors by {similarity!r}; they are compared by cosine"
            " here, whose order may be another"
        )
    if not knows_query:
        said.append("the model knows no token of the query: scores say nothing")
    if windows.unknown:
        said.append(
            f"{windows.unknown} of {total} documents have no token that the model knows: their"
            " scores say nothing"
        )
    return said


def _cut_all(
    model: Model, template: Template, documents: Sequence[str], settings: Settings
) -> Generator[None, None, _Windows]:
    """The windows of all documents, yielding every now and then."""
    windows = _Windows()
    characters = 0
    most = model.export.max_length * settings.max_chunks
    needed = most if settings.max_tokens is None else min(most, settings.max_tokens)
    for at, document in enumerate(documents):
        encoded = template.encode(model.tokenizer, document, needed + 1)
        cut, is_cut = cut_windows(
            encoded,
            template,
            max_length=model.export.max_length,
            max_chunks=settings.max_chunks,
            max_tokens=settings.max_tokens,
        )
        windows.add(cut)
        windows.cut += is_cut
        windows.unknown += not model.knows_any(encoded.own)
        characters += len(document)
        if at % _DOCUMENTS_PER_STEP == 0 or characters >= _CHARACTERS_PER_STEP:
            characters = 0
            yield
    return windows


def _score_batches(
    model: Model, template: Template, read: Reader, windows: _Windows, settings: Settings
) -> Generator[None, None, tuple[list[float], int]]:
    """The scores of all documents and how many tokens were read, yielding after each batch."""
    waiting, used = [*windows.counts], 0
    scores = [-math.inf] * len(waiting)
    lengths = [len(template) + len(tokens) for tokens in windows.tokens]
    for batch in make_batches(lengths, settings.batch_size):
        filled = [template.fill(windows.tokens[row]) for row in batch]
        used += sum(len(ids) for ids, _ in filled)
        output, mask = model.run(filled)
        found = read(output, mask)
        for row, score in zip(batch, found.astype(float).tolist(), strict=True):
            for at in windows.owners[row]:
                scores[at] = score if math.isnan(score) else max(scores[at], score)
                waiting[at] -= 1
        tell(settings, waiting.count(0), len(waiting))
        yield
    return scores, used


def _check_kind(model: Model, options: Mapping[str, Any]) -> None:
    """Refuse what does not go with the kind of model."""
    wanted = options.get("kind")
    if options.get("activation") is not None and model.kind == "bi-encoder":
        message = f"{model.export.name} is a bi-encoder: its scores are cosines, without activation"
        raise ConfigurationError(message)
    if wanted not in {None, model.kind}:
        message = f"{model.export.name}: expected a {wanted}, found a {model.kind}"
        raise ConfigurationError(message)


def _prepare(
    model: Model,
    query: str,
    documents: Sequence[str],
    settings: Settings,
    options: Mapping[str, Any],
) -> tuple[Template, Reader, int]:
    """What stands around a document, what makes a score of an output, and the query's tokens."""
    export, tokenizer = model.export, model.tokenizer
    suffix = settings.document_suffix or ""
    if model.kind == "cross-encoder":
        before_query = _either(settings.query_prompt, export.default_prompt)
        read = functools.partial(read_logits, options.get("activation"))
        if export.chat and settings.document_prompt is settings.document_suffix is None:
            write = export.chat.open(query, before_query)
            return make_chat_template(tokenizer, write), read, 0
        before_document = settings.document_prompt or ""
        whole = before_query + query
        return make_template(tokenizer, before_document, documents, whole, suffix), read, 0
    before_query = _either(settings.query_prompt, export.query_prompt)
    before_document = _either(settings.document_prompt, export.document_prompt)
    template = make_template(tokenizer, before_query, [query])
    tokens = template.encode(tokenizer, query).ids
    if len(template) + len(tokens) > export.max_length:
        message = (
            f"the query is too long: {len(template) + len(tokens)} tokens with the special ones,"
            f" where the model takes {export.max_length}: shorten it"
        )
        raise InvalidRequestError(message)
    row = template.fill(tokens)
    (vector,) = embed(model, template, *model.run([row]))
    template = make_template(tokenizer, before_document, documents, suffix=suffix)
    return template, lambda output, mask: embed(model, template, output, mask) @ vector, len(row[0])


def _either(given: str | None, stated: str) -> str:
    return stated if given is None else given
