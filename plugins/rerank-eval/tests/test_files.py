"""Files are read with line numbers in what is wrong, and written so that all tools agree."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from rerank_core import ConfigurationError
from rerank_eval import (
    DataError,
    Files,
    read_collection,
    read_qrels,
    read_run,
    read_topics,
    write_qrels,
    write_run,
)

CRANFIELD = Path(__file__).parents[3] / "tests" / "fixtures" / "cranfield"


def _write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _folder(tmp_path: Path) -> Path:
    """A data set of three documents and two queries."""
    _write(
        tmp_path / "corpus.jsonl",
        '{"_id": "1", "title": "Fox", "text": "a red fox"}',
        '{"_id": "2", "title": "", "text": "the sky is blue"}',
        '{"_id": "3", "text": "roses are red"}',
    )
    _write(
        tmp_path / "queries.jsonl", '{"_id": "q1", "text": "red"}', '{"_id": "q2", "text": "sky"}'
    )
    _write(tmp_path / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "q1\t1\t2", "q1\t9\t1")
    return tmp_path


def test_beir_is_read_and_bm25_finds_candidates(tmp_path: Path) -> None:
    """Titles stand before texts; unjudged queries are left out, and said."""
    collection = read_collection(_folder(tmp_path), depth=2)
    (topic,) = collection.topics

    assert topic.query == "red"
    assert sorted(topic.ids) == ["1", "3"]
    assert "Fox a red fox" in topic.documents
    assert topic.grades == {"1": 2, "9": 1}
    assert "1 queries have no judgement, and are left out" in collection.notes
    assert any("not in the corpus" in note for note in collection.notes)
    assert "BM25" in collection.candidates


def test_mteb_candidates_are_used_as_they_are(tmp_path: Path) -> None:
    """A list of ids for each query, in their order."""
    folder = _folder(tmp_path)
    _write(folder / "top_ranked.jsonl", '{"query-id": "q1", "corpus-ids": ["2", "3", "1"]}')

    (topic,) = read_collection(folder).topics

    assert [*topic.ids] == ["2", "3", "1"]
    assert topic.scores is None


@pytest.mark.slow
def test_parquet_as_the_hub_has_it(tmp_path: Path) -> None:
    """A folder for each part, with a file for the split."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = {
        "corpus": [{"_id": "1", "title": "Fox", "text": "a red fox"}],
        "queries": [{"_id": "q1", "text": "red"}],
        "qrels": [{"query-id": "q1", "corpus-id": "1", "score": 1.0}],
        "top_ranked": [{"query-id": "q1", "corpus-ids": ["1"]}],
    }
    for name, listed in rows.items():
        (tmp_path / name).mkdir()
        path = tmp_path / name / "test-00000-of-00001.parquet"
        parquet.write_table(pa.Table.from_pylist(listed), path)

    (topic,) = read_collection(tmp_path).topics

    assert (topic.query_id, [*topic.ids], topic.grades) == ("q1", ["1"], {"1": 1})


def test_a_trec_run_gives_the_candidates(tmp_path: Path) -> None:
    """By score, whatever the rank column says."""
    folder = _folder(tmp_path)
    run = _write(tmp_path / "my" / "a.run", "q1 Q0 2 1 0.5 x", "q1 Q0 3 2 0.9 x")

    (topic,) = read_collection(folder, files=Files(run=run)).topics

    assert ([*topic.ids], [*(topic.scores or ())]) == (["3", "2"], [0.9, 0.5])


def test_our_own_lines(tmp_path: Path) -> None:
    """Documents with grades; null is unjudged."""
    path = _write(
        tmp_path / "log.jsonl",
        json.dumps({"query": "a", "documents": ["x", {"text": "y"}], "relevance": [0, 2]}),
        json.dumps({"query_id": 7, "query": "b", "documents": ["z", "w"], "relevance": [None, 1]}),
    )
    first, second = read_collection(path).topics

    assert first.grades == {"0": 0, "1": 2}
    assert (second.query_id, second.grades) == ("7", {"1": 1})


def test_positives_do_not_come_first(tmp_path: Path) -> None:
    """Else whatever keeps the order would look perfect."""
    positive, negative = [f"good {at}" for at in range(6)], [f"bad {at}" for at in range(6)]
    row = {"query": "a", "positive": positive, "negative": negative}
    collection = read_collection(_write(tmp_path / "log.jsonl", json.dumps(row)))
    (topic,) = collection.topics

    assert not collection.ordered
    assert {*map(str, topic.documents)} == {*positive, *negative}
    assert [*topic.documents][:6] != positive
    assert {topic.documents[int(at)] for at, grade in topic.grades.items() if grade} == {*positive}
    assert any("shuffled" in note for note in collection.notes)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1 Q0 a b 1 2.0 tag", "six columns"),
        ("q1 Q0 a 1 nan tag", "finite number"),
        ("q1 Q0 a 1 x tag", "finite number"),
        ("q1 Q0 z 1 2.0 tag", "stands twice"),
    ],
)
def test_a_bad_line_of_a_run_is_named(tmp_path: Path, line: str, message: str) -> None:
    """With file and number."""
    path = _write(tmp_path / "a.run", "q1 Q0 z 1 3.0 tag", "", line)

    with pytest.raises(DataError, match=rf"a\.run:3: .*{message}"):
        read_run(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [("q1 0 a 0.5", "whole number"), ("q1 0 z 2", "judged 1"), ("q1", "columns")],
)
def test_a_bad_judgement_is_named(tmp_path: Path, line: str, message: str) -> None:
    """A grade between grades, a contradiction, a missing column."""
    path = _write(tmp_path / "qrels.txt", "q1 0 z 1", "q1 0 z 1", line)

    with pytest.raises(DataError, match=rf"qrels\.txt:3: .*{message}"):
        read_qrels(path)


def test_topics_of_trec(tmp_path: Path) -> None:
    """As marked text, and between tabs."""
    text = "<top>\n<num> Number: 301\n<title> red\nfox\n<desc> no\n</top>"
    marked = _write(tmp_path / "a.trec", text, "<top><num>302</num><title>sky</title></top>")
    tabs = _write(tmp_path / "b.tsv", "1\tred fox", "2\tsky")

    assert read_topics(marked) == {"301": "red fox", "302": "sky"}
    assert read_topics(tabs) == {"1": "red fox", "2": "sky"}
    with pytest.raises(DataError, match=r"c\.tsv:1: .*a tab"):
        read_topics(_write(tmp_path / "c.tsv", "no tab"))
    with pytest.raises(DataError, match=r"d\.tsv:2: .*twice"):
        read_topics(_write(tmp_path / "d.tsv", "1\ta", "1\tb"))


def test_what_is_written_has_the_same_order_for_trec_eval(tmp_path: Path) -> None:
    """Which sorts by score as a 32-bit float, and ties by name; and reads back as it was."""
    ir_measures = pytest.importorskip("ir_measures")
    orders = {"q1": [f"d{at}" for at in range(200)], "q2": ["a", "b"]}
    qrels = {"q1": {"d0": 1}, "q2": {"a": 1, "b": 0}}
    write_run(tmp_path / "x.run", orders, "my tag")
    write_qrels(tmp_path / "x.qrels", qrels)
    run = [*ir_measures.read_trec_run(str(tmp_path / "x.run"))]
    judged = [*ir_measures.read_trec_qrels(str(tmp_path / "x.qrels"))]

    value = ir_measures.calc_aggregate([ir_measures.RR], judged, run)

    assert [*value.values()] == [1.0]
    back = read_run(tmp_path / "x.run")
    assert {name: [each for each, _ in best] for name, best in back.items()} == orders
    assert read_qrels(tmp_path / "x.qrels") == qrels
    with pytest.raises(ConfigurationError, match="one word"):
        write_run(tmp_path / "y.run", {"q": ["two words"]}, "t")


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("corpus.jsonl", "{", "corpus.jsonl:1: not JSON"),
        ("corpus.jsonl", "[]", "corpus.jsonl:1: a line is a JSON object"),
        ("corpus.jsonl", '{"_id": 1.5, "text": ""}', "corpus.jsonl:1: '_id'"),
        ("queries.jsonl", '{"_id": "1"}', "queries.jsonl:1: 'text'"),
        ("run.trec", "q1 Q0 1 1 2.0 x\nq1 Q0 77 2 1.0 x", r"run\.trec:2: .*77.*corpus lacks"),
        ("top_ranked.jsonl", '{"query-id": "q1", "corpus-ids": ["1", "1"]}', "each once"),
    ],
)
def test_a_bad_line_of_a_data_set_is_named(
    tmp_path: Path, name: str, line: str, message: str
) -> None:
    """File, line, and what should stand there."""
    _write(_folder(tmp_path) / name, line)

    with pytest.raises(DataError, match=message):
        read_collection(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "a", "documents": ["x"], "relevance": [1, 0]}, "1 documents and 2 grades"),
        ({"query": "a", "documents": ["x"], "relevance": [0.5]}, "whole number or null"),
        ({"query": "a", "documents": [3], "relevance": [1]}, "a text or an object"),
        ({"query": "a", "documents": "x", "relevance": [1]}, "must be lists"),
        ({"query": "a"}, "'positive'"),
        ({"documents": []}, "'query'"),
        ({"query": "a", "documents": ["x"], "relevance": [None]}, "no query has a judgement"),
    ],
)
def test_a_bad_line_of_our_own_is_named(tmp_path: Path, row: object, message: str) -> None:
    """Likewise."""
    with pytest.raises(DataError, match=message):
        read_collection(_write(tmp_path / "log.jsonl", json.dumps(row)))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """With what was looked for."""
    with pytest.raises(DataError, match=r"corpus\.jsonl, \.parquet"):
        read_collection(tmp_path)
    with pytest.raises(DataError, match="not found"):
        read_collection(tmp_path / "nowhere")


def test_queries_that_are_documents_are_told(tmp_path: Path) -> None:
    """And taken out of their own candidates where that is asked."""
    folder = _folder(tmp_path)
    _write(folder / "queries.jsonl", '{"_id": "3", "text": "roses are red"}')
    _write(folder / "qrels" / "test.tsv", "3\t1\t1")

    told, dropped = read_collection(folder), read_collection(folder, drop_same_id=True)

    assert any("the query itself" in note for note in told.notes)
    assert "3" in told.topics[0].ids
    assert "3" not in dropped.topics[0].ids


@pytest.mark.slow
def test_cranfield_has_the_known_ceiling() -> None:
    """BM25 over the corpus is deterministic, and its candidates allow what was seen before."""
    collection = read_collection(CRANFIELD, depth=20)

    assert len(collection.topics) == 225
    assert collection.checksum == read_collection(CRANFIELD, depth=20).checksum
    assert collection.checksum != read_collection(CRANFIELD, depth=10).checksum


def test_bm25_has_no_candidate_where_no_word_is_shared(tmp_path: Path) -> None:
    """Nor where query or corpus have no words; such queries count 0, and that is said."""
    folder = _folder(tmp_path)
    _write(
        folder / "queries.jsonl", '{"_id": "q1", "text": "the"}', '{"_id": "q2", "text": "whale"}'
    )
    _write(folder / "qrels" / "test.tsv", "q1\t1\t1", "q2\t1\t0")
    collection = read_collection(folder)
    _write(folder / "corpus.jsonl", '{"_id": "1", "text": ""}')

    assert [[*topic.ids] for topic in collection.topics] == [[], []]
    assert "2 queries have no candidate, and count 0" in collection.notes
    assert "1 queries have no relevant document, and count 0" in collection.notes
    assert [[*topic.ids] for topic in read_collection(folder).topics] == [[], []]


def test_parts_that_stand_twice_or_elsewhere(tmp_path: Path) -> None:
    """Documents and queries once; one run; a corpus and topics between tabs."""
    folder = _folder(tmp_path)
    files = Files(
        corpus=_write(tmp_path / "else" / "corpus.tsv", "1\ta red fox", "2\tsky"),
        topics=_write(tmp_path / "else" / "topics.tsv", "q1\tfox"),
        qrels=_write(tmp_path / "else" / "qrels.txt", "q1 0 1 1"),
    )
    (topic,) = read_collection(folder, files=files).topics

    assert (topic.query, [*topic.ids]) == ("fox", ["1"])
    for name in ("a.run", "b.run"):
        _write(folder / name, "q1 Q0 1 1 1.0 x")
    with pytest.raises(DataError, match="several runs"):
        read_collection(folder)
    twice = '{"_id": "1", "text": "x"}'
    for name in ("queries.jsonl", "corpus.jsonl"):
        _write(folder / name, twice, twice)
        with pytest.raises(DataError, match=rf"{name}:2: .*twice"):
            read_collection(folder)


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not there, not UTF-8, no Parquet, or needs an extra."""
    (tmp_path / "latin.txt").write_bytes(b"q\xe9 0 a 1")
    (tmp_path / "bad.parquet").write_bytes(b"no")

    with pytest.raises(DataError, match=r"nothing\.txt: No such file"):
        read_qrels(tmp_path / "nothing.txt")
    with pytest.raises(DataError, match="not UTF-8"):
        read_qrels(tmp_path / "latin.txt")
    with pytest.raises(DataError, match="lacks <num>"):
        read_topics(_write(tmp_path / "a.trec", "<top><num>1</num></top>"))
    pytest.importorskip("pyarrow")
    _write(_folder(tmp_path) / "unused.txt", "")
    files = Files(corpus=tmp_path / "bad.parquet")
    with pytest.raises(DataError, match="not Parquet"):
        read_collection(tmp_path, files=files)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"rerank-eval\[parquet\]"):
        read_collection(tmp_path, files=files)


def test_a_part_in_several_files_names_the_right_one(tmp_path: Path) -> None:
    """As the Hub's data sets are cut."""
    folder = _folder(tmp_path) / "top_ranked"
    _write(folder / "test-0.jsonl", '{"query-id": "q1", "corpus-ids": ["1"]}')
    second = _write(folder / "test-1.jsonl", "", '{"query-id": "q2", "corpus-ids": ["8"]}')

    with pytest.raises(DataError, match=r"test-1\.jsonl:2: .*'8', which the corpus lacks"):
        read_collection(tmp_path)
    _write(second, '{"query-id": "q1", "corpus-ids": ["2"]}')
    with pytest.raises(DataError, match=r"test-1\.jsonl:1: query 'q1' stands twice"):
        read_collection(tmp_path)
