"""The finished output: rows of a journal in the order of the input, in the format asked for."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from rerank_jobs.errors import JobError

SUFFIXES = (".jsonl", ".ndjson", ".parquet", ".csv", ".run", ".trec")
_ROWS_PER_GROUP = 1_000
_NOWHERE = 2**64 - 1
_TAG = "rerank"


def check_output(output: Path, *, documents_have_ids: bool) -> None:
    """Refuse an output that could not be written in the end.

    Raises:
        JobError: What to do instead.
    """
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES:
        raise JobError(f"{output.name}: the name must end in one of {', '.join(SUFFIXES)}")
    if not output.parent.is_dir():
        raise JobError(f"{output.parent}: there is no such folder")
    if suffix in {".run", ".trec"} and not documents_have_ids:
        raise JobError(
            "a TREC run names rows and documents: each of the input needs an id without spaces,"
            " which stands once in its row"
        )
    if suffix == ".parquet":
        try:
            import pyarrow as pa  # noqa: F401, PLC0415 - an extra
        except ModuleNotFoundError:
            raise JobError("Parquet needs an extra: pip install 'rerank-jobs[parquet]'") from None


def write_output(output: Path, journal: Path, rows: int) -> None:
    """Write the output beside its name, and then rename it."""
    beside = output.with_name(f"{output.name}.new")
    suffix = output.suffix.lower()
    lines = _in_order(journal, rows)
    if suffix == ".parquet":
        _write_parquet(beside, lines)
    elif suffix == ".csv":
        _write_csv(beside, lines)
    elif suffix in {".run", ".trec"}:
        _write_run(beside, lines)
    else:
        with beside.open("wb") as file:
            for line in lines:
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    beside.replace(output)


def _in_order(journal: Path, rows: int) -> Iterator[dict[str, Any]]:
    """The lines by their position in the input; eight bytes a row are held."""
    places = array("Q", [_NOWHERE]) * rows
    with journal.open("rb") as file:
        at = 0
        for line in file:
            places[orjson.loads(line)["row"]] = at
            at += len(line)
        for place in places:
            if place != _NOWHERE:
                file.seek(place)
                yield orjson.loads(file.readline())


def _write_parquet(path: Path, lines: Iterator[dict[str, Any]]) -> None:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet  # noqa: PLC0415 - likewise

    result = pa.struct(
        [("index", pa.int64()), ("relevance_score", pa.float64()), ("id", pa.string())]
    )
    schema = pa.schema([("id", pa.string()), ("results", pa.list_(result))])
    with parquet.ParquetWriter(path, schema) as writer:
        while rows := [_kept(line) for line in islice(lines, _ROWS_PER_GROUP)]:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _kept(line: dict[str, Any]) -> dict[str, Any]:
    return {"id": str(line["id"]), "results": line["results"]}


def _write_csv(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "rank", "index", "relevance_score", "document_id"))
        for line in lines:
            for rank, each in enumerate(line["results"], 1):
                score = each["relevance_score"]
                writer.writerow((line["id"], rank, each["index"], score, each.get("id", "")))


def _write_run(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Scores that fall by one a rank: trec_eval sorts again, ties and floats its own way."""
    with path.open("w", encoding="utf-8") as file:
        for line in lines:
            results = line["results"]
            for rank, each in enumerate(results, 1):
                fields = (line["id"], "Q0", each["id"], rank, len(results) - rank + 1, _TAG)
                file.write(" ".join(map(str, fields)) + "\n")
