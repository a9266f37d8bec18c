"""Every input gives the same rows, every output the same rankings; and the command line."""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import sqlite3
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from rerank_core import rerank
from rerank_jobs import Job, JobError
from rerank_jobs._command import job
from rerank_jobs._progress import describe
from rerank_jobs._report import JobReport
from rerank_jobs.tables import rerank_table

CORPUS = {"d1": "wing flow", "d2": "boundary layer", "d3": "heat transfer in the layer"}
TOPICS = {"t1": "flow over a wing", "t2": "layer", "t3": "heat"}
CANDIDATES = {"t1": ["d1", "d2"], "t2": ["d3", "d2", "d1"], "t3": ["d2", "d3"]}
MODEL = "local/bm25"


def rows() -> list[dict[str, Any]]:
    """The same rows as every input has them."""
    return [
        {"id": name, "query": TOPICS[name], "documents": [CORPUS[each] for each in ids]}
        for name, ids in CANDIDATES.items()
    ]


def write_input(folder: Path, form: str) -> dict[str, Any]:
    """Write them, and say how a job is told of it."""
    path = folder / f"in.{form.partition('-')[0]}"
    if form == "jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n\n" for row in rows()), encoding="utf-8-sig")
    elif form == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows()), path, row_group_size=2)
    elif form == "csv-cells":
        _write_csv(path, [{**row, "documents": json.dumps(row["documents"])} for row in rows()])
    elif form == "csv":
        lines = [
            {"id": row["id"], "query": row["query"], "document": document}
            for row in rows()
            for document in row["documents"]
        ]
        _write_csv(path, lines)
    else:
        lines_of_run = [
            f"{name} Q0 {each} {at} {9 - at} first\n"
            for name, ids in CANDIDATES.items()
            for at, each in enumerate(ids, 1)
        ]
        path.write_text("".join(lines_of_run))
        (folder / "corpus.jsonl").write_text(
            "".join(
                json.dumps({"_id": name, "title": "", "text": text}) + "\n"
                for name, text in CORPUS.items()
            )
        )
        (folder / "topics.tsv").write_text("".join(f"{name}\t{q}\n" for name, q in TOPICS.items()))
        return {
            "input": path,
            "corpus": folder / "corpus.jsonl",
            "topics": folder / "topics.tsv",
        }
    return {"input": path}


def _write_csv(path: Path, lines: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*lines[0]])
        writer.writeheader()
        writer.writerows(lines)


def wanted() -> dict[str, list[tuple[int, float | None]]]:
    """The rankings that a call for each row gives."""
    return {
        row["id"]: [
            (each.index, each.relevance_score)
            for each in rerank(MODEL, row["query"], row["documents"]).results
        ]
        for row in rows()
    }


def shape(results: list[dict[str, Any]]) -> list[tuple[int, float | None]]:
    """Positions and scores."""
    return [(each["index"], each["relevance_score"]) for each in results]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv", "csv-cells", "run"])
def test_every_input_gives_the_same_rankings(form: str, tmp_path: Path) -> None:
    """As a call for each row does."""
    output = tmp_path / "out.jsonl"
    report = Job(**write_input(tmp_path, form), model=MODEL, output=output).run()
    lines = [json.loads(line) for line in output.read_text().splitlines()]

    assert report.state == "done"
    assert {line["id"]: shape(line["results"]) for line in lines} == wanted()
    if form == "run":
        assert [each["id"] for each in lines[0]["results"]] == [
            CANDIDATES[lines[0]["id"]][each["index"]] for each in lines[0]["results"]
        ]


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (pa.array([3, 4]), [3, 4]),
        (pa.array([3.0, 4.5]), [3.0, 4.5]),
        (pa.array([Decimal(3), Decimal(4)], pa.decimal128(38)), ["3", "4"]),
        (pa.array([b"a", "\u00e9".encode()]), ["a", "\u00e9"]),
        (pa.array([date(2026, 1, 2), date(2026, 1, 3)]), ["2026-01-02", "2026-01-03"]),
    ],
)
def test_an_id_of_parquet_comes_out_as_it_reads(
    ids: pa.Array, names: list[Any], tmp_path: Path
) -> None:
    """Whatever type its writer chose."""
    table = pa.table({"id": ids, "query": ["q", "q"], "documents": [["a"], ["b"]]})
    parquet.write_table(table, tmp_path / "in.parquet")
    output = tmp_path / "out.jsonl"
    Job(input=tmp_path / "in.parquet", model=MODEL, output=output, in_order=True).run()

    assert [json.loads(line)["id"] for line in output.read_text().splitlines()] == names


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".run"])
def test_every_output_has_the_same_rankings(suffix: str, tmp_path: Path) -> None:
    """In the order of the input."""
    output = tmp_path / f"out{suffix}"
    Job(**write_input(tmp_path, "run"), model=MODEL, output=output).run()
    found: dict[str, list[tuple[int, float | None]]] = {}
    if suffix == ".parquet":
        for row in parquet.read_table(output).to_pylist():
            found[row["id"]] = shape(row["results"])
        assert found == wanted()
    elif suffix == ".csv":
        with output.open(newline="") as file:
            for line in csv.DictReader(file):
                one = (int(line["index"]), float(line["relevance_score"]))
                found.setdefault(line["id"], []).append(one)
        assert found == wanted()
    else:
        lines = [line.split() for line in output.read_text().splitlines()]
        assert [line[0] for line in lines] == ["t1", "t1", "t2", "t2", "t2", "t3", "t3"]
        assert [line[3:5] for line in lines[2:5]] == [["1", "3"], ["2", "2"], ["3", "1"]]
        for name, ids in CANDIDATES.items():
            best = [ids[index] for index, _ in wanted()[name]]
            assert [line[2] for line in lines if line[0] == name] == best
    assert [*found] in ([], [*CANDIDATES])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.txt", "x", "does not tell the format"),
        ("in.csv", "a,b\n1,2\n", "first line must name the columns"),
        ("in.csv", "id,query,document,document\n1,a,x,y\n", "each once"),
        ("in.csv", b"query,document\na,caf\xe9\n", "UTF-8"),
        ("in.csv", 'query,document\na,"open\nb,x\n', "unexpected end"),
        ("in.csv", "id,query,document\n1,a,x\n1,b,y\n", "'1' stands twice"),
        ("in.parquet", "x", "not Parquet"),
        ("in.run", "t1 Q0 d1 1 2 x\n", "give its corpus and its topics"),
        ("missing.jsonl", None, "no such file"),
    ],
)
def test_what_is_not_of_its_format_is_refused(
    name: str, content: str | bytes | None, message: str, tmp_path: Path
) -> None:
    """The message says what to do."""
    if content is not None:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)

    with pytest.raises(JobError, match=message):
        Job(input=tmp_path / name, model=MODEL, output=tmp_path / "out.jsonl").run()


@pytest.mark.parametrize(("make", "said"), [(os.mkfifo, "read twice"), (os.mkdir, "a folder")])
def test_what_is_no_file_is_refused_as_what_it_is(
    make: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    """The input is read twice: a shell's `<(zcat rows.jsonl.gz)` exists, and cannot be."""
    make(tmp_path / "in.jsonl")

    with pytest.raises(JobError, match=said):
        Job(input=tmp_path / "in.jsonl", model=MODEL, output=tmp_path / "out.jsonl").run()


@pytest.mark.parametrize("form", ["jsonl", "run"])
def test_no_room_for_sqlites_temporary_file_is_told_in_a_line(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids and places of many rows are kept there: a full disk there is as any other."""
    connect = sqlite3.connect

    def connect_where_there_is_no_room(name: str) -> sqlite3.Connection:
        connection = connect(name)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    given = write_input(tmp_path, form)
    words = ["run", str(given.pop("input")), "--model", MODEL]
    words += [word for name, path in given.items() for word in (f"--{name}", str(path))]
    monkeypatch.setattr(sqlite3, "connect", connect_where_there_is_no_room)
    told = CliRunner().invoke(job, [*words, "--output", str(tmp_path / "out.jsonl")])

    assert told.exit_code == 4
    assert "no room" in told.stderr


@pytest.mark.parametrize(
    "settings",
    [
        {"format": "xml"},
        {"top_n": 0},
        {"rank_fields": "a"},
        {"rank_fields": []},
        {"rank_fields": [""]},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    """Before any row fails for it."""
    with pytest.raises(JobError, match=r"format|top_n must be|rank_fields must be"):
        Job(**write_input(tmp_path, "jsonl"), model=MODEL, output="out.jsonl", **settings).run()


def test_a_run_with_a_torn_query_or_a_short_line_is_refused(tmp_path: Path) -> None:
    """Both are told with their place."""
    settings = write_input(tmp_path, "run")
    run: Path = settings["input"]
    whole = run.read_text()
    for content, message in (
        (whole + "t1 Q0 d3 3 1 first\n", "'t1' stands twice"),
        ("t1 d1\n", "in.run:1: a line of a run has six fields"),
    ):
        run.write_text(content)
        with pytest.raises(JobError, match=message):
            Job(**settings, model=MODEL, output=tmp_path / "out.jsonl").run()


@pytest.mark.parametrize("cells", ["document", "documents"])
def test_cells_that_have_no_column_fail_their_row(cells: str, tmp_path: Path) -> None:
    """A comma without quotes: what is behind it would not be ranked. No id: none of its own."""
    text = {"document": "x", "documents": '"[""x""]"'}[cells]
    lines = [f"id,query,{cells}", f"a,q,{text}", f"b,q,{text}, y", f",q,{text},z", f",r,{text}"]
    (tmp_path / "in.csv").write_text("\n".join(lines))
    report = Job(input=tmp_path / "in.csv", model=MODEL, output=tmp_path / "out.jsonl").run()
    failed = (tmp_path / "out.jsonl.job" / "failed.jsonl").read_text().splitlines()

    assert (report.ranked, report.failed) == (2, 2)
    assert all("more cells" in line for line in failed)
    assert sorted(json.loads(line)["id"].partition("-")[0] for line in failed) == ["2", "b"]


def test_a_line_that_cannot_be_read_is_named_by_its_number(tmp_path: Path) -> None:
    """With no word of what stands in it, for it may be anything."""
    row = json.dumps({"id": "a", "query": "sea", "documents": ["sea", "hill"]})
    (tmp_path / "in.jsonl").write_text(f'{row}\n{{"torn\n')
    report = Job(input=tmp_path / "in.jsonl", model=MODEL, output=tmp_path / "out.jsonl").run()

    assert (report.ranked, report.failed) == (1, 1)
    (line,) = (tmp_path / "out.jsonl.job" / "failed.jsonl").read_text().splitlines()
    assert re.fullmatch(r"1-[0-9a-f]{12}", json.loads(line)["id"])


@pytest.mark.parametrize("name", ["in.run", "corpus.jsonl", "topics.tsv"])
def test_a_byte_order_mark_is_no_text(name: str, tmp_path: Path) -> None:
    """Spreadsheets write one at the beginning."""
    settings = write_input(tmp_path, "run")
    (tmp_path / name).write_text((tmp_path / name).read_text(), encoding="utf-8-sig")
    output = tmp_path / "out.jsonl"
    Job(**settings, model=MODEL, output=output).run()

    assert {
        line["id"]: shape(line["results"])
        for line in map(json.loads, output.read_text().splitlines())
    } == wanted()


@pytest.mark.parametrize("suffix", [".jsonl", ".run"])
def test_a_document_that_the_corpus_lacks_fails_its_row(suffix: str, tmp_path: Path) -> None:
    """The other rows are ranked."""
    settings = write_input(tmp_path, "run")
    with settings["input"].open("a") as file:
        file.write("t9 Q0 d1 1 1 x\nt0 Q0 d9 1 1 x\n")
    (tmp_path / "topics.tsv").write_text((tmp_path / "topics.tsv").read_text() + "t0\tanything\n")
    report = Job(**settings, model=MODEL, output=tmp_path / f"out{suffix}").run()
    failed = (tmp_path / f"out{suffix}.job" / "failed.jsonl").read_text()

    assert (report.ranked, report.failed) == (3, 2)
    assert "the topics have no 't9'" in failed
    assert "the corpus has no 'd9'" in failed


@pytest.mark.parametrize(
    ("output", "message"),
    [("out.txt", "must end in"), ("none/out.jsonl", "no such folder"), ("out.run", "an id")],
)
def test_an_output_that_could_not_be_written_is_refused_first(
    output: str, message: str, tmp_path: Path
) -> None:
    """Not after hours."""
    with pytest.raises(JobError, match=message):
        Job(**write_input(tmp_path, "jsonl"), model=MODEL, output=tmp_path / output).run()


@pytest.mark.parametrize(("row", "document"), [("a b", "d"), ("a", "d 1"), ("a", "")])
def test_a_name_that_would_tear_a_run_is_refused_first(
    row: str, document: str, tmp_path: Path
) -> None:
    """Spaces divide its lines."""
    content = {"id": row, "query": "q", "documents": [{"id": document, "text": "x"}]}
    (tmp_path / "in.jsonl").write_text(json.dumps(content))

    with pytest.raises(JobError, match="an id without spaces"):
        Job(input=tmp_path / "in.jsonl", model=MODEL, output=tmp_path / "out.run").run()


def test_a_document_that_stands_twice_is_refused_first(tmp_path: Path) -> None:
    """No tool reads a run that has one twice for a query."""
    document = {"id": "d", "text": "x"}
    content = {"id": "a", "query": "q", "documents": [document, document]}
    (tmp_path / "in.jsonl").write_text(json.dumps(content))

    with pytest.raises(JobError, match="stands once in its row"):
        Job(input=tmp_path / "in.jsonl", model=MODEL, output=tmp_path / "out.run").run()


@pytest.mark.parametrize("line", ['{"_id": "d1", "contents": "red"}', '{"_id": null, "text": "x"}'])
def test_a_corpus_whose_text_or_id_has_another_name_is_refused(line: str, tmp_path: Path) -> None:
    """Each document would be blank, and the output an order of nothing."""
    settings = write_input(tmp_path, "run")
    settings["corpus"].write_text(line + "\n")

    with pytest.raises(JobError, match=r"jsonl:1: .*an _id and a text are needed"):
        Job(**settings, model=MODEL, output=tmp_path / "out.jsonl").run()


def test_a_cell_that_is_nested_too_deeply_fails_its_row(tmp_path: Path) -> None:
    """It has no id, and cannot be written as JSON again; the other row is ranked."""
    deep = "[" * 300 + "]" * 300
    (tmp_path / "in.csv").write_text(f'query,documents\nq,"{deep}"\nq,"[""a""]"\n')
    report = Job(input=tmp_path / "in.csv", model=MODEL, output=tmp_path / "out.jsonl").run()

    assert (report.ranked, report.failed) == (1, 1)


def test_the_command_runs_says_and_resumes(tmp_path: Path) -> None:
    """Exit codes and what is said, on standard error."""
    settings = write_input(tmp_path, "jsonl")
    with settings["input"].open("a") as file:
        file.write('{"id": "bad", "query": " ", "documents": ["x"]}\n')
    output = str(tmp_path / "out.jsonl")
    words = ["run", str(settings["input"]), "--model", MODEL, "--output", output]
    runner = CliRunner()
    dry = runner.invoke(job, [*words, "--dry-run"])
    first = runner.invoke(job, words)
    again = runner.invoke(job, [*words, "--retry-failed"])
    told = runner.invoke(job, ["status", output])
    as_json = json.loads(runner.invoke(job, ["status", output, "--json"]).stdout)

    assert dry.exit_code == 0
    assert "4 rows" in dry.stdout
    assert "cost: unknown" in dry.stdout
    assert first.exit_code == again.exit_code == 1
    assert "1 failed" in first.stderr
    assert "--retry-failed" in first.stderr
    assert not first.stdout
    assert "4: 3 ranked, 1 failed, 0 pending" in told.stdout
    assert (as_json["state"], as_json["ranked"], as_json["failed"]) == ("failed", 3, 1)


def test_status_tells_of_a_job_that_was_killed(tmp_path: Path) -> None:
    """Its file says that it runs, and nobody holds its lock."""
    settings = write_input(tmp_path, "jsonl")
    output = tmp_path / "out.jsonl"
    Job(**settings, model=MODEL, output=output).run()
    file = tmp_path / "out.jsonl.job" / "job.json"
    file.write_text(file.read_text().replace('"done"', '"running"'))

    assert "state: killed" in CliRunner().invoke(job, ["status", str(output)]).stdout
    assert isinstance(
        CliRunner().invoke(job, ["status", str(tmp_path / "other.jsonl")]).exception, JobError
    )


def test_the_command_tells_of_a_full_disk_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to do, and no traceback."""

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    settings = write_input(tmp_path, "jsonl")
    words = ["run", str(settings["input"]), "--model", MODEL]
    monkeypatch.setattr("rerank_jobs._journal.os.write", refuse)
    told = CliRunner().invoke(job, [*words, "--output", str(tmp_path / "out.jsonl")])

    assert told.exit_code == 4
    assert "No space left on device; what was ranked is saved" in told.stderr


def test_a_key_is_no_parameter(tmp_path: Path) -> None:
    """It would show in the list of processes."""
    words = ["run", "in.jsonl", "--model", MODEL, "--output", str(tmp_path / "out.jsonl")]

    assert CliRunner().invoke(job, [*words, "--param", "api_key=x"]).exit_code == 2


def test_a_report_says_what_is_unknown() -> None:
    """Costs that nobody knows are no 0."""
    report = JobReport(
        state="running",
        rows=100,
        ranked=40,
        failed=10,
        requests=60,
        tokens=0,
        usd=0.0,
        unknown_costs=40,
        seconds=10.0,
        ranked_now=20,
    )

    assert describe(report) == (
        "50 of 100 rows (50.0%), 2.0 rows/s, 0:00:25 left, 10 failed, 60 requests,"
        " unknown cost of 40 rows"
    )


def test_a_table_comes_out_in_its_order_with_errors_as_a_column() -> None:
    """What Ray, Dask and Spark call: no row is lost, and none raises."""
    bad = {"id": "bad", "query": " ", "documents": ["x"]}
    table = rerank_table(pa.Table.from_pylist([bad, *rows()]), MODEL, at_once=2)
    first, *others = table.to_pylist()

    assert first["results"] is None
    assert "query is blank" in first["error"]
    assert {row["id"]: shape(row["results"]) for row in others} == wanted()
    assert [row["error"] for row in others] == [None] * 3


@pytest.mark.parametrize(
    ("option", "said"),
    [({"on_failure": "passthrough"}, "not reranked"), ({"fallbacks": [MODEL]}, "a fallback")],
)
def test_a_table_says_who_did_not_rank_it(option: dict[str, Any], said: str) -> None:
    """Else the caller's own order, or another model's, would look like this model's."""
    options = {"api_base": "http://127.0.0.1:9", "api_key": "a-key", "max_retries": 0, **option}
    table = rerank_table(pa.Table.from_pylist(rows()), "cohere/rerank-v3.5", options=options)

    assert all(said in row["warnings"][0] for row in table.to_pylist())


@pytest.mark.parametrize("name", ["query", "documents"])
def test_a_null_in_a_table_is_an_error_of_its_row(name: str) -> None:
    """A column of a table may hold nothing: the other rows are ranked all the same."""
    row = {"id": "null", "query": "q", "documents": ["x"], name: None}
    bad, good = rerank_table(pa.Table.from_pylist([row, *rows()[:1]]), MODEL).to_pylist()

    assert f"InvalidRequestError: {MODEL}: {name} must be" in bad["error"]
    assert good["error"] is None


def test_nothing_of_a_row_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither query nor documents."""
    caplog.set_level(logging.DEBUG)
    Job(**write_input(tmp_path, "jsonl"), model=MODEL, output=tmp_path / "out.jsonl").run()

    assert "boundary" not in caplog.text
