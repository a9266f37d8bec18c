"""BM25: lexical scores, computed by bm25s."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator, Sequence
from typing import Any

from rerank_core import ConfigurationError, InvalidRequestError
from rerank_local._options import Lexical
from rerank_local._words import split_turkish, split_words

NOTHING_SHARED = (
    "no document has a word of the query, stop words apart: by words, they stay in the caller's"
    " order"
)
_USUAL = Lexical()
# Some ten milliseconds each.
_CHARACTERS_PER_STEP = 200_000
_LEFT_OUT = -1


def bm25_steps(
    query: str, documents: Sequence[str], settings: Lexical = _USUAL
) -> Generator[None, None, list[float]]:
    """Score documents by BM25 with Lucene's idf, which is never negative, in steps.

    Args:
        query: What is looked for.
        documents: What is scored; word statistics come from these alone.
        settings: The parameters of the ranking.

    Returns:
        One score for each document, from 0; all 0 where no word of the query is in any.

    Raises:
        InvalidRequestError: The language is not known, or has no stemmer.
        ConfigurationError: A stemmer is asked for, and not installed.
    """
    bm25s = _import_bm25s()
    left_out, stem = _read_language(settings.language, settings.stem)
    split = split_turkish if settings.language == "turkish" else split_words
    words = stem([word for word in split(query) if word not in left_out])
    vocabulary = {word: at for at, word in enumerate(dict.fromkeys(words))}
    # All that the query does not ask for is one word, which gives a document its length.
    other = len(vocabulary)
    known = dict.fromkeys(left_out, _LEFT_OUT)
    rows: list[list[int]] = []
    characters = 0
    for document in documents:
        found = split(document)
        if fresh := list(set(found).difference(known)):
            forms = zip(fresh, stem(fresh), strict=True)
            known.update(
                (word, vocabulary.get(form, other if len(word) > 1 else _LEFT_OUT))
                for word, form in forms
            )
        rows.append([at for at in map(known.__getitem__, found) if at != _LEFT_OUT])
        characters += len(document)
        if characters >= _CHARACTERS_PER_STEP:
            characters = 0
            yield
    if not words or not any(rows):  # bm25s divides by the mean length, which may be 0
        return [0.0] * len(documents)
    yield
    index = bm25s.BM25(k1=settings.k1, b=settings.b, method="lucene", backend="numpy")
    tokens = bm25s.tokenization.Tokenized(ids=rows, vocab={**vocabulary, "": other})
    index.index(tokens, show_progress=False)
    scores: list[float] = index.get_scores(words).tolist()
    return scores


def _read_language(
    language: str,
    stem: bool | None,  # noqa: FBT001 - a parameter of the call
) -> tuple[frozenset[str], Callable[[list[str]], list[str]]]:
    """The words that are left out, and what gives words without their endings."""
    lists = _import_bm25s().stopwords
    name = f"STOPWORDS_{'EN' if language == 'english' else language.upper()}"
    if language != "none" and not (language.islower() and hasattr(lists, name)):
        message = (
            f"language {language!r} is not known: it is a name in small letters, such as 'english'"
            " or 'german', or 'none'"
        )
        raise InvalidRequestError(message)
    stemmer = _find_stemmer(language, stem)
    # Folded as words are, and each whole: some hold apostrophes or blanks, which no word has.
    split = map(split_words, getattr(lists, name, ()))
    folded = frozenset(words[0] for words in split if len(words) == 1)
    stem_all = (lambda words: words) if stemmer is None else stemmer.stemWords
    # An i with a dot and one without count as the same: "I" may be the capital of either.
    return folded, lambda words: [word.replace("\u0131", "i") for word in stem_all(words)]


@functools.cache
def _import_bm25s() -> Any:
    import bm25s  # noqa: PLC0415 - brings numpy in, so only when it is used

    # It sets its logger to DEBUG, which fills the log of whoever has a handler at the root.
    logging.getLogger("bm25s").setLevel(logging.NOTSET)
    # Its bars, also those that are not shown, start a thread that would stay: these start none,
    # and tqdm itself is left as it is. Where tqdm is not installed, they are plain functions.
    for module in (bm25s, bm25s.tokenization, bm25s.scoring):
        if isinstance(module.tqdm, type):  # pragma: no branch - where tqdm is installed
            module.tqdm = type("tqdm", (module.tqdm,), {"monitor_interval": 0})
    return bm25s


def _find_stemmer(language: str, stem: bool | None) -> Any:  # noqa: FBT001 - a parameter of the call
    """The stemmer of a language; `None` where there is none, or none is wanted."""
    if stem is False:
        return None
    try:
        import Stemmer  # noqa: PLC0415 - an extra
    except ImportError as error:
        if stem:
            message = "stem=True needs a stemmer: pip install 'rerank-local[stemmer]'"
            raise ConfigurationError(message) from error
        return None
    try:
        return Stemmer.Stemmer(language)
    except KeyError as error:
        if stem:
            message = f"stem=True: there is no stemmer for the language {language!r}"
            raise InvalidRequestError(message) from error
        return None
