"""JSON Lines of our own: each line a query, its documents, and which of them are relevant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rerank_eval._data import Collection, Text, Topic, refuse
from rerank_eval._rows import Row, read_rows, read_text


def describe_judgements(
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    corpus: Mapping[str, str],
    topics: Sequence[Topic],
) -> list[str]:
    """What the figures leave out, or count, that a reader might not expect."""
    unknown = sum(name not in corpus for grades in qrels.values() for name in grades)
    counts = [
        (len(queries.keys() - qrels.keys()), "queries have no judgement, and are left out"),
        (len(qrels.keys() - queries.keys()), "judged queries have no text, and are left out"),
        (unknown, "judged documents are not in the corpus; they count for the ideal"),
        (
            sum(all(grade <= 0 for grade in topic.grades.values()) for topic in topics),
            "queries have no relevant document, and count 0",
        ),
        (sum(not topic.ids for topic in topics), "queries have no candidate, and count 0"),
    ]
    return [f"{count} {what}" for count, what in counts if count]


def read_own(path: Path, depth: int) -> Collection:
    """JSON Lines with queries, their documents and what of them is relevant."""
    topics: dict[str, Topic] = {}
    ordered = True
    for number, row in read_rows(path):
        where = (path, number)
        name = read_text(row, "query_id", where=where) if "query_id" in row else str(number)
        if name in topics:
            raise refuse(path, number, f"query {name!r} stands twice")
        query = read_text(row, "query", where=where)
        ordered = ordered and "documents" in row
        pairs = [*(_graded if "documents" in row else _listed)(row, where)]
        ids = [str(at) for at in range(len(pairs))]
        grades = {at: grade for at, (_, grade) in zip(ids, pairs, strict=True) if grade is not None}
        documents = [document for document, _ in pairs[:depth]]
        topics[name] = Topic(name, query, ids[:depth], documents, grades)
    judged = [topic for topic in topics.values() if topic.grades]
    if not judged:
        raise refuse(path, None, "no query has a judgement")
    notes = describe_judgements(
        dict.fromkeys(topics, ""), {t.query_id: {} for t in judged}, {}, judged
    )
    if not ordered:
        notes.append(
            "`positive` and `negative` have no order: the documents stand in a shuffled one, and"
            " the first stage's row shows what chance gives"
        )
    how = f"as the file has them, at most {depth} for a query"
    return Collection(path.stem, judged, how, notes, ordered=ordered)


def _graded(row: Row, where: tuple[Path, int]) -> Iterator[tuple[Text, int | None]]:
    documents, grades = row["documents"], row.get("relevance")
    if not isinstance(documents, list) or not isinstance(grades, list):
        raise refuse(*where, "'documents' and 'relevance' must be lists")
    if len(documents) != len(grades):
        message = f"{len(documents)} documents and {len(grades)} grades: write null where unjudged"
        raise refuse(*where, message)
    for document, grade in zip(documents, grades, strict=True):
        if grade is not None and type(grade) is not int:
            raise refuse(*where, f"a grade is a whole number or null, not {grade!r}")
        yield _document(document, where), grade


def _listed(row: Row, where: tuple[Path, int]) -> list[tuple[Text, int | None]]:
    found: list[tuple[Text, int | None]] = []
    for name, grade in (("positive", 1), ("negative", 0)):
        listed = row.get(name)
        listed = [listed] if isinstance(listed, str) else listed
        if not isinstance(listed, list):
            raise refuse(
                *where, "a line has 'documents' and 'relevance', or these: 'positive', 'negative'"
            )
        found += [(_document(each, where), grade) for each in listed]
    # As they stand, all relevant ones would come first, and a model that ties would look perfect.
    return sorted(found, key=lambda pair: hashlib.blake2b(repr(pair[0]).encode()).digest())


def _document(value: Any, where: tuple[Path, int]) -> Text:
    if not isinstance(value, (str, dict)):
        raise refuse(*where, f"a document is a text or an object, not {type(value).__name__}")
    return value
