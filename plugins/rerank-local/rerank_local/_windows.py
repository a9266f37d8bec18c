"""From tokens to rows that a model takes: windows of a text, and batches of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rerank_core import InvalidRequestError
from rerank_local._encode import Array, Encoded, Template

# Windows share an eighth, so that what is cut in one is whole in the next.
OVERLAP = 8
# Rows of a batch, filled up to the longest, hold at most so many tokens times the batch size:
# attention takes memory with the square of the length.
_TOKENS_PER_ROW = 512


def cut_windows(
    encoded: Encoded,
    template: Template,
    *,
    max_length: int,
    max_chunks: int = 1,
    max_tokens: int | None = None,
) -> tuple[list[Array], bool]:
    """A text's tokens as the model takes them: the first, or several windows.

    Args:
        encoded: The text; its prompt and suffix stand in every window.
        template: What stands around them.
        max_length: The most tokens of a row.
        max_chunks: The most windows.
        max_tokens: The most tokens of the text.

    Returns:
        The windows, and whether the model's length left something out.

    Raises:
        InvalidRequestError: There is no room beside the query and the prompt.
    """
    kept, suffix = encoded.kept, template.suffix_ids
    around = len(template) + kept + len(suffix)
    room = max_length - around
    if room < 1:
        beside, what, which = "query", "query and document_prompt are", "one of them"
        if not template.has_query:
            beside, what, which = "prompt", "document_prompt is", "it"
        elif not kept or len(template) >= max_length or not template.prompt:
            what, which = "the query is", "it"
        message = (
            f"{what} too long: {around} tokens with the special ones, where the"
            f" model takes {max_length} for {beside} and document: shorten {which}"
        )
        raise InvalidRequestError(message)
    own = encoded.own[:max_tokens]
    is_asked = max_tokens is not None and len(own) == max_tokens
    fits = len(template) + len(encoded.ids) <= max_length
    if fits and encoded.is_whole and len(own) == len(encoded.own):
        return [encoded.ids], False
    starts = [*_starts(len(own), room, max_chunks)]
    prompt = encoded.ids[:kept]
    windows = [np.concatenate([prompt, own[at : at + room], suffix]) for at in starts]
    is_read = starts[-1] + room >= len(own) and (encoded.is_whole or is_asked)
    return windows, not is_read


def _starts(length: int, room: int, most: int) -> Iterator[int]:
    """Where windows begin; each but the first is full, so the last ends with the text."""
    yield 0
    step = max(1, room - room // OVERLAP)
    needed = -(-max(0, length - room) // step)
    for at in range(1, min(needed, most - 1) + 1):
        yield min(at * step, length - room)


def make_batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Positions by falling length, in groups that fit: what needs the most memory comes first."""
    batch: list[int] = []
    room = 0
    for at in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        if len(batch) == room:
            if batch:
                yield batch
            batch = []
            room = max(1, min(batch_size, batch_size * _TOKENS_PER_ROW // max(1, lengths[at])))
        batch.append(at)
    if batch:
        yield batch
