"""What `rerank rank` reads: by the file's name, else by what stands in it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rerank_core._cli.plugins import cli

ROWS = [{"title": "Red", "text": "the red fox"}, {"title": "Blue", "text": "the blue sky"}]


def rank(file: Path, *args: str) -> Result:
    """Rank a file by the word red."""
    return CliRunner().invoke(cli, ["rank", "--model", "local/bm25", *args, "red", str(file)])


def ranked(result: Result) -> list[Any]:
    """The documents on standard output, in the order of the file."""
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return [row["document"] for row in sorted(rows, key=lambda row: row["index"])]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    """A file of this content."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "title,text\r\nRed,the red fox\r\nBlue,the blue sky\r\n"),
        ("a.CSV", "\ufefftitle,text\nRed,the red fox\n\nBlue,the blue sky\n"),
        ("a.csv", "title;text\nRed;the red fox\nBlue;the blue sky\n"),
        ("a.csv", '"title"\t"text"\n"Red"\t"the red fox"\nBlue\tthe blue sky'),
        ("a.tsv", "title\ttext\nRed\tthe red fox\nBlue\tthe blue sky\n"),
        ("a.json", json.dumps(ROWS, indent=1)),
        ("a.json", "\n".join(map(json.dumps, ROWS))),
        ("a.txt", json.dumps(ROWS)),
        ("a.ndjson", "\n".join(map(json.dumps, ROWS))),
    ],
)
def test_a_file_is_read_by_its_name(tmp_path: Path, name: str, content: str) -> None:
    """Rows are mappings by the names of the columns; nothing is said about it."""
    result = rank(written(tmp_path, name, content))

    assert ranked(result) == ROWS
    assert result.stderr == ""


def test_cells_may_hold_lines_and_quotes(tmp_path: Path) -> None:
    """As CSV writes them; an empty cell is no field."""
    content = 'title,text\n"Fox, red","two\nlines of ""red"""\n,blue\nshort\n'
    documents = ranked(rank(written(tmp_path, "a.csv", content)))

    assert documents == [
        {"title": "Fox, red", "text": 'two\nlines of "red"'},
        {"text": "blue"},
        {"title": "short"},
    ]


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    """Longer than Python's reader takes as it comes."""
    long = "red " * 50_000
    documents = ranked(rank(written(tmp_path, "a.csv", f"text\n{long}\n")))

    assert documents == [{"text": long}]


def test_an_empty_csv_is_an_empty_ranking(tmp_path: Path) -> None:
    """With a header or without."""
    for content in ("", "title,text\n"):
        assert ranked(rank(written(tmp_path, "a.csv", content))) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "title,text\na,b,c\n", "line 2 has 3 columns, and the first line names 2"),
        ("a.csv", 'title,text\n"a"b,c\n', "line 2 is not CSV"),
        ("a.csv", "text,text\na,b\n", "give each column a name of its own"),
        ("a.csv", "text,\na,b\n", "give each column a name of its own"),
        ("a.json", '["a", 3]', "item 1 of its array is neither a string nor an object"),
        ("a.json", '{"documents":\n ["a"]}', "one JSON object, not a list of documents"),
        ("a.json", '{"documents": ["a"]}', "one JSON object, not a list of documents"),
        ("a.json", "[1, 2", "line 1 is not JSON"),
        ("a.parquet", b"PAR1 not at all", "not Parquet that can be read"),
        ("a.txt", b"PK\xff\x00", "not UTF-8 (byte 2): save it as"),
    ],
)
def test_what_cannot_be_read_says_where(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    """As wrong usage, and nothing is ranked."""
    result = rank(written(tmp_path, name, content))

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_the_kind_can_be_given(tmp_path: Path) -> None:
    """Where the name says nothing, or something else."""
    file = written(tmp_path, "a.csv", "title,text\nred,x\n")

    assert ranked(rank(file, "--input", "text")) == ["title,text", "red,x"]
    assert ranked(rank(written(tmp_path, "b", "text\nred\n"), "--input", "csv")) == [
        {"text": "red"}
    ]


@pytest.mark.parametrize("name", ["a.parquet", "no-name"])
def test_parquet_is_read(tmp_path: Path, name: str) -> None:
    """By its name, or by how it begins; dates come out as text."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / name
    rows = [{"text": "the red fox", "day": dt.date(2026, 11, 28)}, {"text": "blue", "day": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)

    assert ranked(rank(file)) == [
        {"text": "the red fox", "day": "2026-11-28"},
        {"text": "blue", "day": None},
    ]


def test_parquet_without_its_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a missing part of the installation."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    result = rank(written(tmp_path, "a.parquet", b"PAR1"))

    assert result.exit_code == 3
    assert "pip install 'rerank-core[parquet]'" in result.stderr


def test_a_query_and_a_file_in_the_wrong_order(tmp_path: Path) -> None:
    """Is told as such."""
    file = written(tmp_path, "a.txt", "red\n")
    result = CliRunner().invoke(cli, ["rank", "--model", "local/bm25", str(file), "red"])

    assert result.exit_code == 2
    assert ". QUERY comes first" in " ".join(result.stderr.split())
