"""From texts to tokens: what stands around a text, and how much of a long one is looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from rerank_core import ConfigurationError

Array = npt.NDArray[np.int32]
# Characters that take some milliseconds.
_LONG = 10_000
# What a cut may change of the tokens before it: a word that is longer is one unknown token.
_MARGIN = 128
_CHARACTERS_PER_TOKEN = 8
_NONE = np.empty(0, np.int32)


@frozen(eq=False)
class Encoded:
    """The tokens of a text, with its prompt before and its suffix behind.

    Attributes:
        ids: All of them.
        kept: How many of the first hold nothing of the text.
        last: How many of the last do not.
        is_whole: Whether they are all of the text's.
    """

    ids: Array
    kept: int
    last: int
    is_whole: bool

    @property
    def own(self) -> Array:
        """Those of the text itself."""
        return self.ids[self.kept : len(self.ids) - self.last]


@frozen(eq=False)
class Template:
    """What stands around a text's tokens.

    Attributes:
        head: Tokens before, the query's of a pair among them.
        tail: Tokens behind.
        types: The type of the head's tokens, of the text's, of the tail's.
        prompt: What is put before a text.
        prompt_ids: The prompt's tokens when it stands alone.
        has_query: Whether a query stands before a text, as in a pair.
        suffix_ids: The tokens that stand behind a text, also where it is cut.
        write: What is encoded for a text: prompt and suffix with it.
    """

    head: Array
    tail: Array
    types: tuple[Array, int, Array]
    prompt: str
    prompt_ids: Array
    has_query: bool
    suffix_ids: Array
    write: Callable[[str], str]

    def __len__(self) -> int:
        """The tokens that leave no room for a text's."""
        return len(self.head) + len(self.tail)

    def encode(self, tokenizer: Any, text: str, needed: int | None = None) -> Encoded:
        """The tokens of a text with its prompt and suffix; of a long text no more than needed.

        They are encoded as one string, as sentence-transformers does: a token can span both.

        Args:
            tokenizer: Without padding and truncation.
            text: The text alone.
            needed: How many of its tokens can be of use; `None` for all.
        """
        size = len(text)
        if needed is not None:
            size = min(size, _CHARACTERS_PER_TOKEN * (needed + _MARGIN))
        while True:
            ids = encode_text(tokenizer, self.write(text[:size]))
            kept = _count_common(self.prompt_ids, ids)
            last = _count_common(self.suffix_ids[::-1], ids[kept:][::-1])
            if size >= len(text):
                return Encoded(ids, kept, last, is_whole=True)
            if needed is not None and len(ids) - kept - last >= needed + _MARGIN:
                return Encoded(ids[: kept + needed], kept, 0, is_whole=False)
            size *= 4

    def fill(self, tokens: Array) -> tuple[Array, Array]:
        """A text's tokens with what stands around them, and their types."""
        before, kind, behind = self.types
        own = np.full(len(tokens), kind, np.int32)
        row = np.concatenate([self.head, tokens, self.tail])
        return row, np.concatenate([before, own, behind])


def make_template(
    tokenizer: Any, prompt: str, texts: Sequence[str], query: str | None = None, suffix: str = ""
) -> Template:
    """Learn from the tokenizer where it puts a text, with a query before it or alone.

    Args:
        tokenizer: Without padding and truncation.
        prompt: What stands before every text.
        texts: One of them at least has a token.
        query: What stands before the text in a pair.
        suffix: What stands behind every text.

    Raises:
        ConfigurationError: The tokenizer finds no token in any text.
    """
    which = 0 if query is None else 1
    prompt_ids = encode_text(tokenizer, prompt)
    for probe in ("a", *texts):
        pair = (prompt + probe,) if query is None else (query, prompt + probe)
        encoding = tokenizer.encode(*pair)
        places = [at for at, owner in enumerate(encoding.sequence_ids) if owner == which]
        if len(places) > _count_common(prompt_ids, encode_text(tokenizer, pair[-1])):
            break
    else:
        message = "the tokenizer finds no token in any document: is it the model's own?"
        raise ConfigurationError(message)
    ids = np.array(encoding.ids, np.int32)
    types = np.array(encoding.type_ids, np.int32)
    begin, end = places[0], places[-1] + 1
    return Template(
        head=ids[:begin],
        tail=ids[end:],
        types=(types[:begin], int(types[begin]), types[end:]),
        prompt=prompt,
        prompt_ids=prompt_ids,
        has_query=query is not None,
        suffix_ids=encode_text(tokenizer, suffix),
        write=lambda text: prompt + text + suffix,
    )


def make_chat_template(tokenizer: Any, write: Callable[[str], str]) -> Template:
    """What stands around a document in a chat, learnt from what is written for two of them.

    Args:
        tokenizer: Without padding and truncation; its special tokens are the template's to write.
        write: The whole chat with a document.
    """
    one, other = (encode_text(tokenizer, write(text)) for text in ("0", "1 2 3 4"))
    common = _count_common(one, other)
    return Template(
        head=_NONE,
        tail=_NONE,
        types=(_NONE, 0, _NONE),
        prompt="",
        prompt_ids=one[:common],
        has_query=True,
        suffix_ids=one[len(one) - _count_common(one[common:][::-1], other[common:][::-1]) :],
        write=write,
    )


def _count_common(one: Array, other: Array) -> int:
    """How many tokens two texts have in common from the beginning."""
    length = min(len(one), len(other))
    return int(np.logical_and.accumulate(one[:length] == other[:length]).sum())


def encode_text(tokenizer: Any, text: str) -> Array:
    """The tokens of a text alone."""
    if len(text) < _LONG:
        encoding = tokenizer.encode(text, add_special_tokens=False)
    else:
        # Only batches let other threads run meanwhile. Early releases print a warning in a process
        # that is forked after one, so that they are left to texts that need them.
        (encoding,) = tokenizer.encode_batch_fast([text], add_special_tokens=False)
    return np.array(encoding.ids, np.int32)
