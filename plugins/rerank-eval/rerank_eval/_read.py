"""Data sets of every layout: BEIR, MTEB, TREC, and JSON Lines of our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from rerank_eval import _first_stage
from rerank_eval._data import Collection, DataError, Topic, refuse
from rerank_eval._read_own import describe_judgements, read_own
from rerank_eval._rows import Row, find_files, need_files, read_rows, read_text
from rerank_eval._trec import add_grade, read_lines, read_qrels, read_run, read_topics

_WHAT = "what is there: a folder with corpus, queries and qrels, or a JSON Lines file"
Candidates = dict[str, list[tuple[str, float | None]]]


@frozen
class Files:
    """Files that are named apart, where a folder does not have them under their usual names.

    Attributes:
        run: The candidates: a run of TREC.
        qrels: The judgements: TREC's or BEIR's.
        topics: The queries: topics of TREC, `id<tab>text`, or JSON Lines.
        corpus: The documents: JSON Lines, Parquet, or `id<tab>text`.
    """

    run: Path | None = None
    qrels: Path | None = None
    topics: Path | None = None
    corpus: Path | None = None


_NO_FILES = Files()


def read_collection(
    data: Path,
    *,
    depth: int = 100,
    split: str = "test",
    files: Files = _NO_FILES,
    drop_same_id: bool = False,
) -> Collection:
    """Read queries, candidates and judgements.

    Args:
        data: A folder, or a JSON Lines file whose lines have `query`, `documents` and `relevance`,
            or `query`, `positive` and `negative`.
        depth: The most candidates for a query, from 1.
        split: Which judgements, where there are several.
        files: Files that stand elsewhere.
        drop_same_id: Leave out the candidate whose id is the query's, where queries are documents.

    Raises:
        DataError: A file cannot be read as what it is meant to be.
        ConfigurationError: A file needs an extra that is not installed.
    """
    if data.is_file():
        return read_own(data, depth)
    if not data.is_dir():
        raise DataError(f"{data}: not found; {_WHAT}")
    return _read_folder(data, depth, split, files, drop_same_id=drop_same_id)


def _read_folder(
    folder: Path, depth: int, split: str, files: Files, *, drop_same_id: bool
) -> Collection:
    corpus = _read_corpus([files.corpus] if files.corpus else need_files(folder, "corpus", split))
    queries = _read_queries([files.topics] if files.topics else _query_files(folder, split))
    qrels = _read_judgements([files.qrels] if files.qrels else need_files(folder, "qrels", split))
    judged = {name: text for name, text in queries.items() if name in qrels}
    ranked, how = _read_candidates(folder, split, files.run, corpus)
    if ranked is None:
        how = _first_stage.describe(depth)
        found = _first_stage.search(corpus, [*judged.values()], depth + drop_same_id)
        ranked = {name: [*best] for name, best in zip(judged, found, strict=True)}
    else:
        how = f"{how}, at most {depth} for a query"
    topics, same = [], 0
    for name, query in judged.items():
        candidates = ranked.get(name, [])
        same += any(other == name and corpus[other].strip() == query for other, _ in candidates)
        if drop_same_id:
            candidates = [pair for pair in candidates if pair[0] != name]
        topics.append(_topic(name, query, candidates[:depth], corpus, qrels[name]))
    notes = describe_judgements(queries, qrels, corpus, topics)
    if same and not drop_same_id:
        notes.append(f"in {same} queries a candidate is the query itself (see --drop-same-id)")
    return Collection(folder.resolve().name, topics, how, notes)


def _query_files(folder: Path, split: str) -> list[Path]:
    return find_files(folder, "topics", split) or need_files(folder, "queries", split)


def _topic(
    name: str,
    query: str,
    candidates: list[tuple[str, float | None]],
    corpus: Mapping[str, str],
    grades: Mapping[str, int],
) -> Topic:
    ids = [document_id for document_id, _ in candidates]
    scores = [score for _, score in candidates if score is not None]
    return Topic(
        name,
        query,
        ids,
        [corpus[document_id] for document_id in ids],
        grades,
        scores if len(scores) == len(ids) else None,
    )


def _read_corpus(paths: list[Path]) -> dict[str, str]:
    """Texts by id; title and text joined by a space, as BEIR has it."""
    corpus: dict[str, str] = {}
    for path in paths:
        if path.suffix in {".tsv", ".txt", ".trec"}:
            corpus |= read_topics(path)
            continue
        for number, row in read_rows(path):
            name = _read_id(row, (path, number))
            if name in corpus:
                raise refuse(path, number, f"document {name!r} stands twice")
            text = read_text(row, "text", where=(path, number))
            corpus[name] = f"{row.get('title') or ''} {text}".strip()
    return corpus


def _read_queries(paths: list[Path]) -> dict[str, str]:
    queries: dict[str, str] = {}
    for path in paths:
        if path.suffix not in {".jsonl", ".parquet"}:
            queries |= read_topics(path)
            continue
        for number, row in read_rows(path):
            name = _read_id(row, (path, number))
            if name in queries:
                raise refuse(path, number, f"query {name!r} stands twice")
            queries[name] = read_text(row, "text", where=(path, number))
    return queries


def _read_id(row: Row, where: tuple[Path, int]) -> str:
    return read_text(row, "_id" if "_id" in row else "id", where=where)


def _read_judgements(paths: list[Path]) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for path in paths:
        if path.suffix not in {".jsonl", ".parquet"}:
            qrels |= read_qrels(path)
            continue
        for number, row in read_rows(path):
            where = (path, number)
            query_id = read_text(row, "query-id", where=where)
            document_id = read_text(row, "corpus-id", where=where)
            add_grade(qrels, query_id, document_id, row.get("score"), where=where)
    return qrels


def _read_candidates(
    folder: Path, split: str, run: Path | None, corpus: Mapping[str, str]
) -> tuple[Candidates | None, str]:
    """The candidates that the data brings; `None` where it has none."""
    paths = [run] if run else find_files(folder, "run", split) or sorted(folder.glob("*.run"))
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise DataError(f"{folder}: several runs, {names}: choose with --run")
    ranked: Candidates = {}
    if paths:
        ranked = {name: [*best] for name, best in read_run(paths[0]).items()}
        for name, best in ranked.items():
            if unknown := _find_unknown(best, corpus):
                number = _line_in_run(paths[0], name, unknown)
                raise refuse(paths[0], number, _lacking(name, unknown))
    else:
        paths = find_files(folder, "top_ranked", split)
        found = ((path, *numbered) for path in paths for numbered in read_rows(path))
        for path, number, row in found:
            name = read_text(row, "query-id", where=(path, number))
            listed = row.get("corpus-ids")
            if not isinstance(listed, list) or len({*map(str, listed)}) < len(listed):
                raise refuse(path, number, "'corpus-ids' must be a list of ids, each once")
            if name in ranked:
                raise refuse(path, number, f"query {name!r} stands twice")
            ranked[name] = [(str(each), None) for each in listed]
            if unknown := _find_unknown(ranked[name], corpus):
                raise refuse(path, number, _lacking(name, unknown))
    return (ranked, f"as {paths[0].name} has them") if paths else (None, "")


def _find_unknown(
    best: Sequence[tuple[str, float | None]], corpus: Mapping[str, str]
) -> str | None:
    return next((document_id for document_id, _ in best if document_id not in corpus), None)


def _lacking(query_id: str, document_id: str) -> str:
    return f"query {query_id!r} has document {document_id!r}, which the corpus lacks"


def _line_in_run(path: Path, query_id: str, document_id: str) -> int:
    wanted = [query_id, document_id]
    return next(number for number, line in read_lines(path) if line.split()[:3:2] == wanted)
