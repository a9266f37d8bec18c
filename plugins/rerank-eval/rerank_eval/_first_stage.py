"""A first stage where the data brings none: BM25 over the whole corpus, by bm25s."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_STEMMER = importlib.util.find_spec("Stemmer") is not None


def describe(depth: int) -> str:
    """The first stage in words, with what moves its scores."""
    stemmer = "with PyStemmer" if _STEMMER else "without a stemmer"
    return f"the best {depth} by BM25 over the corpus (bm25s, English stop words, {stemmer})"


def search(
    corpus: Mapping[str, str], queries: Sequence[str], depth: int
) -> Iterator[list[tuple[str, float]]]:
    """For each query, the best documents of the corpus with their scores, best first.

    Documents that share no word with the query score 0 and are left out. Equal scores keep the
    corpus' order.

    Args:
        corpus: Texts by id.
        queries: What is looked for.
        depth: The most documents for a query, from 1.
    """
    import bm25s  # noqa: PLC0415 - slow to import, and not needed where the data has candidates
    import numpy as np  # noqa: PLC0415 - likewise

    logging.getLogger("bm25s").setLevel(logging.NOTSET)  # it sets DEBUG for itself
    for module in (bm25s, bm25s.tokenization, bm25s.scoring):
        if isinstance(module.tqdm, type):  # its bars start a thread that would stay
            module.tqdm = type("tqdm", (module.tqdm,), {"monitor_interval": 0})
    names = [*corpus]
    tokens = bm25s.tokenize([*corpus.values()], stemmer=_stemmer(), show_progress=False)
    if not tokens.vocab:
        yield from ([] for _ in queries)
        return
    index = bm25s.BM25(method="lucene", backend="numpy")
    index.index(tokens, show_progress=False)
    asked = bm25s.tokenize([*queries], stemmer=_stemmer(), return_ids=False, show_progress=False)
    for words in asked:
        if not words:
            yield []
            continue
        scores = index.get_scores(words)
        best = np.argsort(-scores, kind="stable")[:depth]
        yield [(names[at], float(scores[at])) for at in best if scores[at] > 0]


def _stemmer() -> Any:
    if not _STEMMER:
        return None
    import Stemmer  # noqa: PLC0415 - an extra

    return Stemmer.Stemmer("english")
