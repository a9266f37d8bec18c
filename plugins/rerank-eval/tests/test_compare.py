"""`rerank compare`: side by side on one query."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rerank_core import ConfigurationError
from rerank_eval import DataError, compare
from rerank_eval._commands.compare import compare as command
from rerank_eval._compare import kendall_tau, overlap

SAMPLE = Path(__file__).parents[3] / "docs" / "sample" / "acoustic-fatigue.jsonl"


def test_agreement_of_orders(make_fake: Any, scorers: Any) -> None:
    """The same order, the opposite one, and what moved."""
    models = {name: make_fake(scorers[name]) for name in ("same", "reversed")}
    found = compare("q", ["a", "b", "c", "d"], models, at=2)

    assert [(each.first, each.second, each.tau, each.overlap) for each in found.agreements] == [
        ("input", "same", 1.0, 1.0),
        ("input", "reversed", -1.0, 0.0),
        ("same", "reversed", -1.0, 0.0),
    ]
    assert found.moves("reversed") == {3: 3, 2: 1, 1: -1, 0: -3}


def test_tau_counts_ties() -> None:
    """Tau-b, by hand: two pairs agree, one is tied in the second."""
    tau = kendall_tau({0: 3.0, 1: 2.0, 2: 1.0}, {0: 1.0, 1: 0.0, 2: 0.0})

    assert tau == pytest.approx(2 / (3 * 2) ** 0.5)
    assert kendall_tau({0: 1.0, 1: 1.0}, {0: 1.0, 1: 2.0}) is None
    assert overlap([], [], 5) == 0.0


def test_the_command_prints_json_lines_where_nobody_looks() -> None:
    """Ranks, scores, moves, and how alike the orders are."""
    query = "what data is there on the fatigue of structures under acoustic loading"
    arguments = [query, str(SAMPLE), "local/bm25", "local/bm25?k1=0.1"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    ranked = [row for row in rows if "rank" in row and row["model"] == "local/bm25"]

    assert len(ranked) == 20
    assert {row["index"] for row in ranked[:3]} <= {0, 5, 7, 9, 11, 15, 18}
    assert all(row["moved"] == row["index"] - row["rank"] + 1 for row in ranked)
    assert len([row for row in rows if "tau" in row]) == 3


def test_the_command_shows_a_table_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what could steer the terminal left out."""
    file = tmp_path / "a.txt"
    file.write_text("sky\n\x1b[31mred fox\n", encoding="utf-8")
    monkeypatch.setattr(
        "rerank_eval._commands.compare.sys.stdout.isatty", lambda: True, raising=False
    )
    from rerank_eval._commands import compare as module  # noqa: PLC0415 - to show the table

    comparison = compare("red fox", ["sky", "\x1b[31mred fox"], ["local/bm25"])
    with CliRunner().isolation() as (out, _, __):
        module._show(comparison, 2)  # noqa: SLF001 - what a terminal is shown
        text = out.getvalue().decode()

    assert "1 (+1)" in text
    assert "0.50 of 2" in text or "1.00 of 2" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(("line", "message"), [("{", "not JSON"), ("3", "a document is a text")])
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    """With file and number."""
    file = tmp_path / "a.jsonl"
    file.write_text(f'"good"\n{line}\n', encoding="utf-8")

    done = CliRunner().invoke(command, ["q", str(file), "local/bm25"])

    assert isinstance(done.exception, DataError)
    assert f"a.jsonl:2: {message}" in str(done.exception)


def test_a_model_stands_once(make_fake: Any, scorers: Any) -> None:
    """Two columns of one name could not be told apart."""
    with pytest.raises(ConfigurationError, match="already"):
        compare("q", ["a"], ["local/bm25", "local/bm25"])
    assert make_fake(scorers["same"])
