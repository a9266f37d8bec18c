"""The files of TREC: runs, judgements and topics, read and written.

A run's rank column is decoration: trec_eval sorts by score, as 32-bit floats, and equal scores by
document id, descending. So the order that is read is by score, ties in the file's order; and what
is written has whole numbers as scores, each once, so that every tool reads the same order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path

from rerank_core import ConfigurationError
from rerank_eval._data import refuse

Run = dict[str, list[tuple[str, float]]]
"""For each query id, document ids with their scores, best first."""

_RUN_COLUMNS, _QRELS_COLUMNS = 6, 4
_BEIR_COLUMNS = 3
_EXACT = 2**24  # trec_eval's scores are 32-bit floats: whole numbers up to here are exact


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Every line that is not blank, with its number from 1.

    Raises:
        DataError: There is no such file, or it is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise refuse(path, None, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise refuse(path, None, f"not UTF-8 (byte {error.start})") from error
    # Not str.splitlines: a JSON string may hold U+2028 and the like as they are.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def read_run(path: Path) -> Run:
    """Read `query-id Q0 document-id rank score tag`; by descending score, ties as they stand.

    Raises:
        DataError: A line is no line of a run, or a document stands twice for a query.
    """
    run: dict[str, dict[str, float]] = {}
    for number, line in read_lines(path):
        words = line.split()
        if len(words) != _RUN_COLUMNS:
            raise refuse(
                path,
                number,
                f"a line of a run has six columns, query-id Q0 document-id rank score tag, without"
                f" spaces in them; this has {len(words)}",
            )
        query_id, _, document_id, _, score, _ = words
        value = _to_float(score)
        if value is None:
            raise refuse(path, number, f"the score must be a finite number, not {score!r}")
        ranked = run.setdefault(query_id, {})
        if document_id in ranked:
            message = f"document {document_id!r} stands twice for query {query_id!r}: keep one"
            raise refuse(path, number, message)
        ranked[document_id] = value
    return {
        query_id: sorted(ranked.items(), key=lambda pair: -pair[1])
        for query_id, ranked in run.items()
    }


def _to_float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read judgements: TREC's four columns, or BEIR's three with or without their header.

    Returns:
        For each query id the grades by document id.

    Raises:
        DataError: A line is no judgement, or two lines contradict each other.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        words = line.split("\t") if "\t" in line else line.split()
        words = [word.strip() for word in words]
        if number == 1 and words[-1].lower() in {"score", "relevance", "label"}:
            continue
        if len(words) not in {_QRELS_COLUMNS, _BEIR_COLUMNS}:
            raise refuse(
                path,
                number,
                "a judgement is `query-id 0 document-id grade`, or, as BEIR has it, query-id,"
                f" corpus-id and score between tabs; this has {len(words)} columns",
            )
        add_grade(qrels, words[0], words[-2], words[-1], where=(path, number))
    return qrels


def add_grade(
    qrels: dict[str, dict[str, int]],
    query_id: str,
    document_id: str,
    grade: object,
    *,
    where: tuple[Path, int],
) -> None:
    """Add one judgement, whose grade is a whole number; BEIR's files may write it as 1.0."""
    number = _to_float(str(grade))
    if number is None or number % 1:
        raise refuse(*where, f"a grade is a whole number such as 0, 1 or -1, not {grade!r}")
    graded = qrels.setdefault(query_id, {})
    if graded.setdefault(document_id, int(number)) != int(number):
        raise refuse(
            *where,
            f"document {document_id!r} was judged {graded[document_id]} for query {query_id!r}"
            f" before, and {int(number)} here: keep one",
        )


_TOPIC = re.compile(r"<top>(.*?)</top>", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"<num>\s*(?:Number:)?\s*([^\s<]+)", re.IGNORECASE)
_TITLE = re.compile(
    r"<title>\s*(?:Topic:)?\s*(.*?)\s*(?=</title>|<\w+>|$)", re.DOTALL | re.IGNORECASE
)


def read_topics(path: Path) -> dict[str, str]:
    """Read queries: `id<tab>text` in each line, or TREC's `<top>` with `<num>` and `<title>`.

    Raises:
        DataError: A line has no tab, a topic has no number or title, or an id stands twice.
    """
    lines = [*read_lines(path)]
    text = "\n".join(line for _, line in lines)
    found: list[tuple[int | None, str, str]] = []
    if "<top>" in text.lower():
        for at, block in enumerate(_TOPIC.findall(text), 1):
            number, title = _NUMBER.search(block), _TITLE.search(block)
            if not number or not title:
                raise refuse(path, None, f"topic {at} lacks <num> or <title>")
            found.append((None, number[1], " ".join(title[1].split())))
    else:
        for line_number, line in lines:
            query_id, tab, query = line.partition("\t")
            if not tab:
                raise refuse(path, line_number, "a line of topics is an id, a tab and the query")
            found.append((line_number, query_id.strip(), query.strip()))
    topics: dict[str, str] = {}
    for at_line, query_id, query in found:
        if query_id in topics:
            raise refuse(path, at_line, f"query {query_id!r} stands twice")
        topics[query_id] = query
    return topics


def write_run(path: Path, orders: Mapping[str, Sequence[str]], tag: str) -> None:
    """Write a run whose order every tool reads as it was returned.

    The score is the number of documents at or below a position: whole, and each once per query.

    Args:
        path: The file, which is replaced.
        orders: For each query id, document ids, best first.
        tag: The run's name; white space in it becomes `_`.

    Raises:
        ConfigurationError: An id has white space, or is empty: no reader could tell it apart.
    """
    tag = "_".join(tag.split()) or "run"
    lines = []
    for query_id, order in orders.items():
        if len(order) > _EXACT:
            raise ConfigurationError(f"a run of more than {_EXACT} documents has no exact scores")
        lines += [
            f"{_word(query_id)} Q0 {_word(name)} {at} {len(order) - at + 1} {tag}\n"
            for at, name in enumerate(order, 1)
        ]
    path.write_text("".join(lines), encoding="utf-8")


def write_qrels(path: Path, qrels: Mapping[str, Mapping[str, int]]) -> None:
    """Write judgements in TREC's four columns.

    Raises:
        ConfigurationError: An id has white space, or is empty.
    """
    lines = [
        f"{_word(query_id)} 0 {_word(name)} {grade}\n"
        for query_id, grades in qrels.items()
        for name, grade in grades.items()
    ]
    path.write_text("".join(lines), encoding="utf-8")


def _word(name: str) -> str:
    if len(name.split()) != 1 or name != name.strip():
        raise ConfigurationError(f"an id in a TREC file is one word, not {name!r}: rename it")
    return name
