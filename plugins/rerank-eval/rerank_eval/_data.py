"""The records that are evaluated: queries with candidates and judgements."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from rerank_core import ConfigurationError

Text = str | Mapping[str, Any]
"""A document: a string, or a mapping as `rerank` takes it."""


class DataError(ConfigurationError):
    """A file cannot be read as what it is meant to be; the message names file and line."""


def refuse(path: Path, line: int | None, message: str) -> DataError:
    """The error for one line of a file, counted from 1; `None` for the file as a whole."""
    where = str(path) if line is None else f"{path}:{line}"
    return DataError(f"{where}: {message}")


@frozen
class Topic:
    """One query with its candidates, in the order of the first stage, and its judgements.

    Attributes:
        query_id: Its name.
        query: Its text.
        ids: The candidates' ids, each once.
        documents: Their texts, in the order of `ids`.
        grades: Every judgement of the query, by document id; also those of other documents. A
            grade above 0 is relevant. A document that is not in it was not judged.
        scores: The first stage's scores, in the order of `ids`; `None` where they are not known.
    """

    query_id: str
    query: str
    ids: Sequence[str]
    documents: Sequence[Text] = field(repr=False)
    grades: Mapping[str, int] = field(repr=False)
    scores: Sequence[float] | None = field(default=None, repr=False)


@frozen
class Collection:
    """Everything that models are compared on.

    Attributes:
        name: What the report calls it.
        topics: The queries that have a judgement.
        candidates: Where the candidates come from, in words.
        notes: What a reader of the figures must know about the data.
        ordered: Whether the candidates' order is a first stage's.
    """

    name: str
    topics: Sequence[Topic] = field(repr=False)
    candidates: str
    notes: Sequence[str] = ()
    ordered: bool = True

    def first(self, queries: int | None) -> Collection:
        """The collection with only its first queries; all of them for `None`."""
        if queries is None or queries >= len(self.topics):
            return self
        note = f"only the first {queries} of {len(self.topics)} queries were asked (--limit)"
        return evolve(self, topics=self.topics[:queries], notes=(*self.notes, note))

    @property
    def checksum(self) -> str:
        """A fingerprint of all queries, candidates and their order; grades do not count."""
        digest = hashlib.blake2b(digest_size=16)
        for topic in self.topics:
            digest.update(topic_checksum(topic).encode())
        return digest.hexdigest()


def topic_checksum(topic: Topic) -> str:
    """A fingerprint of what a model is asked for one query."""
    asked = [topic.query_id, topic.query, [*topic.ids], [*topic.documents]]
    text = json.dumps(asked, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
