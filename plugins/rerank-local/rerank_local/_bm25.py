"""BM25: lexical scores, computed by bm25s."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Any

from rerank_core import ConfigurationError, InvalidRequestError
from rerank_local._options import Lexical

_USUAL = Lexical()


def score_bm25(query: str, documents: Sequence[str], settings: Lexical = _USUAL) -> list[float]:
    """Score documents by BM25 with Lucene's idf, which is never negative.

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
    language = settings.language
    stopwords = None if language == "none" else language
    tokenize = functools.partial(
        bm25s.tokenize,
        stopwords=stopwords,
        stemmer=_find_stemmer(language, settings.stem),
        show_progress=False,
    )
    try:
        words = tokenize([query], return_ids=False)[0]
    except ValueError as error:
        message = (
            f"language {language!r} is not known: it is a name in small letters, such as 'english'"
            " or 'german', or 'none'"
        )
        raise InvalidRequestError(message) from error
    tokens = tokenize(list(documents))
    if not words or not tokens.vocab:  # bm25s divides by the mean length, which may be 0
        return [0.0] * len(documents)
    index = bm25s.BM25(k1=settings.k1, b=settings.b, method="lucene", backend="numpy")
    index.index(tokens, show_progress=False)
    scores: list[float] = index.get_scores(words).tolist()
    return scores


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
